//! What a runner or a reader of the log gets from a whole port, with a buffer for its stream.

use std::io;
use std::sync::{Arc, Mutex};

use globset::Glob;

use super::*;
use crate::config;
use crate::error::Problem;

const PEM: &str = "-----BEGIN FAKE-----\nfake-line-1\n}\nfake-line-2\n";

#[derive(Clone, Default)]
struct Sink {
    bytes: Arc<Mutex<Vec<u8>>>,
    broken: bool,
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.bytes.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// A port on GitHub with its command files, and what it prints.
struct GitHub {
    ci: Ci,
    sink: Sink,
    files: tempfile::TempDir,
}

impl GitHub {
    fn new() -> Self {
        Self::with(Sink::default(), &["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY"])
    }

    fn with(sink: Sink, names: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut env = environment(&[("GITHUB_ACTIONS", "true")]);
        for name in names {
            let path = files.path().join(name);
            std::fs::File::create(&path).unwrap();
            env.insert((*name).to_owned(), path.to_str().unwrap().to_owned());
        }
        Self { ci: Ci::on(&env, Path::new("/somewhere"), Box::new(sink.clone())), sink, files }
    }

    #[allow(clippy::disallowed_methods, reason = "the test reads what the runner would read")]
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.files.path().join(name)).unwrap()
    }
}

fn elsewhere(pairs: &[(&str, &str)]) -> (Ci, Sink) {
    let sink = Sink::default();
    (Ci::on(&environment(pairs), Path::new("/somewhere"), Box::new(sink.clone())), sink)
}

fn gitlab() -> (Ci, Sink) {
    elsewhere(&[("GITLAB_CI", "false"), ("CI_PROJECT_DIR", "/builds/x")])
}

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(k, v)| (Key::new(k).unwrap(), Secret::from(*v))).collect()
}

fn plan(text: &str) -> Plan {
    let step = |word: &str| {
        let (name, change) = word.split_once(':').unwrap();
        let change = match change {
            "add" => Change::Add,
            "update" => Change::Update,
            "remove" => Change::Remove,
            _ => Change::Unchanged,
        };
        crate::plan::Step { key: Key::new(name).unwrap(), change, detail: crate::plan::Detail::None }
    };
    Plan { steps: text.split_whitespace().map(step).collect() }
}

fn meta(plan: &Plan, versions: &[&str], check: bool, inputs: &[(&str, &str)]) -> Meta {
    let mut env = environment(&[("ENVSYNC_PROVIDER", "local"), ("ENVSYNC_SECRET", "app")]);
    env.extend(environment(inputs));
    let config = config::read(&env, &[]).config.ok().unwrap();
    let versions = versions.iter().map(|version| (*version).to_owned()).collect();
    Meta::new(plan, versions, Some("deploy/.env".to_owned()), check, &config)
}

#[test]
fn places_table() {
    type Row = (&'static [(&'static str, &'static str)], bool, &'static str);
    let rows: [Row; 8] = [
        (&[], false, "/somewhere"),
        (&[("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", "/github/workspace")], true, "/github/workspace"),
        (&[("GITHUB_ACTIONS", "true"), ("GITHUB_WORKSPACE", " ")], true, "/somewhere"),
        (&[("GITHUB_ACTIONS", "false"), ("GITHUB_WORKSPACE", "/x")], false, "/somewhere"),
        (&[("GITLAB_CI", "true"), ("CI_PROJECT_DIR", "/builds/x")], false, "/builds/x"),
        (&[("GITLAB_CI", "false"), ("CI_PROJECT_DIR", "/builds/x")], false, "/builds/x"),
        (&[("GITLAB_CI", ""), ("CI_PROJECT_DIR", "/builds/x")], false, "/somewhere"),
        (&[("GITLAB_CI", "true")], false, "/somewhere"),
    ];
    for (pairs, masks, workspace) in rows {
        let (ci, _) = elsewhere(pairs);
        assert_eq!((ci.masks(), ci.workspace()), (masks, Path::new(workspace)), "{pairs:?}");
    }
}

