//! The dialects beside `portable`, each both ways.

use super::*;

/// A document of some dialects, by their names.
fn document(text: &str, dialects: &str) -> Result<Document, Vec<Fault>> {
    let dialects: Vec<Dialect> = dialects.split(',').map(|name| Dialect::named(name).unwrap()).collect();
    Document::parse(text.as_bytes().to_vec(), &dialects)
}

/// What a new line gives a value, or why not.
fn written(value: &str, dialects: &str) -> Result<String, Unwritable> {
    let mut document = document("", dialects).unwrap();
    document.set(&key("K"), &Secret::from(value))?;
    let line = printed(&document);
    Ok(line.strip_prefix("K=").unwrap().strip_suffix('\n').unwrap().to_owned())
}

#[test]
fn writing_table() {
    let rows: &[(&str, &str, &str)] = &[
        ("docker", "two # 'words'", "two # 'words'"),
        ("docker", "a\rb", "a\rb"),
        ("shell", "plain", "plain"),
        ("shell", "it's $X", r#"'it'"'"'s $X'"#),
        ("shell", "a\r\nb", "'a\r\nb'"),
        ("compose", "a\"$b\\\r\n", r#""a\"\$b\\\r\n""#),
        ("compose", "two words", "\"two words\""),
        ("python", "it's \\n", r"'it\'s \\n'"),
        ("python", "a\r\nb", "\"a\\r\nb\""),
        ("python", "C:\\dir\\", "C:\\dir\\"),
        ("node", "two words", "'two words'"),
        ("node", "it's", "`it's`"),
        ("node", "it's `x`", "\"it's `x`\""),
        ("node", "$HOME", "'$HOME'"),
        ("next", "$HOME", "'\\$HOME'"),
        ("next", "\\$", "'\\\\$'"),
        ("shell,node", "$HOME", "'$HOME'"),
        ("node,shell", "it's", "\"it's\""),
        ("portable,docker", "a+b", "a+b"),
        ("docker,compose", "two words", "two words"),
        ("compose,python", "it's", "\"it's\""),
    ];
    for (dialects, value, token) in rows {
        assert_eq!(written(value, dialects).as_deref(), Ok(*token), "{dialects} {value:?}");
    }
}

#[test]
fn a_shell_value_that_joins_the_next_line_is_refused() {
    // Whatever were written behind it would become a part of it.
    for line in ["K=\\\n", "K=\\", "K=a'b'\\\n", "K=\\\\\\\n"] {
        assert!(document(line, "shell").is_err(), "{line:?}");
    }
    for line in ["K=\\\\\n", "K='\\'\n", "K=a\\\nb\n"] {
        assert!(document(line, "shell").is_ok(), "{line:?}");
    }
}

#[test]
fn refusal_table() {
    let rows = [
        ("docker", "hunter2\n", "holds a line break, which docker, podman and kubectl would misread", "shell"),
        ("docker", "hunter2\r", "holds a carriage return at its end", "shell"),
        ("shell", "hunter2\u{fffe}", "holds a code point that is no character, which systemd would misread", "compose"),
        ("python", "${hunter2}", "holds `${…}`, which python-dotenv, pydantic-settings and environs", "shell"),
        ("python", "hunter2 # \\", "holds a backslash at its end, after what needs quotes", "shell"),
        ("node", "hunter2\r", "holds a carriage return, which npm dotenv, node and deno", "compose"),
        ("next", "$(hunter2)", "holds `$(`, which dotenv-expand, Next and Vite", "docker"),
        ("shell,docker", "hunter2 x", "holds characters that no one form carries to the readers of all", "shell"),
        ("node,next", "hunter2$X", "holds characters that no one form carries to the readers of all", "node"),
    ];
    for (dialects, value, what, carrier) in rows {
        let refused = written(value, dialects).unwrap_err();
        assert!(refused.what.starts_with(&format!("the value of K {what}")), "{dialects}: {}", refused.what);
        assert!(refused.help.contains(carrier), "{dialects}: {}", refused.help);
        assert!(!refused.help.contains("portable"), "{dialects}: {}", refused.help);
        assert!(!refused.what.contains("hunter"), "{}", refused.what);
    }
    let long = "x".repeat(65_534);
    let refused = written(&long, "docker").unwrap_err();
    assert_eq!(refused.what, "K takes more than the 65535 bytes of a line that docker, podman and kubectl read");
    assert!(refused.help.contains("dialect shell, compose"), "{}", refused.help);
    assert!(written(&long[1..], "docker").is_ok());
}

#[test]
fn names_that_a_reader_keeps_are_refused() {
    for (dialects, name, holds) in [
        ("shell", "UID", false),
        ("shell", "SECONDS", false),
        ("shell", "path", false),
        ("shell", "UIDS", true),
        ("docker", "UID", true),
        ("compose", "UID", true),
        ("node", "__proto__", false),
        ("next", "__proto__", false),
        ("python", "__proto__", true),
        ("compose,shell", "UID", false),
    ] {
        let mut file = document("", dialects).unwrap();
        let set = file.set(&key(name), &Secret::from("1"));
        assert_eq!(set.is_ok(), holds, "{dialects} {name}");
        if let Err(refused) = set {
            assert!(refused.what.starts_with(&format!("{name} is a name that ")), "{}", refused.what);
            assert!(refused.help.contains("docker"), "{}", refused.help);
        }
        if !dialects.contains(',') {
            assert_eq!(document(&format!("{name}=1\n"), dialects).is_ok(), holds, "{dialects} {name}");
        }
    }
}

#[test]
fn reading_table() {
    let rows: &[(&str, &str, &str)] = &[
        ("docker", "K= 'x' # c ", " 'x' # c "),
        ("docker", "K=x\r", "x"),
        ("shell", r#"K=a'b'"c\"\d"\e # f"#, r#"abc"\de"#),
        ("shell", "K='a'\"'\"'b'", "a'b"),
        ("shell", "K=\"a\\\nb\"", "ab"),
        ("shell", "K=x#y", "x#y"),
        ("compose", r#"K="a\"\\n\n\$X$$Y\q""#, "a\"\\n\n$X$Y\\q"),
        ("compose", r"K='it\'s \\ $X'", r"it's \\ $X"),
        ("compose", "K= # c", "# c"),
        ("compose", "K=a\t#b", "a\t#b"),
        ("compose", "K='a\r\nb'", "a\r\nb"),
        ("compose", "K=`a`", "`a`"),
        ("python", r#"K='it\'s \\ \n'"#, r"it's \ \n"),
        ("python", r#"K="a\"\n\$X""#, "a\"\n\\$X"),
        ("python", "K='a\r\nb'", "a\nb"),
        ("python", "K=$X $(x)", "$X $(x)"),
        ("node", "K=a#b", "a"),
        ("node", r#"K="a\nb\t""#, "a\nb\\t"),
        ("node", "K=`it's`", "it's"),
        ("next", r"K='\$X $ y'", "$X $ y"),
    ];
    for (dialect, text, value) in rows {
        let document = document(&format!("{text}\n"), dialect).unwrap_or_else(|faults| panic!("{text:?}: {faults:?}"));
        assert_eq!(document.get(&key("K")), Some(Secret::from(*value)), "{dialect} {text:?}");
        assert_eq!(printed(&document), format!("{text}\n"), "{dialect}");
    }
}

#[test]
fn what_a_dialect_cannot_read_names_the_line_and_who_can() {
    let rows = [
        ("portable", r"K='it\'s hunter2'", "goes on after its closing quote", "python"),
        ("docker", "export K=hunter2", "line 2 exports K", "portable"),
        ("docker", "K =hunter2", "line 2 has a blank between K and the `=`", "node"),
        ("shell", "K =hunter2", "line 2 has a blank between K and the `=`", "node"),
        ("shell", "K=hunter2 x", "is followed by a command", "node"),
        ("shell", "K=hunter2 \r", "holds a carriage return outside of quotes", "node"),
        ("shell", "K=hunter2;x", "ends a shell's word", "portable"),
        ("shell", "K=\"$hunter2\"", "holds a `$` outside of single quotes", "portable"),
        ("shell", "K=`hunter2`", "holds a command, which a shell would run", "node"),
        ("shell", "K=$(hunter2)", "holds a command, which a shell would run", "portable"),
        ("shell", "K=~/hunter2", "holds a `~`", "portable"),
        ("shell", "K=hunter2's", "opens ' and is never closed", "portable"),
        ("shell", "K=hunter2\r", "a carriage return that ends no line", "portable"),
        ("compose", "K=${hunter2}", "refers to another variable", "portable"),
        ("compose", "K=\"\\0101hunter2\"", "holds the escape `\\0`", "portable"),
        ("python", "K='${hunter2}'", "refers to another variable", "portable"),
        ("node", r"K='it\'s hunter2'", "goes on after its closing quote", "python"),
        ("next", "K=$hunter2", "refers to another variable with `$`", "node"),
        ("next", "K='\\$(hunter2)'", "holds `$(`, which dotenv-expand would run", "node"),
    ];
    for (dialect, line, what, carrier) in rows {
        let faults = document(&format!("A=1\n{line}\n"), dialect).err().unwrap_or_default();
        let [fault] = &faults[..] else { panic!("{dialect} {line:?}: {faults:?}") };
        assert_eq!(fault.line, 2, "{line:?}");
        assert!(fault.what.contains("line 2") && fault.what.contains(what), "{}", fault.what);
        let help = fault.help.as_deref().unwrap_or_default();
        let (_, others) = help.rsplit_once("dialect ").unwrap_or_default();
        assert!(others.contains(carrier) && !others.contains(dialect), "{dialect} {line:?}: {help}");
        assert!(!fault.what.contains("hunter") && !help.contains("hunter"), "{} {help}", fault.what);
    }
}

#[test]
fn editing_keeps_the_quoting_where_the_new_value_fits_it() {
    let rows = [
        ("shell", "K=\"one\" # c\n", "two $X", "K=\"two \\$X\" # c\n"),
        ("shell", "K='one'\n", "it's", "K='it'\"'\"'s'\n"),
        ("compose", "K='one'\n", "two words", "K='two words'\n"),
        ("compose", "K='one'\n", "it's", "K=\"it's\"\n"),
        ("python", "K=\"one\"\n", "a\\b", "K=\"a\\\\b\"\n"),
        ("node", "K=`one`\n", "two", "K=`two`\n"),
        ("node", "K=`one`\n", "a`b", "K='a`b'\n"),
        ("node", "K=one # c\n", "a#b", "K='a#b' # c\n"),
        ("next", "K=\"one\"\n", "$X", "K=\"\\$X\"\n"),
        ("docker", "K='one'\n", "'two'", "K='two'\n"),
        ("shell,node", "K=\"one\"\n", "it's", "K=\"it's\"\n"),
        ("shell,node", "K=\"one\"\n", "$X", "K='$X'\n"),
        ("compose", "K= # c\n", "x", "K= x\n"),
    ];
    for (dialects, before, value, after) in rows {
        let mut document = document(before, dialects).unwrap();
        document.set(&key("K"), &Secret::from(value)).unwrap();
        assert_eq!(printed(&document), after, "{dialects}");
    }
}

#[test]
fn remarks_are_for_the_readers_of_the_dialects() {
    let said = |text: &str, dialects: &str| -> Vec<String> {
        document(text, dialects).unwrap().remarks().into_iter().map(|remark| remark.text).collect()
    };
    assert_eq!(said("\u{feff}K=`a`\r\n", "node"), ["line 1: a byte order mark, which node and deno cannot read"]);
    assert_eq!(said("K=\"a\\rb\"\n", "node"), ["line 1: K is read differently by npm dotenv, node and deno"]);
    assert_eq!(said("K=\t'a'\n", "node"), ["line 1: K is read differently by node"]);
    assert_eq!(said("K = 'a'\n", "node"), [""; 0]);
    assert_eq!(said("K='$X'\n", "node,next"), ["line 1: K is read differently by dotenv-expand, Next and Vite"]);
    assert_eq!(said("K='$X'\n", "node,shell"), [""; 0]);
    assert_eq!(said("K=1 # c\n", "shell"), ["line 1: K is read differently by systemd"]);
    let again = "line 2: K is set again (line 1 sets it too): the last one counts";
    assert_eq!(said("K=1\nK=2\n", "compose"), [again]);
    assert_eq!(said("K=1\nK=2\n", "node"), [format!("{again}, but deno takes the first")]);
    assert_eq!(document("K='two words'\n", "shell").unwrap().misread(), []);
}

const NAMES: [&str; 12] = [
    "portable",
    "docker",
    "shell",
    "compose",
    "python",
    "node",
    "next",
    "shell,node",
    "portable,docker",
    "compose,python",
    "next,shell",
    "docker,node,python",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_dialect_reads_what_it_writes(value in any_value(), which in 0..NAMES.len()) {
        let Ok(token) = written(&value, NAMES[which]) else { return Ok(()) };
        for name in NAMES[which].split(',') {
            let read = document(&format!("A=1\nK={token}\nB=2\n"), name).map(|d| d.variables());
            let read = read.map_err(|faults| TestCaseError::fail(format!("{name}: {faults:?}")))?;
            prop_assert_eq!(shown(&read), [("A", "1"), ("K", value.as_str()), ("B", "2")], "{} {}", name, token);
        }
    }

    #[test]
    fn any_document_prints_as_it_was_and_takes_an_edit(text in any_document(), value in any_value(), which in 0..NAMES.len()) {
        let Ok(mut file) = document(&text, NAMES[which]) else { return Ok(()) };
        prop_assert_eq!(file.print(), text.as_bytes());
        let mut expected = file.variables();
        for (name, value) in &expected {
            file.set(name, value).map_err(|refused| TestCaseError::fail(refused.what))?;
        }
        prop_assert_eq!(file.print(), text.as_bytes());
        for name in ["A", "NEW"] {
            if file.set(&key(name), &Secret::from(value.as_str())).is_ok() {
                expected.insert(key(name), Secret::from(value.as_str()));
            }
        }
        let again = document(&printed(&file), NAMES[which]).map(|d| d.variables());
        prop_assert_eq!(again.ok(), Some(expected), "{}", NAMES[which]);
    }
}
