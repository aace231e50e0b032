//! The part of the configuration that each cloud has for itself: where the store is, and the login.

use super::reader::{Given, Reader, list};
use super::registry::Raw;
use super::variable;
use crate::auth::{self, AzureKeys, GcpKeys};
use crate::error::{Failure, Kind};
use crate::reference::{Entry, azure, gcp};
use crate::secret::Secret;

/// How to reach AWS Secrets Manager.
pub struct Aws {
    /// For names; an ARN brings its own.
    pub region: Option<String>,
    /// The base URL of the service in place of the region's own.
    pub endpoint: Option<String>,
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub fips: bool,
    /// `AWS_USE_DUALSTACK_ENDPOINT`.
    pub dual_stack: bool,
    /// Who we are.
    pub login: auth::AwsLogin,
}

/// How to reach Google Secret Manager.
pub struct Gcp {
    /// For short names: id or number. A service account key may bring another.
    pub project: Option<String>,
    /// Where a new secret is replicated to; empty for everywhere.
    pub locations: Vec<String>,
    /// The base URL of the service in place of Google's own.
    pub endpoint: Option<String>,
    /// Who we are.
    pub login: auth::GcpLogin,
}

/// How to reach Azure Key Vault.
pub struct Azure {
    /// The vault's URL without a slash at its end; an https identifier brings its own.
    pub vault: Option<String>,
    /// Which of Microsoft's clouds.
    pub cloud: AzureCloud,
    /// The base URL of Entra in place of the cloud's own.
    pub authority: Option<String>,
    /// Who we are.
    pub login: auth::AzureLogin,
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
}

impl Reader<'_> {
    fn foreign(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| variable(self.env, name)).map(str::to_owned)
    }

    /// The input, else the first of other tools' variables that is set; problems with it then name that variable.
    fn own_or(&mut self, name: &'static str, own: Option<&String>, variables: &[&str]) -> Option<String> {
        let env = self.env;
        let foreign = || variables.iter().find_map(|other| Some((*other, variable(env, other)?)));
        if own.is_none()
            && let Some((other, value)) = foreign()
        {
            self.given.insert(name, Given { value, shown: other.to_owned() });
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

    /// Keeps a login, or what is wrong with it.
    fn login<L>(&mut self, login: Result<L, Failure>, missing: &mut Option<Failure>) -> Option<L> {
        match login {
            Ok(login) => return Some(login),
            Err(failure) if failure.kind == Kind::Login => *missing = Some(failure),
            Err(failure) => self.problems.extend(failure.problems),
        }
        None
    }

    pub(super) fn aws(&mut self, raw: &Raw, entries: &[Entry], missing_login: &mut Option<Failure>) -> Option<Aws> {
        let on = |name: &str| variable(self.env, name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (fips, dual_stack) = (on("AWS_USE_FIPS_ENDPOINT"), on("AWS_USE_DUALSTACK_ENDPOINT"));
        let configured = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"];
        let configured = if on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") { &[][..] } else { &configured[..] };
        let region = self.own_or("aws_region", raw.aws_region.as_ref(), &["AWS_REGION", "AWS_DEFAULT_REGION"]);
        let endpoint = self.own_or("aws_endpoint_url", raw.aws_endpoint_url.as_ref(), configured);
        let login = auth::choose_aws(
            auth::AwsKeys::new(
                raw.aws_access_key_id.as_deref(),
                raw.aws_secret_access_key.as_deref(),
                raw.aws_session_token.as_deref(),
            ),
            auth::AwsKeys::new(
                variable(self.env, "AWS_ACCESS_KEY_ID"),
                variable(self.env, "AWS_SECRET_ACCESS_KEY"),
                variable(self.env, "AWS_SESSION_TOKEN"),
            ),
            |name| self.shown(name),
        );
        match &region {
            Some(region)
                if region.len() > 32
                    || region.starts_with('-')
                    || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
            {
                let what = format!("is `{}`, which is no region", region.escape_default());
                self.problem("aws_region", &what, "write it as in `eu-central-1`");
            }
            None if entries.iter().any(|entry| entry.reference.region.is_none()) => {
                let help = "set it, or AWS_REGION, or name the secret by its ARN";
                self.problem("aws_region", "is missing, and a secret is named without its region", help);
            }
            _ => {}
        }
        let example = "https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com";
        self.base_url("aws_endpoint_url", endpoint.as_ref(), false, example);
        let login = self.login(login, missing_login)?;
        Some(Aws { region, endpoint, fips, dual_stack, login })
    }

    pub(super) fn gcp(&mut self, raw: &Raw, missing_login: &mut Option<Failure>) -> Option<Gcp> {
        // The variables that Google's own libraries and actions read and set.
        let variables = ["GOOGLE_CLOUD_PROJECT", "GCP_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"];
        let project = self.own_or("gcp_project", raw.gcp_project.as_ref(), &variables);
        if let Some(project) = &project
            && !gcp::is_project(project)
        {
            let what = format!("is `{}`, which is no project", project.escape_default());
            self.problem("gcp_project", &what, "write the project's id or its number");
        }
        let locations: Vec<String> = list(raw.gcp_locations.as_deref()).map(str::to_owned).collect();
        if let Some(bad) = locations.iter().find(|l| !gcp::is_location(l)) {
            let what = format!("holds `{}`, which is no location", bad.escape_default());
            self.problem("gcp_locations", &what, "write them as in `europe-west3, europe-west4`");
        }
        self.base_url("gcp_endpoint", raw.gcp_endpoint.as_ref(), false, "https://secretmanager.googleapis.com");
        let inputs = GcpKeys {
            token: raw.gcp_access_token.as_deref().map(Secret::from),
            json: raw.gcp_credentials_json.as_deref().map(Secret::from),
            file: None,
        };
        let left = GcpKeys { file: self.foreign(&["GOOGLE_APPLICATION_CREDENTIALS"]), ..GcpKeys::default() };
        let login = auth::choose_gcp(inputs, left, |name| self.shown(name));
        let login = self.login(login, missing_login)?;
        Some(Gcp { project, locations, endpoint: raw.gcp_endpoint.clone(), login })
    }

    pub(super) fn azure(&mut self, raw: &Raw, entries: &[Entry], missing_login: &mut Option<Failure>) -> Option<Azure> {
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
        let vault = raw.azure_vault.as_deref().and_then(|vault| self.vault(vault, cloud));
        for entry in entries {
            let named = azure::Name::parse(&entry.reference.id).ok().and_then(|name| name.vault);
            match (named, &vault) {
                (Some(named), Some(vault)) if !named.eq_ignore_ascii_case(vault) => {
                    let what = format!("is `{vault}`, and the secret `{}` lies in another vault", entry.reference.id);
                    self.problem("azure_vault", &what, "name the same vault in both, or leave `azure_vault` out");
                }
                (None, None) if raw.azure_vault.is_none() => {
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
        let inputs = AzureKeys::new(
            raw.azure_tenant_id.as_deref(),
            raw.azure_client_id.as_deref(),
            raw.azure_client_secret.as_deref(),
            raw.azure_access_token.as_deref(),
        );
        let left = AzureKeys::new(
            variable(self.env, "AZURE_TENANT_ID"),
            variable(self.env, "AZURE_CLIENT_ID"),
            variable(self.env, "AZURE_CLIENT_SECRET"),
            None,
        );
        let login = auth::choose_azure(inputs, left, |name| self.shown(name));
        let login = self.login(login, missing_login)?;
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
