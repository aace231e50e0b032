//! Who reads the file: what is written for them, what is refused, and what of theirs is read.

use super::harness::Room;

const APP: &str = r#"{"PLAIN":"fake-plain","WORDS":"fake it's $HOME"}"#;

#[test]
fn a_pull_writes_for_the_readers_that_are_named_and_a_check_finds_no_drift() {
    for (dialect, words) in [
        ("docker", "fake it's $HOME"),
        ("shell", r#"'fake it'"'"'s $HOME'"#),
        ("compose", r#""fake it's \$HOME""#),
        ("python", r"'fake it\'s $HOME'"),
        ("node", "`fake it's $HOME`"),
        ("next", r"`fake it's \$HOME`"),
        ("node, docker", "fake it's $HOME"),
    ] {
        let room = Room::new();
        room.seed("app", APP);
        let run = |mode: &str| room.run().plain().input("mode", mode).input("dialect", dialect);
        run("pull").expect(0);
        assert_eq!(room.read(".env").unwrap(), format!("PLAIN=fake-plain\nWORDS={words}\n"), "{dialect}");
        run("check").expect(0);
        run("push").expect(0);
        assert_eq!(room.versions("app").len(), 1, "{dialect}");
    }
}

#[test]
fn what_a_reader_would_misread_is_refused_before_anything_is_written() {
    let room = Room::new();
    room.seed("app", r#"{"A":"fake-a","PEM":"fake-1\nfake-2","RUN":"$(fake-command)","UID":"fake-7"}"#);
    let run = |dialect: &str| room.run().plain().input("dialect", dialect);
    run("docker").expect(2).says(&["PEM", "docker, podman and kubectl", "dialect shell, compose"]);
    run("next").expect(2).says(&["RUN", "dotenv-expand", "docker"]);
    run("shell").expect(2).says(&["UID", "bash", "compose"]);
    run("shell,docker").expect(2).says(&["PEM", "RUN", "UID"]);
    // What is for every reader writes it so that this one misreads it.
    room.seed("other", r#"{"REF":"fake ${X}"}"#);
    let refused = run("python").input("secret", "other").expect(2);
    refused.says(&["REF", "python-dotenv", "dialect docker, shell"]);
    assert!(!refused.stderr.contains("portable"), "{}", refused.stderr);
    assert_eq!(room.read(".env"), None);
    run("compose").expect(0);
}

#[test]
fn a_push_reads_the_file_as_its_readers_do() {
    let room = Room::new();
    room.file(".env", "A='fake it'\"'\"'s'\n");
    let push = |dialect: &str| room.run().plain().input("mode", "push").input("dialect", dialect);
    push("portable").expect(2).says(&["line 1", "dialect shell reads the line"]);
    push("shell").expect(0);
    assert_eq!(room.json("app")["A"], "fake it's");
    room.file(".env", "A=fake\nB=${HOME}/fake-dir\n");
    push("compose").expect(2).says(&["line 2", "B", "another variable", "portable"]);
    assert_eq!(room.versions("app").len(), 1);
}

#[test]
fn a_dialect_that_does_not_exist_is_a_configuration_error() {
    let room = Room::new();
    room.seed("app", APP);
    let done = room.run().plain().input("dialect", "shell,\nbash, ").expect(2);
    done.says(&["ENVSYNC_DIALECT", "`bash`", "`portable`", "`next`"]);
    room.run().plain().input("dialect", "Shell,shell").expect(0);
}
