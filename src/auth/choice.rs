//! Which login it is: a pure choice from what is given to one way with its reason, or to an error that lists what is
//! missing. First come explicit inputs, then OIDC where its role, provider or application is named and the job has a
//! token, then what another action left in the environment. The machine's own identity comes last, and only where it is
//! asked for.

mod aws;
mod azure;
mod gcp;
mod token;

#[cfg(test)]
mod tests;

pub use aws::choose_aws;
pub use azure::choose_azure;
pub use gcp::choose_gcp;

use std::ops::RangeInclusive;

use crate::error::{Failure, Kind, Problem};
use crate::secret::Secret;

/// What there is to choose from. Blank is absent, in both.
pub struct Given<'a> {
    /// An input by its name in the registry.
    pub input: &'a dyn Fn(&str) -> Option<&'a str>,
    /// A variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The name of an input as its user writes it.
    pub shown: &'a dyn Fn(&str) -> String,
    /// Whether the machine's own identity may be used.
    pub ambient: bool,
}

/// A text and where it stands, ready for a message.
#[derive(Clone)]
struct Named<'a> {
    text: &'a str,
    name: String,
    /// Whether it is an input, and no variable of another tool.
    input: bool,
}

impl<'a> Given<'a> {
    fn input(&self, name: &str) -> Option<&'a str> {
        (self.input)(name)
    }

    fn variable(&self, name: &str) -> Option<&'a str> {
        (self.variable)(name)
    }

    /// In backticks.
    fn shown(&self, name: &str) -> String {
        format!("`{}`", (self.shown)(name))
    }

    /// The input, else the first of these variables that is set.
    fn first(&self, input: &str, variables: &[&str]) -> Option<Named<'a>> {
        let own = self.input(input).map(|text| Named { text, name: self.shown(input), input: true });
        own.or_else(|| {
            variables
                .iter()
                .find_map(|name| Some(Named { text: self.variable(name)?, name: format!("`{name}`"), input: false }))
        })
    }

    fn number(&self, name: &str, default: u32, range: RangeInclusive<u32>, problems: &mut Vec<Problem>) -> u32 {
        let Some(text) = self.input(name) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let what = format!("{} is `{}`, which is no number in its range", self.shown(name), escaped(text));
                let help = format!("give a number of seconds from {} to {}", range.start(), range.end());
                problems.push(Problem::new(what, help));
                default
            }
        }
    }

    /// Items on lines or between commas.
    fn list(&self, name: &str) -> Vec<&'a str> {
        let items = self.input(name).unwrap_or_default().split(['\n', ',']);
        items.map(str::trim).filter(|item| !item.is_empty()).collect()
    }
}

fn escaped(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_default).collect()
}

/// Credentials travel in headers, which hold no line breaks, and none has a blank: it was not copied as it is. `name` is
/// in backticks.
fn one_word(name: &str, text: &str) -> Result<Secret, Failure> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.into());
    }
    let what = format!("{name} holds a blank, a line break or another character that no credential has");
    Err(Failure::new(Kind::Input, what).help("copy it again"))
}

fn input(what: impl Into<String>, help: impl Into<String>) -> Failure {
    Failure { kind: Kind::Input, problems: vec![Problem::new(what, help)] }
}

fn login(what: impl Into<String>, help: impl Into<String>) -> Failure {
    Failure { kind: Kind::Login, problems: vec![Problem::new(what, help)] }
}

fn twice<T>(cloud: &str, names: &[String], more: &str) -> Result<T, Failure> {
    let what =
        format!("{} {cloud} logins are given at once: {}", ["two", "three"][usize::from(names.len() > 2)], and(names));
    Err(input(what, format!("give one of them{more}")))
}

fn and(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

/// What was chosen, unless something else is wrong; all that is wrong, together.
fn settle<T>(mut problems: Vec<Problem>, chosen: Result<T, Failure>) -> Result<T, Failure> {
    match chosen {
        chosen if problems.is_empty() => chosen,
        Ok(_) => Err(Failure { kind: Kind::Input, problems }),
        Err(failure) => {
            problems.extend(failure.problems);
            Err(Failure { kind: Kind::Input, problems })
        }
    }
}
