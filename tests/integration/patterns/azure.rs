//! Names, tags and lists of Key Vault.

use envsync_doubles::azure::Properties;

use super::*;

fn cloud() -> Cloud {
    Cloud::new(Store::Azure(KeyVault::start()))
}

impl Cloud {
    fn azure(&self) -> &Double<KeyVault> {
        let Store::Azure(double) = &self.store else { panic!("not Azure") };
        double
    }

    fn tags(&self, secret: &str) -> Vec<(String, String)> {
        self.azure().version(secret, "").map(|version| version.tags).unwrap_or_default()
    }

    fn put_with(&self, secret: &str, value: &str, change: impl FnOnce(&mut Properties)) {
        self.room.secret_value(value);
        let mut properties = Properties { value: value.to_owned(), enabled: true, ..Properties::default() };
        change(&mut properties);
        self.azure().put_with(secret, &properties);
    }
}

fn tag(key: &str) -> (String, String) {
    ("envsync-key".to_owned(), key.to_owned())
}

#[test]
fn the_exact_name_is_kept_in_a_tag() {
    let cloud = cloud();
    cloud.push("Db_Url=fake-url-one\n_X=fake-x-value\n").expect(0);
    assert_eq!(cloud.tags("app-Db-Url"), [tag("Db_Url")]);
    cloud.push("Db_Url=fake-url-two\n").expect(0);
    assert_eq!(cloud.tags("app-Db-Url"), [tag("Db_Url")], "a later version keeps it");
    cloud.run("pull").input("env_file", "p.env").expect(0);
    assert_eq!(cloud.room.variables("p.env").keys().cloned().collect::<Vec<_>>(), ["Db_Url", "_X"]);
}

#[test]
fn a_secret_without_the_tag_is_read_by_its_name_and_gets_none() {
    let cloud = cloud();
    let team = ("team".to_owned(), "a".to_owned());
    cloud.put_with("app-db-URL", "fake-url-one", |version| version.tags = vec![team.clone()]);
    cloud.run("pull").expect(0).output("all-keys", r#"["db_URL"]"#);
    cloud.push("db_URL=fake-url-two\n").expect(0);
    assert_eq!((cloud.versions("db_URL"), cloud.tags("app-db-URL")), (2, vec![team]));
}

#[test]
fn two_names_that_meet_in_one_secret_are_refused_before_any_write() {
    let cloud = cloud();
    for lines in [
        "A_B=fake-one-value\na_b=fake-two-value\nC=fake-c-value\n",
        "C=fake-c-value\na_B=fake-x-value\nA_b=fake-y-value\n",
    ] {
        cloud.push(lines).expect(2).says(&["would both be the secret", "nothing was changed"]);
        assert_eq!((cloud.get("A_B"), cloud.get("C")), (None, None));
    }
    // The one that is there stands for another variable.
    cloud.push("A_B=fake-one-value\n").expect(0);
    cloud.push("a_b=fake-two-value\nC=fake-c-value\n").expect(2).says(&["`a_b` and `A_B`", "nothing was changed"]);
    // It does also where the list does not show it yet.
    let empty = envsync_doubles::http::Response::new(200, "application/json", r#"{"value":[],"nextLink":null}"#);
    cloud.fail_for("ListSecrets", "", When::Next(1), Fault::Answer(empty));
    cloud.run("push").expect(2).says(&["`a_b` and `A_B`", "nothing was changed"]);
    assert_eq!((cloud.get("A_B").as_deref(), cloud.get("C")), (Some("fake-one-value"), None));
}

#[test]
fn a_tag_may_name_what_no_secret_can_be_called() {
    let cloud = cloud();
    cloud.put_with("app-x", "fake-tagged", |version| version.tags = vec![tag("REAL_NAME")]);
    cloud.put_with("app-y", "fake-wrong", |version| version.tags = vec![tag("1 no name")]);
    cloud.run("pull").expect(2).says(&["app-y"]);
    cloud.run("pull").input("exclude", "1*").expect(0).output("all-keys", r#"["REAL_NAME"]"#);
    cloud.push("REAL_NAME=fake-pushed\n").expect(0);
    assert_eq!(cloud.azure().current("app-x").as_deref(), Some("fake-pushed"));
}

#[test]
fn what_is_not_to_be_used_is_left_out_with_a_note_and_not_written() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-a-value")]);
    cloud.put_with("app-OFF", "fake-off", |version| version.enabled = false);
    cloud.put_with("app-OVER", "fake-over", |version| version.expires = Some(1_000_000_000));
    cloud.put_with("app-SOON", "fake-soon", |version| version.not_before = Some(4_000_000_000));
    let done = cloud.run("pull").expect(0);
    done.says(&["app-OFF", "is disabled", "app-OVER", "has expired", "app-SOON", "not valid before", "left out"]);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-a-value\n"));
    assert_eq!(cloud.count("GetSecret"), 1, "they are not even asked for");
    for name in ["OFF", "OVER", "SOON"] {
        let done = cloud.push(&format!("A=fake-new-value\n{name}=fake-new-value\n")).expect(5);
        done.says(&[&format!("app-{name}"), "nothing was changed"]);
    }
    cloud.azure().purge("app-A");
    cloud.run("pull").expect(5).says(&["app-*", "app-OFF"]);
}

#[test]
fn upper_and_lower_case_are_one_in_a_pattern() {
    let cloud = cloud();
    cloud.put("App-DB", "fake-db-value");
    cloud.run("pull").expect(0).output("all-keys", r#"["DB"]"#);
    cloud.push("DB=fake-db-other\n").expect(0);
    assert_eq!(cloud.azure().versions("App-DB").len(), 2);
}

#[test]
fn a_list_that_goes_on_elsewhere_is_not_followed() {
    let (cloud, stranger) = (cloud(), KeyVault::start());
    cloud.seed_many(30);
    for to in [stranger.url(), "http://127.0.0.1:1".to_owned(), cloud.azure().url().replace("127.0.0.1", "localhost")] {
        cloud.azure().links_lead_to(&to);
        cloud.run("pull").expect(7).says(&["another host", "nothing was changed"]);
    }
    assert_eq!(stranger.calls(), [""; 0], "no token goes there");
    // The list of versions as well.
    (0..30).for_each(|n| drop(cloud.azure().put("one", &format!("fake-{n}-value"))));
    cloud.azure().links_lead_to(&stranger.url());
    cloud.push("A=fake-a\n").input("secret", "one").expect_one_of(&[2, 7]);
    assert_eq!(stranger.calls(), [""; 0]);
}

#[test]
fn a_deleted_secret_is_recovered_only_on_request() {
    let cloud = cloud();
    cloud.seed(&[("A", "fake-a"), ("B_C", "fake-b")]);
    cloud.azure().delete("app-B-C");
    cloud.run("pull").expect(0).output("all-keys", r#"["A"]"#);
    cloud.push("A=fake-new\nB_C=fake-new\n").expect(5).says(&["app-B-C", "recover_deleted", "nothing was changed"]);
    cloud.run("push").input("recover_deleted", "true").expect(0);
    assert_eq!((cloud.get("A").as_deref(), cloud.get("B_C").as_deref()), (Some("fake-new"), Some("fake-new")));
}

#[test]
fn without_the_permission_to_list_it_is_named() {
    let cloud = cloud();
    cloud.fail_for("ListSecrets", "", When::Always, Fault::AccessDenied);
    cloud.run("pull").expect(4).says(&["no role allows", "Get Secrets"]);
}
