//! One request of a login: sent again while the service only stumbles, and read without ever showing what was answered.

use std::time::Duration;

use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::error::{Failure, Kind};
use crate::http::retry::Retry;
use crate::http::send::{Answer, LOGIN, Unreached, send, send_if_there};

/// Whom a login asks.
pub(super) struct Hop {
    /// Such as "the Security Token Service of Google".
    pub(super) name: &'static str,
    /// What to check where it is not what answers.
    pub(super) check: &'static str,
}

/// A request that may be sent more than once.
pub(super) struct Request<'a> {
    pub(super) url: &'a str,
    pub(super) headers: HeaderMap,
    /// Posted where it is there.
    pub(super) json: Option<Value>,
}

/// An answer that is not a matter of time.
pub(super) struct Reply(pub(super) Answer);

/// What of an error may be used. `text` is for telling cases apart, and never shown: it may quote what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// `invalid_grant`, `PERMISSION_DENIED`.
    pub(super) code: String,
    /// Google's own reason for it, where there is one.
    pub(super) reason: String,
    /// In lower case.
    pub(super) text: String,
}

impl Told {
    /// ` (PERMISSION_DENIED, IAM_PERMISSION_DENIED)`.
    pub(super) fn words(&self) -> String {
        if self.reason.is_empty() { format!(" ({})", self.code) } else { format!(" ({}, {})", self.code, self.reason) }
    }
}

impl Reply {
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.0.body).ok()
    }

    /// The error of OAuth ([RFC 6749, 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)) or of Google's APIs
    /// ([AIP-193](https://google.aip.dev/193)); `None` for anything else.
    pub(super) fn told(&self) -> Option<Told> {
        let json = self.json()?;
        let error = &json["error"];
        let (code, text) = match error {
            Value::String(code) => (code.as_str(), json["error_description"].as_str()),
            _ => (error["status"].as_str()?, error["message"].as_str()),
        };
        let reasons = error["details"].as_array().into_iter().flatten();
        let reason = reasons.filter_map(|detail| detail["reason"].as_str()).find(|reason| is_word(reason));
        is_word(code).then(|| Told {
            code: code.to_owned(),
            reason: reason.unwrap_or_default().to_owned(),
            text: text.unwrap_or_default().to_lowercase(),
        })
    }
}

impl Hop {
    /// Asks until there is an answer that time does not change.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where there is none.
    pub(super) async fn ask(&self, http: &reqwest::Client, request: Request<'_>) -> Result<Reply, Failure> {
        let sent = self.request(&request)?;
        let answer = send(http, &sent, LOGIN).await;
        self.reply(request.url, answer)
    }

    /// As [`Hop::ask`], of what may not be there at all.
    ///
    /// # Errors
    /// `Err` with the cause where nobody answers within three seconds; inside, as of [`Hop::ask`].
    pub(super) async fn ask_if_there(
        &self,
        http: &reqwest::Client,
        request: Request<'_>,
    ) -> Result<Result<Reply, Failure>, String> {
        let sent = match self.request(&request) {
            Ok(sent) => sent,
            Err(failure) => return Ok(Err(failure)),
        };
        Ok(self.reply(request.url, send_if_there(http, &sent).await?))
    }

    fn request(&self, request: &Request<'_>) -> Result<reqwest::Request, Failure> {
        let method = if request.json.is_some() { Method::POST } else { Method::GET };
        let url = request.url.parse().map_err(|_| self.unreached(request.url, "its URL is none"))?;
        let mut sent = reqwest::Request::new(method, url);
        *sent.headers_mut() = request.headers.clone();
        if let Some(json) = &request.json {
            sent.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *sent.body_mut() = Some(json.to_string().into());
        }
        Ok(sent)
    }

    fn reply(&self, url: &str, answer: Result<Answer, Unreached>) -> Result<Reply, Failure> {
        let answer = answer.map_err(|unreached| self.unreached(url, &unreached.cause))?;
        if Retry::of_status(answer.status) != Retry::Never {
            return Err(self.failed(answer.status));
        }
        Ok(Reply(answer))
    }

    fn unreached(&self, url: &str, why: &str) -> Failure {
        let what = format!("couldn't reach {} at `{}` for the login: {why}", self.name, host(url));
        Failure::new(Kind::Unavailable, what)
            .help(format!("check {}, the proxy variables, and that the host can be reached from here", self.check))
    }

