//! Azure Key Vault's secrets and Entra's token endpoint, as their documentation describes them, over HTTPS: versions with
//! one-second times, soft deletion and recovery that take a while, the error bodies of both, and faults on demand; and the
//! managed identities of a machine.
//!
//! <https://learn.microsoft.com/rest/api/keyvault/secrets>. One server is the vault, the authority and the machine. Requests to the
//! vault without a token are the operation `Challenge`, so that a count of `GetSecret` counts the real ones.

mod answers;
mod calls;
mod entra;
mod listing;
mod managed;
pub(crate) mod route;
mod state;

use std::time::Duration;

use serde_json::Value;

use self::answers::{Refusal, base, respond};
pub use self::answers::{
    conflict, contention, forbidden_by_firewall, forbidden_by_policy, forbidden_by_rbac, forbidden_with_escapes,
};
pub use self::entra::entra_error;
use self::entra::{Entra, Stranger};
use self::managed::Machine;
use self::route::Route;
pub use self::state::Lag;
use self::state::{Secret, State, Version};
use crate::double::{Double, Handle, Service};
use crate::http::{Request, Response};
use crate::issuer::Issuer;
use crate::tls::Identity;

/// The tenant that is there from the start.
pub const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// An application of that tenant, which may do everything in the vault.
pub const CLIENT_ID: &str = "22222222-2222-4222-8222-222222222222";
/// An application of that tenant, with the same secret, which may do nothing in the vault.
pub const DENIED_CLIENT_ID: &str = "33333333-3333-4333-8333-333333333333";
/// A user-assigned identity of the machine, which may do everything in the vault.
pub const MANAGED_CLIENT_ID: &str = "66666666-6666-4666-8666-666666666666";
/// The machine's system-assigned identity, which may do the same.
pub const SYSTEM_CLIENT_ID: &str = "77777777-7777-4777-8777-777777777777";
/// What App Service's endpoint wants in its header.
pub const IDENTITY_HEADER: &str = "fake-identity-header-for-tests";
/// The audience that federated credentials have as a rule.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
/// The secret of both applications.
pub const CLIENT_SECRET: &str = "fake-client-secret~for.tests";
/// A token that the vault knows from the start.
pub const ACCESS_TOKEN: &str = "fake-access-token-for-tests";
/// A token that starts so is over.
pub const EXPIRED: &str = "EXPIRED";
/// A token that starts so is known, and lets its bearer do nothing.
pub const DENIED: &str = "DENIED";
/// The resource that a token must be for.
pub const RESOURCE: &str = "https://vault.azure.net";

/// Real names under which the double has a certificate too, in three clouds.
const HOSTS: [&str; 6] = [
    "*.vault.azure.net",
    "*.vault.usgovcloudapi.net",
    "*.vault.azure.cn",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
];

/// The service: the state behind a [`Double`].
pub struct KeyVault {
    vault: State,
    entra: Entra,
    machine: Machine,
    /// What the vault's challenge asks a token for.
    resource: String,
    ca_pem: String,
}

impl KeyVault {
    /// Starts an empty vault and its authority on a free loopback port.
    ///
    /// # Panics
    /// Where no port can be had, or no key be made.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start() -> Double<Self> {
        let Identity { config, ca_pem } = Identity::for_loopback_and(&HOSTS).expect("a certificate for loopback");
        let (vault, entra, machine) = (State::default(), Entra::default(), Machine::default());
        let service = Self { vault, entra, machine, resource: RESOURCE.to_owned(), ca_pem };
        Double::start_with(service, Some(config)).expect("a free loopback port")
    }
}

/// One version, as [`Handle::version`] shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    /// The secret's value in this version.
    pub value: String,
    /// `contentType`.
    pub content_type: Option<String>,
    /// Names and values, by name.
    pub tags: Vec<(String, String)>,
    /// Whether it can be read.
    pub enabled: bool,
    /// `nbf`, in seconds since 1970.
    pub not_before: Option<u64>,
    /// `exp`, in seconds since 1970.
    pub expires: Option<u64>,
}