#[test]
fn masks_are_single_escaped_lines_and_come_once() {
    let mut github = GitHub::new();
    github.ci.mask_configuration(&Secret::from("fake%0Akey-12"));
    github.ci.mask(&variables(&[("A", "fake-value"), ("B", PEM), ("C", "fake-value"), ("D", "x")]));
    let text = github.sink.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "::add-mask::fake%250Akey-12");
    for line in ["fake-value", "-----BEGIN FAKE-----", "fake-line-1", "fake-line-2"] {
        assert_eq!(lines.iter().filter(|l| **l == format!("::add-mask::{line}")).count(), 1, "{line}");
    }
    assert!(lines.iter().all(|line| line.strip_prefix("::add-mask::").is_some_and(|mask| mask.len() >= 4)), "{text}");
}

#[test]
fn elsewhere_nothing_is_masked_or_shown() {
    for (mut ci, sink) in [gitlab(), elsewhere(&[])] {
        ci.mask_configuration(&"fake-key".into());
        ci.mask(&variables(&[("A", "fake-value"), ("B", "x")]));
        ci.mask_token(&Key::new("A").unwrap(), &"'fake'\"'\"'value'".into());
        assert_eq!(sink.text(), "");
    }
}

#[test]
fn one_warning_names_what_is_not_masked() {
    let mut github = GitHub::new();
    github.ci.set_masking(6, GlobSet::builder().add(Glob::new("LOG_*").unwrap()).build().unwrap());
    let values = [("PIN", "12345"), ("FLAG", "true"), ("LOG_LEVEL", "info"), ("KEY", "fake-value"), ("EMPTY", "")];
    github.ci.mask(&variables(&values));
    github.ci.mask(&variables(&values));
    github.ci.plan("pull", &plan("PIN:add"), Told::AsPlan, false);
    github.ci.plan("pull", &plan("PIN:add"), Told::AsPlan, false);
    let text = github.sink.text();
    let warnings: Vec<&str> = text.lines().filter(|line| line.starts_with("::warning")).collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(warnings[0].contains("`PIN`, `FLAG`%0Ahelp: "), "{text}");
    assert!(!text.contains("12345"));
}

#[test]
fn a_plan_is_shown_by_name_and_folded_on_github() {
    let steps = plan("A:add B:update C:unchanged");
    let mut github = GitHub::new();
    github.ci.plan("pull `app`", &steps, Told::AsPlan, false);
    let expected = "::group::pull `app`: 1 to add, 1 to update, 1 unchanged\n  add: A\n  update: B\n::endgroup::\n";
    assert_eq!(github.sink.text(), expected);
    let (mut ci, sink) = gitlab();
    ci.plan("check", &steps, Told::AsDifference, true);
    ci.plan("again", &plan("C:unchanged"), Told::AsPlan, false);
    let expected = "check: 1 only in the secret, 1 different, 1 the same; nothing is written\n  \
        only in the secret: A\n  different: B\nagain: 1 unchanged\n";
    assert_eq!(sink.text(), expected);
}

#[test]
fn an_error_says_first_what_was_changed() {
    let problems =
        vec![Problem::new("the secret `x` is gone", "push it"), Problem { what: "b\n::debug::c".into(), help: None }];
    let failure = Failure { kind: Kind::NotFound, problems };
    let (mut ci, sink) = gitlab();
    ci.failure("nothing was changed", &failure);
    let expected =
        "envsync: nothing was changed\nerror: the secret `x` is gone\nhelp: push it\nerror: b\\n::debug::c\n";
    assert_eq!(sink.text(), expected);
    let mut github = GitHub::new();
    github.ci.failure("nothing was changed", &failure);
    let expected = "envsync: nothing was changed\n\
        ::error title=envsync%3A not found::the secret `x` is gone%0Ahelp: push it\n\
        ::error title=envsync%3A not found::b\\n::debug::c\n";
    assert_eq!(github.sink.text(), expected);
}

#[test]
fn errors_beyond_the_tenth_are_in_the_log() {
    let problems = (0..12).map(|i| Problem::new(format!("problem {i}"), "fix it")).collect();
    let mut github = GitHub::new();
    github.ci.failure("nothing was changed", &Failure { kind: Kind::Input, problems });
    let text = github.sink.text();
    assert_eq!(text.matches("::error ").count(), 10);
    assert!(text.ends_with("\nerror: problem 10\nhelp: fix it\nerror: problem 11\nhelp: fix it\n"), "{text}");
}

