//! The names of Azure Key Vault: short, or the https identifier that the portal shows
//! ([identifiers](https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers)).

use super::pattern::STAR;

/// A secret's name or a pattern of names, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The vault's URL without a slash at its end; `None` for a short name.
    pub vault: Option<String>,
    /// The short name; vaults do not tell upper from lower case.
    pub secret: String,
}

impl Name {
    /// Takes a name apart that has no version any more.
    ///
    /// # Errors
    /// What is wrong, to be put behind the entry's text.
    pub fn parse(id: &str) -> Result<Self, String> {
        let (vault, secret) = match id.split_once("://") {
            Some(("https", rest)) => match rest.split_once("/secrets/") {
                Some((host, secret)) if is_host(host) => (Some(format!("https://{host}")), secret),
                _ => {
                    return Err(
                        "is no identifier of a secret; it looks like `https://VAULT.vault.azure.net/secrets/NAME`"
                            .to_owned(),
                    );
                }
            },
            Some(_) => return Err("is no https identifier".to_owned()),
            None => (None, id),
        };
        let fits = (1..=127).contains(&secret.len())
            && secret.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == STAR);
        if !fits {
            return Err("is no name that Key Vault can hold: 1 to 127 letters, digits and `-`".to_owned());
        }
        Ok(Self { vault, secret: secret.to_owned() })
    }
}

/// A host with perhaps a port, and nothing that a URL could hold beside it: no user, no password, no path.
#[must_use]
pub fn is_host(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c))
}

/// The version at the end of an https identifier.
pub(super) fn split_version(id: &str) -> (&str, Option<&str>) {
    let Some((head, rest)) = id.split_once("/secrets/").filter(|_| id.contains("://")) else { return (id, None) };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    match rest.split_once('/') {
        Some((name, version)) => (&id[..head.len() + "/secrets/".len() + name.len()], Some(version)),
        None => (id.strip_suffix('/').unwrap_or(id), None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pin, Provider, parse};
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let version = "0123456789abcdef0123456789abcdef";
        let rows = [
            ("app".to_owned(), None, "app", Pin::Current),
            ("DB = app-1".to_owned(), None, "app-1", Pin::Current),
            (
                "https://v.vault.azure.net/secrets/app".to_owned(),
                Some("https://v.vault.azure.net"),
                "app",
                Pin::Current,
            ),
            (
                "https://v.vault.azure.net/secrets/app/".to_owned(),
                Some("https://v.vault.azure.net"),
                "app",
                Pin::Current,
            ),
            (
                format!("https://127.0.0.1:8443/secrets/app/{version}#a.b"),
                Some("https://127.0.0.1:8443"),
                "app",
                Pin::Version(version.into()),
            ),
            (format!("app?version={version}"), None, "app", Pin::Version(version.into())),
        ];
        for (line, vault, secret, pin) in rows {
            let entry = parse(Provider::Azure, &line).unwrap();
            let name = Name::parse(&entry.reference.id).unwrap();
            assert_eq!(name.vault.as_deref(), vault, "{line}");
            assert_eq!(name.secret, secret, "{line}");
            assert_eq!(entry.reference.pin, pin, "{line}");
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        for (line, why) in [
            ("my_app", "letters, digits and `-`"),
            ("prod/app", "letters, digits and `-`"),
            ("http://v.vault.azure.net/secrets/app", "no https identifier"),
            ("https://v.vault.azure.net/keys/app", "no identifier of a secret"),
            ("app-*-*", "more than one `*`"),
            ("https://*.vault.azure.net/secrets/app", "no identifier"),
            ("https://user:fake@v.vault.azure.net/secrets/app", "no identifier"),
            ("https://evil\\.vault.azure.net/secrets/app", "no identifier"),
            ("https://v.vault.azure.net/secrets/app/1?version=2", "twice"),
        ] {
            let error = parse(Provider::Azure, line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
