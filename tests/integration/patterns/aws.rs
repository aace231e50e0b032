//! Batches and lists of AWS.

use serde_json::Value;

use super::*;

fn cloud() -> Cloud {
    Cloud::new(Store::Aws(SecretsManager::start()))
}

impl Cloud {
    fn aws(&self) -> &Double<SecretsManager> {
        let Store::Aws(double) = &self.store else { panic!("not AWS") };
        double
    }
}

#[test]
fn a_pull_is_a_page_for_a_hundred_and_a_batch_for_twenty() {
    let cloud = cloud();
    cloud.seed_many(105);
    cloud.run("pull").expect(0);
    let calls = ["ListSecrets", "BatchGetSecretValue", "GetSecretValue"].map(|operation| cloud.count(operation));
    assert_eq!(calls, [2, 6, 0]);
    let list: Value = serde_json::from_str(&cloud.aws().requests()[0]).unwrap();
    assert_eq!(list["Filters"], serde_json::json!([{"Key": "name", "Values": ["app-"]}]));
}

#[test]
fn without_the_permission_for_batches_secrets_are_read_one_by_one_and_that_is_said_once() {
    let cloud = cloud();
    cloud.seed_many(45);
    cloud.fail_for("BatchGetSecretValue", "", When::Always, Fault::AccessDenied);
    let done = cloud.run("pull").expect(0);
    assert_eq!(done.annotations_of("warning").iter().filter(|w| w.message.contains("one by one")).count(), 1);
    assert_eq!((cloud.room.read(".env"), cloud.count("GetSecretValue")), (Some(lines(45)), 45));
    // Without that for the single ones either, the permission that is missing is named.
    cloud.fail_for("GetSecretValue", "", When::Always, Fault::AccessDenied);
    cloud.run("pull").expect(4).says(&["secretsmanager:GetSecretValue", "app-N000"]);
}

#[test]
fn without_the_permission_to_list_it_is_named() {
    let cloud = cloud();
    cloud.fail_for("ListSecrets", "", When::Always, Fault::AccessDenied);
    cloud.run("pull").expect(4).says(&["secretsmanager:ListSecrets", "the resource `*`"]);
}

#[test]
fn several_entries_are_a_batch_and_versions_are_read_alone() {
    let cloud = cloud();
    cloud.put("one", r#"{"A":"fake-a-value"}"#);
    cloud.put("two", "fake-two-old");
    cloud.put("two", "fake-two-new");
    cloud.put("three", "fake-three-value");
    let arn = cloud.aws().arn("three").unwrap();
    let short = arn.rsplit_once('-').unwrap().0.to_owned();
    let entries = format!("one\nTWO = two\nOLD = two?stage=AWSPREVIOUS\nTHREE = {arn}\nSHORT = {short}\n");
    cloud.run("pull").input("secret", &entries).expect(0);
    let expected =
        "A=fake-a-value\nTWO=fake-two-new\nOLD=fake-two-old\nTHREE=fake-three-value\nSHORT=fake-three-value\n";
    assert_eq!(cloud.room.read(".env").as_deref(), Some(expected));
    assert_eq!((cloud.count("BatchGetSecretValue"), cloud.count("GetSecretValue")), (1, 1));
}

#[test]
fn an_answer_that_lacks_ids_is_completed() {
    let json = "application/x-amz-json-1.1";
    let empty = envsync_doubles::http::Response::new(200, json, r#"{"SecretValues":[],"Errors":[]}"#);
    let refused = Fault::status(400, "InvalidRequestException", "one of the secrets was marked for deletion");
    for fault in [Fault::Answer(empty), refused] {
        let cloud = cloud();
        cloud.seed(&[("A", "fake-a"), ("B", "fake-b")]);
        cloud.fail_for("BatchGetSecretValue", "", When::Always, fault);
        cloud.run("pull").expect(0);
        assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-a\nB=fake-b\n"));
        assert_eq!(cloud.count("GetSecretValue"), 2);
    }
}

#[test]
fn a_slash_parts_names_and_the_case_counts() {
    let cloud = cloud();
    for name in ["prod/app/A", "prod/app/B", "prod/app/sub/C", "prod/application", "Prod/app/D", "prod/app"] {
        cloud.put(name, &format!("fake-{name}"));
    }
    cloud.run("pull").input("secret", "prod/app/*").expect(0).output("all-keys", r#"["A","B"]"#);
    cloud.run("pull").input("secret", "prod/*/A").expect(0).output("added-keys", r#"["app"]"#);
    cloud.room.file(".env", "NEW=fake-new-value\n");
    cloud.run("push").input("secret", "prod/app/*").expect(0);
    assert_eq!(cloud.aws().current("prod/app/NEW").as_deref(), Some("fake-new-value"));
}

#[test]
fn what_is_scheduled_for_deletion_is_recovered_only_on_request() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-a"), ("B", "fake-b")]);
    cloud.aws().schedule_deletion("app-B");
    cloud.run("pull").expect(0).output("all-keys", r#"["A"]"#);
    cloud.push("A=fake-new\nB=fake-new\n").expect(5).says(&["app-B", "recover_deleted", "nothing was changed"]);
    cloud.run("push").input("recover_deleted", "true").expect(0);
    assert_eq!((cloud.get("A").as_deref(), cloud.get("B").as_deref()), (Some("fake-new"), Some("fake-new")));
}

#[test]
fn another_writer_of_the_same_secret_is_a_lost_race_and_no_loss_for_the_others() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-old-a"), ("B", "fake-old-b")]);
    cloud.aws().on("UpdateSecretVersionStage", 1, |double| drop(double.put("app-A", "fake-foreign")));
    cloud.room.secret_value("fake-foreign");
    cloud.push("A=fake-new-a\n").expect(0).output("updated-keys", r#"["A"]"#);
    assert_eq!((cloud.get("A").as_deref(), cloud.get("B").as_deref()), (Some("fake-new-a"), Some("fake-old-b")));
    assert_eq!(cloud.versions("A"), 4, "the old one, theirs, ours that lost, and ours");
}

#[test]
fn what_another_run_has_written_already_is_no_change() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-old-a"), ("B", "fake-old-b")]);
    cloud.aws().on("DescribeSecret", 1, |double| {
        for secret in ["app-A", "app-B"] {
            double.put(secret, "fake-new");
        }
    });
    cloud.push("A=fake-new\nB=fake-new\n").expect(0).output("has-changes", "false");
    assert_eq!((cloud.versions("A"), cloud.versions("B")), (2, 2));
}

#[test]
fn a_binary_secret_is_its_base64_and_is_not_written_as_text() {
    let cloud = cloud();
    cloud.aws().put_binary("app-BLOB", b"\x00\xfffake-");
    cloud.aws().put_binary("app-TEXT", b"fake-text");
    cloud.run("pull").expect(0);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("BLOB=AP9mYWtlLQ==\nTEXT=fake-text\n"));
    cloud.run("push").expect(0).output("has-changes", "false");
    cloud.push("BLOB=fake-other\nTEXT=fake-other\n").expect(2).says(&["app-BLOB", "binary", "nothing was changed"]);
    cloud.push("TEXT=fake-other\n").expect(0);
    assert_eq!(cloud.versions("TEXT"), 2);
}