impl Handle<KeyVault> {
    /// The certificate to trust, for the vault and the authority; both have the address of [`Double::url`].
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.service().ca_pem.clone()
    }

    /// Writes a new current version, as a foreign writer would; creates the secret where it is missing. Gives the
    /// version's id.
    pub fn put(&self, name: &str, text: &str) -> String {
        self.service().vault.write(name, text).id.clone()
    }

    /// As [`Handle::put`], with everything else that a version has.
    pub fn put_with(&self, name: &str, properties: &Properties) -> String {
        let mut service = self.service();
        let version = service.vault.write(name, &properties.value);
        apply(version, properties);
        version.id.clone()
    }

    /// Changes a version in place, its value too.
    pub fn edit(&self, name: &str, version: &str, change: impl FnOnce(&mut Properties)) {
        if let Some(version) = self.service().vault.find_mut(name).and_then(|s| s.version_mut(version)) {
            let mut properties = shown(version);
            change(&mut properties);
            apply(version, &properties);
        }
    }

    /// Disables or enables the current version.
    pub fn set_enabled(&self, name: &str, on: bool) {
        self.edit(name, "", |version| version.enabled = on);
    }

    /// Soft-deletes a secret; [`Handle::deletion_takes`] applies.
    pub fn delete(&self, name: &str) {
        self.service().vault.delete(name);
    }

    /// Recovers a soft-deleted secret; [`Handle::recovery_takes`] applies.
    pub fn recover(&self, name: &str) {
        self.service().vault.recover(name);
    }

    /// Ends a secret at once, without a trace.
    pub fn purge(&self, name: &str) {
        self.service().vault.purge(name);
    }

    /// Lets callers purge; without it they meet purge protection.
    pub fn allow_purge(&self) {
        self.service().vault.purge_allowed = true;
    }

    /// After a deletion: how long the deleted secret is not to be found, while writes meet `ObjectIsBeingDeleted`.
    pub fn deletion_takes(&self, unseen: Lag) {
        self.service().vault.deletion = unseen;
    }

    /// After a recovery: how long the secret is not to be found, and how long writes meet `ObjectIsBeingRecovered`
    /// although it can be read (Azure/azure-sdk-for-net#31581). Reads and writes use the looks of the first up, and then
    /// writes those of the second.
    pub fn recovery_takes(&self, unreadable: Lag, unwritable: Lag) {
        self.service().vault.recovery = (unreadable, unwritable);
    }

    /// How long a caller's write keeps its secret busy: another one meanwhile is answered with 409 and writes nothing.
    pub fn writes_take(&self, time: Duration) {
        self.service().vault.write_takes = time;
    }

    /// Stops the vault's clock at this second, so that all writes from now fall into it; `None` lets it go again.
    pub fn freeze_clock(&self, seconds_since_1970: Option<u64>) {
        self.service().vault.freeze(seconds_since_1970);
    }

    /// Lets the links to further pages lead elsewhere.
    pub fn links_lead_to(&self, url: &str) {
        self.service().vault.links = Some(url.to_owned());
    }

    /// Lets the second page of every list lead to itself.
    pub fn never_end_lists(&self) {
        self.service().vault.endless = true;
    }

    /// The most items that a list call returns at once, to see whether every page is read.
    pub fn page_size(&self, items: usize) {
        self.service().vault.page = items.max(1);
    }

    /// Answers the list of versions of a secret that is not there with 404, where Key Vault gives an empty list.
    pub fn missing_versions_are_404(&self) {
        self.service().vault.missing_versions_are_404 = true;
    }

    /// The value of the current version; `None` for a missing and for a deleted secret.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<String> {
        let service = self.service();
        Some(live(&service.vault, name)?.versions.last()?.value.clone())
    }

    /// The id of the current version, of a deleted secret too.
    #[must_use]
    pub fn current_id(&self, name: &str) -> Option<String> {
        Some(self.service().vault.find(name)?.versions.last()?.id.clone())
    }

    /// One version, the current one by an empty id, of a deleted secret too.
    #[must_use]
    pub fn version(&self, name: &str, version: &str) -> Option<Properties> {
        self.service().vault.find(name)?.version(version).map(shown)
    }

    /// The ids of all versions in the order in which they were written, of a deleted secret too.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<String> {
        let service = self.service();
        service.vault.find(name).map_or_else(Vec::new, |s| s.versions.iter().map(|v| v.id.clone()).collect())
    }

    /// Whether a secret is soft-deleted.
    #[must_use]
    pub fn is_deleted(&self, name: &str) -> bool {
        self.service().vault.find(name).is_some_and(Secret::is_deleted)
    }

    /// Gives an application one more client secret, making both it and its tenant where they are missing.
    pub fn register(&self, tenant: &str, client_id: &str, client_secret: &str) {
        self.service().entra.register(tenant, client_id, client_secret);
    }

    /// Gives an application of [`TENANT`] a federated credential: it is whoever brings a token of this issuer with exactly
    /// this subject and audience.
    pub fn trust(&self, client_id: &str, issuer: &Issuer, subject: &str, audience: &str) {
        self.service().entra.trust(client_id, issuer, subject, audience);
    }

    /// Takes the machine's identities away.
    pub fn without_identity(&self) {
        self.service().machine = Machine { system: None, assigned: Vec::new() };
    }

    /// Lets the vault's challenge ask for a token for something else than [`RESOURCE`].
    pub fn challenge_for(&self, resource: &str) {
        resource.clone_into(&mut self.service().resource);
    }

    /// What the tokens given from now on say of their end, in seconds.
    pub fn tokens_last(&self, seconds: u64) {
        self.service().entra.lifetime = seconds;
    }

    /// Gives this as the token from now on, to every application that may do something: a test can then look for it.
    pub fn tokens_are(&self, token: &str) {
        self.service().entra.fixed = Some(token.to_owned());
    }

    /// A token that the vault accepts, as an `az account get-access-token` would give it.
    #[must_use]
    pub fn issue_token(&self) -> String {
        self.service().entra.issue(CLIENT_ID, RESOURCE)
    }

    /// Makes every token given so far, [`ACCESS_TOKEN`] too, one that the vault does not know.
    pub fn revoke_tokens(&self) {
        self.service().entra.revoke();
    }
}

