//! An application that logs in to Entra, with its secret or with the identity token of the job.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Request};
use azure_identity::{
    ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
};

use serde_json::Value;

use super::super::Means;
use super::super::way::IdToken;
use super::federated::{Platform, Sent};
use super::{no_answer, refusal};
use crate::error::{Failure, Kind};
use crate::http::azure::{AzureHttp, Refused, Unreached, find};
use crate::secret::Secret;

/// The transport to Entra. The SDK counts with the lifetime of a token as it comes, and panics where that leads out of the
/// calendar; so a success is looked at before the SDK gets it.
#[derive(Debug)]
pub(super) struct Entra(pub(super) AzureHttp);

/// A token lasts a day at most; this is far above it, and far below the end of the calendar. In seconds.
const LONGEST: i64 = 10 * 365 * 86_400;

#[async_trait::async_trait]
impl HttpClient for Entra {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let answer = self.0.execute_request(request).await?;
        let (status, headers, body) = answer.deconstruct();
        let body = body.collect().await?;
        if is_answer(&body) {
            return Ok(AsyncRawResponse::from_bytes(status, headers, body));
        }
        Err(refusal(no_answer()))
    }
}

/// Whether it holds a token that can be used.
fn is_answer(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["access_token"].as_str().is_some_and(super::is_token)
        && body["expires_in"].as_i64().is_some_and(|seconds| (0..=LONGEST).contains(&seconds))
}

/// An application with what proves that a caller is it.
pub(super) struct Application {
    inner: Arc<dyn TokenCredential>,
    tenant: String,
    client: String,
    /// The identity token that was sent last; `None` for a secret.
    sent: Option<Sent>,
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Application")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Application {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.inner.get_token(scopes, options).await;
        token.map_err(|error| refusal(self.failure(&error)))
    }
}

impl Application {
    /// # Errors
    /// [`Kind::Input`] for a tenant that can be none.
    pub(super) fn with_secret(
        tenant: &str,
        client: &str,
        secret: &Secret,
        client_options: ClientOptions,
    ) -> Result<Self, Failure> {
        let options = Some(ClientSecretCredentialOptions { client_options });
        let inner = ClientSecretCredential::new(tenant, client.to_owned(), secret.expose().to_owned().into(), options);
        let inner = inner.map_err(|_| no_tenant(tenant))?;
        Ok(Self { inner, tenant: tenant.to_owned(), client: client.to_owned(), sent: None })
    }

    /// An application, or a managed identity, with a federated credential. Each exchange takes an identity token of its
    /// own, because one of GitHub lasts five minutes.
    ///
    /// # Errors
    /// [`Kind::Input`] for a tenant that can be none.
    pub(super) fn federated(
        tenant: &str,
        client: &str,
        token: &IdToken,
        audience: &str,
        means: &Means,
        client_options: ClientOptions,
    ) -> Result<Self, Failure> {
        let platform = Platform::new(token, audience, means);
        let sent = Some(platform.sent());
        let options = Some(ClientAssertionCredentialOptions { client_options });
        let inner = ClientAssertionCredential::new(tenant.to_owned(), client.to_owned(), platform, options);
        let inner = inner.map_err(|_| no_tenant(tenant))?;
        Ok(Self { inner, tenant: tenant.to_owned(), client: client.to_owned(), sent })
    }

    fn failure(&self, error: &(dyn Error + 'static)) -> Failure {
        // Of the identity token: it never came to Entra.
        if let Some(failure) = find::<Failure>(error) {
            return failure.clone();
        }
        if let Some(Unreached { host, cause, .. }) = find(error) {
            return Failure::new(Kind::Unavailable, format!("couldn't reach Entra at {host} for the login: {cause}"))
                .help("check `azure_cloud`, `azure_authority_host`, the proxy variables, and that the host can be reached from here");
        }
        find(error).map_or_else(no_answer, |refused| self.refused(refused))
    }

    fn refused(&self, refused: &Refused) -> Failure {
        let Self { tenant, client, sent, .. } = self;
        let told = Told::new(&refused.json());
        let status = refused.status;
        let code = told.code.map_or_else(String::new, |code| format!(", AADSTS{code}"));
        if !(400..500).contains(&status) || matches!(status, 408 | 429) {
            return Failure::new(Kind::Unavailable, format!("Entra failed the login (HTTP status {status}{code})"))
                .help(
                    "run it again later; if it stays so, look at `azure_authority_host` and the health of the service",
                );
        }
        if !told.of_entra {
            let what = format!(
                "what answers at the address of Entra is not Entra: HTTP status {status}, and no error of Entra"
            );
            return Failure::new(Kind::Unavailable, what)
                .help("check `azure_authority_host` and the proxy variables: something in between may have answered");
        }
        let what = format!(
            "Entra refused the login of application `{client}` in tenant `{tenant}` (HTTP status {status}{code})"
        );
        let seen = sent.as_ref().and_then(Sent::claims);
        let what = match &seen {
            Some(claims) => format!("{what}; the identity token has {}", claims.shown()),
            None => what,
        };
        let trust =
            seen.as_ref().and_then(|claims| told.code.and_then(|code| super::federated::hint(code, client, claims)));
        let help = trust.unwrap_or_else(|| self.hint(told.code).to_owned());
        Failure::new(Kind::Login, what).help(help)
    }

    /// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
    fn hint(&self, code: Option<u64>) -> &'static str {
        match code {
            Some(7_000_215) => "give the secret's value, not its id, in `azure_client_secret`",
            Some(7_000_222) => {
                "the secret has expired: make a new one with `az ad app credential reset --id APP --append`"
            }
            Some(700_016) => "check `azure_client_id` and `azure_tenant_id`: the tenant does not know this application",
            Some(90_002 | 900_023) => "check `azure_tenant_id`, and `azure_cloud`: this cloud does not know the tenant",
            Some(500_011) => {
                "check `azure_cloud` and the vault: the tenant does not know the resource of Key Vault in that cloud"
            }
            Some(7_000_112) => "the application is disabled: have an administrator enable it",
            Some(53_003) => "a Conditional Access policy forbids it: have an administrator look at the sign-in log",
            Some(_) => {
                "look the code up at https://login.microsoftonline.com/error, and check `azure_tenant_id` and `azure_client_id`"
            }
            None if self.sent.is_some() => "check `azure_authority_host`, `azure_tenant_id` and `azure_client_id`",
            None => "check `azure_authority_host`, `azure_tenant_id`, `azure_client_id` and `azure_client_secret`",
        }
    }
}