#[test]
fn foreign_text_gives_no_command() {
    let hostile = "::add-mask::x\n##[error]y\r\u{1b}[2J";
    let mut github = GitHub::new();
    github.ci.info(hostile);
    github.ci.warning(hostile, Some(hostile));
    github.ci.warning_once(hostile);
    github.ci.plan(hostile, &plan("A:add"), Told::AsPlan, false);
    github.ci.failure(hostile, &Failure::new(Kind::Input, hostile).help(hostile));
    for line in github.sink.text().lines() {
        let own = ["::warning title=envsync::", "::group::", "::endgroup::", "::error title="]
            .iter()
            .any(|o| line.starts_with(o));
        assert!(own || !line.trim_start().starts_with("::"), "{line}");
        assert!(!line.contains("##[") && !line.contains(['\r', '\u{1b}']), "{line}");
    }
}

#[test]
fn the_same_remark_is_made_once() {
    let (mut ci, sink) = gitlab();
    ci.warning_once("`.env` line 3: twice");
    ci.warning_once("`.env` line 3: twice");
    assert_eq!(sink.text(), "warning: `.env` line 3: twice\n");
}

#[test]
fn variables_are_handed_over_as_they_are_asked_for() {
    let mut github = GitHub::new();
    let all = variables(&[("A", "fake\nINJECTED<<x\nfake"), ("B", "")]);
    github.ci.hand_over(&all, false, false).unwrap();
    assert_eq!((github.file("GITHUB_OUTPUT"), github.file("GITHUB_ENV")), (String::new(), String::new()));
    github.ci.hand_over(&all, true, false).unwrap();
    assert!(github.file("GITHUB_OUTPUT").starts_with("A<<ghadelimiter_") && github.file("GITHUB_ENV").is_empty());
    github.ci.hand_over(&all, false, true).unwrap();
    let text = github.file("GITHUB_ENV");
    let delimiter = text.lines().next().and_then(|line| line.strip_prefix("A<<")).unwrap();
    assert!(text.starts_with(&format!("A<<{delimiter}\nfake\nINJECTED<<x\nfake\n{delimiter}\nB<<")), "{text}");
    assert_eq!(github.sink.text(), "", "nothing of it is printed");
}

#[test]
fn without_masks_nothing_is_handed_over() {
    let mut github = GitHub::with(Sink { broken: true, ..Sink::default() }, &["GITHUB_OUTPUT", "GITHUB_ENV"]);
    let all = variables(&[("A", "fake-value")]);
    github.ci.mask(&all);
    assert_eq!(github.ci.hand_over(&all, true, true).unwrap_err().kind, Kind::Unavailable);
    assert_eq!((github.file("GITHUB_OUTPUT"), github.file("GITHUB_ENV")), (String::new(), String::new()));
}

#[test]
fn a_missing_command_file_is_named_before_anything_is_written() {
    let github = GitHub::with(Sink::default(), &["GITHUB_OUTPUT"]);
    assert!(github.ci.ready(true, false).is_ok());
    let failure = github.ci.ready(true, true).unwrap_err();
    assert!(failure.kind == Kind::Input && failure.to_string().contains("`GITHUB_ENV`"));
    assert!(GitHub::with(Sink::default(), &[]).ci.ready(false, false).is_err(), "the outputs without values need it");
    std::fs::remove_file(github.files.path().join("GITHUB_OUTPUT")).unwrap();
    assert_eq!(github.ci.ready(false, false).unwrap_err().kind, Kind::Unavailable);
}

#[test]
fn off_github_the_way_that_works_is_named() {
    for (mut ci, _) in [gitlab(), elsewhere(&[])] {
        assert!(ci.ready(false, false).is_ok());
        assert!(ci.hand_over(&variables(&[("A", "fake-value")]), false, false).is_ok());
        let failure = ci.check_names(&variables(&[]), true, true, false).unwrap_err();
        assert_eq!((failure.kind, failure.problems.len()), (Kind::Input, 2));
        let helps: Vec<&str> = failure.problems.iter().filter_map(|problem| problem.help.as_deref()).collect();
        assert!(helps.iter().all(|help| help.contains("set -a; . ./.env")) && helps[0].contains("`outputs_file`"));
    }
}

