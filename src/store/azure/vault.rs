//! One vault: the SDK's calls, with answers and errors of our own. SDK types do not leave this file.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{Pager, Url};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::models::{
    ListSecretPropertiesResult, Secret as Read, SecretAttributes, SecretClientGetSecretOptions, SecretProperties,
    SetSecretParameters,
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use futures_util::TryStreamExt as _;

use super::trouble::{Operation, Trouble};
use crate::auth::azure::client_options;
use crate::error::{Failure, Kind};
use crate::http::azure::AzureHttp;
use crate::secret::{Key, Secret};
use crate::store::Pages;

/// The tag with the exact name of the variable that a secret stands for: a secret's own name holds no `_`.
const KEY_TAG: &str = "envsync-key";

/// The ids of versions, and when they were made: a time with a grain of one second.
pub(super) type Versions = BTreeMap<String, Option<OffsetDateTime>>;

/// A client for one vault.
pub(super) struct Vault {
    client: SecretClient,
    url: Url,
    host: String,
}

/// A secret of a list.
pub(super) struct Item {
    pub(super) name: String,
    /// The variable's name, by the tag.
    pub(super) key: Option<String>,
    /// Why it is not to be read.
    pub(super) unusable: Option<String>,
}

/// A version, as it was read.
pub(super) struct Found {
    pub(super) value: Secret,
    /// 32 hexadecimal digits.
    pub(super) version: String,
    pub(super) created: Option<OffsetDateTime>,
    pub(super) carried: Carried,
    /// The vault itself looks after it, for a certificate.
    pub(super) managed: bool,
}

/// What lives with a version and not with the secret: a write that does not name it drops it.
#[derive(Clone, Default)]
pub(super) struct Carried {
    content_type: Option<String>,
    tags: Option<HashMap<String, String>>,
    enabled: Option<bool>,
    not_before: Option<OffsetDateTime>,
    expires: Option<OffsetDateTime>,
}

impl Carried {
    /// What the first version of a variable's own secret carries.
    pub(super) fn first(variable: Option<&Key>) -> Self {
        let tags = variable.map(|key| HashMap::from([(KEY_TAG.to_owned(), key.as_str().to_owned())]));
        Self { tags, ..Self::default() }
    }

    /// The variable that the tag names.
    pub(super) fn key(&self) -> Option<&str> {
        self.tags.as_ref()?.get(KEY_TAG).map(String::as_str)
    }

    /// Why a version is not to be used at this time.
    pub(super) fn unusable(&self, now: OffsetDateTime) -> Option<String> {
        match (self.enabled, self.not_before, self.expires) {
            (Some(false), ..) => Some("is disabled".to_owned()),
            (_, _, Some(end)) if end <= now => Some(format!("has expired on {}", time(&end))),
            (_, Some(begin), _) if begin > now => Some(format!("is not valid before {}", time(&begin))),
            _ => None,
        }
    }
}

/// A secret that can be recovered.
pub(super) struct Deleted {
    /// Both in words, where the vault tells.
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
}

/// A client that asks for tokens of a vault only, whatever the host's challenge says: with one for another service, which
/// a login may well give, the host could act as us there.
struct Guarded {
    inner: Arc<dyn TokenCredential>,
    host: String,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Guarded {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(scope) = scopes.iter().find(|scope| !fits(scope, &self.host)) {
            let scope: String = scope.chars().take(100).flat_map(char::escape_default).collect();
            let what = format!("the host `{}` asks for a token for `{scope}`, which is no vault's", self.host);
            let failure = Failure::new(Kind::Login, what).help("check `azure_vault`: that host is no Key Vault");
            return Err(azure_core::Error::new(ErrorKind::Credential, failure));
        }
        self.inner.get_token(scopes, options).await
    }
}

/// Whether a scope is that of Key Vault, in one of Microsoft's clouds or in the cloud of which the host is part.
fn fits(scope: &str, host: &str) -> bool {
    let Ok(url) = scope.parse::<Url>() else { return false };
    let plain = url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "/.default" | "//.default");
    let Some(named) = url.host_str().filter(|_| plain) else { return false };
    let of_microsoft = CLOUDS.iter().any(|(suffix, _)| suffix.strip_prefix('.') == Some(named));
    of_microsoft || (named.contains('.') && host.strip_suffix(named).is_some_and(|head| head.ends_with('.')))
}

