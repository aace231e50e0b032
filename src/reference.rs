//! The notation of the `secret` input: `[NAME =] ID[?version=V | ?stage=S][#json.path]`, one entry a line.
//!
//! `ID` is what a user copies from the console of the store. A `#` after a blank starts a comment, because a block scalar
//! of YAML hands comments over as text.

pub mod azure;
pub mod gcp;
mod pattern;

use std::fmt;

use crate::secret::Key;
pub use pattern::{Pattern, mapped};

/// Which store an entry is meant for; the stores write their names differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// AWS Secrets Manager.
    Aws,
    /// Google Secret Manager.
    Gcp,
    /// Azure Key Vault.
    Azure,
    /// The embedded store: a directory.
    Local,
}

impl Provider {
    /// The word for it in `provider`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
            Self::Local => "local",
        }
    }

    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Aws => "AWS Secrets Manager",
            Self::Gcp => "Google Secret Manager",
            Self::Azure => "Azure Key Vault",
            Self::Local => "the local store",
        }
    }
}

/// Which version of a secret is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pin {
    /// The one that counts now.
    #[default]
    Current,
    /// One version by its id.
    Version(String),
    /// The version that carries a staging label (AWS).
    Stage(String),
}

/// A secret, and which version of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Name, ARN, resource name or https identifier, as the user wrote it, without a version.
    pub id: String,
    /// The version.
    pub pin: Pin,
    /// The region that an ARN names; it wins over every other.
    pub region: Option<String>,
    /// The variable that the whole secret stands for, where a pattern says so.
    pub variable: Option<Key>,
}

/// One line of the `secret` input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `NAME =`: the secret is one variable of that name, not a document.
    pub name: Option<Key>,
    /// Where it lies.
    pub reference: Reference,
    /// `#a.b`: one member of a JSON secret.
    pub path: Option<Vec<String>>,
}

impl Entry {
    /// Whether the entry is a plain document, which can be written.
    #[must_use]
    pub fn is_document(&self) -> bool {
        self.name.is_none() && self.path.is_none() && self.reference.pin == Pin::Current && !self.is_pattern()
    }

    /// Whether the entry stands for many secrets, one a variable.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.reference.id.contains(pattern::STAR)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        match &self.pin {
            Pin::Current => Ok(()),
            Pin::Version(version) => write!(f, "?version={version}"),
            Pin::Stage(stage) => write!(f, "?stage={stage}"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name} = ")?;
        }
        write!(f, "{}", self.reference)?;
        match &self.path {
            Some(path) => write!(f, "#{}", path.join(".")),
            None => Ok(()),
        }
    }
}

/// The entries of a `secret` input: its lines without blank ones and comments.
pub fn lines(input: &str) -> impl Iterator<Item = &str> {
    input.lines().map(without_comment).filter(|line| !line.is_empty())
}

fn without_comment(line: &str) -> &str {
    let comment =
        line.char_indices().find(|&(i, c)| c == '#' && line[..i].chars().next_back().is_none_or(char::is_whitespace));
    line[..comment.map_or(line.len(), |(i, _)| i)].trim()
}

/// Reads one entry. The error is what is wrong with it, to be put behind the entry's text.
///
/// # Errors
/// One line of text without the entry.
pub fn parse(provider: Provider, line: &str) -> Result<Entry, String> {
    let (name, rest) = split_name(line)?;
    let (rest, path) = match rest.split_once('#') {
        Some((rest, path)) => (rest.trim_end(), Some(parse_path(path)?)),
        None => (rest, None),
    };
    let (id, pin) = match rest.split_once('?') {
        Some((id, query)) => (id.trim_end(), parse_pin(provider, query)?),
        None => (rest, Pin::Current),
    };
    let (id, in_id) = match provider {
        Provider::Gcp => gcp::split_version(id),
        Provider::Azure => azure::split_version(id),
        Provider::Aws | Provider::Local => (id, None),
    };
    let pin = match (in_id, pin) {
        (None, pin) => pin,
        (Some(version), Pin::Current) => Pin::Version(version.to_owned()),
        (Some(_), _) => return Err("names its version twice".to_owned()),
    };
    if id.contains(pattern::STAR) {
        pattern::check(id, name.is_some(), path.is_some(), pin != Pin::Current)?;
    }
    let mut region = None;
    match provider {
        Provider::Aws if id.starts_with("arn:") => region = Some(arn_region(id)?),
        Provider::Aws | Provider::Local => check_name(id)?,
        Provider::Gcp => drop(gcp::Name::parse(id)?),
        Provider::Azure => drop(azure::Name::parse(id)?),
    }
    Ok(Entry { name, reference: Reference { id: id.to_owned(), pin, region, variable: None }, path })
}

/// `NAME = ID`. An AWS name may hold a `=` itself; where its first part would be a variable's name, its ARN is the way out.
fn split_name(line: &str) -> Result<(Option<Key>, &str), String> {
    let Some((left, right)) = line.split_once('=') else { return Ok((None, line)) };
    match Key::new(left.trim()) {
        Some(name) => Ok((Some(name), right.trim())),
        // No id holds a blank, so this was meant for a name.
        None if left.ends_with(char::is_whitespace) => {
            Err(format!("begins with `{}`, which is no name of a variable", left.trim().escape_default()))
        }
        None => Ok((None, line)),
    }
}

fn parse_path(text: &str) -> Result<Vec<String>, String> {
    let path: Vec<String> = text.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err("has an empty part in its path; write `#member` or `#outer.inner`".to_owned());
    }
    Ok(path)
}

