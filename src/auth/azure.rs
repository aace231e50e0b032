//! The login to Entra, for the SDK. What Entra refuses leaves here as a [`Failure`] inside the SDK's error.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_core::time::{Duration, OffsetDateTime};
use azure_identity::{ClientSecretCredential, ClientSecretCredentialOptions};

use super::AzureWay;
use crate::config::{self, AzureCloud};
use crate::error::{Failure, Kind};
use crate::http::azure::{AzureHttp, Refused, Unreached, find};
use crate::secret::Secret;

/// The client's options for one host: our transport, which also decides what is sent again.
#[must_use]
pub fn client_options(http: AzureHttp, cloud: Option<CloudConfiguration>) -> ClientOptions {
    ClientOptions {
        transport: Some(Transport::new(Arc::new(http))),
        retry: RetryOptions::none(),
        cloud: cloud.map(Arc::new),
        ..ClientOptions::default()
    }
}

/// Prepares the login; nothing is sent yet.
///
/// # Errors
/// [`Kind::Input`] for a tenant that can be none.
pub fn credential(settings: &config::Azure, http: &reqwest::Client) -> Result<Arc<dyn TokenCredential>, Failure> {
    match &settings.login.way {
        AzureWay::Token(token) => Ok(Arc::new(Given(token.clone()))),
        AzureWay::ClientSecret { tenant, client, secret } => {
            let options = client_options(AzureHttp::new(http.clone(), None), Some(authority(settings)));
            let options = ClientSecretCredentialOptions { client_options: options };
            let inner =
                ClientSecretCredential::new(tenant, client.clone(), secret.expose().to_owned().into(), Some(options));
            // Its text quotes what it was given; the tenant is the only part that is looked into.
            let inner = inner.map_err(|_| {
                Failure::new(Kind::Input, format!("`{}` is no tenant of Entra", tenant.escape_default()))
                    .help("give the tenant's id or its domain in `azure_tenant_id`")
            })?;
            Ok(Arc::new(Application { inner, tenant: tenant.clone(), client: client.clone() }))
        }
    }
}

fn authority(settings: &config::Azure) -> CloudConfiguration {
    if let Some(host) = &settings.authority {
        let mut custom = CustomConfiguration::default();
        custom.authority_host.clone_from(host);
        return custom.into();
    }
    match settings.cloud {
        AzureCloud::Public => CloudConfiguration::AzurePublic,
        AzureCloud::UsGovernment => CloudConfiguration::AzureGovernment,
        AzureCloud::China => CloudConfiguration::AzureChina,
    }
}

/// A token that was given.
struct Given(Secret);

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Given {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        // There is no other one to get, however long this one is good for.
        let end = OffsetDateTime::now_utc() + Duration::days(1);
        Ok(AccessToken::new(self.0.expose().to_owned(), end))
    }
}

/// An application with its secret.
struct Application {
    inner: Arc<ClientSecretCredential>,
    tenant: String,
    client: String,
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
        token.map_err(|error| azure_core::Error::new(ErrorKind::Credential, self.failure(&error)))
    }
}

