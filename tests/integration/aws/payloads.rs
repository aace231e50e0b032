//! Payloads at the limit of size, and payloads that are no text.

use envsync_doubles::aws::Payload;

use super::{Cloud, ONE, nothing_was_changed};

#[test]
fn the_size_is_looked_at_before_any_write() {
    let cloud = Cloud::holding(r#"{"A":"fake"}"#);
    // What remains for the value: `{"A":""}` has 8 bytes.
    let line = |bytes: usize| format!("A={}\n", "x".repeat(bytes - 8));
    for (secret, dry) in [("app", "true"), ("app", "false"), ("new", "true"), ("new", "false")] {
        let done = cloud.push(&line(65_537 + 8)).input("secret", secret).input("dry_run", dry).expect(2);
        nothing_was_changed(done.says(&["65536"]));
    }
    cloud.push(&line(65_537)).expect(2).says(&["65537"]);
    assert_eq!(cloud.double.calls(), ["GetSecretValue"; 5]);
    cloud.push(&line(65_536)).expect(0);
    assert_eq!(cloud.double.current("app").unwrap().len(), 65_536);
    cloud.assert_labels_clean();
}

#[test]
fn a_binary_text_stays_binary() {
    let cloud = Cloud::empty();
    cloud.room.secret_values(ONE);
    cloud.double.put_binary("app", ONE.as_bytes());
    cloud.run("pull").expect(0);
    cloud.push("A=fake-one-new\n").expect(0);
    let newest = cloud.double.versions("app").pop().unwrap();
    let wanted = ONE.replace("one-old", "one-new").into_bytes();
    assert_eq!(cloud.double.payload("app", &newest), Some(Payload::Binary(wanted)));
}

#[test]
fn binary_that_is_no_text_needs_a_name() {
    let cloud = Cloud::empty();
    cloud.double.put_binary("app", b"\x00\xfffake-");
    cloud.room.secret_value("AP9mYWtlLQ==");
    cloud.run("pull").expect(2).says(&["app", "NAME = "]);
    nothing_was_changed(&cloud.push("A=fake-one-new\n").expect(2));
    assert_eq!(cloud.versions(), 1);
    cloud.run("pull").input("secret", "BLOB = app").expect(0);
    assert_eq!(cloud.room.read(".env").unwrap(), "A=fake-one-new\nBLOB=AP9mYWtlLQ==\n");
}