/// Of each cloud what follows a vault's name, and the resource of its vaults
/// ([suffixes](https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers)).
const CLOUDS: [(&str, &str); 3] = [
    (".vault.azure.net", "https://vault.azure.net"),
    (".vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net"),
    (".vault.azure.cn", "https://vault.azure.cn"),
];

/// The resource that a token for this host must be for, where the host is one of Key Vault's own.
pub(super) fn resource(host: &str) -> Option<&'static str> {
    CLOUDS.into_iter().find(|(suffix, _)| host.ends_with(suffix)).map(|(_, resource)| resource)
}

impl Vault {
    /// Prepares the client; nothing is sent.
    ///
    /// # Errors
    /// [`Kind::Input`] for what is no https URL.
    pub(super) fn open(
        url: &str,
        credential: &Arc<dyn TokenCredential>,
        http: &reqwest::Client,
    ) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(Kind::Input, format!("`{}` is no https URL of a vault", url.escape_default()))
                .help("write it as in `https://NAME.vault.azure.net`")
        };
        let parsed: Url = url.parse().map_err(|_| wrong())?;
        let host = parsed.host_str().filter(|_| parsed.scheme() == "https").ok_or_else(wrong)?.to_owned();
        let resource = resource(&host);
        let options = SecretClientOptions {
            client_options: client_options(AzureHttp::new(http.clone(), resource), None),
            // A host that is none of Microsoft's has no domain of which its challenge could be part.
            verify_challenge_resource: Some(resource.is_some()),
            ..SecretClientOptions::default()
        };
        let guarded = Arc::new(Guarded { inner: Arc::clone(credential), host: host.clone() });
        let client = SecretClient::new(url, guarded, Some(options)).map_err(|_| wrong())?;
        Ok(Self { client, url: parsed, host })
    }

    fn trouble(&self, operation: Operation, name: &str, error: &azure_core::Error) -> Trouble {
        Trouble::new(operation, name, &self.host, error)
    }

    /// Reads the current version, or the one of this id.
    pub(super) async fn get(&self, name: &str, version: Option<&str>) -> Result<Found, Trouble> {
        let trouble = |error| self.trouble(Operation::Get, name, &error);
        let options = SecretClientGetSecretOptions { secret_version: version.map(str::to_owned), ..Default::default() };
        let answer = self.client.get_secret(name, Some(options)).await.map_err(trouble)?;
        let read: Read = answer.into_model().map_err(trouble)?;
        found(read).ok_or_else(|| Trouble::unreadable(Operation::Get, name, &self.host))
    }

    /// All versions, from every page; none where there is no secret.
    pub(super) async fn versions(&self, name: &str) -> Result<Versions, Trouble> {
        let trouble = |error| self.trouble(Operation::List, name, &error);
        let pager = self.client.list_secret_properties_versions(name, None).map_err(trouble)?;
        let mut versions = Versions::new();
        let each = |item: SecretProperties| {
            let created = item.attributes.as_ref().and_then(|attributes| attributes.created);
            versions.extend(item.id.as_deref().and_then(version_of).map(|id| (id, created)));
        };
        match self.pages(Operation::List, name, pager, each).await {
            Ok(()) => Ok(versions),
            Err(trouble) if trouble.is_missing() => Ok(Versions::new()),
            Err(trouble) => Err(trouble),
        }
    }

    /// All secrets of the vault, from every page; deleted ones are not among them. `pattern`: for messages.
    pub(super) async fn secrets(&self, pattern: &str) -> Result<Vec<Item>, Trouble> {
        let trouble = |error| self.trouble(Operation::ListSecrets, pattern, &error);
        let pager = self.client.list_secret_properties(None).map_err(trouble)?;
        let now = OffsetDateTime::now_utc();
        let mut items = Vec::new();
        let each = |item: SecretProperties| items.extend(listed(item, now));
        self.pages(Operation::ListSecrets, pattern, pager, each).await?;
        Ok(items)
    }

    /// Every page of a list. The next one is where the vault says; but the token goes to no other host, and nowhere twice.
    async fn pages(
        &self,
        operation: Operation,
        name: &str,
        pager: Pager<ListSecretPropertiesResult>,
        mut each: impl FnMut(SecretProperties),
    ) -> Result<(), Trouble> {
        let trouble = |error| self.trouble(operation, name, &error);
        let mut pages = pager.into_pages();
        let mut seen = Pages::default();
        while let Some(page) = pages.try_next().await.map_err(trouble)? {
            let page: ListSecretPropertiesResult = page.into_model().map_err(trouble)?;
            page.value.into_iter().for_each(&mut each);
            let Some(next) = page.next_link.filter(|link| !link.is_empty()) else { return Ok(()) };
            let here = self.url.join(&next).ok().filter(|next| next.origin() == self.url.origin());
            let Some(next) = here else {
                let what = format!("a list of the vault at {} goes on at another host, which is not asked", self.host);
                let help = "look at what answers at the vault's URL";
                return Err(Trouble::other(operation, name, Failure::new(Kind::Unavailable, what).help(help)));
            };
            if seen.repeats(next.as_str()) {
                let what = format!("{} in the vault at {}", operation.of(name), self.host);
                return Err(Trouble::other(operation, name, Pages::endless(&what)));
            }
        }
        Ok(())
    }

    /// Writes a version and gives its id.
    pub(super) async fn set(&self, name: &str, value: &Secret, carried: &Carried) -> Result<String, Trouble> {
        let trouble = |error| self.trouble(Operation::Set, name, &error);
        let Carried { content_type, tags, enabled, not_before, expires } = carried.clone();
        let attributes = SecretAttributes { enabled, not_before, expires, ..Default::default() };
        let parameters = SetSecretParameters {
            content_type,
            secret_attributes: Some(attributes),
            tags,
            value: Some(value.expose().to_owned()),
        };
        let answer = self.client.set_secret(name, parameters.try_into().map_err(trouble)?, None).await;
        let read: Read = answer.map_err(trouble)?.into_model().map_err(trouble)?;
        let version = read.id.as_deref().and_then(version_of);
        version.ok_or_else(|| Trouble::unreadable(Operation::Set, name, &self.host))
    }

    /// Whether a secret is soft-deleted.
    pub(super) async fn deleted(&self, name: &str) -> Result<Option<Deleted>, Trouble> {
        let trouble = |error| self.trouble(Operation::GetDeleted, name, &error);
        let answer = match self.client.get_deleted_secret(name, None).await.map_err(trouble) {
            Ok(answer) => answer.into_model().map_err(trouble)?,
            Err(trouble) if trouble.is_missing() => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let in_words = |at: Option<OffsetDateTime>| at.as_ref().map(time);
        Ok(Some(Deleted { since: in_words(answer.deleted_date), until: in_words(answer.scheduled_purge_date) }))
    }

    /// Begins to recover a soft-deleted secret, with all of its versions.
    pub(super) async fn recover(&self, name: &str) -> Result<(), Trouble> {
        let recovered = self.client.recover_deleted_secret(name, None).await;
        recovered.map(drop).map_err(|error| self.trouble(Operation::Recover, name, &error))
    }

    /// The resource of which a token is needed, where that is known before the vault is asked.
    pub(super) fn resource(&self) -> Option<&'static str> {
        resource(&self.host)
    }

    /// Where the vault is.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// What `az` calls the vault.
    pub(super) fn name(&self) -> &str {
        self.host.split('.').next().unwrap_or(&self.host)
    }
}

