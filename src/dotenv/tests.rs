use std::collections::BTreeSet;

use proptest::prelude::*;

use super::dialect::{Style, inner};
use super::readers::{Look, RAW, misreaders};
use super::*;

const PORTABLE: &[Dialect] = &[Dialect::Portable];

fn parse(text: impl AsRef<[u8]>) -> Document {
    Document::parse(text.as_ref().to_vec(), PORTABLE).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn faults(text: impl AsRef<[u8]>) -> Vec<Fault> {
    Document::parse(text.as_ref().to_vec(), PORTABLE).err().unwrap_or_default()
}

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn shown(variables: &Variables) -> Vec<(&str, &str)> {
    variables.iter().map(|(k, v)| (k.as_str(), v.expose())).collect()
}

fn printed(document: &Document) -> String {
    String::from_utf8(document.print()).unwrap()
}

/// The file with one value set, as text.
fn edited(text: &str, name: &str, value: &str) -> String {
    let mut document = parse(text);
    document.set(&key(name), &Secret::from(value)).unwrap();
    printed(&document)
}

/// What a new line gives a value, or `None` where it is refused.
fn token(value: &str) -> Option<String> {
    let mut document = Document::empty();
    document.set(&key("K"), &Secret::from(value)).ok()?;
    let line = printed(&document);
    Some(line.strip_prefix("K=").unwrap().strip_suffix('\n').unwrap().to_owned())
}

#[test]
fn reading_table() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("\u{feff}", &[]),
        ("\u{feff}A=1\n", &[("A", "1")]),
        ("\n \t\n# c\n  # c = 'd\nA=1", &[("A", "1")]),
        ("A=1\r\nB=2\r\n", &[("A", "1"), ("B", "2")]),
        ("A=1\nB=2\nA=3\n", &[("A", "3"), ("B", "2")]),
        ("export A=1\nexport\tB = 2\n\texport   C=\n", &[("A", "1"), ("B", "2"), ("C", "")]),
        ("export=1\nexport =2\nexported=3\n", &[("export", "2"), ("exported", "3")]),
        (" A =  b c  \nB= \nC=\n", &[("A", "b c"), ("B", ""), ("C", "")]),
        (
            "A=b # c\nB=b#c\nC=#c\nD= #c\nE=b\t#c\nF=b# #c",
            &[("A", "b"), ("B", "b#c"), ("C", "#c"), ("D", ""), ("E", "b"), ("F", "b#")],
        ),
        (
            "A=it's\nB=say \"hi\"\nC=a\\nb\nD=$X ${Y} $(id)",
            &[("A", "it's"), ("B", "say \"hi\""), ("C", "a\\nb"), ("D", "$X ${Y} $(id)")],
        ),
        (
            "A='a b'\nB=\"a b\"\nC=`a b`\nD=''\nE=\"\"\nF=``",
            &[("A", "a b"), ("B", "a b"), ("C", "a b"), ("D", ""), ("E", ""), ("F", "")],
        ),
        ("A='a' # c'\nB=\"a\"#c\nC=' a '\t\n", &[("A", "a"), ("B", "a"), ("C", " a ")]),
        (r#"A="\n\r\t\\\"\$""#, &[("A", "\n\r\t\\\"$")]),
        (r#"A="\a\'\x\ \u0041 C:\dir""#, &[("A", r"\a\'\x\ \u0041 C:\dir")]),
        (r"A='\n\\\$'", &[("A", r"\n\\\$")]),
        (r#"A=`\n'"`"#, &[("A", r#"\n'""#)]),
        ("A='a\nb'\nB=\"\n# x\nC=1\n\"\nD=`\n\n`", &[("A", "a\nb"), ("B", "\n# x\nC=1\n"), ("D", "\n\n")]),
        ("A=\"a\r\nb\"\r\nB='\r\n'\r\nC=\"\\\r\n\\\\\r\n\"", &[("A", "a\nb"), ("B", "\n"), ("C", "\\\n\\\n")]),
        ("A='a\rb'\nB=\"\r\r\n\"", &[("A", "a\rb"), ("B", "\r\n")]),
        ("A=a=b==\n_9=x\n", &[("A", "a=b=="), ("_9", "x")]),
        ("A=\u{a0}ü\u{2028}\u{feff}\u{a0}", &[("A", "\u{a0}ü\u{2028}\u{feff}\u{a0}")]),
    ];
    for (text, expected) in rows {
        let document = parse(text);
        assert_eq!(shown(&document.variables()), *expected, "{text:?}");
        assert_eq!(document.print(), text.as_bytes(), "{text:?}");
        for (name, value) in *expected {
            assert_eq!(document.get(&key(name)), Some(Secret::from(*value)), "{text:?} {name}");
        }
    }
}

#[test]
fn comments_may_hold_any_bytes() {
    let bytes = b"# \xff\xfe\0\nA=1 # \xc3\n#\0";
    let mut document = parse(bytes);
    assert_eq!(shown(&document.variables()), [("A", "1")]);
    document.set(&key("A"), &Secret::from("22")).unwrap();
    assert_eq!(document.print(), b"# \xff\xfe\0\nA=22 # \xc3\n#\0");
}

/// Line and text of each fault.
type Lines<'a> = &'a [(usize, &'a str)];

#[test]
fn fault_table() {
    let long = format!("A=1\nLONG={}\n", "x".repeat(131_067));
    let rows: &[(&[u8], Lines<'_>)] = &[
        (b"hunter2", &[(1, "line 1 is no assignment")]),
        (b"A=1\nhunter2\nB=2\nhunter2: a\n", &[(2, "line 2 is no assignment"), (4, "line 4 is no assignment")]),
        (
            b"export hunter2\nexport\nexport  \n",
            &[
                (1, "line 1 exports a name without a value"),
                (2, "line 2 is no assignment"),
                (3, "line 3 is no assignment"),
            ],
        ),
        (
            b"=hunter2\nhunter-2=1\n2A=1\nA B=1\n\xc3\xa4=1\nhunter\xff=1\n\xef\xbb\xbfA=1",
            &[
                (1, "line 1 sets something that is no name of a variable"),
                (2, "line 2 sets something that is no name of a variable"),
                (3, "line 3 sets something that is no name of a variable"),
                (4, "line 4 sets something that is no name of a variable"),
                (5, "line 5 sets something that is no name of a variable"),
                (6, "line 6 sets something that is no name of a variable"),
                (7, "line 7 sets something that is no name of a variable"),
            ],
        ),
        (b"A=1\nB='hunter2\nC=2\nhunter2\n", &[(2, "the value of B on line 2 starts with ' and is never closed")]),
        (b"B=\"hunter2\\\"", &[(1, "the value of B on line 1 starts with \" and is never closed")]),
        (b"B=\"hunter2\\", &[(1, "the value of B on line 1 starts with \" and is never closed")]),
        (b"B= `hunter2", &[(1, "the value of B on line 1 starts with ` and is never closed")]),
        (
            b"B='a'hunter2\nhunter2\n",
            &[(1, "the value of B on line 1 goes on after its closing quote"), (2, "line 2 is no assignment")],
        ),
        (b"\nB='it\\'s hunter2'\n", &[(2, "the value of B on line 2 goes on after its closing quote")]),
        (
            b"A='hunter2\nB='b'\nhunter2",
            &[
                (1, "the value of A on line 1 goes on after its closing quote, which stands on line 2"),
                (3, "line 3 is no assignment"),
            ],
        ),
        (b"A='a'\"'\"'b'", &[(1, "the value of A on line 1 goes on after its closing quote")]),
        (b"A=hunter2\rB=2\r", &[(1, "line 1 holds a carriage return that ends no line")]),
        (b"# c\rA=hunter2\n", &[(1, "line 1 holds a carriage return that ends no line")]),
        (
            b"A='hunter2' # c\rB=1\nB='b'\r",
            &[
                (1, "line 1 holds a carriage return that ends no line"),
                (2, "line 2 holds a carriage return that ends no line"),
            ],
        ),
        (
            b"A=1\r\r\n\r",
            &[
                (1, "line 1 holds a carriage return that ends no line"),
                (2, "line 2 holds a carriage return that ends no line"),
            ],
        ),
        (
            b"A=hunter2\0\nB='\0'",
            &[(1, "the value of A on line 1 holds a NUL byte"), (2, "the value of B on line 2 holds a NUL byte")],
        ),
        (
            b"A=hunter2\xff\nB='a\n\xed\xa0\x80'\nhunter2",
            &[
                (1, "the value of A on line 1 is not UTF-8"),
                (2, "the value of B on line 2 is not UTF-8"),
                (4, "line 4 is no assignment"),
            ],
        ),
        (b"\xff\xfeA\0=\0", &[(1, "the file is UTF-16")]),
        (
            long.as_bytes(),
            &[(2, "LONG on line 2 takes more than the 131071 bytes that an environment variable can have")],
        ),
    ];
    for (bytes, expected) in rows {
        let found = faults(bytes);
        let lines: Vec<(usize, &str)> = found.iter().map(|fault| (fault.line, fault.what.as_str())).collect();
        assert_eq!(lines, *expected, "{}", String::from_utf8_lossy(bytes));
        for fault in found {
            let help = fault.help.unwrap_or_default();
            assert!(!help.is_empty() && !help.contains("hunter") && !fault.what.contains("hunter"), "{}", fault.what);
        }
    }
    let escaped = faults("A='it\\'s'").remove(0).help.unwrap();
    assert!(escaped.contains("python-dotenv") && escaped.contains("compose"), "{escaped}");
}

#[test]
fn a_variable_of_the_largest_size_is_read_and_written() {
    let value = "x".repeat(131_071 - 5);
    let text = format!("LONG={value}\n");
    let mut document = parse(&text);
    assert_eq!(document.variables()[0].expose(), value);
    assert!(document.set(&key("NEXT"), &Secret::from(value.as_str())).is_ok());
    let longer = Secret::from(format!("{value}x"));
    let refused = document.set(&key("NEXT"), &longer).unwrap_err();
    assert!(refused.what.starts_with("NEXT takes more than the 131071 bytes"), "{}", refused.what);
    // Escapes are counted by what they mean.
    assert_eq!(parse(format!("LONG=\"{}\"\n", "\\n".repeat(131_066))).variables()[0].expose().len(), 131_066);
}

#[test]
fn a_broken_file_gives_no_endless_list() {
    assert_eq!(faults("x\n".repeat(5_000)).len(), 1_000);
}

#[test]
fn token_table() {
    let rows = [
        ("", ""),
        ("hello", "hello"),
        ("/usr/local/bin:/opt/x-1.2_y", "/usr/local/bin:/opt/x-1.2_y"),
        ("c2VjcmV0IHZhbHVlIQ==", "c2VjcmV0IHZhbHVlIQ=="),
        ("100%", "100%"),
        ("[a-z]?*", "[a-z]?*"),
        ("a!b!!", "a!b!!"),
        ("日本語🚀", "日本語🚀"),
        ("=x", "\"=x\""),
        ("a:=x", "\"a:=x\""),
        ("a==x", "a==x"),
        ("~/x", "\"~/x\""),
        ("a=~x", "\"a=~x\""),
        ("a~x", "a~x"),
        (" ", "\" \""),
        ("a b", "\"a b\""),
        ("a\tb", "\"a\tb\""),
        ("\u{a0}x", "\"\u{a0}x\""),
        ("a\u{85}b", "\"a\u{85}b\""),
        ("a\u{7f}b", "\"a\u{7f}b\""),
        ("a\u{feff}b", "\"a\u{feff}b\""),
        ("a\u{fffe}b", "\"a\u{fffe}b\""),
        ("\x1b[31m", "\"\x1b[31m\""),
        ("#ff0000", "\"#ff0000\""),
        ("a # b", "\"a # b\""),
        ("it's", "\"it's\""),
        ("'wrapped'", "\"'wrapped'\""),
        ("a&b;c|d<e>(f)", "\"a&b;c|d<e>(f)\""),
        ("a\nb\n", "\"a\nb\n\""),
        ("x\nINJECTED=1", "\"x\nINJECTED=1\""),
        ("say \"hi\"", "'say \"hi\"'"),
        ("{\"a\":1}", "'{\"a\":1}'"),
        ("a\\b", "'a\\b'"),
        ("a`b", "'a`b'"),
        ("$2b$12$fake", "'$2b$12$fake'"),
        ("$(id)", "'$(id)'"),
        ("a\n$b", "'a\n$b'"),
    ];
    for (value, expected) in rows {
        assert_eq!(token(value).as_deref(), Some(expected), "{value:?}");
    }
    for value in ["it's \"x\"", "a'b\\c", "it's $X", "a'`", "\\", "C:\\dir\\", "a\rb", "a\r\nb", "\r", "a\0b", "$\0"] {
        assert_eq!(token(value), None, "{value:?}");
    }
}

#[test]
fn a_refusal_names_the_variable_the_readers_and_a_way_out() {
    let rows = [
        ("hunter2'\"", "the value of K holds a `'` together with", Some("node")),
        ("hunter2\\", "the value of K holds a backslash at its end, which python-dotenv", Some("compose")),
        ("hunter2\r", "the value of K holds a carriage return, which", Some("bash")),
        ("hunter2\0", "the value of K holds a NUL byte, which no environment variable can hold", None),
    ];
    for (value, what, reader) in rows {
        let mut document = parse("K=1\nL=1\n");
        let refused = document.check(&key("K"), &Secret::from(value)).unwrap_err();
        assert_eq!(document.set(&key("K"), &Secret::from(value)), Err(refused.clone()));
        assert_eq!(printed(&document), "K=1\nL=1\n");
        assert_eq!(refused.key.as_str(), "K");
        assert!(refused.what.starts_with(what), "{}", refused.what);
        assert!(reader.is_none_or(|reader| refused.what.contains(reader)), "{}", refused.what);
        assert!(!refused.what.contains("hunter") && !refused.help.contains("hunter"));
        let help = match reader {
            Some(_) => "a file for other readers can carry it: dialect ",
            None => "change the value, or leave the variable out with `exclude`",
        };
        assert!(refused.help.starts_with(help) && !refused.help.contains("portable"), "{}", refused.help);
    }
}

#[test]
fn editing_table() {
    let rows = [
        // the value's bytes alone
        ("# c\nA=1\n\nB=2\n", "A", "22", "# c\nA=22\n\nB=2\n"),
        ("  export  A =  1  # c\r\nB=2\r\n", "A", "22", "  export  A =  22  # c\r\nB=2\r\n"),
        ("\u{feff}A=1", "A", "2", "\u{feff}A=2"),
        ("A=1\nB=2\nA=3\n", "A", "4", "A=4\nB=2\nA=4\n"),
        ("A=4\nB=2\nA=3\n", "A", "4", "A=4\nB=2\nA=4\n"),
        // an equal value is no change, however it is written
        ("A=1\nA='x y'\n", "A", "x y", "A=1\nA='x y'\n"),
        ("A=\"a\\nb\"\r\n", "A", "a\nb", "A=\"a\\nb\"\r\n"),
        ("A=`x`\n", "A", "x", "A=`x`\n"),
        ("A=\"a\\rb\"\n", "A", "a\rb", "A=\"a\\rb\"\n"),
        // the quotes stay
        ("A=\"one\"\nB=2\n", "A", "two", "A=\"two\"\nB=2\n"),
        ("A='one'\n", "A", "two", "A='two'\n"),
        ("A='one'\n", "A", "", "A=''\n"),
        ("A='one' # c\n", "A", "two words", "A='two words' # c\n"),
        // and go where they would not do
        ("A='one'\n", "A", "it's", "A=\"it's\"\n"),
        ("A=\"one\"\n", "A", "say \"hi\"", "A='say \"hi\"'\n"),
        ("A=\"one\"\n", "A", "a\\b", "A='a\\b'\n"),
        ("A=\"$one\"\n", "A", "$two", "A='$two'\n"),
        ("A='one'\n", "A", "two\nlines", "A=\"two\nlines\"\n"),
        ("A=\"a\n\nb\" # c\nB=1\n", "A", "x", "A=\"x\" # c\nB=1\n"),
        ("A=one\n", "A", "two words", "A=\"two words\"\n"),
        ("A=one two\n", "A", "two words", "A=\"two words\"\n"),
        ("A=`one`\n", "A", "two", "A=two\n"),
        ("A=`one`\n", "A", "two words", "A=\"two words\"\n"),
        // a comment never becomes a part of the value, nor the value of it
        ("A=one # c\n", "A", "x#y", "A=\"x#y\" # c\n"),
        ("A=one # c\n", "A", "", "A=\"\" # c\n"),
        ("A= # c\n", "A", "x", "A=x # c\n"),
        ("A=`one`# c\n", "A", "two", "A=\"two\"# c\n"),
        ("A=\t\n", "A", "x", "A=x\t\n"),
        ("A =\n", "A", "x", "A =x\n"),
        // line ends
        ("A=1\r\nB=2\r\n", "A", "a\nb", "A=\"a\nb\"\r\nB=2\r\n"),
        ("A=1\r\nB=2\r\n", "C", "3", "A=1\r\nB=2\r\nC=3\r\n"),
        ("A=1\r\nB=2\nC=2\n", "D", "3", "A=1\r\nB=2\nC=2\nD=3\n"),
        ("A=1\r\nB=2", "C", "3", "A=1\r\nB=2\r\nC=3\r\n"),
        ("A=1", "B", "2", "A=1\nB=2\n"),
        ("# c", "B", "2", "# c\nB=2\n"),
        ("", "B", "2", "B=2\n"),
        ("\u{feff}", "B", "2", "\u{feff}B=2\n"),
        ("A=1\n\n", "B", "it's", "A=1\n\nB=\"it's\"\n"),
    ];
    for (before, name, value, after) in rows {
        assert_eq!(edited(before, name, value), after, "{before:?} {name}={value:?}");
        assert_eq!(parse(after).get(&key(name)), Some(Secret::from(value)), "{after:?}");
    }
}

#[test]
fn several_changes_to_one_document() {
    let mut document = parse("# top\nA=1\nB=2\nexport A=3\nC='\n'\nD=4");
    document.remove(&key("A"));
    assert_eq!(printed(&document), "# top\nB=2\nC='\n'\nD=4");
    document.set(&key("N"), &Secret::from("new")).unwrap();
    document.set(&key("A"), &Secret::from("again")).unwrap();
    document.set(&key("C"), &Secret::from("c c")).unwrap();
    document.set(&key("C"), &Secret::from("cc")).unwrap();
    document.set(&key("N"), &Secret::from("newer")).unwrap();
    document.remove(&key("D"));
    document.remove(&key("NONE"));
    let expected = [("B", "2"), ("C", "cc"), ("N", "newer"), ("A", "again")];
    assert_eq!(shown(&document.variables()), expected);
    assert_eq!(printed(&document), "# top\nB=2\nC='cc'\nN=newer\nA=again\n");
    document.remove(&key("N"));
    document.remove(&key("A"));
    assert_eq!(printed(&document), "# top\nB=2\nC='cc'\n");
}

#[test]
fn tokens_are_the_written_text() {
    let document = parse("A=\"a\\nb\"\nB=x\nA='c'\n");
    let texts = |name| document.tokens(&key(name)).map(|t| t.iter().map(|s| s.expose().to_owned()).collect::<Vec<_>>());
    assert_eq!(texts("A"), Some(vec!["a\\nb".to_owned(), "c".to_owned()]));
    assert_eq!(texts("B"), Some(vec!["x".to_owned()]));
    assert_eq!(texts("C"), None);
}

#[test]
fn remarks_name_line_and_readers() {
    let rows: &[(&str, Lines<'_>)] = &[
        ("A=1\nB=\"two words\"\nC='$x \"y\" \\\\z'\nexport D=1 # c\n", &[]),
        (
            "A=1\nB=1\nA=hunter2\n",
            &[(3, "line 3: A is set again (line 1 sets it too): the last one counts, but deno and uv take the first")],
        ),
        ("\u{feff}A=1\n", &[(1, "line 1: a byte order mark")]),
        ("A=1\r\nB=2\r\n", &[(1, "line 1: the file has CRLF line ends: bash, dash, zsh and busybox ash keep")]),
        ("\nA=hunter2#x\n", &[(2, "line 2: A is read differently by npm dotenv, ")]),
        ("A=two words\n", &[(1, "line 1: A is read differently by direnv, ")]),
        ("A= x\n", &[(1, "line 1: A is read differently by django-environ, ")]),
        ("B=\"hunter2\\t\"\n", &[(1, "line 1: B is read differently by django-environ, npm dotenv")]),
        ("A=\"a\\\"b\"\n", &[(1, "line 1: A is read differently by npm dotenv, ")]),
        ("A=\n\nB=`x`\n", &[(3, "line 3: B is read differently by python-dotenv, ")]),
        ("A=$HOME\n", &[(1, "line 1: A is read differently by django-environ, dotenv-expand")]),
        (
            "A= # c\n",
            &[(
                1,
                "line 1: A is read differently by python-dotenv, pydantic-settings, environs, django-environ, godotenv",
            )],
        ),
    ];
    for (text, expected) in rows {
        let found = parse(text).remarks();
        assert_eq!(found.len(), expected.len(), "{text:?}: {found:?}");
        for (remark, (line, start)) in found.iter().zip(*expected) {
            assert_eq!(remark.line, *line, "{text:?}");
            assert!(remark.text.starts_with(start), "{}", remark.text);
            assert!(!remark.text.contains("hunter"), "{}", remark.text);
        }
    }
}

#[test]
fn prediction_table() {
    let raw = ["docker", "podman", "kubectl", "GitLab"];
    let expanders = ["dotenv-expand", "Next", "Vite", "bun"];
    let python = ["python-dotenv", "pydantic-settings", "environs"];
    let lines = ["direnv", "django-environ", "dotenv-java"];
    let java = ["dotenv-java"];
    let django = ["django-environ"];
    let rows: &[(&str, &[&[&str]])] = &[
        ("K=hello", &[]),
        ("K=\"a b\"", &[&raw]),
        ("K='a\"b'", &[&raw, &java]),
        ("K=\"a\nb\"", &[&raw, &lines]),
        ("K='a\n\\b'", &[&raw, &lines, &["phpdotenv"]]),
        ("K='a=\"b'", &[&raw, &java, &["phpdotenv"]]),
        ("K='a\\\\b'", &[&raw, &java, &python]),
        ("K='a\\$'", &[&raw, &java, &expanders]),
        ("K='a$b'", &[&raw, &java, &expanders]),
        ("K='a$9'", &[&raw, &java, &expanders]),
        ("K='a$('", &[&raw, &java, &expanders]),
        ("K='a$'", &[&raw, &java]),
        ("K='a${b}'", &[&raw, &java, &expanders, &python]),
        ("K='$b'", &[&raw, &java, &expanders, &django]),
        ("K='\"b\"'", &[&raw, &java, &django]),
        ("K=\"\u{b}\"", &[&raw, &django]),
        ("K=\"\u{2029}\"", &[&raw, &django]),
        ("K=\"\u{10ffff}\"", &[&raw, &["systemd"]]),
        // Node trims spaces only, wherever the tab stands among them.
        ("K=\t", &[&raw, &django, &["node"]]),
        ("K= \t", &[&raw, &django, &["node"]]),
        ("K=\t ", &[&raw, &django, &["node"]]),
        ("K=x \t", &[&raw, &django, &["node"]]),
        ("K=\"x\" \t", &[&raw, &django]),
        ("export K=1", &[&raw, &java, &["systemd"]]),
        ("K=1 # c", &[&raw, &django, &["systemd"]]),
        ("K=1\nK=1", &[&["deno", "uv"]]),
        ("K=1\r\n", &[&["bash", "dash", "zsh", "busybox ash"]]),
    ];
    for (text, expected) in rows {
        let expected: BTreeSet<&str> = expected.iter().flat_map(|group| group.iter().copied()).collect();
        let found: BTreeSet<&str> = parse(text).misread().into_iter().flat_map(|(_, readers)| readers).collect();
        assert_eq!(found, expected, "{text:?}");
    }
    let long = parse(format!("K={}", "x".repeat(65_534))).misread();
    assert_eq!(long, [(key("K"), vec!["docker", "podman", "kubectl"])]);
    assert_eq!(parse(format!("K={}", "x".repeat(65_533))).misread(), []);
}

#[test]
fn a_tab_that_stays_behind_an_emptied_value_is_told_as_it_is_read() {
    let mut document = parse("K= x\t\n");
    document.set(&key("K"), &Secret::from("")).unwrap();
    assert_eq!(document.print(), b"K= \t\n");
    assert_eq!(parse(document.print()).misread(), document.misread());
}

#[test]
fn nothing_shows_a_value() {
    let document = parse("A=hunter2-fake\n");
    assert_eq!(format!("{document:?}"), "Document(1 lines set a variable)");
}

#[test]
fn dialects_have_names() {
    for dialect in Dialect::ALL {
        assert_eq!(Dialect::named(dialect.name()), Some(*dialect));
    }
    assert_eq!(Dialect::named("Portable"), None);
}

/// The file without the tokens of one variable.
fn around(bytes: &[u8], name: &Key) -> Vec<u8> {
    let found = scan::scan(bytes, Dialect::Portable.table()).unwrap_or_default();
    let mut rest = bytes.to_vec();
    for entry in found.entries.iter().rev() {
        if &bytes[entry.key()] == name.as_str().as_bytes() {
            rest.drain(entry.token());
        }
    }
    rest
}

/// Every law of a document on any bytes; whether they were a document at all, and whether the edit was possible.
fn laws(bytes: &[u8], pick: usize, value: &str) -> (bool, bool) {
    let Ok(mut document) = Document::parse(bytes.to_vec(), PORTABLE) else { return (false, false) };
    let report = || String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(document.print(), bytes, "untouched: {:?}", report());
    let mut expected = document.variables();
    for (name, value) in &expected {
        document.set(name, value).unwrap();
    }
    assert_eq!(document.print(), bytes, "equal values: {:?}", report());
    let name = match expected.get_index(pick % (expected.len() + 1)) {
        Some((name, _)) => name.clone(),
        None => key("ADDED"),
    };
    let known = expected.contains_key(&name);
    let secret = Secret::from(value);
    let possible = document.check(&name, &secret);
    assert_eq!(document.set(&name, &secret), possible);
    if possible.is_ok() {
        expected.insert(name.clone(), secret);
    }
    let out = document.print();
    assert_eq!(document.variables(), expected, "{:?} {name}={value:?}", report());
    let again = parse(&out);
    assert_eq!(again.variables(), expected, "{:?} {name}={value:?}", report());
    assert_eq!(again.misread(), document.misread(), "{:?} {name}={value:?}", report());
    if known {
        assert_eq!(around(&out, &name), around(bytes, &name), "{:?} {name}={value:?}", report());
    } else {
        assert!(out.starts_with(bytes), "{:?}", report());
    }
    document.remove(&name);
    expected.shift_remove(&name);
    let out = document.print();
    assert_eq!(parse(&out).variables(), expected, "{:?} without {name}", report());
    if !known {
        assert_eq!(out, bytes);
    }
    (true, possible.is_ok())
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(SPECIAL), 0..10).prop_map(|parts| parts.concat()),
        ".{0,12}",
        "[a-z0-9/+=]{0,20}",
    ]
}

fn any_line() -> impl Strategy<Value = String> {
    let parts = (
        "( |\t|export |export\t ){0,2}",
        "[A-D]|KEY_[0-9]",
        "( |\t)?=( |\t)?",
        prop_oneof![
            any_value(),
            "'[^'\\x00\r]{0,8}'",
            "`[^`\\x00\r]{0,8}`",
            "\"([^\"\\\\\\x00\r]|\\\\[nrt\\\\\"$ax']){0,8}\"",
        ],
        "( +# ?[a-z'\"]{0,4}| *)?",
    );
    let line = parts.prop_map(|(before, name, equals, value, after)| format!("{before}{name}{equals}{value}{after}"));
    prop_oneof![4 => line, 1 => "[ \t]{0,2}(#[^\n\r]{0,9})?"]
}

fn any_document() -> impl Strategy<Value = String> {
    let line = (any_line(), prop_oneof![3 => Just("\n"), 2 => Just("\r\n")]);
    let lines = proptest::collection::vec(line, 0..8);
    (proptest::bool::weighted(0.2), lines, proptest::option::of(any_line())).prop_map(|(bom, lines, last)| {
        let body: String = lines.into_iter().map(|(line, end)| line + end).collect();
        format!("{}{body}{}", if bom { "\u{feff}" } else { "" }, last.unwrap_or_default())
    })
}

const SPECIAL: &[&str] = &[
    "a", "Z", "9", " ", "\t", "\n", "\r", "\r\n", "'", "\"", "`", "\\", "\\n", "\\\"", "$", "${", "}", "$(", "#", " #",
    "=", "=\"", "~", ":", "export ", "\nB=2", "é", "\u{2028}", "\u{feff}", "\u{fffe}", "&", ";", "|", "<", "(", ")",
    "*", "!", "%", "\0",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_document_keeps_the_laws(text in any_document(), pick: usize, value in any_value()) {
        laws(text.as_bytes(), pick, &value);
    }

    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        if let Some(token) = token(&value) {
            let read = parse(format!("K={token}\n")).variables();
            prop_assert_eq!(shown(&read), [("K", value.as_str())]);
            // Of the readers that the dialect is for, only those of the prediction table miss it.
            let look = Look { style: Style::of(&token), raw: inner(&token), value: &value, size: 0 };
            prop_assert!(!misreaders(&look).without(RAW).meets(readers::WATCHED), "{}", token);
        }
    }

    #[test]
    fn dotenvy_agrees_wherever_the_table_says_so(text in any_line().prop_filter("dotenvy expands", |t| !t.contains('$'))) {
        // Without a line end it rejects a blank at the end.
        let text = text + "\n";
        let Ok(document) = Document::parse(text.clone().into_bytes(), PORTABLE) else { return Ok(()) };
        if document.misread().iter().any(|(_, readers)| readers.contains(&"dotenvy")) {
            return Ok(());
        }
        prop_assert_eq!(dotenvy(&document)?, document.variables(), "{:?}", text);
    }

    #[test]
    fn dotenvy_reads_what_is_written(values in proptest::collection::vec(any_value(), 1..8)) {
        let mut document = Document::empty();
        for (i, value) in values.iter().enumerate().filter(|(_, value)| !value.contains('$')) {
            let _ = document.set(&key(&format!("K{i}")), &Secret::from(value.as_str()));
        }
        prop_assert_eq!(dotenvy(&document)?, document.variables());
    }
}

/// What dotenvy reads.
fn dotenvy(document: &Document) -> Result<Variables, TestCaseError> {
    let pairs = dotenvy::from_read_iter(document.print().as_slice()).collect::<Result<Vec<_>, _>>();
    let pairs = pairs.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    Ok(pairs.into_iter().map(|(name, value)| (key(&name), Secret::from(value))).collect())
}

/// xorshift64*: the same cases on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

const SEED: &str = "\u{feff}# top 'x\r\nA=1\r\nexport  B = \"two \\\"words\\\"\" # c\n\n\tC='it\nis' \nD=`x`#y\nE= # none\nA=é$X\nF=\"a\\nb\"";

/// Random bytes, and a valid file with some bytes and pieces changed. Returns how many were documents, and how many of
/// those took the edit.
fn fuzz(cases: usize) -> (usize, usize) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut documents, mut edits) = (0, 0);
    for case in 0..cases {
        let mut bytes = if case % 4 == 0 { Vec::new() } else { SEED.as_bytes().to_vec() };
        for _ in 0..dice.below(if bytes.is_empty() { 40 } else { 5 }) {
            let at = dice.below(bytes.len() + 1);
            match dice.below(5) {
                0 => bytes.insert(at, dice.below(256) as u8),
                1 => drop(bytes.splice(at..at, SPECIAL[dice.below(SPECIAL.len())].bytes())),
                2 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
                3 => drop(bytes.drain(at..(at + dice.below(4)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + dice.below(12)).min(bytes.len())].to_vec();
                    let to = dice.below(bytes.len() + 1);
                    drop(bytes.splice(to..to, piece));
                }
            }
        }
        let value: String = (0..dice.below(5)).map(|_| SPECIAL[dice.below(SPECIAL.len())]).collect();
        let (document, edit) = laws(&bytes, dice.below(8), &value);
        documents += usize::from(document);
        edits += usize::from(edit);
    }
    (documents, edits)
}

#[test]
fn no_bytes_break_the_laws() {
    let (documents, edits) = fuzz(10_000);
    // The cases are worth something only while many of them are documents.
    assert!(documents > 2_000 && edits > 1_000, "{documents} documents, {edits} edits");
}

#[test]
#[ignore = "ten million cases take minutes, even in a release build"]
fn ten_million_inputs_break_no_law() {
    let (documents, edits) = fuzz(10_000_000);
    assert!(documents > 2_000_000 && edits > 1_000_000, "{documents} documents, {edits} edits");
}

mod dialects;
