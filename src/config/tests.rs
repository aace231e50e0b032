use super::*;

fn env(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn config(pairs: &[(&str, &str)]) -> Config {
    match read(&env(pairs), &[]).config {
        Ok(config) => config,
        Err(failure) => panic!("{failure}"),
    }
}

fn failure(pairs: &[(&str, &str)]) -> Failure {
    match read(&env(pairs), &[]).config {
        Ok(_) => panic!("accepted: {pairs:?}"),
        Err(failure) => failure,
    }
}

const LOCAL: (&str, &str) = ("ENVSYNC_PROVIDER", "local");

#[test]
fn the_defaults_are_those_of_the_registry() {
    let config = config(&[LOCAL]);
    assert_eq!(config.mode, Mode::Pull);
    assert_eq!(config.entries[0].to_string(), "envsync-secrets");
    assert_eq!(config.env_file.as_deref(), Some(".env"));
    assert_eq!(config.separator, "_");
    assert_eq!(config.max_deletes, 10);
    assert_eq!(config.min_mask_length, 4);
    assert_eq!(config.timeout, Duration::from_secs(120));
    assert!(matches!(&config.store, Store::Local { directory } if directory == ".envsync"));
    assert!(config.create && config.fail_on_drift && config.safe);
    assert!(!config.delete && !config.dry_run && !config.outputs && !config.export_env && !config.recover_deleted);
    // Every default that the registry shows is accepted when it is given.
    for input in INPUTS.iter().filter(|input| !input.default.is_empty()) {
        let name = format!("ENVSYNC_{}", input.name.to_ascii_uppercase());
        let pairs = [LOCAL, (name.as_str(), input.default)];
        assert!(read(&env(&pairs), &[]).config.is_ok(), "{}", input.name);
    }
}

#[test]
fn an_input_of_the_step_wins_over_the_jobs_variable_and_blank_means_unset() {
    let mode = |pairs: &[(&str, &str)]| config(pairs).mode;
    assert_eq!(mode(&[LOCAL, ("ENVSYNC_MODE", "check"), ("INPUT_MODE", "push")]), Mode::Push);
    assert_eq!(mode(&[LOCAL, ("ENVSYNC_MODE", "check"), ("INPUT_MODE", "  ")]), Mode::Check);
    assert_eq!(mode(&[LOCAL, ("ENVSYNC_MODE", " Push\n")]), Mode::Push);
    let file = |name| config(&[LOCAL, (name, "a.env")]).env_file;
    for name in ["INPUT_ENV-FILE", "INPUT_ENV_FILE", "ENVSYNC_ENV-FILE", "ENVSYNC_ENV_FILE"] {
        assert_eq!(file(name).as_deref(), Some("a.env"), "{name}");
    }
    let twice = failure(&[LOCAL, ("INPUT_ENV-FILE", "a"), ("INPUT_ENV_FILE", "b")]);
    assert!(twice.to_string().contains("twice"), "{twice}");
}

#[test]
fn all_problems_are_reported_together_as_their_user_wrote_them() {
    let failure = failure(&[
        ("INPUT_MODE", "pul"),
        ("INPUT_PROVIDER", ""),
        ("INPUT_TIMEOUT_SECONDS", "0"),
        ("INPUT_DELETE", "yes"),
    ]);
    assert_eq!(failure.kind, Kind::Input);
    let text = failure.to_string();
    for part in [
        "`with: mode` is `pul`",
        "`with: provider` is missing",
        "`with: timeout_seconds` is `0`",
        "`with: delete` is `yes`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(failure.problems.iter().all(|problem| problem.help.is_some()));
    let elsewhere = read(&env(&[("ENVSYNC_MODE", "pul")]), &[]).config.err().map(|failure| failure.to_string());
    let elsewhere = elsewhere.unwrap_or_default();
    assert!(elsewhere.contains("`ENVSYNC_MODE` is `pul`"), "{elsewhere}");
    assert!(elsewhere.contains("`ENVSYNC_PROVIDER` is missing"), "{elsewhere}");
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_SECRET", "a\nb")], "several secrets"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_SECRET", "A = a")], "whole document"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_SECRET", "a?version=1")], "whole document"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_SECRET", "a#b")], "whole document"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_STRIP_PREFIX", "X_")], "`pull` and `check`"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_ADD_PREFIX", "X_")], "`pull` and `check`"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_CASE", "upper")], "`pull` and `check`"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_ENV_FILE", "false")], "`pull` only"),
        (&[("ENVSYNC_MODE", "check"), ("ENVSYNC_ENV_FILE", "false")], "`pull` only"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_CONTENT", "A=1"), ("ENVSYNC_ENV_FILE", "x")], "both given"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_OUTPUTS", "true")], "`pull` only"),
        (&[("ENVSYNC_CONTENT", "A=1")], "`push` only"),
        (&[("ENVSYNC_ENV_FILE", "false")], "handed over"),
        (&[("ENVSYNC_SECRET", "prod/*/*")], "`*`"),
        (&[("ENVSYNC_SECRET", "A = prod/*")], "pattern"),
        (
            &[("ENVSYNC_SECRET", "prod/*"), ("ENVSYNC_MODE", "push"), ("ENVSYNC_DELETE", "true")],
            "never deletes a secret",
        ),
        (&[("ENVSYNC_SECRET", "prod/*\nb"), ("ENVSYNC_MODE", "push")], "several"),
        (&[("ENVSYNC_INCLUDE", "[")], "no glob"),
        (&[("ENVSYNC_REQUIRED_KEYS", "A, B-C")], "`B-C`"),
        (&[("ENVSYNC_MAX_DELETES", "many")], "no number"),
        (&[("ENVSYNC_MODE", "merge")], "`pull`, `push`, `check`, `sync`"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_SECRET", "a\nb")], "a sync writes one"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_SECRET", "A = a")], "whole document"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_SECRET", "a?version=1")], "whole document"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_SECRET", "a#b")], "whole document"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_STRIP_PREFIX", "X_")], "`pull` and `check`"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_CASE", "upper")], "`pull` and `check`"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_CONTENT", "A=1")], "`push` only"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_ENV_FILE", "false")], "`pull` only"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_OUTPUTS", "true")], "`pull` only"),
        (&[("ENVSYNC_MODE", "sync"), ("ENVSYNC_PREFER", "both")], "`fail`, `file`, `secret`"),
        (&[("ENVSYNC_MODE", "push"), ("ENVSYNC_PREFER", "file")], "`sync` only"),
        (&[("ENVSYNC_PROVIDER", "vault")], "`aws`, `gcp`, `azure`, `local`"),
    ];
    for (pairs, expected) in rows {
        let mut all = vec![LOCAL];
        all.extend_from_slice(pairs);
        let failure = failure(&all);
        let text: String =
            failure.problems.iter().map(|p| format!("{} {}", p.what, p.help.as_deref().unwrap_or(""))).collect();
        assert_eq!(failure.kind, Kind::Input, "{text}");
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn aws_needs_a_login_and_a_region() {
    let aws = ("ENVSYNC_PROVIDER", "aws");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAFAKE"), ("AWS_SECRET_ACCESS_KEY", "fake-secret")];
    let alone = failure(&[aws, ("AWS_REGION", "eu-central-1")]);
    assert_eq!(alone.kind, Kind::Login, "{alone}");
    let region = failure(&[aws, keys[0], keys[1]]);
    assert_eq!(region.kind, Kind::Input);
    assert!(region.to_string().contains("`ENVSYNC_AWS_REGION` is missing"), "{region}");
    let partial = failure(&[aws, keys[0], ("AWS_REGION", "eu-central-1")]);
    assert_eq!(partial.kind, Kind::Input, "{partial}");

    let settings = |pairs: &[(&str, &str)]| {
        let mut all = vec![aws, keys[0], keys[1]];
        all.extend_from_slice(pairs);
        match config(&all).store {
            Store::Aws(settings) => settings,
            _ => panic!("not AWS"),
        }
    };
    assert_eq!(settings(&[("AWS_DEFAULT_REGION", "a-1")]).region.as_deref(), Some("a-1"));
    assert_eq!(settings(&[("AWS_DEFAULT_REGION", "a-1"), ("AWS_REGION", "b-1")]).region.as_deref(), Some("b-1"));
    let given = [("AWS_REGION", "b-1"), ("INPUT_AWS_REGION", "c-1")];
    assert_eq!(settings(&given).region.as_deref(), Some("c-1"));
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x";
    assert_eq!(settings(&[("ENVSYNC_SECRET", arn)]).region, None);

    let endpoint = |pairs: &[(&str, &str)]| {
        let mut all = vec![("AWS_REGION", "b-1")];
        all.extend_from_slice(pairs);
        settings(&all).endpoint
    };
    let general = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let special = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:2");
    assert_eq!(endpoint(&[general]).as_deref(), Some("http://127.0.0.1:1"));
    assert_eq!(endpoint(&[general, special]).as_deref(), Some("http://127.0.0.1:2"));
    assert_eq!(
        endpoint(&[general, special, ("ENVSYNC_AWS_ENDPOINT_URL", "http://127.0.0.1:3")]).as_deref(),
        Some("http://127.0.0.1:3")
    );
    assert_eq!(endpoint(&[general, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]), None);
}

#[test]
fn every_secret_input_is_masked_even_where_the_configuration_is_wrong() {
    let reading = read(
        &env(&[
            ("INPUT_MODE", "nonsense"),
            ("INPUT_CONTENT", "A=fake-content"),
            ("ENVSYNC_AWS_SECRET_ACCESS_KEY", "fake-secret"),
            ("AWS_SESSION_TOKEN", "fake-token"),
        ]),
        &[],
    );
    assert!(reading.config.is_err());
    let secrets: Vec<&str> = reading.secrets.iter().map(Secret::expose).collect();
    for secret in ["A=fake-content", "fake-secret", "fake-token"] {
        assert!(secrets.contains(&secret), "{secret}");
    }
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_input_that_was_meant() {
    let reading = read(&env(&[LOCAL, ("ENVSYNC_SECRETS", "x"), ("ENVSYNC_ZZZZ", "x"), ("PATH", "/bin")]), &[]);
    assert!(reading.config.is_ok());
    let helps: Vec<_> = reading.warnings.iter().map(|w| (w.what.as_str(), w.help.as_deref().unwrap_or(""))).collect();
    assert_eq!(helps.len(), 2);
    assert!(helps[0].0.contains("ENVSYNC_SECRETS") && helps[0].1.contains("ENVSYNC_SECRET?"), "{helps:?}");
    assert!(helps[1].1.contains("--help"), "{helps:?}");
}

#[test]
fn names_are_shaped_in_one_order() {
    let shape = |pairs: &[(&str, &str)], name: &str| {
        let mut all = vec![LOCAL];
        all.extend_from_slice(pairs);
        config(&all).shape.apply(name)
    };
    let strip = ("ENVSYNC_STRIP_PREFIX", "prod_");
    let add = ("ENVSYNC_ADD_PREFIX", "app_");
    let upper = ("ENVSYNC_CASE", "upper");
    assert_eq!(shape(&[strip], "prod_db"), "db");
    assert_eq!(shape(&[strip], "other"), "other");
    assert_eq!(shape(&[strip, add, upper], "prod_db"), "APP_DB");
}

#[test]
fn help_names_every_input() {
    let help = registry::help();
    for input in INPUTS {
        assert!(help.contains(&format!("ENVSYNC_{}\n", input.name.to_ascii_uppercase())), "{}", input.name);
    }
}

#[test]
fn a_value_that_is_no_text_is_a_problem_and_not_unset() {
    let garbled = ["ENVSYNC_CONTENT".to_owned(), "LS_COLORS".to_owned()];
    let failure = read(&env(&[LOCAL]), &garbled).config.err();
    let text = failure.map(|failure| failure.to_string()).unwrap_or_default();
    assert_eq!(text, "`ENVSYNC_CONTENT` is no UTF-8 text");
}
