//! The names of Google Secret Manager: short, or the resource name that the console shows
//! ([reference](https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets)).

use super::pattern::STAR;

/// A secret's name or a pattern of names, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Project id or number; `None` for a short name.
    pub project: Option<String>,
    /// For a regional secret.
    pub location: Option<String>,
    /// The short name.
    pub secret: String,
}

impl Name {
    /// Takes a name apart that has no version any more.
    ///
    /// # Errors
    /// What is wrong, to be put behind the entry's text.
    pub fn parse(id: &str) -> Result<Self, String> {
        let parts: Vec<&str> = id.split('/').collect();
        let (project, location, secret) = match parts.as_slice() {
            [secret] => (None, None, *secret),
            ["projects", project, "secrets", secret] => (Some(*project), None, *secret),
            ["projects", project, "locations", location, "secrets", secret] => {
                (Some(*project), Some(*location), *secret)
            }
            _ => {
                return Err("is no name of a Google secret; write `NAME`, `projects/P/secrets/NAME` or \
                     `projects/P/locations/L/secrets/NAME`"
                    .to_owned());
            }
        };
        let fits = (1..=255).contains(&secret.len())
            && secret.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c) || c == STAR);
        if !fits {
            return Err("is no name of a Google secret: 1 to 255 letters, digits, `_` and `-`".to_owned());
        }
        if project.is_some_and(|project| !is_project(project))
            || location.is_some_and(|location| !is_location(location))
        {
            return Err("names no project or location".to_owned());
        }
        Ok(Self {
            project: project.map(str::to_owned),
            location: location.map(str::to_owned),
            secret: secret.to_owned(),
        })
    }
}

/// A project's id or number. A domain-scoped id holds a colon and dots: `example.com:project`
/// ([projects](https://cloud.google.com/resource-manager/docs/creating-managing-projects)).
#[must_use]
pub fn is_project(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.:".contains(c))
}

/// The name of a location, such as `europe-west3`.
#[must_use]
pub fn is_location(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// `…/versions/V` at the end of a resource name. `latest` is what is meant without one.
pub(super) fn split_version(id: &str) -> (&str, Option<&str>) {
    match id.rsplit_once("/versions/") {
        Some((id, "latest")) => (id, None),
        Some((id, version)) => (id, Some(version)),
        None => (id, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pin, Provider, parse};
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let rows = [
            ("app", None, None, "app", Pin::Current),
            ("projects/p-1/secrets/app", Some("p-1"), None, "app", Pin::Current),
            ("projects/123456/secrets/app/versions/7", Some("123456"), None, "app", Pin::Version("7".into())),
            ("projects/p/secrets/app/versions/latest", Some("p"), None, "app", Pin::Current),
            ("projects/p/locations/europe-west3/secrets/a_b-c", Some("p"), Some("europe-west3"), "a_b-c", Pin::Current),
            ("projects/example.com:p/secrets/app", Some("example.com:p"), None, "app", Pin::Current),
            ("app?version=3", None, None, "app", Pin::Version("3".into())),
        ];
        for (line, project, location, secret, pin) in rows {
            let entry = parse(Provider::Gcp, line).unwrap();
            let name = Name::parse(&entry.reference.id).unwrap();
            assert_eq!(name.project.as_deref(), project, "{line}");
            assert_eq!(name.location.as_deref(), location, "{line}");
            assert_eq!(name.secret, secret, "{line}");
            assert_eq!(entry.reference.pin, pin, "{line}");
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (line, why) in [
            ("prod/app", "no name of a Google secret"),
            ("a.b", "letters, digits"),
            ("app-*-*", "more than one `*`"),
            ("projects/*/secrets/app", "no project"),
            ("projects//secrets/a", "project"),
            ("projects/p/secrets/a/versions/3?version=4", "twice"),
            ("a?stage=X", "only AWS"),
        ] {
            let error = parse(Provider::Gcp, line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
