//! Google Secret Manager as its documentation describes it (REST, v1): versions by number, their states, aliases, etags,
//! checksums, pages and filters, regional secrets, the lag of `latest`, and faults on demand.
//!
//! <https://cloud.google.com/secret-manager/docs/reference/rest>

mod exchange;
mod fields;
mod listing;
mod login;
mod refusal;
mod route;
mod secrets;
mod state;
mod versions;

use std::time::Duration;

use serde_json::{Value, json};

pub use self::exchange::{MACHINE, Provider};
use self::fields::crc32c;
use self::refusal::{Refusal, error_body};
use self::route::Call;
pub use self::state::VersionState;
use self::state::{Secret, State};
use crate::double::{Double, Handle, Service};
use crate::http::{Request, Response};
use crate::tls::Identity;

/// The id of the project that there is; any other is refused.
pub const PROJECT: &str = "fake-project";
/// Its number, which every name in an answer carries, whatever was asked with.
pub const NUMBER: &str = "123456789012";
/// An access token that starts so is good, and may do nothing.
pub const DENIED_TOKEN: &str = "DENIED";
/// An access token that starts so is over.
pub const EXPIRED_TOKEN: &str = "EXPIRED";
/// An access token that starts so was never given out.
pub const UNKNOWN_TOKEN: &str = "UNKNOWN";

const JSON: &str = "application/json; charset=UTF-8";

/// The service: the state behind a [`Double`].
pub struct SecretManager(State);

impl SecretManager {
    /// Starts an empty Secret Manager on a free loopback port.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start() -> Double<Self> {
        Double::start(Self(State::default())).expect("a free loopback port")
    }

    /// As [`SecretManager::start`], with TLS; gives also the certificate that a client must trust.
    ///
    /// # Panics
    /// Where no port can be had, or no key be made.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start_tls() -> (Double<Self>, String) {
        let Identity { config, ca_pem } = Identity::for_loopback().expect("a certificate for loopback");
        let double = Double::start_with(Self(State::default()), Some(config)).expect("a free loopback port");
        (double, ca_pem)
    }
}

/// A secret is named by its id, or in full where it is regional: `projects/P/locations/L/secrets/S`. A version is its number.
impl Handle<SecretManager> {
    /// Writes a text as a new version, as a foreign writer would; creates the secret where it is missing. Gives the
    /// version's number.
    pub fn put(&self, name: &str, text: &str) -> String {
        self.put_binary(name, text.as_bytes())
    }

    /// As [`Handle::put`], with any bytes.
    pub fn put_binary(&self, name: &str, bytes: &[u8]) -> String {
        self.create_without_value(name);
        let mut number = 0;
        self.edit(name, |secret| number = secret.add(bytes.to_vec(), false));
        number.to_string()
    }

    /// A secret that has no version yet, as `CreateSecret` leaves it; one that is there stays as it is.
    pub fn create_without_value(&self, name: &str) {
        let (project, location, id) = parts(name);
        let state = &mut self.service().0;
        if state.find(&project, location.as_deref(), &id).is_none() {
            state.create(&project, location.as_deref(), &id);
        }
    }

    /// Ends a secret with all its versions.
    pub fn purge(&self, name: &str) {
        let Some(full) = self.name(name) else { return };
        self.service().0.secrets.retain(|secret| secret.name() != full);
    }

    /// Moves a version to a state, as a foreign administrator would.
    pub fn set_state(&self, name: &str, version: &str, state: VersionState) {
        self.edit(name, |secret| {
            if let Some(version) = version.parse().ok().and_then(|n| secret.version_mut(n)) {
                version.set_state(state);
            }
        });
    }

    /// Names a version by an alias, taking it off wherever it was.
    pub fn set_alias(&self, name: &str, alias: &str, version: &str) {
        let Ok(number) = version.parse() else { return };
        self.edit(name, |secret| {
            secret.aliases.insert(alias.to_owned(), number);
        });
    }

    /// Sets a label of a secret.
    pub fn set_label(&self, name: &str, label: &str, value: &str) {
        self.edit(name, |secret| {
            secret.labels.insert(label.to_owned(), json!(value));
        });
    }

    /// From now on `latest` and the lists answer as they did this many versions ago (the first version is always seen);
    /// a read by number sees everything.
    pub fn lag(&self, name: &str, versions: usize) {
        self.edit(name, |secret| secret.behind = versions);
    }

    /// From now on `latest` and the lists see a version only when it is this old (the first one always).
    pub fn lag_for(&self, name: &str, time: Duration) {
        self.edit(name, |secret| secret.delay = time);
    }

    /// Turns the API of the project on or off.
    pub fn enable_api(&self, on: bool) {
        self.service().0.enabled = on;
    }

    /// Makes another project, so that its secrets can be reached.
    pub fn add_project(&self, id: &str, number: &str) {
        self.service().0.projects.push((id.to_owned(), number.to_owned()));
    }

    /// Lets the second page of every list lead to itself.
    pub fn never_end_lists(&self) {
        self.service().0.endless = true;
    }

    /// The most items that a list call returns at once, to see whether every page is read.
    pub fn page_size(&self, items: usize) {
        self.service().0.page = items.max(1);
    }