    fn failed(&self, status: u16) -> Failure {
        Failure::new(Kind::Unavailable, format!("{} failed the login with HTTP status {status}", self.name)).help(
            format!("run it again later; if it stays so, look at {} and at the health of the service", self.check),
        )
    }

    /// The answer is none of this service.
    pub(super) fn foreign(&self, url: &str, reply: &Reply) -> Failure {
        let what = format!(
            "what answered the login at `{}` with HTTP status {} is not {}, or its answer is broken",
            host(url),
            reply.0.status,
            self.name
        );
        Failure::new(Kind::Unavailable, what).help(format!("check {} and the proxy variables", self.check))
    }
}

/// How long a token lasts: a number of seconds, or the text of one. Where it is neither, a time that every token lasts.
pub(super) fn lifetime(json: &Value) -> Duration {
    /// A job's token on GitHub is good for five minutes, and Google's is for no longer.
    const SHORTEST: u64 = 300;
    let seconds = &json["expires_in"];
    Duration::from_secs(seconds.as_u64().or_else(|| seconds.as_str()?.parse().ok()).unwrap_or(SHORTEST))
}

/// Codes and reasons are words in one case; anything else is none of them, and may be what was sent.
fn is_word(text: &str) -> bool {
    let all = |allowed: fn(&u8) -> bool| text.bytes().all(|byte| byte == b'_' || allowed(&byte));
    (1..=63).contains(&text.len())
        && (all(u8::is_ascii_lowercase) || all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()))
}

/// The host of a URL, with its port where it has one.
pub(super) fn host(url: &str) -> String {
    let uri = url.parse::<http::Uri>().ok();
    let authority = uri.as_ref().and_then(|uri| uri.authority()).map(|authority| authority.as_str());
    authority.and_then(|text| text.rsplit('@').next()).unwrap_or("an unknown host").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(body: &str) -> Option<Told> {
        Reply(Answer { status: 400, headers: HeaderMap::new(), body: body.to_owned().into() }).told()
    }

    #[test]
    fn a_lifetime_is_a_number_or_its_text_and_never_endless() {
        let rows = [
            (json!(3599), 3599),
            (json!("3599"), 3599),
            (json!(0), 0),
            (json!(-1), 300),
            (json!("soon"), 300),
            (json!(null), 300),
            (json!(1e300), 300),
            (json!(u64::MAX), u64::MAX),
        ];
        for (value, seconds) in rows {
            assert_eq!(lifetime(&json!({"expires_in": value})).as_secs(), seconds, "{value}");
        }
        assert_eq!(lifetime(&Value::Null).as_secs(), 300);
    }

    #[test]
    fn both_forms_of_an_error_are_read() {
        let oauth = told(r#"{"error":"invalid_grant","error_description":"The Audience in ID Token [x]"}"#).unwrap();
        assert_eq!((oauth.words().as_str(), oauth.text.as_str()), (" (invalid_grant)", "the audience in id token [x]"));
        let api = told(
            r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"No.","details":[{"reason":"IAM_PERMISSION_DENIED"}]}}"#,
        );
        assert_eq!(api.unwrap().words(), " (PERMISSION_DENIED, IAM_PERMISSION_DENIED)");
    }

    #[test]
    fn what_may_be_a_secret_is_no_code() {
        for body in [
            r#"{"error":"eyJfake.eyJfake.fake"}"#,
            r#"{"error":"MixedCaseToken"}"#,
            r#"{"error":{"status":"ya29-fake"}}"#,
            "<html>",
            "[]",
            r#"{"error":""}"#,
        ] {
            assert_eq!(told(body), None, "{body}");
        }
        let told = told(r#"{"error":{"status":"NOT_FOUND","details":[{"reason":"hunter2 Fake"}]}}"#).unwrap();
        assert_eq!(told.words(), " (NOT_FOUND)");
    }

    #[test]
    fn a_host_is_all_that_is_shown_of_a_url() {
        assert_eq!(host("https://u:fake@a.example:8443/p?token=fake"), "a.example:8443");
        assert_eq!(host("no url"), "an unknown host");
    }
}
