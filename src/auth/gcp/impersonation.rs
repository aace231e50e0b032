//! Acting as a service account: `generateAccessToken` of the
//! [IAM Credentials API](https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken).

use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;

use super::super::Means;
use super::call::{Hop, Request};
use super::refusal::{self, Caller};
use super::{Access, SCOPE};
use crate::error::Failure;

const HOP: Hop = Hop { name: "Google's IAM Credentials API", check: "`gcp_iam_endpoint`" };

/// Whom to act as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Where its tokens are made.
    pub(super) url: String,
    /// Its e-mail address.
    pub(super) account: String,
    /// Accounts in between, in order.
    pub(super) delegates: Vec<String>,
    pub(super) lifetime_seconds: u32,
}

impl Target {
    /// `base` is the API's base URL.
    pub(super) fn new(base: &str, account: &str, delegates: &[String], lifetime_seconds: u32) -> Self {
        let base = base.trim_end_matches('/');
        // A file names delegates as resources.
        let bare = |name: &String| name.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            url: format!("{base}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"),
            account: account.to_owned(),
            delegates: delegates.iter().map(bare).collect(),
            lifetime_seconds,
        }
    }

    /// A token of the account, asked for with the caller's.
    pub(super) async fn token(
        &self,
        bearer: HeaderValue,
        caller: &Caller<'_>,
        means: &Means,
    ) -> Result<Access, Failure> {
        let delegates: Vec<String> =
            self.delegates.iter().map(|name| format!("projects/-/serviceAccounts/{name}")).collect();
        let mut json = json!({"scope": [SCOPE], "lifetime": format!("{}s", self.lifetime_seconds)});
        if !delegates.is_empty() {
            json["delegates"] = json!(delegates);
        }
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        let request = Request { url: &self.url, headers, json: Some(json) };
        let reply = HOP.ask(&means.http, request).await?;
        let foreign = || HOP.foreign(&self.url, &reply);
        if reply.0.status != 200 {
            let told = reply.told().filter(|_| (400..500).contains(&reply.0.status)).ok_or_else(foreign)?;
            return Err(refusal::impersonation(reply.0.status, &told, self, caller));
        }
        let json = reply.json().ok_or_else(foreign)?;
        let token = json["accessToken"].as_str().ok_or_else(foreign)?;
        // Not `expireTime`: the two clocks may differ.
        let lifetime = Duration::from_secs(self.lifetime_seconds.into());
        Access::masked(token, Some(lifetime), means).ok_or_else(foreign)
    }
}
