//! The picture in the README: a real run, whose summary is kept beside it, so that a picture of something else is noticed.
//!
//! `docs/pictures/make` makes the picture anew; `UPDATE=1` in this test is its first step.

use std::path::Path;

use envsync_doubles::gcp::{PROJECT, SecretManager};

use super::harness::{Room, Run};

/// Both sides as they were left by the sync before.
const BEFORE: &str = r#"{
  "API_URL": "https://api.example.com",
  "DB_HOST": "db.example.com",
  "DB_PASSWORD": "fake-old-password",
  "LOG_LEVEL": "info",
  "OLD_WEBHOOK": "https://hooks.example.com/fake"
}"#;

#[test]
fn the_picture_shows_what_a_run_writes_now() {
    let (room, store) = (Room::new(), SecretManager::start());
    let run = || {
        let given = [
            ("provider", "gcp"),
            ("local_store", ""),
            ("gcp_project", PROJECT),
            ("gcp_access_token", "ya29.fake-access-token"),
            ("gcp_endpoint", &store.url()),
            ("secret", "shop-prod"),
            ("mode", "sync"),
            ("delete", "true"),
        ];
        given.iter().fold(room.run().github(), |run: Run, (name, value)| run.input(name, value))
    };
    store.put("shop-prod", BEFORE);
    run().expect(0);
    // The password is rotated in the cloud and a key added; a branch changes the level, adds a flag, and drops the webhook.
    let rotated = BEFORE.replace("fake-old-password", "fake-$ecret-password");
    store.put("shop-prod", &rotated.replace("\n}", ",\n  \"STRIPE_KEY\": \"fake-stripe-key\"\n}"));
    let file = room.read(".env").unwrap().replace("LOG_LEVEL=info", "LOG_LEVEL=debug\nNEW_CHECKOUT=enabled");
    let kept = file.lines().filter(|line| !line.starts_with("OLD_WEBHOOK"));
    room.file(".env", kept.map(|line| format!("{line}\n")).collect::<String>());
    let summary = run().expect(0).summary;

    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures/summary.md");
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        return std::fs::write(page, summary).unwrap();
    }
    let pictured = std::fs::read_to_string(page).unwrap_or_default();
    assert_eq!(pictured, summary, "the README's picture is out of date: docs/pictures/make mends it");
}
