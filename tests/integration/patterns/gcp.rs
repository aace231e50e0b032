//! Lists of Google.

use envsync_doubles::gcp::VersionState;

use super::*;

fn cloud() -> Cloud {
    Cloud::new(Store::Gcp(SecretManager::start()))
}

impl Cloud {
    fn google(&self) -> &Double<SecretManager> {
        let Store::Gcp(double) = &self.store else { panic!("not Google") };
        double
    }
}

#[test]
fn a_list_is_filtered_twice() {
    let cloud = cloud();
    for name in ["app-A", "my-app-B", "APP-C", "app-D"] {
        cloud.put(name, &format!("fake-{name}"));
    }
    cloud.run("pull").expect(0).output("all-keys", r#"["A","D"]"#);
    assert_eq!((cloud.count("ListSecrets"), cloud.count("AccessSecretVersion")), (1, 2));
    assert!(cloud.google().seen()[0].target.contains("filter=name%3Aapp-"), "{}", cloud.google().seen()[0].target);
}

#[test]
fn a_regional_pattern_lies_in_its_region() {
    let cloud = cloud();
    let region = format!("projects/{PROJECT}/locations/europe-west3/secrets/");
    cloud.google().put(&format!("{region}app-A"), "fake-regional");
    cloud.put("app-B", "fake-global");
    let pattern = format!("{region}app-*");
    cloud.room.secret_value("fake-regional");
    cloud.run("pull").input("secret", &pattern).expect(0);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-regional\n"));
    cloud.push("NEW=fake-new-value\n").input("secret", &pattern).expect(0);
    assert_eq!(cloud.google().current(&format!("{region}app-NEW")).as_deref(), Some("fake-new-value"));
}

#[test]
fn many_that_are_left_out_take_no_place_from_other_warnings() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-a"), ("PIN", "123")]);
    for i in 0..20 {
        cloud.google().create_without_value(&format!("app-EMPTY{i}"));
    }
    let done = cloud.run("pull").expect(0);
    let shown: Vec<_> = done.annotations_of("warning").into_iter().filter(|warning| warning.uploaded).collect();
    assert_eq!(shown.iter().filter(|warning| warning.message.contains("left out")).count(), 5);
    assert!(shown.iter().any(|warning| warning.message.contains("`PIN`")), "{}", done.log);
    for i in 0..20 {
        done.says(&[&format!("app-EMPTY{i}`")]);
    }
}

#[test]
fn a_secret_without_a_value_that_can_be_read_is_left_out_and_takes_a_first_one() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-a"), ("OFF", "fake-off")]);
    cloud.google().create_without_value("app-EMPTY");
    cloud.google().set_state("app-OFF", "1", VersionState::Disabled);
    let done = cloud.run("pull").expect(0);
    done.says(&["app-EMPTY", "app-OFF", "left out"]).output("all-keys", r#"["A"]"#);
    cloud.run("pull").input("required_keys", "OFF").expect(5).says(&["`OFF`"]);
    cloud.push("EMPTY=fake-first\n").input("create", "false").expect(0);
    assert_eq!(cloud.get("EMPTY").as_deref(), Some("fake-first"));
}

#[test]
fn without_the_permission_to_list_it_is_named() {
    let cloud = cloud();
    cloud.fail_for("ListSecrets", "", When::Always, Fault::AccessDenied);
    cloud.run("pull").expect(4).says(&["secretmanager.secrets.list", "roles/secretmanager.viewer"]);
}
