//! Small requests of our own, such as the exchanges of a login: sent again by one policy, answered whole.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use azure_core::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::retry::{Pace, Pauses, Policy, Retry, retry_after};
use super::{ATTEMPT_TIMEOUT, causes};

/// For requests to those who hand out tokens: these are repeatable, and everything else waits for them.
pub const LOGIN: Policy = Policy {
    attempts: 5,
    pauses: Pauses {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(8),
        share: (0.0, 1.0),
        least: Duration::ZERO,
        asked: Duration::from_secs(30),
    },
    budget: Duration::from_secs(60),
    connecting: Duration::from_secs(10),
    throttled: None,
};

/// A whole answer, whatever its status. What it says may be a secret.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, cut off where it is longer than any that is expected.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// No answer, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Of the URL.
    pub host: String,
    /// What the transport says, on one line.
    pub cause: String,
    /// There is no such host, as far as the resolver knows.
    pub unknown_host: bool,
    /// The server may have got the request, and acted.
    pub sent: bool,
    /// It was given up after a while, and may still be under way.
    pub pending: bool,
}

impl Unreached {
    /// What became of a request to this host.
    #[must_use]
    pub fn new(host: &str, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let connecting = error.is_connect() || error.is_builder();
        let late = error.is_timeout();
        let cause = if late { "no answer in time".to_owned() } else { causes(&error) };
        let unknown_host = connecting && cause.contains("dns error");
        Self { host: host.to_owned(), cause, unknown_host, sent: !connecting, pending: late && !connecting }
    }
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl Error for Unreached {}

/// Sends a repeatable request until an answer comes that is no passing failure, or the policy ends; then the last answer
/// is given as it is. Each attempt has [`ATTEMPT_TIMEOUT`].
///
/// # Errors
/// [`Unreached`] where the last attempt brought no whole answer.
pub async fn send(client: &reqwest::Client, request: &reqwest::Request, policy: Policy) -> Result<Answer, Unreached> {
    let begun = Instant::now();
    let mut pace = Pace::new(policy);
    loop {
        let outcome = attempt(client, request).await;
        let (retry, asked) = match &outcome {
            Ok(answer) => {
                let asked = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let asked = asked.and_then(|value| retry_after(value, SystemTime::now()));
                (Retry::of_status(answer.status), asked)
            }
            Err(unreached) if unreached.sent => (Retry::Unknown, None),
            Err(_) => (Retry::NotSent, None),
        };
        match pace.pause(retry, asked, begun.elapsed(), fastrand::f64()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return outcome,
        }
    }
}

/// After this without any answer there is nobody to answer.
pub const NOBODY: Duration = Duration::from_secs(3);

/// As [`send`] by [`LOGIN`], to what may not be there at all, such as the metadata service of a machine: who answers, however
/// badly, is there, and has the time that every login has.
///
/// # Errors
/// `Err` with the cause where nobody has answered within [`NOBODY`]; inside, [`Unreached`] as of [`send`].
pub async fn send_if_there(
    client: &reqwest::Client,
    request: &reqwest::Request,
) -> Result<Result<Answer, Unreached>, String> {
    // An answer ends it, whatever it says; a refused connection is tried again while there is time.
    let probe = Policy { budget: Duration::ZERO, connecting: NOBODY, ..LOGIN };
    match tokio::time::timeout(NOBODY, send(client, request, probe)).await {
        Ok(Ok(answer)) if Retry::of_status(answer.status) == Retry::Never => Ok(Ok(answer)),
        Ok(Err(unreached)) if !unreached.sent => Err(unreached.cause),
        Ok(_) => Ok(send(client, request, LOGIN).await),
        Err(_) => Err(format!("no answer within {} seconds", NOBODY.as_secs())),
    }
}

async fn attempt(client: &reqwest::Client, request: &reqwest::Request) -> Result<Answer, Unreached> {
    let host = request.url().host_str().unwrap_or_default();
    let Some(mut request) = request.try_clone() else {
        let cause = "a streaming body cannot be sent".to_owned();
        return Err(Unreached { host: host.to_owned(), cause, unknown_host: false, sent: false, pending: false });
    };
    *request.timeout_mut() = Some(ATTEMPT_TIMEOUT);
    let sent = async {
        let answer = client.execute(request).await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        // Whole, so that an answer that breaks off can be asked for again.
        Ok(Answer { status, headers, body: super::body(answer).await? })
    };
    sent.await.map_err(|error| Unreached::new(host, error))
}
