//! When a failed request is sent again: one rule for all requests that are not the AWS SDK's, with figures for each host.
//! Pure; who asks knows what became of a request and sleeps.

use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// What a failure allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// It came too early; nothing was done.
    Throttled,
    /// It did not arrive; nothing was done.
    NotSent,
    /// It may go well the next time, and may have been done.
    Unknown,
}

impl Retry {
    /// For a request that fails with this status and may be repeated.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Throttled,
            // The server will not learn the method or the version (RFC 9110, 15.6).
            501 | 505 => Self::Never,
            408 | 500..=599 => Self::Unknown,
            _ => Self::Never,
        }
    }
}

/// The figures of one kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// How often it is sent, if it fails otherwise than by throttling.
    pub attempts: u32,
    /// The pauses between.
    pub pauses: Pauses,
    /// No attempt after a failure later than this, without the time that throttling took.
    pub budget: Duration,
    /// The same where the host cannot be connected to.
    pub connecting: Duration,
    /// How throttling is borne; `None`: as any other failure.
    pub throttled: Option<Throttled>,
}

/// How long throttling is borne, whatever the number of attempts.
#[derive(Clone, Copy, Debug)]
pub struct Throttled {
    /// The pauses between.
    pub pauses: Pauses,
    /// No pause ends later than this after the request was first sent.
    pub budget: Duration,
}

/// A pause is a share of a ceiling, which doubles from failure to failure.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The first ceiling.
    pub first: Duration,
    /// What it grows to at most.
    pub longest: Duration,
    /// The share, from where to where, by chance: from 0 to 1 is
    /// [full jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    pub share: (f64, f64),
    /// The least pause.
    pub least: Duration,
    /// The most that a server may ask for (`Retry-After`); it is not waited for longer.
    pub asked: Duration,
}

impl Pauses {
    /// The pause after this many failures before. On top of what is asked for comes up to `extra` of it by chance.
    fn after(&self, failures: u32, asked: Option<Duration>, extra: f64, chance: f64) -> Duration {
        let ceiling = self.first.saturating_mul(1 << failures.min(16)).min(self.longest);
        let own = ceiling.mul_f64(self.share.0 + (self.share.1 - self.share.0) * chance).max(self.least);
        asked.unwrap_or_default().min(self.asked).mul_f64(1.0 + extra * chance).max(own)
    }
}

/// How often one request has failed so far.
#[derive(Clone, Debug)]
pub struct Pace {
    policy: Policy,
    throttles: u32,
    /// The failures that were no throttling.
    faults: u32,
    /// The time that throttling took; other failures are given none the less for it.
    throttled: Duration,
}

impl Pace {
    /// Before the first attempt.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy, throttles: 0, faults: 0, throttled: Duration::ZERO }
    }

    /// How long to wait before the next attempt; `None` where there shall be none. `elapsed` is the time since the first
    /// attempt, `asked` what the server wants, `chance` lies between 0 and 1 and keeps those apart that failed together.
    pub fn pause(&mut self, retry: Retry, asked: Option<Duration>, elapsed: Duration, chance: f64) -> Option<Duration> {
        let budget = match (retry, self.policy.throttled) {
            (Retry::Never, _) => return None,
            (Retry::Throttled, Some(throttled)) => {
                // All were told the same, and would come back at once.
                let pause = throttled.pauses.after(self.throttles, asked, 0.25, chance);
                self.throttles += 1;
                self.throttled += pause;
                return (elapsed + pause <= throttled.budget).then_some(pause);
            }
            (Retry::NotSent, _) => self.policy.connecting,
            (Retry::Unknown | Retry::Throttled, _) => self.policy.budget,
        };
        let pause = self.policy.pauses.after(self.faults, asked, 0.0, chance);
        self.faults += 1;
        (self.faults < self.policy.attempts && elapsed.saturating_sub(self.throttled) < budget).then_some(pause)
    }
}

/// The wait that a `Retry-After` asks for: whole seconds, or a date
/// ([RFC 9110, 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)); `None` for a date that is over.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::try_from(DateTime::from_str(value, Format::HttpDate).ok()?).ok()?;
    date.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const PAUSES: Pauses =
        Pauses { first: ms(500), longest: ms(8000), share: (0.0, 1.0), least: ms(0), asked: ms(30_000) };
    const POLICY: Policy =
        Policy { attempts: 5, pauses: PAUSES, budget: ms(30_000), connecting: ms(2000), throttled: None };

    /// The pauses, in milliseconds, of a request that fails the same way each time and at once.
    fn pauses(policy: Policy, retry: Retry, asked: Option<Duration>, chance: f64) -> Vec<u128> {
        let (mut pace, mut elapsed, mut all) = (Pace::new(policy), Duration::ZERO, Vec::new());
        while let Some(pause) = pace.pause(retry, asked, elapsed, chance) {
            elapsed += pause;
            all.push(pause.as_millis());
        }
        all
    }

    #[test]
    fn pauses_table() {
        let throttled = Throttled { pauses: Pauses { least: ms(400), ..PAUSES }, budget: ms(5000) };
        let patient = Policy { throttled: Some(throttled), ..POLICY };
        type Row<'a> = (Policy, Retry, Option<Duration>, f64, &'a [u128]);
        let rows: [Row<'_>; 9] = [
            (POLICY, Retry::Unknown, None, 1.0, &[500, 1000, 2000, 4000]),
            (POLICY, Retry::Unknown, None, 0.0, &[0, 0, 0, 0]),
            (POLICY, Retry::Throttled, Some(ms(3000)), 0.5, &[3000, 3000, 3000, 3000]),
            (POLICY, Retry::Unknown, Some(ms(3_600_000)), 0.5, &[30_000]),
            (POLICY, Retry::NotSent, None, 1.0, &[500, 1000, 2000]),
            (POLICY, Retry::Never, None, 1.0, &[]),
            (patient, Retry::Throttled, None, 0.0, &[400; 12]),
            (patient, Retry::Throttled, Some(ms(2000)), 1.0, &[2500, 2500]),
            (patient, Retry::Unknown, None, 0.5, &[250, 500, 1000, 2000]),
        ];
        for (n, (policy, retry, asked, chance, expected)) in rows.into_iter().enumerate() {
            assert_eq!(pauses(policy, retry, asked, chance), expected, "row {n}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // Sunday, 6 November 1994, 08:49:37: the date of the RFC.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let rows = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999", None),
        ];
        for (value, seconds) in rows {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn a_status_that_may_pass_is_tried_again() {
        let rows = [
            (429, Retry::Throttled),
            (408, Retry::Unknown),
            (500, Retry::Unknown),
            (503, Retry::Unknown),
            (529, Retry::Unknown),
            (501, Retry::Never),
            (505, Retry::Never),
            (400, Retry::Never),
            (401, Retry::Never),
            (403, Retry::Never),
            (404, Retry::Never),
            (409, Retry::Never),
            (302, Retry::Never),
            (200, Retry::Never),
        ];
        for (status, expected) in rows {
            assert_eq!(Retry::of_status(status), expected, "{status}");
        }
    }
}
