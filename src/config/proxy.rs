//! The proxies of the environment: the HTTP client passes over a value that it cannot use, and a run that was meant to go
//! through a proxy would not.

use hyper_util::client::proxy::matcher::Matcher;

use super::reader::Reader;
use super::variable;
use crate::error::Problem;

/// In the order in which the client looks: of two spellings the first one that is set.
const VARIABLES: [[&str; 2]; 3] =
    [["HTTPS_PROXY", "https_proxy"], ["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"]];

impl Reader<'_> {
    /// Each proxy that would be passed over is a problem. Its value is not shown: it may hold a password.
    pub(super) fn proxies(&mut self) {
        for spellings in VARIABLES {
            let Some(name) = spellings.into_iter().find(|name| self.env.contains_key(*name)) else { continue };
            if variable(self.env, name).is_some_and(|_| !self.env.get(name).is_some_and(|value| is_usable(value))) {
                self.problems.push(Problem::new(
                    format!("`{name}` is no URL of a proxy that can be used"),
                    "write it as in `http://proxy.example.com:3128`, with `%XX` for special characters in a user or a password",
                ));
            }
        }
    }
}

/// By the client's own reading; it is built without SOCKS.
fn is_usable(value: &str) -> bool {
    let target = http::Uri::from_static("https://example.com");
    let found = Matcher::builder().all(value.to_owned()).build().intercept(&target);
    found.is_some_and(|proxy| {
        let uri = proxy.uri();
        // A password with a `#` in it ends up as a port.
        let port = uri.authority().is_some_and(|at| at.as_str().len() == at.host().len() || uri.port_u16().is_some());
        matches!(uri.scheme_str(), Some("http" | "https")) && port
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_usable_table() {
        for good in [
            "http://proxy:3128",
            "https://proxy.example.com",
            "proxy:3128",
            "10.0.0.1:8080",
            "http://u:p%40ss@proxy:1/",
            "http://[::1]:3128",
        ] {
            assert!(is_usable(good), "{good}");
        }
        for bad in
            ["socks5://proxy:1080", "ftp://proxy", "http://", "http:// proxy", "http://u:p#ss@proxy:1", " ", "/x"]
        {
            assert!(!is_usable(bad), "{bad}");
        }
    }
}
