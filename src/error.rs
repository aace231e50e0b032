//! One error type with kinds and exit codes (README, "Exit codes"), in the style of a good compiler: lower case, no full
//! stop, the object by its name, and a `help:` line with the fix. Never a value.

use std::fmt;

/// What went wrong, in the sense of who has to act. Each kind is one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A defect of this program.
    Internal,
    /// The configuration or the input: a broken file, a value that cannot be carried, a secret that is too large.
    Input,
    /// The login was refused, or there is none.
    Login,
    /// The login is good and may not do this.
    Denied,
    /// A file or a secret that is not there, or is scheduled for deletion.
    NotFound,
    /// Drift, a conflict, or a guard that refused.
    Refused,
    /// The cloud, the network or the file system failed.
    Unavailable,
    /// Some of it was done, some was not.
    Partial,
}

impl Kind {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Input => 2,
            Self::Login => 3,
            Self::Denied => 4,
            Self::NotFound => 5,
            Self::Refused => 6,
            Self::Unavailable => 7,
            Self::Partial => 8,
        }
    }
}

/// One thing that is wrong, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What failed, on which object. One line.
    pub what: String,
    /// The fix. One line, and under it lines to paste where there are any.
    pub help: Option<String>,
}

/// A run that did not do what was asked: a kind, and every problem found (at least one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides the exit code.
    pub kind: Kind,
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

impl Failure {
    /// A failure with one problem and no advice yet; see [`Failure::help`].
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, problems: vec![Problem { what: what.into(), help: None }] }
    }

    /// Adds the fix to the problem named last.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(last) = self.problems.last_mut() {
            last.help = Some(help.into());
        }
        self
    }

    /// Several failures as one, whose kind is that of the first; `None` where there is none. Of very many the first are
    /// told, because a log that goes on and on helps nobody.
    #[must_use]
    pub fn merged(failures: Vec<Self>) -> Option<Self> {
        const MOST: usize = 20;
        let kind = failures.first()?.kind;
        let mut problems: Vec<Problem> = failures.into_iter().flat_map(|failure| failure.problems).collect();
        let more = problems.len().saturating_sub(MOST);
        if more > 1 {
            problems.truncate(MOST);
            problems.push(Problem { what: format!("and {more} more problems like these"), help: None });
        }
        Some(Self { kind, problems })
    }

    /// Several problems of one kind, reported together; `None` where there is none.
    #[must_use]
    pub fn all(kind: Kind, problems: Vec<Problem>) -> Option<Self> {
        (!problems.is_empty()).then_some(Self { kind, problems })
    }
}

impl Problem {
    /// A problem and its fix.
    pub fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&problem.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failures_the_first_are_told() {
        let failures = |n: usize| (0..n).map(|n| Failure::new(Kind::Denied, format!("no {n}"))).collect::<Vec<_>>();
        assert_eq!(Failure::merged(Vec::new()), None);
        let told = |n| Failure::merged(failures(n)).map(|failure| failure.problems.len());
        assert_eq!([told(1), told(20), told(21), told(22), told(1000)], [1, 20, 21, 21, 21].map(Some));
        assert!(Failure::merged(failures(1000)).unwrap().to_string().ends_with("and 980 more problems like these"));
    }

    #[test]
    fn exit_codes_are_the_contract() {
        let kinds = [
            Kind::Internal,
            Kind::Input,
            Kind::Login,
            Kind::Denied,
            Kind::NotFound,
            Kind::Refused,
            Kind::Unavailable,
            Kind::Partial,
        ];
        let codes: Vec<u8> = kinds.iter().map(|k| k.exit_code()).collect();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
