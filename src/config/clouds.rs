//! The part of the configuration that each cloud has for itself: where the store is, and the login.

mod aws;
mod azure;
mod gcp;

pub use aws::Aws;
pub use azure::{Azure, AzureCloud};
pub use gcp::Gcp;

use super::reader::{self, Reader};
use super::registry::Raw;
use super::variable;
use crate::auth::choice::Given;
use crate::error::{Failure, Kind};

impl Reader<'_> {
    /// The input, else the first of other tools' variables that is set; problems with it then name that variable.
    fn own_or(&mut self, name: &'static str, own: Option<&String>, variables: &[&str]) -> Option<String> {
        let env = self.env;
        let foreign = || variables.iter().find_map(|other| Some((*other, variable(env, other)?)));
        if own.is_none()
            && let Some((other, value)) = foreign()
        {
            self.given.insert(name, reader::Given { value, shown: other.to_owned() });
            return Some(value.to_owned());
        }
        own.cloned()
    }

    /// The text is not shown: somebody may have put a password into it.
    fn base_url(&mut self, name: &str, url: Option<&String>, https: bool, example: &str) {
        if url.is_some_and(|url| !is_base_url(url, https)) {
            let what = format!("is no {}base URL", if https { "https " } else { "" });
            self.problem(name, &what, format!("write it as in `{example}`, without a user, a password or a query"));
        }
    }

    /// The login that is chosen; what is wrong with it is kept.
    fn login<L>(
        &mut self,
        raw: &Raw,
        choose: impl FnOnce(&Given<'_>) -> Result<L, Failure>,
        missing: &mut Option<Failure>,
    ) -> Option<L> {
        let ambient = self.choice("auth", raw.auth.as_deref(), &[("ambient", true)], Some(false)) == Some(true);
        let chosen = choose(&Given {
            input: &|name| raw.get(name),
            variable: &|name| variable(self.env, name),
            shown: &|name| self.shown(name),
            ambient,
        });
        match chosen {
            Ok(login) => return Some(login),
            Err(failure) if failure.kind == Kind::Login => *missing = Some(failure),
            Err(failure) => self.problems.extend(failure.problems),
        }
        None
    }
}

fn is_base_url(text: &str, https: bool) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme_str() == Some("https") || (!https && uri.scheme_str() == Some("http"));
        let named = uri.authority().is_some_and(|authority| {
            let port = authority
                .as_str()
                .rsplit_once(':')
                .is_none_or(|(_, port)| port.ends_with(']') || port.parse::<u16>().is_ok());
            !authority.host().is_empty() && !authority.as_str().contains('@') && port
        });
        scheme && named && uri.query().is_none()
    })
}
