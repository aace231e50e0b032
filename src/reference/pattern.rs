//! Patterns: `prod/app/*` stands for many secrets, each of which is one variable; what `*` stands for is its name.

use super::{Pin, Provider, Reference};
use crate::secret::Key;

/// Stands for a name in a pattern. No store takes it in a name of its own.
pub(super) const STAR: char = '*';

/// What makes an entry no pattern, to be put behind the entry's text.
pub(super) fn check(id: &str, named: bool, path: bool, pinned: bool) -> Result<(), String> {
    let why = if id.matches(STAR).count() > 1 {
        "holds more than one `*`, and a pattern has one"
    } else if named {
        "names one variable for many secrets: a pattern takes the names from the secrets"
    } else if path {
        "holds a `*` and a path: in a pattern each secret is one variable as a whole"
    } else if pinned {
        "holds a `*` and a version: a pattern reads current versions only"
    } else if id.starts_with("arn:") {
        "is a pattern by an ARN; write it by the secrets' names, such as `prod/app/*`, and give the region by `aws_region`"
    } else {
        return Ok(());
    };
    Err(why.to_owned())
}

/// A pattern, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    provider: Provider,
    /// The short name before the `*`.
    prefix: String,
    suffix: String,
    /// What stands before the short name in an id: `projects/P/secrets/`, the vault's URL, or nothing.
    place: String,
}

impl Pattern {
    /// `None` for the reference of a single secret.
    #[must_use]
    pub fn new(provider: Provider, which: &Reference) -> Option<Self> {
        let (before, suffix) = which.id.split_once(STAR)?;
        // In the names of these two, a `/` parts what is no name.
        let place = match provider {
            Provider::Gcp | Provider::Azure => before.rfind('/').map_or(0, |slash| slash + 1),
            Provider::Aws | Provider::Local => 0,
        };
        let (place, prefix) = before.split_at(place);
        Some(Self { provider, prefix: prefix.to_owned(), suffix: suffix.to_owned(), place: place.to_owned() })
    }

    /// What every name begins with, for the filters of the stores; it may be empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What `*` stands for in the short name of a secret; `None` where the name does not match.
    #[must_use]
    pub fn star<'a>(&self, secret: &'a str) -> Option<&'a str> {
        let star = match self.provider {
            // Vaults do not tell upper from lower case.
            Provider::Azure => {
                let (begin, end) = (self.prefix.len(), secret.len().checked_sub(self.suffix.len())?);
                let fits = secret.get(..begin)?.eq_ignore_ascii_case(&self.prefix)
                    && secret.get(end..)?.eq_ignore_ascii_case(&self.suffix);
                secret.get(begin..end).filter(|_| fits)?
            }
            _ => secret.strip_prefix(&self.prefix)?.strip_suffix(&self.suffix)?,
        };
        (!star.is_empty() && !star.contains('/')).then_some(star)
    }

    /// The reference of a secret by its short name.
    #[must_use]
    pub fn reference(&self, secret: &str) -> Reference {
        Reference { id: format!("{}{secret}", self.place), pin: Pin::Current, region: None, variable: None }
    }

    /// What is equal for two ids of one secret.
    #[must_use]
    pub fn identity(&self, id: &str) -> String {
        if self.provider == Provider::Azure { id.to_ascii_lowercase() } else { id.to_owned() }
    }

    /// The secret that a variable goes into where there is none for it yet.
    ///
    /// # Errors
    /// What is wrong with the name that it would have, to be put behind it.
    pub fn secret_of(&self, variable: &Key) -> Result<Reference, String> {
        let star = match self.provider {
            Provider::Azure => variable.as_str().replace('_', "-"),
            _ => variable.as_str().to_owned(),
        };
        let name = format!("{}{star}{}", self.prefix, self.suffix);
        let mut which = self.reference(&name);
        super::parse(self.provider, &which.id)?;
        which.variable = Some(variable.clone());
        Ok(which)
    }
}

/// The name of a variable, as far as the name of a secret allows: a character that no variable's name holds becomes `_`.
#[must_use]
pub fn mapped(star: &str) -> String {
    star.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::parse;

    fn pattern(provider: Provider, text: &str) -> Pattern {
        Pattern::new(provider, &parse(provider, text).unwrap().reference).unwrap()
    }

    #[test]
    fn a_star_stands_for_one_part_of_a_name() {
        let rows = [
            // pattern, name, what the star stands for
            ("prod/app/*", "prod/app/DB_URL", Some("DB_URL")),
            ("prod/app/*", "prod/app/db-url", Some("db-url")),
            ("prod/app/*", "prod/app/", None),
            ("prod/app/*", "prod/app/a/b", None),
            ("prod/app/*", "prod/app", None),
            ("prod/app/*", "Prod/app/A", None),
            ("app-*", "app-A", Some("A")),
            ("*-prod", "A-prod", Some("A")),
            ("app-*-prod", "app-A-prod", Some("A")),
            // The two ends do not overlap.
            ("app-*-prod", "app-prod", None),
            ("*", "A", Some("A")),
            ("prod/*/url", "prod/DB/url", Some("DB")),
        ];
        for (text, name, star) in rows {
            assert_eq!(pattern(Provider::Aws, text).star(name), star, "{text} {name}");
        }
        let azure = pattern(Provider::Azure, "App-*-x");
        assert_eq!(azure.star("app-DB-URL-X"), Some("DB-URL"));
        assert_eq!(azure.star("app-x"), None);
        assert_eq!(azure.star("app--x"), None);
    }

    #[test]
    fn a_variable_has_one_secret() {
        let rows = [
            (Provider::Aws, "prod/app/*", "prod/app/DB_URL"),
            (Provider::Local, "app-*", "app-DB_URL"),
            (Provider::Gcp, "app-*", "app-DB_URL"),
            (Provider::Gcp, "projects/p/locations/l/secrets/app-*", "projects/p/locations/l/secrets/app-DB_URL"),
            (Provider::Azure, "app-*", "app-DB-URL"),
            (Provider::Azure, "https://v.vault.azure.net/secrets/*", "https://v.vault.azure.net/secrets/DB-URL"),
        ];
        for (provider, text, id) in rows {
            let key = Key::new("DB_URL").unwrap();
            let which = pattern(provider, text).secret_of(&key).unwrap();
            assert_eq!((which.id.as_str(), which.variable), (id, Some(key)));
        }
        let long = Key::new(&"X".repeat(127)).unwrap();
        assert!(pattern(Provider::Azure, "a*").secret_of(&long).unwrap_err().contains("127"));
    }

    #[test]
    fn prefixes_are_those_of_short_names() {
        for (provider, text, prefix) in [
            (Provider::Aws, "prod/app/*", "prod/app/"),
            (Provider::Gcp, "projects/p/secrets/app-*-x", "app-"),
            (Provider::Azure, "https://v.vault.azure.net/secrets/*", ""),
        ] {
            assert_eq!(pattern(provider, text).prefix(), prefix, "{text}");
        }
    }

    #[test]
    fn what_no_variables_name_holds_becomes_an_underscore() {
        assert_eq!(mapped("db-url.v2@x"), "db_url_v2_x");
        assert_eq!(mapped("A_9"), "A_9");
    }
}