impl Application {
    fn failure(&self, error: &(dyn Error + 'static)) -> Failure {
        if let Some(Unreached { host, cause, .. }) = find(error) {
            return Failure::new(Kind::Unavailable, format!("couldn't reach Entra at {host} for the login: {cause}"))
                .help("check `azure_cloud`, `azure_authority_host`, the proxy variables, and that the host can be reached from here");
        }
        match find(error) {
            Some(refused) => self.refused(refused),
            None => Failure::new(
                Kind::Unavailable,
                "what answers at the address of Entra gave no token and no error of Entra",
            )
            .help("check `azure_authority_host` and the proxy variables"),
        }
    }

    fn refused(&self, refused: &Refused) -> Failure {
        let Self { tenant, client, .. } = self;
        let told = Told::new(&refused.json());
        let (status, words) = (refused.status, &told.words);
        if !(400..500).contains(&status) || matches!(status, 408 | 429) {
            return Failure::new(Kind::Unavailable, format!("Entra failed the login with HTTP status {status}{words}"))
                .help(
                    "run it again later; if it stays so, look at `azure_authority_host` and the health of the service",
                );
        }
        let what = format!("Entra refused the login of application `{client}` in tenant `{tenant}`{words}");
        // https://learn.microsoft.com/entra/identity-platform/reference-error-codes
        let help = match told.code {
            Some(7_000_215) => "give the secret's value, not its id, in `azure_client_secret`",
            Some(7_000_222) => {
                "the secret has expired: make a new one with `az ad app credential reset --id APP --append`"
            }
            Some(700_016) => "check `azure_client_id` and `azure_tenant_id`: the tenant does not know this application",
            Some(90_002 | 900_023) => "check `azure_tenant_id`, and `azure_cloud`: this cloud does not know the tenant",
            Some(500_011) => "check `azure_cloud`: the tenant does not know Key Vault of that cloud",
            Some(7_000_112) => "the application is disabled: have an administrator enable it",
            Some(53_003) => "a Conditional Access policy forbids it: have an administrator look at the sign-in log",
            Some(_) => {
                "look the code up at https://login.microsoftonline.com/error, and check `azure_tenant_id` and `azure_client_id`"
            }
            None => "check `azure_authority_host`, `azure_tenant_id`, `azure_client_id` and `azure_client_secret`",
        };
        Failure::new(Kind::Login, what).help(help)
    }
}

/// What of Entra's error may be shown.
struct Told {
    /// The number behind `AADSTS`.
    code: Option<u64>,
    /// ` (AADSTS7000215)`, or nothing.
    words: String,
}

impl Told {
    fn new(body: &serde_json::Value) -> Self {
        let description = body["error_description"].as_str().unwrap_or_default();
        let head = description.split_once(": ").map_or(description, |(head, _)| head);
        let in_text = head.strip_prefix("AADSTS").and_then(|digits| digits.parse().ok());
        let code = body["error_codes"][0].as_u64().or(in_text);
        let Some(code) = code else { return Self { code, words: String::new() } };
        // Not its words: they may repeat what was sent, in one encoding or another.
        let words = format!(" (AADSTS{code})");
        Self { code: Some(code), words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "fake-client-secret";

    fn application() -> Application {
        let inner = ClientSecretCredential::new("tenant", "client".into(), SECRET.into(), None).unwrap();
        Application { inner, tenant: "tenant".into(), client: "client".into() }
    }

    #[test]
    fn what_entra_says_becomes_an_error_with_a_fix() {
        crate::http::client(None).unwrap();
        let rows = [
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure …\r\nTrace ID: 1","error_codes":[7000215]}"#,
                Kind::Login,
                "tenant `tenant` (AADSTS7000215)",
                "not its id",
            ),
            (
                400,
                r#"{"error_description":"AADSTS90002: Tenant 'x' not found."}"#,
                Kind::Login,
                "(AADSTS90002)",
                "azure_tenant_id",
            ),
            (
                401,
                r#"{"error_description":"AADSTS1: it was fake-client-secret","error_codes":[1]}"#,
                Kind::Login,
                "(AADSTS1)",
                "look the code up",
            ),
            (400, "<html>fake-client-secret</html>", Kind::Login, "refused the login", "azure_authority_host"),
            (503, "", Kind::Unavailable, "HTTP status 503", "later"),
            (
                429,
                r#"{"error_description":"AADSTS90055: too many.","error_codes":[90055]}"#,
                Kind::Unavailable,
                "429 (AADSTS90055",
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
    fn nothing_shows_a_credential() {
        crate::http::client(None).unwrap();
        let shown = format!("{:?} {:?}", application(), Given("fake-token".into()));
        assert!(!shown.contains("fake"), "{shown}");
    }
}