/// The SDK's text quotes what it was given; the tenant is the only part that it looks into.
fn no_tenant(tenant: &str) -> Failure {
    Failure::new(Kind::Input, format!("`{}` is no tenant of Entra", tenant.escape_default()))
        .help("give the tenant's id or its domain in `azure_tenant_id`")
}

/// What of Entra's error may be shown. Not its words: they may repeat what was sent, in one encoding or another.
struct Told {
    /// The number behind `AADSTS`.
    code: Option<u64>,
    /// Whether it has the shape of an error of OAuth 2.0 ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)).
    of_entra: bool,
}

impl Told {
    fn new(body: &Value) -> Self {
        let description = body["error_description"].as_str();
        let head = description.unwrap_or_default().split(':').next().unwrap_or_default();
        let in_text = head.strip_prefix("AADSTS").and_then(|digits| digits.parse().ok());
        let code = body["error_codes"][0].as_u64().or(in_text);
        Self { code, of_entra: code.is_some() || body["error"].is_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::claims::Claims;

    const SECRET: &str = "fake-client-secret";

    fn application() -> Application {
        crate::http::client(None).unwrap();
        Application::with_secret("tenant", "client", &SECRET.into(), ClientOptions::default()).unwrap()
    }

    #[test]
    fn what_entra_says_becomes_an_error_with_a_fix() {
        let rows = [
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure …\r\nTrace ID: 1","error_codes":[7000215]}"#,
                Kind::Login,
                "tenant `tenant` (HTTP status 401, AADSTS7000215)",
                "not its id",
            ),
            (
                400,
                r#"{"error_description":"AADSTS90002: Tenant 'x' not found."}"#,
                Kind::Login,
                ", AADSTS90002)",
                "azure_tenant_id",
            ),
            (400, r#"{"error_codes":[53003]}"#, Kind::Login, "AADSTS53003", "Conditional Access"),
            (400, r#"{"error_codes":[7000112]}"#, Kind::Login, "AADSTS7000112", "disabled"),
            (400, r#"{"error_codes":[500011]}"#, Kind::Login, "AADSTS500011", "azure_cloud"),
            (
                401,
                r#"{"error_description":"AADSTS1: it was fake-client-secret","error_codes":[1]}"#,
                Kind::Login,
                ", AADSTS1)",
                "look the code up",
            ),
            (
                400,
                r#"{"error":"invalid_client","error_description":"MSIS9623: fake-client-secret"}"#,
                Kind::Login,
                "(HTTP status 400)",
                "azure_client_secret",
            ),
            (403, "<html>fake-client-secret</html>", Kind::Unavailable, "is not Entra: HTTP status 403", "proxy"),
            (400, "", Kind::Unavailable, "is not Entra", "azure_authority_host"),
            (503, "", Kind::Unavailable, "HTTP status 503", "later"),
            (
                429,
                r#"{"error_description":"AADSTS90055: too many.","error_codes":[90055]}"#,
                Kind::Unavailable,
                "429, AADSTS90055",
                "later",
            ),
        ];
        for (status, body, kind, what, help) in rows {
            let failure = application().refused(&Refused::new(status, body));
            assert_eq!(failure.kind, kind, "{body}");
            assert!(failure.to_string().contains(what), "{failure}");
            assert!(failure.problems[0].help.as_ref().unwrap().contains(help), "{failure:?}");
            assert!(!format!("{failure:?}").contains(SECRET), "{failure:?}");
        }
    }

    #[test]
    fn a_refusal_shows_what_the_identity_token_said() {
        let mut application = application();
        let claims = Claims { subject: Some("repo:octo/app:environment:prod".into()), ..Claims::default() };
        application.sent = Some(Sent::of(claims));
        let refused = |code: u64| Refused::new(401, &format!(r#"{{"error":"invalid_client","error_codes":[{code}]}}"#));
        let failure = application.refused(&refused(700_213));
        assert!(failure.to_string().contains("sub"), "{failure}");
        assert!(failure.to_string().contains("repo:octo/app:environment:prod"), "{failure}");
        assert!(failure.problems[0].help.as_ref().unwrap().contains("this subject"), "{failure:?}");
        let failure = application.refused(&refused(700_016));
        assert!(failure.problems[0].help.as_ref().unwrap().contains("azure_client_id"), "{failure:?}");
    }

    #[test]
    fn nothing_shows_a_credential() {
        let shown = format!("{:?}", application());
        assert!(!shown.contains("fake"), "{shown}");
    }
}
