//! Resource names of Google, and what is read out of them.

use std::fmt;

use crate::error::{Failure, Kind};
use crate::reference::Reference;

/// A secret's resource name, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) project: String,
    pub(super) location: Option<String>,
    pub(super) secret: String,
}

impl Name {
    /// What a secret is created in.
    pub(super) fn parent(&self) -> String {
        match &self.location {
            Some(location) => format!("projects/{}/locations/{location}", self.project),
            None => format!("projects/{}", self.project),
        }
    }

    /// One of its versions, by number or alias.
    pub(super) fn version(&self, version: &str) -> String {
        format!("{self}/versions/{version}")
    }

    /// The command that enables a version.
    pub(super) fn enable(&self, version: &str) -> String {
        let Self { project, location, secret } = self;
        let location = location.as_ref().map_or_else(String::new, |location| format!(" --location={location}"));
        format!("`gcloud secrets versions enable {version} --secret={secret} --project={project}{location}`")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/secrets/{}", self.parent(), self.secret)
    }
}

/// The version's number, from a name in an answer: `projects/NUMBER/…/versions/V`, whatever was asked with.
pub(super) fn number(name: &str) -> Option<u64> {
    let (_, number) = name.rsplit_once("/versions/")?;
    number.parse().ok().filter(|number| *number > 0)
}

/// A number or an alias, which goes into a path.
pub(super) fn check_version(which: &Reference, version: &str) -> Result<(), Failure> {
    let fits = version.len() <= 63 && version.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits {
        return Ok(());
    }
    Err(Failure::new(Kind::Input, format!("`{which}` asks for a version that Google Secret Manager cannot have"))
        .help("a version is a number, an alias, or `latest`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Pin;

    #[test]
    fn names_are_built() {
        let global = Name { project: "p".into(), location: None, secret: "app".into() };
        assert_eq!(global.parent(), "projects/p");
        assert_eq!(global.version("latest"), "projects/p/secrets/app/versions/latest");
        let regional = Name { location: Some("europe-west3".into()), ..global };
        assert_eq!(regional.parent(), "projects/p/locations/europe-west3");
        assert_eq!(regional.version("7"), "projects/p/locations/europe-west3/secrets/app/versions/7");
    }

    #[test]
    fn a_number_is_taken_from_the_end_of_a_name() {
        assert_eq!(number("projects/123456789012/secrets/app/versions/7"), Some(7));
        assert_eq!(number("projects/1/locations/europe-west3/secrets/app/versions/12"), Some(12));
        for other in
            ["", "projects/1/secrets/app", "projects/1/secrets/app/versions/", "a/versions/latest", "a/versions/0"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn a_version_cannot_leave_its_place_in_the_path() {
        let which = Reference { id: "app".into(), pin: Pin::Current, region: None, variable: None };
        for good in ["1", "42", "prod-alias_2"] {
            assert_eq!(check_version(&which, good), Ok(()), "{good}");
        }
        for bad in ["1/../../other", "1:destroy", "a b", "%2e", "1?x"] {
            assert_eq!(check_version(&which, bad).unwrap_err().kind, Kind::Input, "{bad}");
        }
    }
}
