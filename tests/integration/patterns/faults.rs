//! Many secrets on clouds that fail: in lists, in the middle, for one secret only, for ever.

use std::time::Duration;

use super::*;

#[test]
fn every_page_is_read() {
    for cloud in Cloud::clouds() {
        cloud.seed_many(120);
        on_double!(cloud, double => double.page_size(25), ());
        cloud.run("pull").expect(0);
        assert_eq!(cloud.room.read(".env").as_deref(), Some(lines(120).as_str()), "{}", cloud.name());
        cloud.run("check").expect(0);
        assert_eq!(cloud.count("ListSecrets"), 10, "five pages, twice");
        cloud.run("push").expect(0).output("has-changes", "false");
    }
}

#[test]
fn a_list_that_never_ends_ends_the_run() {
    for cloud in Cloud::clouds() {
        cloud.seed_many(9);
        on_double!(cloud, double => { double.page_size(3); double.never_end_lists() }, ());
        cloud.room.file(".env", "A=fake-a\n");
        for mode in ["pull", "push", "check"] {
            cloud.run(mode).expect(7).says(&["never ends", "nothing was changed"]);
        }
        assert!(cloud.count("ListSecrets") <= 9, "{}", cloud.name());
        assert_eq!((cloud.room.read(".env").as_deref(), cloud.get("A")), (Some("A=fake-a\n"), None));
    }
}

#[test]
fn a_list_of_versions_that_never_ends_ends_the_run() {
    let [_, google, azure] = Cloud::clouds();
    let Store::Gcp(double) = &google.store else { unreachable!() };
    for n in 0..9 {
        let version = double.put("app-A", &format!("fake-{n}-value"));
        double.set_state("app-A", &version, envsync_doubles::gcp::VersionState::Disabled);
    }
    double.page_size(3);
    double.never_end_lists();
    google.run("pull").input("secret", "A = app-A").expect(7).says(&["never ends"]);
    let Store::Azure(double) = &azure.store else { unreachable!() };
    (0..9).for_each(|n| drop(double.put("app-A", &format!("fake-{n}-value"))));
    // One secret alone: the list of secrets has one page.
    double.page_size(3);
    double.never_end_lists();
    azure.push("A=fake-new-value\n").expect(7).says(&["never ends", "nothing was changed"]);
    assert_eq!(double.versions("app-A").len(), 9);
}

