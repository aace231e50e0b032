//! The simulator against the real client: `tests/conformance/github/run` lets `@actions/core` write its bytes into a JSON
//! file, names it by `ACTIONS_CORE_REFERENCE` and starts these tests. So the parsers are not judged by what we believe, and
//! the binary writes what GitHub's own library writes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use envsync::auth::way::IdToken;
use envsync_doubles::http::{Outcome, Response, Server};
use serde::Deserialize;

use super::harness::Room;
use super::identity::fetch;
use super::runner::files::{Effects, Raw, pairs};
use super::runner::mask::Masker;
use super::runner::{Order, Step, command, lines};

#[derive(Deserialize)]
struct Reference {
    pairs: Vec<Pair>,
    annotations: Vec<Printed>,
    group: String,
    tokens: Vec<Asked>,
}

/// What `getIDToken` sent for an audience.
#[derive(Deserialize)]
struct Asked {
    path: String,
    audience: String,
    method: String,
    target: String,
    authorization: String,
    accept: String,
}

/// One name and value, and what `@actions/core` wrote for it.
#[derive(Deserialize)]
struct Pair {
    name: String,
    value: String,
    output: String,
    env: String,
    state: String,
    mask: String,
}

#[derive(Deserialize)]
struct Printed {
    level: String,
    message: String,
    properties: BTreeMap<String, String>,
    printed: String,
}

fn reference() -> Reference {
    let path = std::env::var("ACTIONS_CORE_REFERENCE").expect("start tests/conformance/github/run");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The entries of a command file as they stand, by name, with `D` for the random delimiter; and all delimiters.
fn blocks(text: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut blocks, mut delimiters) = (BTreeMap::new(), Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let (head, _) = rest.split_once('\n').unwrap();
        let (name, delimiter) = head.split_once("<<").unwrap_or_else(|| panic!("`{head}` starts no heredoc"));
        assert!(delimiter.starts_with("ghadelimiter_"), "the delimiter `{delimiter}`");
        let end = format!("\n{delimiter}\n");
        let length = head.len() + rest[head.len()..].find(&end).unwrap() + end.len();
        blocks.insert(name.to_owned(), rest[..length].replace(delimiter, "D"));
        delimiters.push(delimiter.to_owned());
        rest = &rest[length..];
    }
    (blocks, delimiters)
}

#[test]
#[ignore = "needs the bytes of @actions/core: tests/conformance/github/run"]
fn actions_core_pairs_come_out_as_they_went_in() {
    let reference = reference();
    assert!(reference.pairs.len() > 20);
    let mut all = Raw::default();
    let mut expected = BTreeMap::new();
    for pair in &reference.pairs {
        for bytes in [&pair.output, &pair.env, &pair.state] {
            assert_eq!(pairs(bytes), (vec![(pair.name.clone(), pair.value.clone())], None), "{}", pair.name);
        }
        all.output.extend(pair.output.bytes());
        all.env.extend(pair.env.bytes());
        all.state.extend(pair.state.bytes());
        expected.insert(pair.name.clone(), pair.value.clone());
    }
    let effects = Effects::read(&all);
    assert_eq!((&effects.outputs, &effects.env, &effects.state), (&expected, &expected, &expected));
    assert!(effects.errors.is_empty());
}

#[test]
#[ignore = "needs the bytes of @actions/core: tests/conformance/github/run"]
fn actions_core_commands_mean_what_they_say() {
    let reference = reference();
    for pair in reference.pairs.iter().filter(|pair| !pair.value.trim().is_empty()) {
        let step = Step::replay(pair.mask.as_bytes(), b"", Order::StderrFirst, Masker::default());
        assert!(step.masker.values.contains(&pair.value), "{}", pair.name);
        assert_eq!(step.masker.mask(&pair.value), "***", "{}", pair.name);
        assert!(step.log.is_empty() && step.complaints.is_empty(), "{}", pair.name);
    }
    for printed in &reference.annotations {
        let given = lines(printed.printed.as_bytes());
        assert_eq!(given.len(), 1, "an annotation is one line");
        let command = command::parse(&given[0], None).unwrap();
        assert_eq!((&command.name, &command.data), (&printed.level, &printed.message));
        let properties = printed.properties.iter().map(|(k, v)| (k.to_ascii_lowercase(), v.clone()));
        assert_eq!(command.properties, properties.collect());
    }
    let step = Step::replay(reference.group.as_bytes(), b"", Order::StderrFirst, Masker::default());
    assert_eq!(step.log, ["##[group]fake: group, 100%", "inside", "##[endgroup]"]);
}

#[test]
#[ignore = "needs the bytes of @actions/core: tests/conformance/github/run"]
fn actions_core_and_the_binary_write_the_same_bytes() {
    let reference = reference();
    let members = reference.pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone().into()));
    let payload = serde_json::Value::Object(members.collect()).to_string();
    let room = Room::new();
    room.seed("app", &payload);
    let run = room.run().github().input("env_file", "false").input("outputs", "true").input("export_env", "true");
    let done = run.expect(0);
    let (outputs, mut delimiters) = blocks(std::str::from_utf8(&done.raw.output).unwrap());
    let (env, more) = blocks(std::str::from_utf8(&done.raw.env).unwrap());
    delimiters.extend(more);
    for pair in &reference.pairs {
        assert_eq!(outputs.get(&pair.name), blocks(&pair.output).0.get(&pair.name), "output {}", pair.name);
        assert_eq!(env.get(&pair.name), blocks(&pair.env).0.get(&pair.name), "environment {}", pair.name);
    }
    assert_eq!(delimiters.iter().collect::<BTreeSet<_>>().len(), delimiters.len(), "a delimiter is used twice");
    // What is masked as it stands is one line, neither short nor an ordinary word; the rest is masked in parts.
    let whole = |pair: &&Pair| pair.value.starts_with("fake") && pair.value.trim() == pair.value;
    let whole: Vec<_> =
        reference.pairs.iter().filter(whole).filter(|pair| !pair.value.contains(['\r', '\n'])).collect();
    assert!(whole.len() > 5);
    for pair in whole {
        assert!(done.stdout.contains(&pair.mask), "no `{}` for {}", pair.mask.trim(), pair.name);
    }
}

#[test]
#[ignore = "needs the bytes of @actions/core: tests/conformance/github/run"]
fn actions_core_asks_for_an_identity_token_as_we_do() {
    let asked = reference().tokens;
    assert!(asked.len() > 2);
    for theirs in asked {
        let (sender, requests) = std::sync::mpsc::channel();
        let server = Server::start(move |request| {
            sender.send(request).unwrap();
            Outcome::Answer(Response::new(200, "application/json", r#"{"value":"fake.identity.token"}"#))
        })
        .unwrap();
        let bearer = theirs.authorization.strip_prefix("Bearer ").unwrap().into();
        let source = IdToken::GitHub { url: format!("{}{}", server.url(), theirs.path), bearer };
        fetch(&source, &theirs.audience, Path::new("")).outcome.unwrap();
        let ours = requests.recv().unwrap();
        assert_eq!((&ours.method, &ours.target), (&theirs.method, &theirs.target));
        assert_eq!(ours.header("authorization"), Some(theirs.authorization.as_str()));
        assert_eq!(ours.header("accept"), Some(theirs.accept.as_str()));
    }
}
