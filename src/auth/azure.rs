//! The login to Azure, for the SDK. What is refused leaves here as a [`Failure`] inside the SDK's error.

mod entra;
mod federated;
mod managed;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport};
use azure_core::time::{Duration, OffsetDateTime};

use super::Means;
use super::way::AzureWay;
use crate::config::{self, AzureCloud};
use crate::error::{Failure, Kind};
use crate::http::azure::{AzureHttp, find};
use crate::secret::{Masker, Secret};
use entra::{Application, Entra};
use managed::Managed;

/// The client's options for one host: our transport, which also decides what is sent again.
#[must_use]
pub fn client_options(http: impl HttpClient + 'static, cloud: Option<CloudConfiguration>) -> ClientOptions {
    ClientOptions {
        transport: Some(Transport::new(Arc::new(http))),
        retry: RetryOptions::none(),
        cloud: cloud.map(Arc::new),
        ..ClientOptions::default()
    }
}

/// Prepares the login; nothing is sent yet. Tokens are masked before they are given, kept while they are good, and renewed
/// five minutes before they end.
///
/// # Errors
/// [`Kind::Input`] for a tenant that can be none.
pub fn credential(settings: &config::Azure, means: &Means) -> Result<Arc<dyn TokenCredential>, Failure> {
    let options = || client_options(Entra(AzureHttp::new(means.http.clone(), None)), Some(authority(settings)));
    let inner: Arc<dyn TokenCredential> = match &settings.login.way {
        AzureWay::Token(token) => Arc::new(Given(token.clone())),
        AzureWay::ClientSecret { tenant, client, secret } => {
            Arc::new(Application::with_secret(tenant, client, secret, options())?)
        }
        AzureWay::Assertion { tenant, client, token, audience } => {
            Arc::new(Application::federated(tenant, client, token, audience, means, options())?)
        }
        AzureWay::Managed { client, endpoint } => Arc::new(Managed::new(client.as_deref(), endpoint, &means.http)?),
    };
    Ok(Arc::new(Masked { inner, mask: means.mask.clone(), last: Mutex::default() }))
}

/// Gets the first token for this resource, so that a login that is refused is said before anything else.
///
/// # Errors
/// What keeps the login from giving one: [`Kind::Login`] where it is refused, [`Kind::Unavailable`] where it fails.
pub async fn log_in(credential: &dyn TokenCredential, resource: &str) -> Result<(), Failure> {
    let scope = format!("{resource}/.default");
    match credential.get_token(&[&scope], None).await {
        Ok(_) => Ok(()),
        Err(error) => Err(find::<Failure>(&error).cloned().unwrap_or_else(no_answer)),
    }
}

/// A success that holds no token, and anything else that nobody expected.
fn no_answer() -> Failure {
    Failure::new(Kind::Unavailable, "what answers at the address of Entra gave no token and no error of Entra")
        .help("check `azure_authority_host` and the proxy variables")
}

/// Whether a header can carry it.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
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

/// As the error of a credential.
fn refusal(failure: Failure) -> azure_core::Error {
    azure_core::Error::new(ErrorKind::Credential, failure)
}

/// Hides every token before anybody gets it.
struct Masked {
    inner: Arc<dyn TokenCredential>,
    mask: Masker,
    /// Told already.
    last: Mutex<Option<Secret>>,
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masked")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Masked {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.inner.get_token(scopes, options).await?;
        let secret = Secret::from(token.token.secret());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() != Some(&secret) {
            self.mask.mask(&secret);
            *last = Some(secret);
        }
        drop(last);
        Ok(token)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_masked_once_and_shown_by_nobody() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mask = Masker::new({
            let seen = Arc::clone(&seen);
            move |secret| seen.lock().unwrap().push(secret.expose().to_owned())
        });
        let masked = Masked { inner: Arc::new(Given("fake-token".into())), mask, last: Mutex::default() };
        for _ in 0..3 {
            log_in(&masked, "https://vault.azure.net").await.unwrap();
        }
        assert_eq!(*seen.lock().unwrap(), ["fake-token"]);
        let shown = format!("{masked:?} {:?}", Given("fake-token".into()));
        assert!(!shown.contains("fake"), "{shown}");
    }
}