#[test]
fn a_secret_that_goes_after_it_was_listed_is_left_out() {
    for cloud in Cloud::clouds() {
        cloud.seed(&[("A", "fake-a"), ("B", "fake-b"), ("C", "fake-c")]);
        // Before every read, because they are under way at once and any of them may be the first.
        match &cloud.store {
            Store::Aws(double) => double.on("BatchGetSecretValue", 1, |double| double.purge("app-B")),
            Store::Gcp(double) => double.on("AccessSecretVersion", When::Always, |double| double.purge("app-B")),
            Store::Azure(double) => double.on("GetSecret", When::Always, |double| double.purge("app-B")),
            Store::Local => {}
        }
        let done = cloud.run("pull").expect(0);
        done.says(&["app-B", "left out"]).output("all-keys", r#"["A","C"]"#);
        let last = Cloud::clouds().into_iter().find(|other| other.name() == cloud.name()).unwrap();
        last.seed(&[("B", "fake-b")]);
        match &last.store {
            Store::Aws(double) => double.on("GetSecretValue", 1, |double| double.purge("app-B")),
            Store::Gcp(double) => double.on("AccessSecretVersion", When::Always, |double| double.purge("app-B")),
            Store::Azure(double) => double.on("GetSecret", When::Always, |double| double.purge("app-B")),
            Store::Local => {}
        }
        last.run("pull").expect(5).says(&["app-*", "app-B", "nothing was changed"]);
    }
}

#[test]
fn what_passes_in_the_middle_is_sat_out() {
    for cloud in Cloud::clouds() {
        cloud.seed_many(45);
        for nth in [2, 3] {
            let fault = if nth == 2 { Fault::Throttle(None) } else { Fault::status(503, "ServiceUnavailable", "busy") };
            cloud.fail_for(cloud.reading(), "", When::Nth(nth), fault);
        }
        cloud.fail_for("ListSecrets", "", When::Next(1), Fault::Throttle(None));
        cloud.run("pull").expect(0);
        assert_eq!(cloud.room.read(".env").as_deref(), Some(lines(45).as_str()), "{}", cloud.name());
        cloud.fail_for(cloud.writing(), "", When::Nth(5), Fault::Throttle(None));
        cloud.fail_for(cloud.writing(), "", When::Nth(9), Fault::ResetAfter);
        let changed = lines(45).replace("fake-value", "fake-other");
        cloud.push(&changed).expect(0);
        let versions: Vec<usize> = (0..45).map(|n| cloud.versions(&format!("N{n:03}"))).collect();
        assert_eq!(versions, [2; 45], "each once: {}", cloud.name());
    }
}

#[test]
fn one_secret_that_may_not_be_read_fails_the_pull_and_is_named() {
    for cloud in Cloud::clouds() {
        cloud.seed_many(30);
        match &cloud.store {
            Store::Aws(double) => double.deny("app-N017"),
            _ => cloud.fail_for(cloud.reading(), "app-N017", When::Always, Fault::AccessDenied),
        }
        cloud.room.file(".env", "MINE=fake-mine\n");
        for mode in ["pull", "check"] {
            let done = cloud.run(mode).expect(4);
            done.says(&["app-N017", "nothing was changed", "help: "]);
            assert!(!done.text().contains("N016"), "{}", cloud.name());
        }
        assert_eq!(cloud.room.read(".env").as_deref(), Some("MINE=fake-mine\n"), "{}", cloud.name());
        cloud.run("pull").input("exclude", "N017").expect(0);
    }
}

#[test]
fn a_push_that_is_done_in_part_says_which_and_the_next_one_finishes_it() {
    for cloud in Cloud::clouds() {
        cloud.seed(&[("A", "fake-old-a"), ("B", "fake-old-b"), ("C", "fake-old-c")]);
        let secret = cloud.secret("B");
        cloud.fail_for(cloud.writing(), &secret, When::Next(1), Fault::AccessDenied);
        let done = cloud.push("A=fake-new-a\nB=fake-new-b\nC=fake-new-c\n").expect(8);
        done.says(&["`app-A` was written", "`app-C` was written", "not written: `app-B`", "access denied", "help: "]);
        let now = ["A", "B", "C"].map(|variable| cloud.get(variable).unwrap());
        assert_eq!(now, ["fake-new-a", "fake-old-b", "fake-new-c"], "{}", cloud.name());
        cloud.run("push").expect(0).output("updated-keys", r#"["B"]"#);
        assert_eq!(["A", "B", "C"].map(|variable| cloud.versions(variable)), [2, 2, 2], "{}", cloud.name());
    }
}

#[test]
fn a_push_of_which_nothing_may_be_written_changed_nothing() {
    for cloud in Cloud::clouds() {
        cloud.seed_many(40);
        cloud.fail_for(cloud.writing(), "", When::Always, Fault::AccessDenied);
        let done = cloud.push(&lines(40).replace("fake-value", "fake-other")).expect(4);
        done.says(&["nothing was changed", "access denied", "more problems like these"]);
    }
}

#[test]
fn many_written_secrets_are_named_on_one_line() {
    let cloud = Cloud::new(Store::Gcp(SecretManager::start()));
    cloud.seed_many(20);
    cloud.fail_for("AddSecretVersion", "app-N007", When::Always, Fault::AccessDenied);
    let done = cloud.push(&lines(20).replace("fake-value", "fake-other")).expect(8);
    done.says(&["19 secrets were written: `app-N000`", "not written: `app-N007`"]);
}

#[test]
fn a_run_that_is_cut_off_says_what_was_and_what_was_not_written() {
    let cloud = Cloud::new(Store::Gcp(SecretManager::start()));
    cloud.seed(&[("A", "fake-old-a"), ("B", "fake-old-b")]);
    cloud.fail_for("AddSecretVersion", "app-B", When::Always, Fault::Hang);
    let done = cloud.push("A=fake-new-a\nB=fake-new-b\n").input("timeout_seconds", "4").expect(8);
    done.says(&["`app-A` was written", "`app-B` may have been written"]);
}

#[test]
fn long_work_shows_how_far_it_is_and_short_work_does_not() {
    for (count, slow) in [(64, true), (64, false), (40, true)] {
        let cloud = Cloud::new(Store::Gcp(SecretManager::start()));
        cloud.seed_many(count);
        if slow {
            cloud.fail_for("AccessSecretVersion", "", When::Always, Fault::Slow(Duration::from_millis(1100)));
        }
        let done = cloud.run("pull").expect(0);
        let told = done.text().lines().filter(|line| line.contains(" of 64 secrets")).count();
        assert_eq!(told >= 1, slow && count > 50, "{count} {slow}: {}", done.text());
    }
}

#[test]
fn a_dry_push_does_not_tell_of_secrets_that_it_wrote() {
    let cloud = Cloud::new(Store::Azure(KeyVault::start()));
    cloud.seed_many(64);
    cloud.fail_for("GetSecret", "", When::Always, Fault::Slow(Duration::from_millis(1100)));
    let done = cloud.push(&lines(64).replace("fake-value", "fake-other")).input("dry_run", "true").expect(0);
    done.says(&["looked at ", " of 64 secrets"]);
    assert!(!done.text().contains("wrote "), "{}", done.text());
}