fn live<'a>(vault: &'a State, name: &str) -> Option<&'a Secret> {
    vault.find(name).filter(|s| !s.is_deleted())
}

fn shown(version: &Version) -> Properties {
    let tags = version.tags.iter().flatten();
    Properties {
        value: version.value.clone(),
        content_type: version.content_type.clone(),
        tags: tags.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
        enabled: version.enabled,
        not_before: version.not_before,
        expires: version.expires,
    }
}

fn apply(version: &mut Version, properties: &Properties) {
    let Properties { value, content_type, tags, enabled, not_before, expires } = properties.clone();
    version.value = value;
    version.content_type = content_type;
    version.tags = (!tags.is_empty()).then(|| tags.into_iter().map(|(k, v)| (k, Value::String(v))).collect());
    (version.enabled, version.not_before, version.expires) = (enabled, not_before, expires);
}

impl Service for KeyVault {
    fn operation(&self, request: &Request) -> String {
        let route = Route::of(request);
        let bare = !route.is_authority() && !route.is_machine() && bearer(request).is_none();
        if bare { "Challenge" } else { route.operation() }.to_owned()
    }

    fn answer(&mut self, _operation: &str, request: &Request) -> Response {
        let route = Route::of(request);
        if route.is_authority() {
            return self.entra.answer(&base(request), &route, request);
        }
        if route.is_machine() {
            return self.machine.answer(&mut self.entra, &route, request);
        }
        let refusal = match bearer(request).map(|token| self.entra.admit(token)) {
            None => Refusal::no_token(),
            Some(Err(Stranger::BadToken(text))) => Refusal::bad_token(text),
            Some(Err(Stranger::Denied)) => return denied(&route).response(),
            Some(Ok(())) => match self.vault.call(&route, request) {
                Ok((204, _)) => return Response { status: 204, headers: Vec::new(), body: Vec::new() },
                Ok((status, body)) => return respond(status, &body),
                Err(refusal) => return refusal.response(),
            },
        };
        // The tenant is the vault's own, and every 401 names it.
        let challenge = format!("Bearer authorization=\"{}/{TENANT}\", resource=\"{}\"", base(request), self.resource);
        refusal.response().with("WWW-Authenticate", challenge)
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Response {
        respond(status, &serde_json::json!({ "error": { "code": code, "message": message } }))
    }

    fn throttled(&self) -> Response {
        Refusal::throttled().response()
    }

    fn access_denied(&self, _operation: &str, request: &Request) -> Response {
        denied(&Route::of(request)).response()
    }

    /// Key Vault has no key of its own for a secret; the nearest is a vault with access policies, and none for the caller.
    fn key_denied(&self) -> Response {
        Refusal::policy("get").response()
    }
}

fn denied(route: &Route) -> Refusal {
    Refusal::rbac(route.action(), route.name().unwrap_or_default())
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
