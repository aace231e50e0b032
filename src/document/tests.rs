use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn key(name: &str) -> Key {
    Key::new(name).unwrap()
}

fn parsed(payload: &str) -> Document {
    Document::parse(&payload.into(), "_", false).map_err(|fault| fault.to_string()).unwrap()
}

fn fault(payload: &str) -> Fault {
    Document::parse(&payload.into(), "_", false).err().unwrap()
}

fn printed(document: &Document) -> String {
    document.print().expose().to_owned()
}

fn members(document: &Document) -> Vec<(String, String)> {
    document.members().into_iter().map(|(name, value)| (name, value.expose().to_owned())).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The payload after one variable was set.
fn set(payload: &str, name: &str, value: &str) -> String {
    let mut document = parsed(payload);
    document.set(&key(name), &value.into()).unwrap();
    printed(&document)
}

fn removed(payload: &str, names: &[&str]) -> String {
    let mut document = parsed(payload);
    for name in names {
        document.remove(&key(name));
    }
    printed(&document)
}

fn taken(payload: &str, path: &[&str]) -> Result<String, Fault> {
    let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
    member_at(&payload.into(), &path).map(|value| value.expose().to_owned())
}

#[test]
fn a_json_object_is_flattened() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("{}", &[]),
        (r#"{"B":"2","A":"1"}"#, &[("B", "2"), ("A", "1")]),
        (r#"{"a":{"B":{"c":"x"}},"d":"y"}"#, &[("a_B_c", "x"), ("d", "y")]),
        (
            r#"{"N":1e400,"M":1.10,"L":12345678901234567890,"Z":-0}"#,
            &[("N", "1e400"), ("M", "1.10"), ("L", "12345678901234567890"), ("Z", "-0")],
        ),
        (r#"{"T":true,"F":false,"U":null,"E":""}"#, &[("T", "true"), ("F", "false"), ("U", ""), ("E", "")]),
        (r#"{"A":[1, {"x" : "a b\" ]"} , [ ]]}"#, &[("A", r#"[1,{"x":"a b\" ]"},[]]"#)]),
        (r#"{"E":{},"F":{"G":{}}}"#, &[]),
        (r#"{"A":"\u0041\n\"\\\ud83d\ude00\u0000"}"#, &[("A", "A\n\"\\😀\0")]),
        (
            r#"{"a=b":"1","c\nd":"2","x::y":"3","":"4","\u0000":"5"}"#,
            &[("a=b", "1"), ("c\nd", "2"), ("x::y", "3"), ("", "4"), ("\0", "5")],
        ),
        ("\u{feff} \r\n{\"A\":\"1\"}\n", &[("A", "1")]),
    ];
    for (payload, expected) in rows {
        let document = parsed(payload);
        assert_eq!(members(&document), pairs(expected), "{payload}");
        assert_eq!(document.format(), Format::Json);
        assert_eq!(printed(&document), *payload);
    }
}

#[test]
fn the_separator_joins_nested_names() {
    let payload = Secret::from(r#"{"a":{"b":"1"},"a_b":"2"}"#);
    let document = Document::parse(&payload, "__", false).unwrap();
    assert_eq!(members(&document), pairs(&[("a__b", "1"), ("a_b", "2")]));
}

#[test]
fn what_is_no_document_is_refused_with_its_place() {
    let deep = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
    let rows = [
        ("", Fault::Empty),
        ("\u{feff} \r\n\t", Fault::Empty),
        ("# only a comment\n\n", Fault::Empty),
        ("hunter2-fake", Fault::Neither { line: 1 }),
        ("A=1\nhunter2-fake\nB=2\n", Fault::Neither { line: 2 }),
        ("-----BEGIN FAKE KEY-----\nc2VjcmV0\n-----END FAKE KEY-----\n", Fault::Neither { line: 1 }),
        ("c2VjcmV0=", Fault::Neither { line: 1 }),
        ("c2VjcmV0==\n", Fault::Neither { line: 1 }),
        ("A= \n", Fault::Neither { line: 1 }),
        ("[1,2]", Fault::NotObject { array: true }),
        ("\"fake\"", Fault::NotObject { array: false }),
        ("123456", Fault::NotObject { array: false }),
        ("null", Fault::NotObject { array: false }),
        ("[section]\nA=1", Fault::Neither { line: 1 }),
        ("{\"A\":\n  hunter2}", Fault::Broken { line: 2, column: 3, cut: false }),
        ("{\"A\":1,}", Fault::Broken { line: 1, column: 8, cut: false }),
        ("{\"A\":1} x", Fault::Broken { line: 1, column: 9, cut: false }),
        ("{\"A\":01}", Fault::Broken { line: 1, column: 7, cut: false }),
        ("{\"A\":\"fake", Fault::Broken { line: 1, column: 10, cut: true }),
        (r#"{"a":1,"b":2,"a":3}"#, Fault::Duplicate { path: "a".to_owned() }),
        (r#"{"x":{"\u0061":1,"a":{}}}"#, Fault::Duplicate { path: "x.a".to_owned() }),
        (r#"{"x":{"a.b":"\ud800"}}"#, Fault::Undecodable { path: "x.\"a.b\"".to_owned() }),
        (r#"{"x":{"\udc00":1}}"#, Fault::Undecodable { path: "x".to_owned() }),
        (
            r#"{"A_B":1,"A":{"B":2}}"#,
            Fault::Collision { name: "A_B".to_owned(), first: "A_B".to_owned(), second: "A.B".to_owned() },
        ),
        (&deep(129), Fault::Depth),
    ];
    for (payload, expected) in rows {
        assert_eq!(fault(payload), expected, "{payload}");
    }
    assert_eq!(members(&parsed(&deep(128))).len(), 1);
}

#[test]
fn faults_show_no_value_and_say_what_to_do() {
    let payloads = [
        "",
        "hunter2-fake",
        "hunter2=",
        "\"hunter2\"",
        "[\"hunter2\"]",
        "{hunter2",
        "{\"A\":hunter2}",
        "{\"A\":\"hunter2",
        "{\"A\":\"hunter2\u{1}\"}",
        r#"{"A":"hunter2\q"}"#,
        r#"{"A":"hunter2\ud800"}"#,
        r#"{"A":"hunter2","A":"hunter2"}"#,
        r#"{"A_B":"hunter2","A":{"B":"hunter2"}}"#,
    ];
    for payload in payloads {
        let fault = fault(payload);
        let shown = format!("{fault} / {} / {fault:?}", fault.help("prod/app"));
        assert!(!shown.contains("hunter2") && shown.contains("prod/app"), "{shown}");
    }
    assert!(Fault::Neither { line: 1 }.help("prod/app").contains("`NAME = prod/app`"));
    assert_eq!(fault(r#"{"A_B":1,"A":{"B":2}}"#).to_string(), "the members A_B and A.B both yield the variable A_B");
}

#[test]
fn hostile_nesting_is_judged_at_once() {
    // Without a bound this is a stack overflow, or work that grows with the square of the length.
    let open = r#"{"a":"#.repeat(64 * 1024 / 5);
    assert!(matches!(fault(&open), Fault::Broken { cut: true, .. }));
    let closed = format!("{open}1{}", "}".repeat(64 * 1024 / 5));
    assert_eq!(fault(&closed), Fault::Depth);
    assert_eq!(taken(&closed, &["a"]), Err(Fault::Depth));
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(40_000), "]".repeat(40_000));
    assert_eq!(fault(&arrays), Fault::Depth);
}

#[test]
fn setting_a_member_touches_only_its_bytes() {
    let rows = [
        // payload, name, value, expected
        (r#"{ "A" :"1" , "B": 2 }"#, "A", "x\"\\\n", r#"{ "A" :"x\"\\\n" , "B": 2 }"#),
        (r#"{"A":{"B" : {"C":"1"}},"D":1.10}"#, "A_B_C", "2", r#"{"A":{"B" : {"C":"2"}},"D":1.10}"#),
        (r#"{"A":1.10}"#, "A", "2.50", r#"{"A":2.50}"#),
        (r#"{"A":1}"#, "A", "1e400", r#"{"A":1e400}"#),
        (r#"{"A":1}"#, "A", "01", r#"{"A":"01"}"#),
        (r#"{"A":1}"#, "A", " 1", r#"{"A":" 1"}"#),
        (r#"{"A":1}"#, "A", "true", r#"{"A":"true"}"#),
        (r#"{"A":1}"#, "A", "", r#"{"A":""}"#),
        (r#"{"A":true}"#, "A", "false", r#"{"A":false}"#),
        (r#"{"A":true}"#, "A", "1", r#"{"A":"1"}"#),
        (r#"{"A":"1"}"#, "A", "2", r#"{"A":"2"}"#),
        (r#"{"A":null}"#, "A", "x", r#"{"A":"x"}"#),
        (r#"{"A":null}"#, "A", "null", r#"{"A":"null"}"#),
        (r#"{"A":[1]}"#, "A", "[1, 2]", r#"{"A":[1, 2]}"#),
        (r#"{"A":[1]}"#, "A", "[1, 2", r#"{"A":"[1, 2"}"#),
        (r#"{"A":[1]}"#, "A", "{}", r#"{"A":"{}"}"#),
        // Equal values change nothing, however they are written.
        (r#"{"A":"\u0041"}"#, "A", "A", r#"{"A":"\u0041"}"#),
        (r#"{"A": 1.10 }"#, "A", "1.10", r#"{"A": 1.10 }"#),
        (r#"{"A":null}"#, "A", "", r#"{"A":null}"#),
        (r#"{"A":[1, 2]}"#, "A", "[1,2]", r#"{"A":[1, 2]}"#),
        (r#"{"A":[1, 2]}"#, "A", "[ 1,2 ]", r#"{"A":[1, 2]}"#),
        // New members go to the end of the outermost object, in the style of the last one.
        ("{}", "A", "1", r#"{"A":"1"}"#),
        ("{ \n}\n", "A", "1", "{\"A\":\"1\"}\n"),
        (r#"{"A":1}"#, "B", "x", r#"{"A":1,"B":"x"}"#),
        (r#"{"A": 1}"#, "B", "x", r#"{"A": 1, "B": "x"}"#),
        (r#"{"A": 1, "C": 2}"#, "B", "x", r#"{"A": 1, "C": 2, "B": "x"}"#),
        (r#"{"A":{"B":1}}"#, "A_C", "x", r#"{"A":{"B":1},"A_C":"x"}"#),
        ("{\n\t\"A\": 1\n}\n", "B", "x", "{\n\t\"A\": 1,\n\t\"B\": \"x\"\n}\n"),
        ("{ \"A\" : 1\r\n, \"C\" : 2\r\n}", "B", "x", "{ \"A\" : 1\r\n, \"C\" : 2\r\n, \"B\" : \"x\"\r\n}"),
        ("\u{feff}{\"A\":1}", "B", "é\u{1}", "\u{feff}{\"A\":1,\"B\":\"é\\u0001\"}"),
    ];
    for (payload, name, value, expected) in rows {
        assert_eq!(set(payload, name, value), expected, "{name} in {payload}");
    }
}

#[test]
fn a_type_comes_back_with_a_value_that_fits_it() {
    let mut document = parsed(r#"{"A": 1.0}"#);
    for (value, expected) in [("x", r#"{"A": "x"}"#), ("2", r#"{"A": 2}"#), ("1.0", r#"{"A": 1.0}"#)] {
        document.set(&key("A"), &value.into()).unwrap();
        assert_eq!(printed(&document), expected);
    }
}

#[test]
fn an_array_is_shown_without_its_white_space() {
    let mut document = parsed(r#"{"A":[1],"B":"[1]"}"#);
    document.set(&key("A"), &"[1, 2]".into()).unwrap();
    assert_eq!(members(&document), members(&parsed(&printed(&document))));
}

#[test]
fn white_space_in_an_array_is_no_difference_between_two_sides() {
    let variables = |values: [&str; 3]| -> Variables {
        ["A", "B", "C"].into_iter().zip(values).map(|(name, value)| (key(name), value.into())).collect()
    };
    let mut giver = variables(["[1, 2]", "[1, 2]", "[x, y]"]);
    align(&mut giver, &variables(["[1,2]", "[1,3]", "[x,y]"]));
    assert_eq!(giver, variables(["[1,2]", "[1, 2]", "[x, y]"]));
}

#[test]
fn an_array_that_would_nest_too_deep_becomes_a_string() {
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let after = set(r#"{"A":[]}"#, "A", &deep);
    assert_eq!(after, format!("{{\"A\":\"{deep}\"}}"));
    assert_eq!(set(r#"{"A":[]}"#, "A", &deep[1..255]), format!("{{\"A\":{}}}", &deep[1..255]));
}

#[test]
fn a_new_variable_does_not_take_the_name_of_an_object() {
    let mut document = parsed(r#"{"A":{},"B":{"C":{}}}"#);
    let fault = document.set(&key("A"), &"hunter2".into()).unwrap_err();
    assert_eq!(fault, Fault::Shadowed { name: "A".to_owned() });
    // Neither a flattened name nor one further down is taken.
    document.set(&key("B_C"), &"x".into()).unwrap();
    document.set(&key("C"), &"y".into()).unwrap();
    assert_eq!(printed(&document), r#"{"A":{},"B":{"C":{}},"B_C":"x","C":"y"}"#);
}

#[test]
fn removing_keeps_the_rest_and_its_indentation() {
    let pretty = "{\n  \"A\": 1,\n  \"B\": {\n    \"C\": 2\n  },\n  \"D\": 3\n}\n";
    let rows: &[(&str, &[&str], &str)] = &[
        (r#"{"A":1,"B":2,"C":3}"#, &["B"], r#"{"A":1,"C":3}"#),
        (r#"{"A": 1, "B": 2}"#, &["A"], r#"{"B": 2}"#),
        (r#"{ "A": 1, "B": 2 }"#, &["B"], r#"{ "A": 1 }"#),
        (r#"{ "A": 1 }"#, &["A"], "{}"),
        (r#"{"A":1}"#, &["B"], r#"{"A":1}"#),
        (pretty, &["A"], "{\n  \"B\": {\n    \"C\": 2\n  },\n  \"D\": 3\n}\n"),
        (pretty, &["D"], "{\n  \"A\": 1,\n  \"B\": {\n    \"C\": 2\n  }\n}\n"),
        (pretty, &["B_C", "D"], "{\n  \"A\": 1,\n  \"B\": {}\n}\n"),
        ("{ \"A\": 1\n, \"B\": 2\n}", &["B"], "{ \"A\": 1\n}"),
        ("{ \"A\": 1\n, \"B\": 2\n}", &["A"], "{ \"B\": 2\n}"),
    ];
    for (payload, names, expected) in rows {
        assert_eq!(removed(payload, names), *expected, "{names:?} from {payload}");
    }
}

#[test]
fn what_was_removed_can_be_set_again() {
    let mut document = parsed("{\n  \"A\": 1\n}");
    document.remove(&key("A"));
    document.set(&key("B"), &"x".into()).unwrap();
    assert_eq!(printed(&document), "{\n  \"B\": \"x\"\n}");
    document.set(&key("A"), &"2".into()).unwrap();
    document.remove(&key("B"));
    assert_eq!(printed(&document), "{\n  \"A\": 2\n}");
    assert_eq!(members(&document), pairs(&[("A", "2")]));
}

#[test]
fn of_members_that_collide_the_last_one_can_win() {
    let payload = Secret::from(r#"{"A_B":1,"X":0,"A":{"B":"2"}}"#);
    let mut document = Document::parse(&payload, "_", true).unwrap();
    assert_eq!(members(&document), pairs(&[("A_B", "2"), ("X", "0")]));
    document.set(&key("A_B"), &"3".into()).unwrap();
    assert_eq!(printed(&document), r#"{"A_B":1,"X":0,"A":{"B":"3"}}"#);
    document.remove(&key("A_B"));
    assert_eq!(printed(&document), r#"{"X":0,"A":{}}"#);
    let twice = Secret::from(r#"{"A":1,"A":2}"#);
    assert_eq!(Document::parse(&twice, "_", true).err(), Some(Fault::Duplicate { path: "A".to_owned() }));
}

#[test]
fn dotenv_text_is_a_document_too() {
    let payload = "\u{feff}# fake\nA=1\n\nB=\"x y\"\n";
    let mut document = parsed(payload);
    assert_eq!(document.format(), Format::Dotenv);
    assert_eq!(members(&document), pairs(&[("A", "1"), ("B", "x y")]));
    assert_eq!(printed(&document), payload);
    document.set(&key("A"), &"2".into()).unwrap();
    document.set(&key("C"), &"3".into()).unwrap();
    document.remove(&key("B"));
    assert_eq!(printed(&document), "\u{feff}# fake\nA=2\n\nC=3\n");
}

#[test]
fn dotenv_text_that_we_wrote_is_recognised() {
    type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], &'static str);
    let rows: &[Row] = &[
        ("A=\nB=1\n", &["B"], &[("A", "")], "A=\"\"\n"),
        ("A= ==\nB=1\n", &["B"], &[("A", "==")], "A=\"==\"\n"),
        ("A===\nB=1", &["B"], &[("A", "==")], "A=\"==\"\n"),
        ("A=\nB=\n", &[], &[("A", ""), ("B", "")], "A=\nB=\n"),
    ];
    for (payload, names, expected, text) in rows {
        let after = removed(payload, names);
        assert_eq!(after, *text);
        assert_eq!(members(&parsed(&after)), pairs(expected));
    }
    let mut document = Document::empty(Format::Dotenv);
    document.set(&key("A"), &"".into()).unwrap();
    assert_eq!(members(&parsed(&printed(&document))), pairs(&[("A", "")]));
}

#[test]
fn a_document_can_change_its_format() {
    let json = parsed(r#"{"A":{"B":1.10},"C":[1, 2],"D":"x"}"#);
    let text = json.converted(Format::Dotenv).unwrap();
    assert_eq!(text.format(), Format::Dotenv);
    let variables = pairs(&[("A_B", "1.10"), ("C", "[1,2]"), ("D", "x")]);
    assert_eq!(members(&parsed(&printed(&text))), variables);
    let flat = text.converted(Format::Json).unwrap();
    assert_eq!(printed(&flat), r#"{"A_B":"1.10","C":"[1,2]","D":"x"}"#);
    assert_eq!(printed(&json.converted(Format::Json).unwrap()), printed(&json));
    let mut same = text.converted(Format::Dotenv).unwrap();
    assert_eq!(printed(&same), printed(&text));
    same.remove(&key("A_B"));
    assert_eq!(members(&text), variables);
    let bad = parsed(r#"{"a-b":"hunter2"}"#).converted(Format::Dotenv).err();
    assert_eq!(bad, Some(Fault::BadName { name: "a-b".to_owned() }));
}

#[test]
fn what_dotenv_cannot_carry_is_refused_by_name() {
    let refused = parsed("{\"A\":\"hunter2\\u0000\"}").converted(Format::Dotenv).err().unwrap();
    assert!(matches!(&refused, Fault::Unwritable { key, .. } if key.as_str() == "A"), "{refused}");
    assert!(!format!("{refused} {}", refused.help("prod/app")).contains("hunter2"));
}

#[test]
fn a_member_is_found_by_its_path() {
    let payload = "\u{feff}\n".to_owned()
        + r#"{"a":{"b":"p\u0041","c":[10,{"d":true}],"e":{ "f" : null }},"a.b":1.10,"x.y":{"z":"deep"},"g":{"h.i":"long"},
            "q.r":{"n":0},"q":{"r":{"s":"path"}},"":"empty","s":"text"}"#;
    let rows: &[(&[&str], Option<&str>)] = &[
        (&["a", "b"], Some("1.10")),
        (&["a.b"], Some("1.10")),
        (&["a", "c"], Some(r#"[10,{"d":true}]"#)),
        (&["a", "c", "0"], Some("10")),
        (&["a", "c", "1", "d"], Some("true")),
        (&["a", "c", "2"], None),
        (&["a", "c", "+1"], None),
        (&["a", "c", ""], None),
        (&["a", "e"], Some(r#"{"f":null}"#)),
        (&["a", "e", "f"], Some("")),
        (&["x", "y", "z"], Some("deep")),
        (&["g", "h", "i"], Some("long")),
        (&["q", "r", "s"], Some("path")),
        (&[""], Some("empty")),
        (&["A"], None),
        (&["s", "t"], None),
        (&["a", "b", "c"], None),
    ];
    for (path, expected) in rows {
        let missing = || Fault::NoMember { path: path.join(".") };
        assert_eq!(taken(&payload, path), expected.map(str::to_owned).ok_or_else(missing), "{path:?}");
    }
    assert_eq!(taken(r#"[{"a":"x"}]"#, &["0", "a"]).as_deref(), Ok("x"));
}

#[test]
fn a_member_is_refused_where_the_payload_is_no_json() {
    let rows = [
        ("", Fault::Empty),
        ("A=1\n", Fault::NotJson),
        ("hunter2", Fault::NotJson),
        ("\n{\"A\":", Fault::Broken { line: 2, column: 5, cut: true }),
        (r#"{"A":1,"A":2}"#, Fault::Duplicate { path: "A".to_owned() }),
        (r#"{"A":"\ud800"}"#, Fault::Undecodable { path: "A".to_owned() }),
        ("\"hunter2\"", Fault::NoMember { path: "A".to_owned() }),
    ];
    for (payload, expected) in rows {
        assert_eq!(taken(payload, &["A"]), Err(expected), "{payload}");
    }
}

/// A JSON text to come: raw leaves with the text that they stand for, and objects.
#[derive(Clone, Debug)]
enum Shape {
    Leaf(String, String),
    Object(Vec<Shape>),
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let same = |raw: &str| Shape::Leaf(raw.to_owned(), raw.to_owned());
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| Shape::Leaf(serde_json::Value::from(text.as_str()).to_string(), text)),
        Just(Shape::Leaf(r#""\u0041\/\ud83d\ude00""#.to_owned(), "A/😀".to_owned())),
        Just(Shape::Leaf("null".to_owned(), String::new())),
        Just(Shape::Leaf(r#"[ 1,"] \" [ " , {"k" : [ ]}]"#.to_owned(), r#"[1,"] \" [ ",{"k":[]}]"#.to_owned())),
        proptest::sample::select(vec!["true", "false", "0", "-1.50", "1e400", "123456789012345678901234567890"])
            .prop_map(same),
    ];
    let nested = leaf.prop_recursive(4, 40, 6, |inner| vec(inner, 0..6).prop_map(Shape::Object));
    vec(nested, 0..6).prop_map(Shape::Object)
}

/// Gaps to be used in turn.
fn any_gaps() -> impl Strategy<Value = Vec<String>> {
    vec("[ \t\r\n]{0,3}", 1..12)
}

struct Writer<'a> {
    gaps: std::iter::Cycle<std::slice::Iter<'a, String>>,
    /// The leaf that is written with other bytes.
    instead: Option<(&'a str, &'a str)>,
    leaves: Vec<(String, String)>,
}

impl Writer<'_> {
    fn gap(&mut self) -> String {
        self.gaps.next().cloned().unwrap_or_default()
    }

    /// Names count up, so that flattened ones are unique: `k0_k2_k1`.
    fn write(&mut self, shape: &Shape, name: &str) -> String {
        match shape {
            Shape::Leaf(raw, text) => {
                self.leaves.push((name.to_owned(), text.clone()));
                self.instead.filter(|(other, _)| *other == name).map_or(raw.clone(), |(_, raw)| raw.to_owned())
            }
            Shape::Object(members) => {
                let mut out = "{".to_owned() + &self.gap();
                for (i, member) in members.iter().enumerate() {
                    let inner = if name.is_empty() { format!("k{i}") } else { format!("{name}_k{i}") };
                    let comma = if i == 0 { String::new() } else { ",".to_owned() + &self.gap() };
                    out += &(comma + &format!("\"k{i}\"") + &self.gap() + ":" + &self.gap());
                    out += &(self.write(member, &inner) + &self.gap());
                }
                out + "}"
            }
        }
    }
}

/// The text of a shape, and its variables.
fn written(shape: &Shape, gaps: &[String], instead: Option<(&str, &str)>) -> (String, Vec<(String, String)>) {
    let mut writer = Writer { gaps: gaps.iter().cycle(), instead, leaves: Vec::new() };
    let (before, text) = (writer.gap(), writer.write(shape, ""));
    (before + &text + &writer.gap(), writer.leaves)
}

proptest! {
    #[test]
    fn an_untouched_document_prints_what_was_read(shape in any_shape(), gaps in any_gaps()) {
        let (text, leaves) = written(&shape, &gaps, None);
        let document = parsed(&text);
        prop_assert_eq!(members(&document), leaves);
        prop_assert_eq!(printed(&document), text);
    }

    #[test]
    fn setting_one_member_changes_no_other_byte(
        shape in any_shape(),
        gaps in any_gaps(),
        at: proptest::sample::Index,
        value in prop_oneof![any::<String>(), "-?[0-9]{1,3}(\\.[0-9]{1,2})?", "true|false|null|\\[1,2\\]"],
    ) {
        let (text, mut leaves) = written(&shape, &gaps, None);
        if leaves.is_empty() {
            return Ok(());
        }
        let (name, before) = leaves[at.index(leaves.len())].clone();
        let mut document = parsed(&text);
        document.set(&key(&name), &value.as_str().into()).unwrap();
        let after = printed(&document);
        // Its new bytes are a string, or the bare text where the type stays.
        let string = serde_json::Value::from(value.as_str()).to_string();
        let either = [string.as_str(), value.as_str()].map(|raw| written(&shape, &gaps, Some((&name, raw))).0);
        prop_assert!(if value == before { after == text } else { either.contains(&after) }, "{}\n{}", text, after);
        for leaf in leaves.iter_mut().filter(|leaf| leaf.0 == name) {
            leaf.1.clone_from(&value);
        }
        prop_assert_eq!(members(&document), leaves.clone());
        prop_assert_eq!(members(&parsed(&after)), leaves);
        document.set(&key(&name), &before.as_str().into()).unwrap();
        prop_assert_eq!(printed(&document), text);
    }

    #[test]
    fn removed_and_new_members_leave_the_others(
        shape in any_shape(),
        gaps in any_gaps(),
        gone in vec(any::<bool>(), 40),
        new in vec(any::<String>(), 0..3),
    ) {
        let (text, leaves) = written(&shape, &gaps, None);
        let mut document = parsed(&text);
        let mut left = Vec::new();
        for ((name, value), gone) in leaves.iter().zip(gone.iter().cycle()) {
            if *gone { document.remove(&key(name)) } else { left.push((name.clone(), value.clone())) }
        }
        for (i, value) in new.iter().enumerate() {
            document.set(&key(&format!("new{i}")), &value.as_str().into()).unwrap();
            left.push((format!("new{i}"), value.clone()));
        }
        prop_assert_eq!(members(&document), left.clone());
        prop_assert_eq!(members(&parsed(&printed(&document))), left);
    }

    #[test]
    fn what_we_wrote_reads_back(
        values in vec(prop_oneof![any::<String>(), "=*", "[a-z \\n\"'`#$\\\\]*"], 1..4),
        gone: proptest::sample::Index,
        format in proptest::sample::select(vec![Format::Json, Format::Dotenv]),
    ) {
        let mut document = Document::empty(format);
        let mut left = Vec::new();
        for (i, value) in values.iter().enumerate() {
            // Dotenv text refuses what it cannot carry, which is then not there.
            if document.set(&key(&format!("K{i}")), &value.as_str().into()).is_ok() {
                left.push((format!("K{i}"), value.clone()));
            }
        }
        if left.len() > 1 {
            let (name, _) = left.remove(gone.index(left.len()));
            document.remove(&key(&name));
        }
        if left.is_empty() {
            return Ok(());
        }
        prop_assert!(format == Format::Dotenv || left.len() + 1 >= values.len());
        prop_assert_eq!(members(&parsed(&printed(&document))), left);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[{}\\[\\]\":,= \\n\\\\u0-9a-dtruefalsnl#'\u{feff}]{0,40}", path in vec("[a0]?", 0..3)) {
        let payload = Secret::from(text.as_str());
        if let Ok(document) = Document::parse(&payload, "_", false) {
            prop_assert_eq!(printed(&document), text);
        }
        let _ = member_at(&payload, &path);
    }
}

#[test]
fn the_end_of_a_wrapped_value_is_no_name() {
    for payload in ["# note\nYWJjZGVmZ2hpamtsbW5vcA==\n", "KEY=aGVsbG8gd29ybGQ\naGVsbG9zZWNyZXQ=\n"] {
        assert_eq!(Document::parse(&payload.into(), "_", false).err(), Some(Fault::Neither { line: 2 }), "{payload}");
    }
    for payload in
        ["A=1\nYWJjZGVmZ2hpamtsbW5vcA=\"\"\n", "A=1\nmyLongVariableName=\n", "A=1\nDB_PASSWORD2=\n", "A=1\nshortA1=\n"]
    {
        assert!(Document::parse(&payload.into(), "_", false).is_ok(), "{payload}");
    }
}

#[test]
fn a_member_of_another_document_comes_where_it_was() {
    let rows = [
        // here, there, name, expected
        (
            r#"{"db": {"host": "h"}, "x": 1}"#,
            r#"{"db":{"port":5432}}"#,
            "db_port",
            r#"{"db": {"host": "h", "port": 5432}, "x": 1}"#,
        ),
        (
            r#"{"db":{"host":"h"}}"#,
            r#"{"db":{"tls":{"ca":"c"}}}"#,
            "db_tls_ca",
            r#"{"db":{"host":"h","tls":{"ca":"c"}}}"#,
        ),
        (r#"{"x":1}"#, r#"{"db":{"port":[1, 2]}}"#, "db_port", r#"{"x":1,"db":{"port":[1, 2]}}"#),
        ("{}", r#"{"db":{"a b":null}}"#, "db_a b", r#"{"db":{"a b":null}}"#),
        (r#"{"db":{}}"#, r#"{"db":{"port":1}}"#, "db_port", r#"{"db":{"port":1}}"#),
        (r#"{"x":1}"#, r#"{"y":2}"#, "y", r#"{"x":1,"y":2}"#),
        // A value stands on the way: the flattened name has to do.
        (r#"{"db":"text"}"#, r#"{"db":{"port":1}}"#, "db_port", r#"{"db":"text","db_port":1}"#),
        (
            r#"{"db":{"tls":"on"}}"#,
            r#"{"db":{"tls":{"ca":"c"}}}"#,
            "db_tls_ca",
            r#"{"db":{"tls":"on"},"db_tls_ca":"c"}"#,
        ),
    ];
    for (here, there, name, expected) in rows {
        let (mut document, from) = (parsed(here), parsed(there));
        document.graft(name, &from).unwrap();
        assert_eq!(document.print().expose(), expected, "{here} + {there}");
        let read = parsed(expected).members();
        assert_eq!(read.len(), document.members().len(), "{expected}");
        document.set(&Key::new("NEW").unwrap(), &"fake-new".into()).unwrap();
        assert!(Document::parse(&document.print(), "_", false).is_ok());
    }
}

#[test]
fn several_members_of_one_new_object_come_together() {
    let mut document = parsed(r#"{"x":1}"#);
    let from = parsed(r#"{"db":{"port":1,"tls":{"ca":"c"},"host":"h"}}"#);
    for name in ["db_port", "db_tls_ca", "db_host"] {
        document.graft(name, &from).unwrap();
    }
    assert_eq!(document.print().expose(), r#"{"x":1,"db":{"port":1,"tls":{"ca":"c"},"host":"h"}}"#);
    let shadowed = document.set(&Key::new("db").unwrap(), &"fake-db".into());
    assert_eq!(shadowed, Err(Fault::Shadowed { name: "db".into() }));
    document.remove(&Key::new("db_port").unwrap());
    document.set(&Key::new("db_host").unwrap(), &"g".into()).unwrap();
    assert_eq!(document.print().expose(), r#"{"x":1,"db":{"tls":{"ca":"c"},"host":"g"}}"#);
}
