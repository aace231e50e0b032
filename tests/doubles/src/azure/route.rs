//! What a request asks for, by its method, path and query.

use super::answers::Refusal;
use crate::http::Request;

/// What the vault's own clients have asked for so far, and what this double therefore answers.
const API_VERSIONS: &[&str] =
    &["2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"];

/// One operation, with its name and version as sent. An empty version means the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Set(String),
    Get(String, String),
    Update(String, String),
    Delete(String),
    List,
    Versions(String),
    ListDeleted,
    GetDeleted(String),
    Recover(String),
    Purge(String),
    Token(String),
    /// The authority's description of itself, for a tenant.
    OpenId(String),
    /// Which authorities there are.
    Instance,
    /// A token of the app's managed identity.
    AppIdentity,
    /// A token of the virtual machine's managed identity.
    MachineIdentity,
    Unknown,
}

impl Route {
    pub fn of(request: &Request) -> Self {
        let path = request.target.split('?').next().unwrap_or_default();
        // The SDKs write `/secrets/{name}/` for the current version.
        let path = path.trim_matches('/');
        let parts: Vec<String> = path.split('/').map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let own = str::to_owned;
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["secrets"]) => Self::List,
            ("PUT", ["secrets", name]) => Self::Set(own(name)),
            ("GET", ["secrets", name, "versions"]) => Self::Versions(own(name)),
            ("GET", ["secrets", name]) => Self::Get(own(name), String::new()),
            ("GET", ["secrets", name, version]) => Self::Get(own(name), own(version)),
            ("PATCH", ["secrets", name]) => Self::Update(own(name), String::new()),
            ("PATCH", ["secrets", name, version]) => Self::Update(own(name), own(version)),
            ("DELETE", ["secrets", name]) => Self::Delete(own(name)),
            ("GET", ["deletedsecrets"]) => Self::ListDeleted,
            ("GET", ["deletedsecrets", name]) => Self::GetDeleted(own(name)),
            ("DELETE", ["deletedsecrets", name]) => Self::Purge(own(name)),
            ("POST", ["deletedsecrets", name, "recover"]) => Self::Recover(own(name)),
            ("POST", [tenant, "oauth2", "v2.0", "token"]) => Self::Token(own(tenant)),
            ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => Self::OpenId(own(tenant)),
            ("GET", ["common", "discovery", "instance"]) => Self::Instance,
            ("GET", ["msi", "token"]) => Self::AppIdentity,
            ("GET", ["metadata", "identity", "oauth2", "token"]) => Self::MachineIdentity,
            _ => Self::Unknown,
        }
    }

    /// The operation's name as Key Vault's documentation writes it, roughly.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Set(_) => "SetSecret",
            Self::Get(..) => "GetSecret",
            Self::Update(..) => "UpdateSecret",
            Self::Delete(_) => "DeleteSecret",
            Self::List => "ListSecrets",
            Self::Versions(_) => "ListVersions",
            Self::ListDeleted => "ListDeletedSecrets",
            Self::GetDeleted(_) => "GetDeletedSecret",
            Self::Recover(_) => "RecoverDeletedSecret",
            Self::Purge(_) => "PurgeDeletedSecret",
            Self::Token(_) => "Token",
            Self::OpenId(_) | Self::Instance => "Discovery",
            Self::AppIdentity | Self::MachineIdentity => "ManagedIdentity",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether the authority answers, not the vault.
    pub fn is_authority(&self) -> bool {
        matches!(self, Self::Token(_) | Self::OpenId(_) | Self::Instance)
    }

    /// Whether the machine answers, for its managed identity.
    pub fn is_machine(&self) -> bool {
        matches!(self, Self::AppIdentity | Self::MachineIdentity)
    }

    /// What a role must allow for this.
    /// <https://learn.microsoft.com/azure/role-based-access-control/permissions/security#microsoftkeyvault>
    pub fn action(&self) -> &'static str {
        match self {
            Self::Get(..) => "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            Self::Set(_) => "Microsoft.KeyVault/vaults/secrets/setSecret/action",
            Self::Update(..) => "Microsoft.KeyVault/vaults/secrets/update/action",
            Self::Delete(_) => "Microsoft.KeyVault/vaults/secrets/delete",
            Self::Recover(_) => "Microsoft.KeyVault/vaults/secrets/recover/action",
            Self::Purge(_) => "Microsoft.KeyVault/vaults/secrets/purge/action",
            _ => "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        }
    }

    /// The secret's name, where the operation has one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Set(name) | Self::Delete(name) | Self::Versions(name) => Some(name),
            Self::GetDeleted(name) | Self::Recover(name) | Self::Purge(name) => Some(name),
            Self::Get(name, _) | Self::Update(name, _) => Some(name),
            _ => None,
        }
    }

    /// Refuses what every operation of the vault refuses.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        let version = query(request, "api-version");
        let Some(version) = version else { return Err(Refusal::parameter("api-version must be specified")) };
        if !API_VERSIONS.contains(&version.as_str()) {
            return Err(Refusal::parameter(format!("The specified api-version is not supported: {version}")));
        }
        match self.name() {
            Some(name) if !is_name(name) => {
                Err(Refusal::parameter(format!("The request URI contains an invalid name: {name}")))
            }
            _ => Ok(()),
        }
    }
}

/// <https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret/set-secret>
pub fn is_name(name: &str) -> bool {
    (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The first parameter of this name.
pub fn query(request: &Request, name: &str) -> Option<String> {
    let (_, query) = request.target.split_once('?')?;
    form(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// The pairs of a query or of a form.
pub fn form(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    })
}

/// Takes the percent encoding off; what is none stays as it is.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|d| str::from_utf8(d).ok());
        let byte = digits.filter(|_| first == b'%').and_then(|d| u8::from_str_radix(d, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
