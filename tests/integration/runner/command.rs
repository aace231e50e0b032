//! Workflow commands: `::name k=v,k=v::data` at the start of a line (v2) and `##[name k=v;k=v]data` anywhere in one (v1),
//! as `src/Runner.Common/ActionCommand.cs` reads them.

use std::collections::BTreeMap;

const REGISTERED: [&str; 16] = [
    "add-mask",
    "add-matcher",
    "remove-matcher",
    "add-path",
    "set-env",
    "set-output",
    "save-state",
    "debug",
    "warning",
    "error",
    "notice",
    "group",
    "endgroup",
    "echo",
    "stop-commands",
    // Registered only for the runner's own plug-ins; counted here, so that nobody prints it.
    "internal-set-repo-path",
];

/// A command that the runner recognises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As it was written; compared without case.
    pub name: String,
    /// Keys in lower case (the runner compares them without case), values unescaped; empty values are dropped.
    pub properties: BTreeMap<String, String>,
    /// Everything after the head, unescaped.
    pub data: String,
}

/// Whether the name is a command.
pub fn is_registered(name: &str) -> bool {
    REGISTERED.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The command in a line; `token` is the one that ends `stop-commands`, which is registered while it is awaited.
pub fn parse(line: &str, token: Option<&str>) -> Option<Command> {
    let known = |name: &str| is_registered(name) || token.is_some_and(|token| token.eq_ignore_ascii_case(name));
    parse_v2(line, known).or_else(|| parse_v1(line, known))
}

fn parse_v2(line: &str, known: impl Fn(&str) -> bool) -> Option<Command> {
    let rest = line.trim_start().strip_prefix("::")?;
    let (head, data) = rest.split_once("::")?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    known(name).then(|| Command {
        name: name.to_owned(),
        properties: pairs(properties.trim(), ',', unescape_property),
        data: unescape_data(data),
    })
}

fn parse_v1(line: &str, known: impl Fn(&str) -> bool) -> Option<Command> {
    let start = line.find("##[")? + 3;
    let (head, data) = line[start..].split_once(']')?;
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    known(name).then(|| Command {
        name: name.to_owned(),
        properties: pairs(properties, ';', unescape_v1),
        data: unescape_v1(data),
    })
}

fn pairs(text: &str, separator: char, unescape: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let pairs = text.split(separator).filter_map(|pair| {
        // .NET's Split drops empty entries, so leading and doubled `=` vanish.
        let (key, value) = pair.trim_start_matches('=').split_once('=')?;
        let value = value.trim_start_matches('=');
        (!value.is_empty()).then(|| (key.to_ascii_lowercase(), unescape(value)))
    });
    pairs.collect()
}

fn unescape_data(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

fn unescape_property(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
}

fn unescape_v1(text: &str) -> String {
    text.replace("%3B", ";").replace("%0D", "\r").replace("%0A", "\n").replace("%5D", "]").replace("%25", "%")
}

/// The line without what a culture-aware comparison may ignore (format and control characters). `ActionCommand.cs` looks
/// for `::` and `##[` by .NET's culture-aware overloads, so a program that prints foreign text must be safe this way too.
pub fn without_ignorable(line: &str) -> String {
    let ignorable = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
    };
    line.chars().filter(|c| !ignorable(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        parse(line, None).map_or_else(
            || "-".to_owned(),
            |c| {
                let properties: Vec<String> = c.properties.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{}({})[{}]", c.name, properties.join("|"), c.data)
            },
        )
    }

    #[test]
    fn commands_table() {
        let rows = [
            ("::add-mask::a::b ", "add-mask()[a::b ]"),
            ("  \u{a0}::debug::x", "debug()[x]"),
            ("text ::debug::x", "-"),
            ("::nonsense::x", "-"),
            ("::debug", "-"),
            ("::DEBUG::x", "DEBUG()[x]"),
            ("::error title=a%2Cb%3Ac,file=,line=1::m%0An%25", "error(line=1|title=a,b:c)[m\nn%]"),
            ("::error TITLE=a::m", "error(title=a)[m]"),
            ("::error::%250A", "error()[%0A]"),
            ("::error::%3A%zz", "error()[%3A%zz]"),
            ("text ##[error k=v%3Bw;l=m]x%5Dy", "error(k=v;w|l=m)[x]y]"),
            ("##[nonsense]x", "-"),
            ("##[error x", "-"),
            ("::nonsense::##[add-path]/p", "add-path()[/p]"),
            ("::set-env name=x::y", "set-env(name=x)[y]"),
            (":: add-mask::x", "-"),
            ("", "-"),
        ];
        for (line, expected) in rows {
            assert_eq!(shown(line), expected, "{line}");
        }
    }

    #[test]
    fn the_order_of_unescaping_is_the_runners() {
        // `%250A` is an escaped `%0A`: the percent sign comes last, so it does not become a line break.
        assert_eq!(unescape_data("%250D%250A"), "%0D%0A");
        assert_eq!(unescape_property("%253A"), "%3A");
    }

    #[test]
    fn a_stop_token_is_a_command_only_while_awaited() {
        assert!(parse("::tok::", None).is_none());
        assert!(parse("::TOK::", Some("tok")).is_some());
    }

    #[test]
    fn invisible_characters_do_not_hide_a_command() {
        assert!(parse(&without_ignorable("\u{200b}::de\u{ad}bug::x"), None).is_some());
    }
}
