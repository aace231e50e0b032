//! Text that is safe to print: foreign text made visible, and the escapes of commands and Markdown.

use std::fmt::Write as _;

/// One line in which nothing hides: line ends, control characters, escapes and characters without a width or with a
/// direction of their own become `\n` or `\u{1b}`; what a runner would take for a command is broken up.
///
/// The runner looks for `::` at the start of a line and for `##[` anywhere in it, and its comparison ignores format
/// characters (`ActionCommand.cs`), which is why those are replaced first.
pub(super) fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if hides(c) => {
                // Writing to a string cannot fail.
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    let start = line.len() - line.trim_start().len();
    if line[start..].starts_with("::") {
        line.insert(start + 1, ' ');
    }
    if line.contains("##[") { line.replace("##[", "## [") } else { line }
}

fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The data of a command, after the second `::`: the percent sign first, because the runner undoes it last.
pub(super) fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command, between its name and the second `::`.
pub(super) fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Clean text that Markdown and HTML show as it is, also in a cell of a table.
pub(super) fn markdown(text: &str) -> String {
    let text: Vec<char> = clean(text).chars().collect();
    let mut escaped = String::with_capacity(text.len());
    for (i, c) in text.iter().enumerate() {
        // Between two letters an underscore emphasises nothing, and escaped it would spoil a search for the name.
        let inside = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '_' if inside(i.checked_sub(1)) && inside(Some(i + 1)) => escaped.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(*c);
            }
            c => escaped.push(*c),
        }
    }
    escaped
}

/// Clean text as a code span of Markdown, where nothing of it is taken for a link, a mention or an emphasis. In the cell of a
/// table a `|` has to be escaped on top of that.
pub(super) fn code(text: &str) -> String {
    let text = clean(text);
    let mut fence = "`".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    // A blank that is taken off again keeps a backtick apart from the fence.
    let apart = if text.is_empty() || text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{apart}{text}{apart}{fence}")
}

/// A sentence of ours as Markdown: what stands between two backticks is a code span, all else is shown as it is.
pub(super) fn prose(text: &str) -> String {
    let mut parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // Not in pairs, so that nobody knows which of them is foreign.
        parts = vec![text];
    }
    parts.iter().enumerate().map(|(i, part)| if i % 2 == 0 { markdown(part) } else { code(part) }).collect()
}

/// At most `limit` UTF-16 units, the measure of the runner (.NET); what is cut ends in `…`.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return text.to_owned();
    }
    let mut left = limit.saturating_sub(1);
    let fits = |c: &char| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(c.len_utf16());
        fits
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

/// Names in backticks with commas; after `most` of them, how many more there are.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.len() > most {
        let more = names.len() - most;
        names.truncate(most);
        return format!("{} and {more} more", names.join(", "));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_table() {
        let rows = [
            ("plain `name` 100 %, ä 值", "plain `name` 100 %, ä 值"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("::add-mask::x", ": :add-mask::x"),
            (" \u{a0}::debug::x", " \u{a0}: :debug::x"),
            ("a ::debug::x", "a ::debug::x"),
            ("a ##[error]b ##[debug]", "a ## [error]b ## [debug]"),
            ("###[error]", "### [error]"),
            ("\u{1b}[31mred\0\u{85}", "\\u{1b}[31mred\\u{0}\\u{85}"),
            ("a\u{202e}b\u{2028}c\u{feff}", "a\\u{202e}b\\u{2028}c\\u{feff}"),
            // Ignored by the runner's comparison: must not glue a command together.
            ("\u{200b}::debug::x", "\\u{200b}::debug::x"),
            ("#\u{ad}#[debug]x", "#\\u{ad}#[debug]x"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn command_escapes() {
        assert_eq!(data("%0A 100%\r\n::a,b"), "%250A 100%25%0D%0A::a,b");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }

    #[test]
    fn markdown_shows_what_it_is_given() {
        assert_eq!(
            markdown("a|b <img src=x> `c` [d](e) *f* &g;"),
            "a\\|b &lt;img src=x&gt; \\`c\\` \\[d\\](e) \\*f\\* &amp;g;"
        );
        assert_eq!(markdown("DB_URL_1 _x_ __"), "DB_URL_1 \\_x\\_ \\_\\_");
        assert_eq!(markdown("a\n| b"), "a\\\\n\\| b");
    }

    #[test]
    fn a_code_span_holds_whatever_it_is_given() {
        let rows = [
            ("prod/app_*", "`prod/app_*`"),
            ("a`b", "``a`b``"),
            ("`a``b", "``` `a``b ```"),
            (" a ", "`  a  `"),
            ("a\nb<i>|", "`a\\nb<i>|`"),
        ];
        for (text, expected) in rows {
            assert_eq!(code(text), expected, "{text:?}");
        }
    }

    #[test]
    fn backticks_in_pairs_are_code_and_others_are_shown() {
        assert_eq!(prose("the secret `a_*` is *gone*"), "the secret `a_*` is \\*gone\\*");
        assert_eq!(prose("the secret `a` b` is <gone>"), "the secret \\`a\\` b\\` is &lt;gone&gt;");
    }

    #[test]
    fn shortened_counts_as_the_runner_does() {
        assert_eq!(shortened("abcd", 4), "abcd");
        assert_eq!(shortened("abcde", 4), "abc…");
        assert_eq!(shortened("🔑🔑🔑", 6), "🔑🔑🔑");
        assert_eq!(shortened("🔑🔑🔑", 5), "🔑🔑…");
        assert_eq!(shortened("🔑🔑🔑", 4), "🔑…");
    }

    #[test]
    fn list_says_how_many_it_leaves_out() {
        assert_eq!(list(["A", "B"].into_iter(), 2), "`A`, `B`");
        assert_eq!(list(["A", "B", "C"].into_iter(), 2), "`A`, `B` and 1 more");
    }
}