#[test]
fn names_are_judged_by_where_they_go() {
    let github = GitHub::new();
    let all = variables(&[("PATH", "x"), ("Token", "x"), ("TOKEN", "y"), ("NUL", "a\0b")]);
    let problems =
        |outputs, env, last| github.ci.check_names(&all, outputs, env, last).map_or_else(|f| f.problems.len(), |()| 0);
    assert_eq!(problems(false, false, false), 0, "a file may hold them all");
    assert_eq!(problems(true, false, false), 2, "one output, and a NUL");
    assert_eq!(problems(true, false, true), 1);
    assert_eq!(problems(false, true, false), 2, "PATH, and a NUL");
    assert_eq!(problems(true, true, false), 3);
}

#[test]
fn outputs_without_values_say_what_happened() {
    let mut github = GitHub::new();
    let steps = plan("A:add B:update C:unchanged D:remove E:add");
    assert!(github.ci.meta(&meta(&steps, &["1", "2"], false, &[])).unwrap().is_none());
    let text = github.file("GITHUB_OUTPUT");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("ghadelimiter_")).collect();
    let values: Vec<String> =
        lines.iter().map(|l| l.split_once("<<").map_or(*l, |(name, _)| name).to_owned()).collect();
    let expected = "has-changes true has-drift false added-keys [\"A\",\"E\"] updated-keys [\"B\"] removed-keys [\"D\"] \
        unchanged-keys [\"C\"] conflict-keys [] all-keys [\"A\",\"B\",\"C\",\"D\",\"E\"] secret-version 1 2 env-file deploy/.env";
    assert_eq!(values.join(" "), expected);
    assert_eq!(github.sink.text(), "");
}

#[test]
fn the_report_is_what_gitlab_reads() {
    let (mut ci, sink) = gitlab();
    let steps = plan("A:add B:unchanged");
    let report = ci.meta(&meta(&steps, &["1", "2"], true, &[("ENVSYNC_OUTPUTS_FILE", "out.env")])).unwrap().unwrap();
    let expected = "ENVSYNC_HAS_CHANGES=false\nENVSYNC_HAS_DRIFT=true\nENVSYNC_ADDED_KEYS=[\"A\"]\nENVSYNC_UPDATED_KEYS=[]\n\
        ENVSYNC_REMOVED_KEYS=[]\nENVSYNC_UNCHANGED_KEYS=[\"B\"]\nENVSYNC_CONFLICT_KEYS=[]\nENVSYNC_ALL_KEYS=[\"A\",\"B\"]\n\
        ENVSYNC_SECRET_VERSION=1,2\nENVSYNC_ENV_FILE_PATH=deploy/.env\n";
    assert_eq!(String::from_utf8(report).unwrap(), expected);
    assert_eq!(sink.text(), "");
    let many: Vec<String> = (0..300).map(|i| format!("VARIABLE_{i}:add")).collect();
    let large = plan(&many.join(" "));
    ci.meta(&meta(&large, &[], false, &[])).unwrap();
    assert_eq!(sink.text(), "", "nobody asked for the file");
    ci.meta(&meta(&large, &[], false, &[("ENVSYNC_OUTPUTS_FILE", "out.env")])).unwrap();
    assert!(sink.text().starts_with("warning: `outputs_file` is "), "{}", sink.text());
}

#[test]
fn an_output_that_a_mask_hides_is_warned_of() {
    let mut github = GitHub::new();
    github.ci.mask(&variables(&[("A", "deploy"), ("FLAG", "true"), ("B", "fake-value")]));
    github.ci.meta(&meta(&plan("A:add"), &["1"], false, &[("ENVSYNC_OUTPUTS_FILE", "out.env")])).unwrap();
    let text = github.sink.text();
    let warnings: Vec<&str> = text.lines().filter(|line| line.starts_with("::warning")).collect();
    assert_eq!(warnings.len(), 2, "{text}");
    assert!(warnings[0].contains("`outputs_file` is not written on GitHub"));
    assert!(warnings[1].contains("other jobs: `env-file`%0Ahelp: ") && !warnings[1].contains("deploy"), "{text}");
}

#[test]
fn a_traced_shell_is_warned_of() {
    let pairs = [("GITLAB_CI", "true"), ("CI_PROJECT_DIR", "/builds/x"), ("CI_DEBUG_TRACE", "true")];
    let (mut ci, sink) = elsewhere(&pairs);
    ci.plan("pull", &plan("A:add"), Told::AsPlan, false);
    ci.plan("pull", &plan("A:add"), Told::AsPlan, false);
    assert_eq!(sink.text().matches("CI_DEBUG_TRACE").count(), 1);
}
