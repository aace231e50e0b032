//! Somebody else writes between any two of our calls: both ends up in the secret, and no key that we did not mean.

use envsync_doubles::aws::SecretsManager;
use envsync_doubles::{Handle, When};
use serde_json::json;

use super::{Cloud, ONE, PUSH, each, nothing_was_changed};

/// Before which call the other one writes.
const MOMENTS: [&str; 3] = [PUSH[1], PUSH[2], PUSH[3]];

/// A foreign version with these members, written before the first call of an operation.
fn meanwhile(cloud: &Cloud, moment: &str, payload: &'static str) {
    cloud.room.secret_values(payload);
    cloud.double.on(moment, 1, move |aws: &Handle<SecretsManager>| drop(aws.put("app", payload)));
}

#[test]
fn another_key_is_kept() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-old","B":"fake-two-old","C":"fake-three-foreign"}"#);
        let done = cloud.push("A=fake-one-new\n").github().expect(0);
        let wanted = json!({"A": "fake-one-new", "B": "fake-two-old", "C": "fake-three-foreign"});
        assert_eq!(cloud.json(), wanted, "{moment}");
        cloud.assert_labels_clean();
        done.output("updated-keys", r#"["A"]"#);
        done.output("secret-version", cloud.double.versions("app").last().unwrap());
    });
}

#[test]
fn the_same_key_is_ours_in_the_end() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-foreign","B":"fake-two-old"}"#);
        cloud.push("A=fake-one-new\n").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}), "{moment}");
        cloud.assert_labels_clean();
    });
}

#[test]
fn a_key_that_the_plan_did_not_mean_is_not_touched() {
    let rows = MOMENTS.iter().flat_map(|moment| {
        [
            // The file holds B as it was: others may change it, and take it away.
            (
                *moment,
                r#"{"A":"fake-one-old","B":"fake-two-foreign"}"#,
                json!({"A": "fake-one-new", "B": "fake-two-foreign"}),
            ),
            (*moment, r#"{"A":"fake-one-old"}"#, json!({"A": "fake-one-new"})),
        ]
    });
    each(rows.collect(), |(moment, payload, wanted)| {
        let cloud = Cloud::holding(ONE);
        meanwhile(&cloud, moment, payload);
        cloud.push("A=fake-one-new\nB=fake-two-old\n").expect(0);
        assert_eq!(cloud.json(), wanted, "{moment}");
        cloud.assert_labels_clean();
    });
}

#[test]
fn a_foreign_key_is_not_deleted_with_ours() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-old","B":"fake-two-old","C":"fake-three-foreign"}"#);
        cloud.push("A=fake-one-old\n").input("delete", "true").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-old", "C": "fake-three-foreign"}), "{moment}");
    });
}

#[test]
fn what_the_other_one_did_already_is_not_done_again() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
        cloud.push("A=fake-one-new\n").expect(0);
        let current = cloud.double.labels("app").into_iter().find(|(label, _)| label == "AWSCURRENT").unwrap().1;
        let foreign = if moment == "UpdateSecretVersionStage" { 2 } else { 1 };
        assert_eq!(cloud.double.versions("app").iter().position(|v| *v == current), Some(foreign), "{moment}");
        cloud.assert_labels_clean();
    });
}

#[test]
fn a_rollback_meanwhile_is_planned_on_again() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(r#"{"A":"fake-one-first","Z":"fake-last-first"}"#);
        let first = cloud.double.versions("app").pop().unwrap();
        cloud.seed(ONE);
        cloud.double.on(moment, 1, move |aws| aws.label("app", "AWSCURRENT", &first));
        cloud.push("A=fake-one-new\n").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "Z": "fake-last-first"}), "{moment}");
        cloud.assert_labels_clean();
    });
}

#[test]
fn our_label_moved_by_another_run_is_left_to_it() {
    let cloud = Cloud::holding(ONE);
    let other = cloud.seed(ONE);
    cloud.double.label("app", "AWSCURRENT", &other);
    let first = cloud.double.versions("app")[0].clone();
    // Before our move, and so before we would take the label off.
    let holder = first.clone();
    cloud.double.on("UpdateSecretVersionStage", 1, move |aws| aws.label("app", "ENVSYNC_PENDING", &holder));
    let done = cloud.push("A=fake-one-new\n").github().expect(0);
    assert_eq!(cloud.json()["A"], "fake-one-new");
    assert!(cloud.double.labels("app").contains(&("ENVSYNC_PENDING".to_owned(), first)), "it is the other run's");
    assert!(done.annotations_of("warning").is_empty(), "{}", done.text());
}