fn carried(
    content_type: Option<String>,
    tags: Option<HashMap<String, String>>,
    attributes: Option<SecretAttributes>,
) -> Carried {
    let SecretAttributes { enabled, not_before, expires, .. } = attributes.unwrap_or_default();
    Carried { content_type, tags, enabled, not_before, expires }
}

/// `None` for what has no name that could be one.
fn listed(item: SecretProperties, now: OffsetDateTime) -> Option<Item> {
    let id = item.id?;
    let (_, name) = id.split_once("/secrets/")?;
    let name = name.split('/').next().filter(|name| is_name(name))?.to_owned();
    let carried = carried(item.content_type, item.tags, item.attributes);
    let managed = (item.managed == Some(true)).then(|| "belongs to a certificate of the vault".to_owned());
    Some(Item { name, key: carried.key().map(str::to_owned), unusable: carried.unusable(now).or(managed) })
}

/// Whether this can be the name of a secret. The SDK puts it into the path as it is.
fn is_name(name: &str) -> bool {
    (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn found(read: Read) -> Option<Found> {
    let created = read.attributes.as_ref().and_then(|attributes| attributes.created);
    let carried = carried(read.content_type, read.tags, read.attributes);
    let version = version_of(&read.id?)?;
    Some(Found { value: read.value?.into(), version, created, carried, managed: read.managed == Some(true) })
}

/// The version at the end of an identifier.
fn version_of(id: &str) -> Option<String> {
    let (_, name) = id.split_once("/secrets/")?;
    let (_, version) = name.split_once('/')?;
    is_version(version).then(|| version.to_ascii_lowercase())
}

/// Whether this can be the id of a version. The SDK puts it into the path as it is.
pub(super) fn is_version(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn time(at: &OffsetDateTime) -> String {
    azure_core::time::to_rfc3339(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core::time::Duration;

    #[test]
    fn the_resource_is_that_of_the_cloud_whose_host_it_is() {
        for (host, expected) in [
            ("app.vault.azure.net", Some("https://vault.azure.net")),
            ("app.vault.usgovcloudapi.net", Some("https://vault.usgovcloudapi.net")),
            ("app.vault.azure.cn", Some("https://vault.azure.cn")),
            ("app.vault.azure.net.example.org", None),
            ("appvault.azure.net", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(resource(host), expected, "{host}");
        }
    }

    #[test]
    fn a_host_gets_tokens_of_a_vault_only() {
        let rows = [
            ("https://vault.azure.net/.default", "127.0.0.1", true),
            ("https://vault.azure.net//.default", "127.0.0.1", true),
            ("https://vault.usgovcloudapi.net/.default", "10.0.0.1", true),
            ("https://vault.azure.cn/.default", "app.example.org", true),
            ("https://vault.local.azurestack.external/.default", "app.vault.local.azurestack.external", true),
            ("https://graph.microsoft.com/.default", "127.0.0.1", false),
            ("https://management.azure.com/.default", "app.example.org", false),
            ("https://azure.net/.default", "app.example.org", false),
            ("https://example.org/.default", "app.example.org.attacker.test", false),
            ("https://ample.org/.default", "app.example.org", false),
            ("https://app.example.org/.default", "app.example.org", false),
            ("https://org/.default", "app.example.org", false),
            ("https://1/.default", "127.0.0.1", false),
            ("http://vault.azure.net/.default", "127.0.0.1", false),
            ("https://graph.microsoft.com@vault.azure.net/.default", "127.0.0.1", false),
            ("https://vault.azure.net/.default https://graph.microsoft.com/.default", "127.0.0.1", false),
            ("https://vault.azure.net/x/.default", "127.0.0.1", false),
            ("00000003-0000-0000-c000-000000000000/.default", "127.0.0.1", false),
            ("", "127.0.0.1", false),
        ];
        for (scope, host, expected) in rows {
            assert_eq!(fits(scope, host), expected, "{scope} for {host}");
        }
    }

    #[test]
    fn only_a_secrets_identifier_with_a_version_gives_one() {
        let id = "0123456789ABCDEF0123456789abcdef";
        let version = |id: &str| version_of(id);
        assert_eq!(version(&format!("https://v/secrets/app/{id}")), Some(id.to_ascii_lowercase()));
        for bad in
            ["https://v/secrets/app", "https://v/secrets/app/", "https://v/keys/app/1", "https://v/secrets/app/x?y"]
        {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_version_says_why_it_is_not_to_be_used() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let at = |days| Some(now + Duration::days(days));
        let carried = |enabled, not_before, expires| Carried { enabled, not_before, expires, ..Carried::default() };
        let rows = [
            (carried(None, None, None), None),
            (carried(Some(true), at(-1), at(1)), None),
            (carried(Some(false), None, None), Some("is disabled")),
            (carried(Some(true), None, Some(now)), Some("has expired on 2024-10-04")),
            (carried(Some(true), at(1), None), Some("is not valid before 2024-10-05")),
        ];
        for (carried, expected) in rows {
            let why = carried.unusable(now);
            assert_eq!(why.is_some(), expected.is_some(), "{why:?}");
            assert!(why.unwrap_or_default().starts_with(expected.unwrap_or_default()));
        }
    }
}
