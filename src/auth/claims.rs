//! What an identity token says of itself, for diagnostics: nothing is decided by it but whether it is over, because its
//! signature is for the cloud to look at.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The most that is shown of one claim, in characters: a subject holds at most some hundred.
const SHOWN: usize = 300;
/// The most audiences that are shown.
const AUDIENCES: usize = 5;

/// What a token says of itself; absent where it does not say it, or not in the form that the
/// [registered claims](https://www.rfc-editor.org/rfc/rfc7519#section-4.1) have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// `iss`.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// `aud`, one or several.
    pub audience: Vec<String>,
    /// `exp`, in seconds since 1970.
    pub expires: Option<i64>,
}

impl Claims {
    /// Looks into a token; `None` where its form is not that of a signed one (three parts in base64).
    #[must_use]
    pub fn peek(jwt: &str) -> Option<Self> {
        let parts: Vec<&str> = jwt.split('.').collect();
        let base64 = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'='))
        };
        let [_, claims, _] = parts.as_slice() else { return None };
        if !parts.iter().all(base64) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).unwrap_or_default();
        let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let audience = match &json["aud"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        // Some issuers write a number with a fraction; a cast of one that is too large gives the largest.
        #[allow(clippy::cast_possible_truncation, reason = "a fraction of a second is not shown")]
        let expires = json["exp"].as_i64().or_else(|| json["exp"].as_f64().map(|seconds| seconds as i64));
        Some(Self { issuer: text("iss"), subject: text("sub"), audience, expires })
    }

    /// How long the token has been over at `now` (seconds since 1970), in seconds; `None` where it is not, or does not say.
    #[must_use]
    pub fn over_since(&self, now: i64) -> Option<i64> {
        self.expires.map(|expires| now.saturating_sub(expires)).filter(|since| *since >= 0)
    }

    /// The claims on one line that is safe to show: `iss …, sub …, aud …, exp 2026-11-22T21:40:04Z (12 s ago)`.
    #[must_use]
    pub fn shown(&self) -> String {
        self.shown_at(now())
    }

    fn shown_at(&self, now: i64) -> String {
        let one = |claim: &Option<String>| claim.as_deref().map_or_else(|| "missing".to_owned(), shown);
        let mut audience: Vec<String> = self.audience.iter().take(AUDIENCES).map(|one| shown(one)).collect();
        if self.audience.len() > AUDIENCES {
            audience.push("…".to_owned());
        }
        let audience = if audience.is_empty() { "missing".to_owned() } else { audience.join(" and ") };
        let expires = self.expires.map_or_else(|| "missing".to_owned(), |expires| time(expires, now));
        format!("iss {}, sub {}, aud {audience}, exp {expires}", one(&self.issuer), one(&self.subject))
    }
}

