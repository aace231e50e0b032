//! Where the services of a login are, and which hosts are Google's.

/// The base URLs of the services, without a slash at the end.
pub(super) struct Endpoints {
    sts: Option<String>,
    iam: Option<String>,
    pub(super) universe: String,
}

impl Endpoints {
    /// `sts` and `iam` are given in place of Google's own.
    pub(super) fn of(universe: &str, sts: Option<&str>, iam: Option<&str>) -> Self {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Self { sts: sts.map(base), iam: iam.map(base), universe: universe.to_owned() }
    }

    /// The Security Token Service.
    pub(super) fn sts(&self) -> String {
        self.sts.clone().unwrap_or_else(|| format!("https://sts.{}", self.universe))
    }

    /// The IAM Service Account Credentials API.
    pub(super) fn iam(&self) -> String {
        self.iam.clone().unwrap_or_else(|| format!("https://iamcredentials.{}", self.universe))
    }

    /// Base and path of a URL that a credentials file names, where its host is this service of Google (`sts` or
    /// `iamcredentials`) or the one that is given in its place; then the one that is given is asked.
    pub(super) fn split(&self, url: &str, service: &str) -> Option<(String, String)> {
        let given = if service == "sts" { &self.sts } else { &self.iam };
        if let Some(given) = given
            && let Some(path) = url.strip_prefix(given.as_str()).filter(|path| path.starts_with('/'))
        {
            return Some((given.clone(), path.to_owned()));
        }
        let rest = url.strip_prefix("https://")?;
        let (host, path) = rest.split_once('/')?;
        let host = host.to_ascii_lowercase();
        is_of_google(&host, service, &self.universe)
            .then(|| (given.clone().unwrap_or_else(|| format!("https://{host}")), format!("/{path}")))
    }
}

/// The global host, the regional and the private ones
/// ([those that Google's libraries took](https://github.com/googleapis/google-auth-library-python/blob/v2.17.0/google/auth/external_account.py)).
fn is_of_google(host: &str, service: &str, universe: &str) -> bool {
    let Some(name) = host.strip_suffix(universe).and_then(|name| name.strip_suffix('.')) else { return false };
    let region = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match name.split('.').collect::<Vec<_>>().as_slice() {
        [one] => *one == service || one.strip_suffix(service).and_then(|r| r.strip_suffix('-')).is_some_and(region),
        [first, second] if *first == service => region(second),
        [first, second] if *second == service => region(first),
        [first, "p"] => first.strip_prefix(service).and_then(|r| r.strip_prefix('-')).is_some_and(region),
        [first, second, "rep"] => *first == service && region(second),
        _ => false,
    }
}