fn parse_pin(provider: Provider, query: &str) -> Result<Pin, String> {
    match (query.split_once('='), provider) {
        (Some(("stage", "")), Provider::Aws) => Err("names no stage; write `?stage=AWSPREVIOUS`".to_owned()),
        (Some(("version", "")), _) => Err("names no version; write `?version=ID`".to_owned()),
        (Some(("version", version)), _) => Ok(Pin::Version(version.to_owned())),
        (Some(("stage", stage)), Provider::Aws) => Ok(Pin::Stage(stage.to_owned())),
        (Some(("stage", _)), Provider::Local | Provider::Gcp | Provider::Azure) => {
            Err("asks for a stage, which only AWS has; write `?version=ID`".to_owned())
        }
        _ => Err("has a `?` with something else than `version=` or `stage=` behind it".to_owned()),
    }
}

/// The region of `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME`, of any partition
/// ([ARN format](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html)).
fn arn_region(arn: &str) -> Result<String, String> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", partition, "secretsmanager", region, account, "secret", name]
            if !partition.is_empty() && !region.is_empty() && !account.is_empty() && !name.is_empty() =>
        {
            check_name(name)?;
            Ok((*region).to_owned())
        }
        _ => Err("is no ARN of a secret; it looks like `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME`".to_owned()),
    }
}

/// The characters and length of an AWS secret's name, which the local store follows
/// ([CreateSecret](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html)); `!` stands in
/// the names of secrets that another service manages.
fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("names no secret".to_owned());
    }
    if name.len() > 512 {
        return Err("has a name of more than 512 characters".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@!-".contains(c) || c == pattern::STAR;
    match name.chars().find(|c| !allowed(*c)) {
        Some(c) if c.is_whitespace() => Err("holds a blank; write one entry a line".to_owned()),
        Some(c) => Err(format!("holds `{}`; a secret's name has letters, digits and /_+=.@- only", c.escape_default())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(line: &str) -> Result<Entry, String> {
        parse(Provider::Aws, line)
    }

    #[test]
    fn entries_are_read_and_printed() {
        let rows = [
            // entry, name, id, pin, path
            ("prod/app", None, "prod/app", Pin::Current, None),
            ("DB = prod/db", Some("DB"), "prod/db", Pin::Current, None),
            ("DB=prod/db", Some("DB"), "prod/db", Pin::Current, None),
            ("prod/db#password", None, "prod/db", Pin::Current, Some("password")),
            ("PW = prod/db#a.b", Some("PW"), "prod/db", Pin::Current, Some("a.b")),
            ("prod/db?version=0a-1", None, "prod/db", Pin::Version("0a-1".into()), None),
            ("prod/db?stage=AWSPREVIOUS#a", None, "prod/db", Pin::Stage("AWSPREVIOUS".into()), Some("a")),
            ("prod/a=b", None, "prod/a=b", Pin::Current, None),
            ("rds!db-1", None, "rds!db-1", Pin::Current, None),
        ];
        for (line, name, id, pin, path) in rows {
            let entry = aws(line).unwrap();
            assert_eq!(entry.name.as_ref().map(Key::as_str), name, "{line}");
            assert_eq!(entry.reference.id, id, "{line}");
            assert_eq!(entry.reference.pin, pin, "{line}");
            assert_eq!(entry.path.as_ref().map(|p| p.join(".")).as_deref(), path, "{line}");
            assert_eq!(aws(&entry.to_string()), Ok(entry), "{line}");
        }
    }

    #[test]
    fn an_arn_of_any_partition_brings_its_region() {
        for (arn, region) in [
            ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/app-AbCdEf", "eu-central-1"),
            ("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:x", "cn-north-1"),
            ("arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:x", "us-gov-west-1"),
            ("arn:aws-iso-b:secretsmanager:us-isob-east-1:123456789012:secret:x", "us-isob-east-1"),
        ] {
            let entry = aws(&format!("A = {arn}?version=v1#k")).unwrap();
            assert_eq!(entry.reference.region.as_deref(), Some(region));
            assert_eq!(entry.reference.id, arn);
        }
        for bad in ["arn:aws:s3:::bucket", "arn:aws:secretsmanager::1:secret:x", "arn:aws:secretsmanager:r:1:secret:"] {
            assert!(aws(bad).unwrap_err().contains("no ARN of a secret"), "{bad}");
        }
    }

    #[test]
    fn what_is_no_entry_says_why() {
        for (line, why) in [
            ("*/*", "more than one `*`"),
            ("A = prod/*", "names one variable"),
            ("prod/*#a", "path"),
            ("prod/*?version=1", "version"),
            ("arn:aws:secretsmanager:eu-central-1:1:secret:prod/*", "ARN"),
            ("a b", "blank"),
            ("a?version=", "no version"),
            ("a?foo=1", "`?`"),
            ("a#", "empty part"),
            ("a#b..c", "empty part"),
            ("A =", "names no secret"),
            ("A-B = a", "`A-B`, which is no name"),
            ("a?stage=", "no stage"),
            ("a\u{7}b", "holds"),
        ] {
            let error = aws(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
        assert!(parse(Provider::Local, "a?stage=X").unwrap_err().contains("stage"));
        assert!(aws(&"x".repeat(513)).unwrap_err().contains("512"));
    }

    #[test]
    fn comments_and_blank_lines_are_left_out() {
        let text = "# all of them\n\nprod/app   # the app\n  DB = prod/db#pw\n\t# end\n";
        assert_eq!(lines(text).collect::<Vec<_>>(), ["prod/app", "DB = prod/db#pw"]);
    }
}