/// A claim that is safe to show, and to paste into a trust condition: printable ASCII as it is, with `"` and `\` as JSON
/// wants them; all else as `\u{…}`, so that nothing hides or looks like something else; cut where it is too long.
#[must_use]
pub fn shown(claim: &str) -> String {
    let mut text = String::new();
    for c in claim.chars().take(SHOWN) {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' ' => text.push(c),
            c if c.is_ascii_graphic() => text.push(c),
            // Writing to a string cannot fail.
            c => drop(write!(text, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    if claim.chars().nth(SHOWN).is_some() {
        text.push('…');
    }
    if text.trim().is_empty() { format!("\"{text}\"") } else { text }
}

/// The time of a clock and how far it is away, as in `2026-11-22T21:40:04Z (12 s ago)`.
fn time(at: i64, now: i64) -> String {
    let away = now.saturating_sub(at);
    let away = if away >= 0 { format!("{away} s ago") } else { format!("in {} s", away.unsigned_abs()) };
    match date(at) {
        Some(date) => format!("{date} ({away})"),
        None => format!("{at} ({away})"),
    }
}

/// A date of this age of the world, in UTC ([RFC 3339](https://www.rfc-editor.org/rfc/rfc3339)).
fn date(seconds: i64) -> Option<String> {
    // Until the end of the year 9999.
    if !(0..=253_402_300_799).contains(&seconds) {
        return None;
    }
    let (mut day, rest) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    Some(format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", day + 1))
}

/// In seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jwt(claims: &str) -> String {
        format!("eyJhbGciOiJSUzI1NiJ9.{}.ZmFrZQ", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn peek_is_lenient_and_knows_what_is_no_token() {
        let usual = json!({"iss": "https://i", "sub": "s", "aud": "a", "exp": 100}).to_string();
        let claims = Claims::peek(&jwt(&usual)).unwrap();
        assert_eq!((claims.issuer.as_deref(), claims.subject.as_deref()), (Some("https://i"), Some("s")));
        assert_eq!((claims.audience, claims.expires), (vec!["a".to_owned()], Some(100)));
        let several = Claims::peek(&jwt(r#"{"aud":["a",1,"b"],"exp":1e2}"#)).unwrap();
        assert_eq!((several.audience, several.expires), (vec!["a".to_owned(), "b".to_owned()], Some(100)));
        for odd in ["", "[]", "{", "7", r#"{"iss":1,"sub":null,"aud":{},"exp":"soon"}"#, "\u{0}"] {
            let token = format!("e30.{}.ZmFrZQ==", URL_SAFE_NO_PAD.encode(format!("{odd} ")));
            assert_eq!(Claims::peek(&token), Some(Claims::default()), "{odd}");
        }
        for none in ["", "hunter2-fake", "a.b", "a..c", ".a.b", "a.b.c.d.e", "$AWS_ID_TOKEN", "a.b c.d", "a.ü.c"] {
            assert_eq!(Claims::peek(none), None, "{none}");
        }
    }

    #[test]
    fn shown_is_one_line_whatever_the_token_says() {
        let rows = [
            (
                r#"{"iss":"https://i","sub":"repo:o/a:ref:refs/heads/main","aud":"x","exp":1795383604}"#,
                "iss https://i, sub repo:o/a:ref:refs/heads/main, aud x, exp 2026-11-22T21:40:04Z (12 s ago)",
            ),
            (
                r#"{"aud":["a","b"],"exp":1795383626}"#,
                "iss missing, sub missing, aud a and b, exp 2026-11-22T21:40:26Z (in 10 s)",
            ),
            (
                r#"{"iss":"","sub":"a\n::add-mask::b\r\"\\","exp":-1}"#,
                r#"iss "", sub a\u{a}::add-mask::b\u{d}\"\\, aud missing, exp -1 (1795383617 s ago)"#,
            ),
            (
                r#"{"sub":"\u202ea\u00e4","aud":["1","2","3","4","5","6"],"exp":9223372036854775807}"#,
                r"iss missing, sub \u{202e}a\u{e4}, aud 1 and 2 and 3 and 4 and 5 and …, exp 9223372036854775807 (in 9223372035059392191 s)",
            ),
        ];
        for (claims, expected) in rows {
            assert_eq!(Claims::peek(&jwt(claims)).unwrap().shown_at(1_795_383_616), expected, "{claims}");
        }
        let long = json!({"sub": "\n".repeat(100_000), "iss": "i".repeat(100_000)}).to_string();
        let text = Claims::peek(&jwt(&long)).unwrap().shown();
        assert!(text.len() < 3000 && text.contains('…') && !text.contains('\n'), "{}", text.len());
    }

    #[test]
    fn date_table() {
        for (seconds, expected) in [
            (0, Some("1970-01-01T00:00:00Z")),
            (951_782_399, Some("2000-02-28T23:59:59Z")),
            (951_782_400, Some("2000-02-29T00:00:00Z")),
            (951_868_800, Some("2000-03-01T00:00:00Z")),
            (1_735_689_599, Some("2024-12-31T23:59:59Z")),
            (4_107_542_400, Some("2100-03-01T00:00:00Z")),
            (253_402_300_799, Some("9999-12-31T23:59:59Z")),
            (253_402_300_800, None),
            (-1, None),
        ] {
            assert_eq!(date(seconds).as_deref(), expected, "{seconds}");
        }
    }

    #[test]
    fn a_token_is_over_from_the_second_it_says() {
        let claims = Claims { expires: Some(100), ..Claims::default() };
        assert_eq!([99, 100, 160].map(|now| claims.over_since(now)), [None, Some(0), Some(60)]);
        assert_eq!(Claims::default().over_since(i64::MAX), None);
    }
}
