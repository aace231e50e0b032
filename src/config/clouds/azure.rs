//! Where Azure Key Vault is.

use super::super::reader::Reader;
use super::super::registry::Raw;
use super::is_base_url;
use crate::auth::choice::choose_azure;
use crate::auth::way::AzureLogin;
use crate::error::Failure;
use crate::reference::{Entry, azure};

/// How to reach Azure Key Vault.
pub struct Azure {
    /// The vault's URL without a slash at its end; an https identifier brings its own.
    pub vault: Option<String>,
    /// Which of Microsoft's clouds.
    pub cloud: AzureCloud,
    /// The base URL of Entra in place of the cloud's own.
    pub authority: Option<String>,
    /// Who we are.
    pub login: AzureLogin,
}

/// One of Microsoft's clouds
/// ([endpoints](https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AzureCloud {
    /// The public one.
    Public,
    /// US Government.
    UsGovernment,
    /// China, run by 21Vianet.
    China,
}

impl AzureCloud {
    /// What follows a vault's name.
    #[must_use]
    pub fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::UsGovernment => "vault.usgovcloudapi.net",
            Self::China => "vault.azure.cn",
        }
    }

    /// What a federated credential expects a token to be for
    /// ([audiences](https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations)).
    #[must_use]
    pub fn token_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}

impl Reader<'_> {
    pub(in crate::config) fn azure(
        &mut self,
        raw: &Raw,
        entries: &[Entry],
        missing_login: &mut Option<Failure>,
    ) -> Option<Azure> {
        // The second names are those of the `environment` input of azure/login.
        let clouds = [
            ("public", AzureCloud::Public),
            ("azurecloud", AzureCloud::Public),
            ("usgovernment", AzureCloud::UsGovernment),
            ("azureusgovernment", AzureCloud::UsGovernment),
            ("china", AzureCloud::China),
            ("azurechinacloud", AzureCloud::China),
        ];
        let cloud = self.choice("azure_cloud", raw.azure_cloud.as_deref(), &clouds, Some(AzureCloud::Public))?;
        let given = self.own_or("azure_vault", raw.azure_vault.as_ref(), &["AZURE_KEY_VAULT_SERVER_URL"]);
        let vault = given.as_deref().and_then(|vault| self.vault(vault, cloud));
        for entry in entries {
            let named = azure::Name::parse(&entry.reference.id).ok().and_then(|name| name.vault);
            match (named, &vault) {
                (Some(named), Some(vault)) if !named.eq_ignore_ascii_case(vault) => {
                    let what = format!("is `{vault}`, and the secret `{}` lies in another vault", entry.reference.id);
                    self.problem("azure_vault", &what, "name the same vault in both, or leave `azure_vault` out");
                }
                (None, None) if given.is_none() => {
                    let help = "give the vault's name or URL, or name the secret by its https identifier";
                    self.problem("azure_vault", "is missing, and a secret is named without its vault", help);
                    break;
                }
                _ => {}
            }
        }
        let authority =
            self.own_or("azure_authority_host", raw.azure_authority_host.as_ref(), &["AZURE_AUTHORITY_HOST"]);
        // Entra's clients add `https://` to a bare host in this variable.
        let authority = authority.map(|host| if host.contains("://") { host } else { format!("https://{host}") });
        self.base_url("azure_authority_host", authority.as_ref(), true, "https://login.microsoftonline.com");
        let login = self.login(raw, |given| choose_azure(given, cloud.token_audience()), missing_login)?;
        Some(Azure { vault, cloud, authority, login })
    }

    /// A vault's URL from its name or its URL.
    fn vault(&mut self, text: &str, cloud: AzureCloud) -> Option<String> {
        if text.contains("://") {
            let url = text.trim_end_matches('/').to_owned();
            let host = url.split_once("://").map_or("", |(_, host)| host);
            if is_base_url(&url, true) && azure::is_host(host) {
                return Some(format!("https://{host}"));
            }
            self.problem(
                "azure_vault",
                "is no https URL of a vault",
                "write the vault's name, or `https://NAME.vault.azure.net`",
            );
            return None;
        }
        // https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
        let fits = (3..=24).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            let what = format!("is `{}`, which is no name of a vault", text.escape_default());
            self.problem(
                "azure_vault",
                &what,
                "a name has 3 to 24 letters, digits and `-`; else write the vault's URL",
            );
            return None;
        }
        Some(format!("https://{}.{}", text.to_ascii_lowercase(), cloud.vault_suffix()))
    }
}