    /// The text of the newest version; `None` for a missing secret, one without a version, and a payload that is no text
    /// or destroyed. The lag of `latest` does not count here.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<String> {
        self.read(name, |secret| secret.versions.last().map(|v| v.data.clone())).flatten().and_then(text)
    }

    /// The payload of one version, whether it may be read or not; destroyed, it is empty.
    #[must_use]
    pub fn payload(&self, name: &str, version: &str) -> Option<Vec<u8>> {
        self.read(name, |secret| Some(secret.version(version.parse().ok()?)?.data.clone())).flatten()
    }

    /// The state of one version.
    #[must_use]
    pub fn state(&self, name: &str, version: &str) -> Option<VersionState> {
        self.read(name, |secret| Some(secret.version(version.parse().ok()?)?.state)).flatten()
    }

    /// Whether the writer of a version sent its checksum.
    #[must_use]
    pub fn sent_checksum(&self, name: &str, version: &str) -> bool {
        self.read(name, |secret| Some(secret.version(version.parse().ok()?)?.checked)).flatten().unwrap_or(false)
    }

    /// The numbers of all versions in the order in which they were made.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<String> {
        self.read(name, |secret| secret.versions.iter().map(|v| v.number.to_string()).collect()).unwrap_or_default()
    }

    /// The labels of a secret, by name.
    #[must_use]
    pub fn labels(&self, name: &str) -> Vec<(String, String)> {
        let pair = |(name, value): (&String, &Value)| (name.clone(), value.as_str().unwrap_or_default().to_owned());
        self.read(name, |secret| secret.labels.iter().map(pair).collect()).unwrap_or_default()
    }

    /// Where the payloads lie: no place at all for automatic replication; `None` for a missing secret.
    #[must_use]
    pub fn locations(&self, name: &str) -> Option<Vec<String>> {
        self.read(name, |secret| {
            let Some(replication) = &secret.replication else { return secret.location.clone().into_iter().collect() };
            let replicas = replication["userManaged"]["replicas"].as_array().into_iter().flatten();
            replicas.filter_map(|r| r["location"].as_str()).map(str::to_owned).collect()
        })
    }

    /// The full name of a secret, as answers carry it.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<String> {
        self.read(name, Secret::name)
    }

    fn read<T>(&self, name: &str, look: impl FnOnce(&Secret) -> T) -> Option<T> {
        let (project, location, id) = parts(name);
        self.service().0.find(&project, location.as_deref(), &id).map(look)
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut Secret)) {
        let (project, location, id) = parts(name);
        if let Some(secret) = self.service().0.find_mut(&project, location.as_deref(), &id) {
            change(secret);
        }
    }
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// Project, location and id of a secret that a test names.
fn parts(name: &str) -> (String, Option<String>, String) {
    let part = |text: &str| text.to_owned();
    match name.split('/').collect::<Vec<_>>().as_slice() {
        ["projects", project, "secrets", id] => (part(project), None, part(id)),
        ["projects", project, "locations", location, "secrets", id] => (part(project), Some(part(location)), part(id)),
        _ => (part(PROJECT), None, part(name)),
    }
}

impl Service for SecretManager {
    fn operation(&self, request: &Request) -> String {
        let of_login = exchange::operation(request);
        let found = of_login.or_else(|| Call::parse(request).map(|call| call.operation));
        found.unwrap_or("Unknown").to_owned()
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Response {
        if exchange::operation(request).is_some() {
            return self.0.logins.answer(operation, request);
        }
        let Some(call) = Call::parse(request) else {
            let page = "<!DOCTYPE html>\n<html><title>Error 404 (Not Found)!!1</title></html>\n";
            return Response::new(404, "text/html; charset=UTF-8", page);
        };
        let answer = login::check(request, &call, &self.0.logins).and_then(|()| self.0.call(&call, &request.body));
        match answer {
            Ok(mut value) => {
                // Google's own clients ask for it; the names of the values are what everyone else gets.
                if call.query("$alt").is_some_and(|alt| alt.contains("enum-encoding=int")) {
                    number_states(&mut value);
                }
                response(200, &value)
            }
            Err(refusal) => refused(&refusal),
        }
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Response {
        response(status, &error_body(status, code, message))
    }

    fn throttled(&self) -> Response {
        refused(&Refusal::exhausted(NUMBER))
    }

    fn access_denied(&self, _operation: &str, request: &Request) -> Response {
        let (permission, resource) = Call::parse(request).map_or_else(
            || ("secretmanager.versions.access", format!("projects/{PROJECT}")),
            |call| (call.permission(), call.resource()),
        );
        refused(&Refusal::denied(permission, &resource))
    }

    fn key_denied(&self) -> Response {
        let key = format!("projects/{PROJECT}/locations/global/keyRings/fake-ring/cryptoKeys/fake-key");
        refused(&Refusal::precondition(format!("The Cloud KMS key [{key}] cannot be used: permission denied.")))
    }

    fn spoil(&self, response: Response) -> Response {
        let Ok(mut value) = serde_json::from_slice::<Value>(&response.body) else { return response };
        let Some(payload) = value["payload"].as_object_mut() else { return response };
        payload.insert("dataCrc32c".to_owned(), json!(crc32c(b"what was damaged on its way").to_string()));
        Response { body: value.to_string().into_bytes(), ..response }
    }
}

fn response(status: u16, body: &Value) -> Response {
    Response::new(status, JSON, body.to_string())
}

fn refused(refusal: &Refusal) -> Response {
    let response = response(refusal.status, &refusal.body());
    if refusal.status == 401 {
        return response.with("WWW-Authenticate", "Bearer realm=\"https://accounts.google.com/\"");
    }
    response
}

/// Writes the values of the one enumeration as numbers.
/// <https://cloud.google.com/apis/docs/system-parameters>
fn number_states(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(number_states),
        Value::Object(map) => {
            let state = match map.get("state").and_then(Value::as_str) {
                Some("ENABLED") => Some(1),
                Some("DISABLED") => Some(2),
                Some("DESTROYED") => Some(3),
                _ => None,
            };
            if let Some(state) = state {
                map.insert("state".to_owned(), json!(state));
            }
            if let Some(versions) = map.get_mut("versions") {
                number_states(versions);
            }
        }
        _ => {}
    }
}