#[test]
fn the_label_of_a_run_that_died_is_cleared_and_that_of_rotation_is_not() {
    let cloud = Cloud::holding(ONE);
    let dead = cloud.seed(ONE);
    cloud.seed(ONE);
    cloud.double.label("app", "ENVSYNC_PENDING", &dead);
    cloud.double.label("app", "AWSPENDING", &dead);
    cloud.push("A=fake-one-new\n").expect(0);
    let ours: Vec<_> = cloud.double.labels("app").into_iter().filter(|(label, _)| label.contains("PENDING")).collect();
    assert_eq!(ours, [("AWSPENDING".to_owned(), dead)]);
}

#[test]
fn two_that_create_at_once_end_in_one_secret() {
    let cloud = Cloud::empty();
    meanwhile(&cloud, "CreateSecret", r#"{"A":"fake-one-foreign","C":"fake-three-foreign"}"#);
    cloud.push("A=fake-one-new\nB=fake-two-new\n").expect(0);
    let wanted = json!({"A": "fake-one-new", "B": "fake-two-new", "C": "fake-three-foreign"});
    assert_eq!(cloud.json(), wanted);
    cloud.assert_labels_clean();
}

#[test]
fn a_secret_that_vanishes_is_made_again_or_named() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        cloud.double.on(moment, 1, |aws| aws.purge("app"));
        let code = cloud.push("A=fake-one-new\nB=fake-two-old\n").expect_one_of(&[0, 5]).code;
        // Only what was meant to change is written: B was taken away by whoever ended the secret.
        let wanted = if code == Some(0) { json!({"A": "fake-one-new"}) } else { json!(null) };
        assert_eq!(cloud.json(), wanted, "{moment}");
        let cloud = Cloud::holding(ONE);
        cloud.double.on(moment, 1, |aws| aws.purge("app"));
        nothing_was_changed(cloud.push("A=fake-one-new\n").input("create", "false").expect(5).says(&["app"]));
        assert_eq!(cloud.double.arn("app"), None);
    });
}

#[test]
fn a_secret_that_is_deleted_meanwhile_is_not_written() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        cloud.double.on(moment, 1, |aws| aws.schedule_deletion("app"));
        let done = cloud.push("A=fake-one-new\n").expect(5);
        nothing_was_changed(done.says(&["app", "deletion", "recover_deleted"]));
        assert!(cloud.double.is_deleted("app"));
        assert_eq!(cloud.double.current("app").as_deref(), Some(ONE), "{moment}");
    });
}

#[test]
fn races_lost_until_the_time_is_up_end_with_nothing_written() {
    each(MOMENTS.to_vec(), |moment| {
        let cloud = Cloud::holding(ONE);
        cloud.double.on(moment, When::Always, |aws| {
            let turn = aws.versions("app").len();
            drop(aws.put("app", &format!(r#"{{"A":"fake-one-{turn}","B":"fake-two-old"}}"#)));
        });
        let done = cloud.push("A=fake-one-new\n").input("timeout_seconds", "4").expect(6);
        nothing_was_changed(done.says(&["`app`", "timeout_seconds"]));
        assert!(cloud.double.count("GetSecretValue") > 2, "it tries again: {moment}");
        assert!(cloud.json()["A"].as_str().unwrap().starts_with("fake-one-") && cloud.json()["A"] != "fake-one-new");
        cloud.assert_labels_clean();
    });
}

#[test]
fn pushes_at_the_same_time_lose_nothing() {
    let cloud = Cloud::holding(ONE);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let cloud = &cloud;
            scope.spawn(move || {
                let file = format!("{n}.env");
                cloud.room.file(&file, format!("KEY_{n}=fake-value-{n}\n"));
                // Not by `expect`: what it asserts of the workspace does not hold while others write.
                let output = cloud.run("push").input("env_file", &file).command().0.output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            });
        }
    });
    assert_eq!(cloud.json().as_object().unwrap().len(), 10);
    cloud.assert_labels_clean();
}
