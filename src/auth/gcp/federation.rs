//! Workload identity federation: an identity token of the job against a token of Google
//! ([Security Token Service](https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token), RFC 8693).

use http::header::HeaderMap;
use serde_json::json;

use super::super::Means;
use super::super::claims::Claims;
use super::super::oidc;
use super::super::way::IdToken;
use super::call::{Hop, Request, lifetime};
use super::external::Source;
use super::refusal::{self, Provider};
use super::{Access, SCOPE};
use crate::error::Failure;

const HOP: Hop = Hop { name: "Google's Security Token Service", check: "`gcp_sts_endpoint`" };

/// A provider, and what proves to it who we are.
pub(super) struct Federation {
    /// Where the exchange is.
    pub(super) url: String,
    pub(super) provider: Provider,
    pub(super) subject: Subject,
    /// `urn:ietf:params:oauth:token-type:jwt`, as a rule.
    pub(super) token_type: String,
}

/// Where the identity token comes from.
pub(super) enum Subject {
    /// The platform, for this audience.
    Platform(IdToken, String),
    /// What a credentials file says.
    File(Source),
}

impl Federation {
    /// A token, and what the one it was exchanged for says. A fresh identity token each time: they live for minutes.
    pub(super) async fn token(&self, means: &Means) -> Result<(Access, Claims), Failure> {
        let jwt = match &self.subject {
            Subject::Platform(token, audience) => oidc::fetch(token, audience, means).await?,
            Subject::File(source) => source.token(means).await?,
        };
        let json = json!({
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": self.provider.audience(),
            "scope": SCOPE,
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "subjectToken": jwt.token.expose(),
            "subjectTokenType": self.token_type,
        });
        let request = Request { url: &self.url, headers: HeaderMap::new(), json: Some(json) };
        let reply = HOP.ask(&means.http, request).await?;
        let foreign = || HOP.foreign(&self.url, &reply);
        if reply.0.status != 200 {
            let told = reply.told().filter(|_| (400..500).contains(&reply.0.status)).ok_or_else(foreign)?;
            return Err(refusal::exchange(reply.0.status, &told, &self.provider, &jwt.claims));
        }
        let json = reply.json().ok_or_else(foreign)?;
        let token = json["access_token"].as_str().ok_or_else(foreign)?;
        let access = Access::masked(token, Some(lifetime(&json)), means).ok_or_else(foreign)?;
        Ok((access, jwt.claims))
    }
}
