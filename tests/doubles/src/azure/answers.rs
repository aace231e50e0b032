//! The error bodies of Key Vault, as its documentation and users' bug reports show them, and faults made of them.
//!
//! <https://learn.microsoft.com/azure/key-vault/general/common-error-codes>,
//! <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>

use serde_json::{Value, json};
use uuid::Uuid;

use super::TENANT;
use crate::double::Fault;
use crate::http::{Request, Response};

const JSON: &str = "application/json; charset=utf-8";

/// An error of the service.
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub inner: Option<&'static str>,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, inner: None, message: message.into() }
    }

    fn with(mut self, inner: &'static str) -> Self {
        self.inner = Some(inner);
        self
    }

    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new(400, "BadParameter", message)
    }

    /// The line break and the two spaces are Key Vault's own.
    pub fn property() -> Self {
        Self::parameter("Property  has invalid value\r\n")
    }

    /// `name` with its version, where one was asked for.
    pub fn not_found(name: &str) -> Self {
        let message = format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may be \
             able to recover it using the correct recovery command. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        );
        Self::new(404, "SecretNotFound", message)
    }

    pub fn deleted_not_found(name: &str) -> Self {
        Self::new(404, "SecretNotFound", format!("Deleted Secret not found: {name}"))
    }

    pub fn disabled() -> Self {
        Self::new(403, "Forbidden", "Operation get is not allowed on a disabled secret.").with("SecretDisabled")
    }

    pub fn deleted(name: &str) -> Self {
        let message = format!(
            "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, \
             the secret can only be recovered or purged."
        );
        Self::new(409, "Conflict", message).with("ObjectIsDeletedButRecoverable")
    }

    pub fn deleting(name: &str) -> Self {
        let message = format!("Secret {name} is currently being deleted and cannot be re-created; retry later.");
        Self::new(409, "Conflict", message).with("ObjectIsBeingDeleted")
    }

    pub fn recovering(name: &str) -> Self {
        let message = format!("Secret {name} is currently being recovered and cannot be re-created; retry later.");
        Self::new(409, "Conflict", message).with("ObjectIsBeingRecovered")
    }

    /// Two writes to one secret at once. That it is a 409 is known (Azure/azure-sdk-for-net#51761), its text is not.
    pub fn contention() -> Self {
        Self::new(409, "Conflict", "There was a conflict with another operation on the same secret.")
    }

    pub fn no_token() -> Self {
        Self::new(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
    }

    pub fn bad_token(message: &str) -> Self {
        Self::new(401, "Unauthorized", message)
    }

    pub fn purge() -> Self {
        let message = format!(
            "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key Vault service will \
             automatically purge it after the retention period has passed.\r\nVault: {VAULT};location=westeurope"
        );
        Self::new(403, "Forbidden", message)
    }

    pub fn throttled() -> Self {
        let message =
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
        Self::new(429, "Throttled", message)
    }

    /// The caller has no role that allows this.
    pub fn rbac(action: &str, name: &str) -> Self {
        let id = Uuid::nil();
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
             definitions were changed recently, please observe propagation time.\r\nCaller: appid={id};oid={id};\
             iss=https://sts.windows.net/{TENANT}/\r\nAction: '{action}'\r\nResource: '/subscriptions/{id}/resourcegroups/\
             tests/providers/microsoft.keyvault/vaults/{VAULT}/secrets/{name}'\r\nAssignment: (not found)\r\n\
             DenyAssignmentId: null\r\nDecisionReason: null \r\nVault: {VAULT};location=westeurope\r\n"
        );
        Self::new(403, "Forbidden", message).with("ForbiddenByRbac")
    }

    /// The vault has access policies, and none of them lets the caller do this.
    pub fn policy(permission: &str) -> Self {
        let id = Uuid::nil();
        let message = format!(
            "The user, group or application 'appid={id};oid={id};iss=https://sts.windows.net/{TENANT}/' does not have \
             secrets {permission} permission on key vault '{VAULT};location=westeurope'. For help resolving this issue, \
             please see https://go.microsoft.com/fwlink/?linkid=2125287"
        );
        Self::new(403, "Forbidden", message).with("ForbiddenByPolicy")
    }

    /// The caller's address is not on the vault's list.
    pub fn firewall() -> Self {
        let message = format!(
            "Client address is not authorized and caller is not a trusted service.\r\nClient address: 192.0.2.1\r\nCaller: \
             appid={0};oid={0};iss=https://sts.windows.net/{TENANT}/\r\nVault: {VAULT};location=westeurope",
            Uuid::nil()
        );
        Self::new(403, "Forbidden", message).with("ForbiddenByFirewall")
    }

    pub fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(inner) = self.inner {
            error["innererror"] = json!({ "code": inner });
        }
        json!({ "error": error })
    }

    pub fn response(&self) -> Response {
        respond(self.status, &self.body())
    }

    /// The same, as a fault.
    pub fn fault(&self) -> Fault {
        Fault::Answer(self.response())
    }
}

/// The vault's name in messages; its address is a loopback one.
const VAULT: &str = "tests";

/// An answer with what Key Vault sends along.
pub fn respond(status: u16, body: &Value) -> Response {
    Response::new(status, JSON, body.to_string())
        .with("x-ms-keyvault-service-version", "1.9.0.0")
        .with("x-ms-request-id", Uuid::new_v4().to_string())
}

/// The address at which the client reached this double: identifiers, page links and the challenge carry it.
pub fn base(request: &Request) -> String {
    format!("https://{}", request.header("host").unwrap_or("127.0.0.1"))
}

/// Another write to the same secret is under way: 409 without `innererror`.
#[must_use]
pub fn contention() -> Fault {
    Refusal::contention().fault()
}

/// 409 with an `innererror` of this code, such as `ObjectIsBeingRecovered`, or one that nobody knows.
#[must_use]
pub fn conflict(inner: &str) -> Fault {
    let mut body = Refusal::contention().body();
    body["error"]["innererror"] = json!({ "code": inner });
    Fault::Answer(respond(409, &body))
}

/// The vault's firewall refuses the caller's address; the message has line breaks.
#[must_use]
pub fn forbidden_by_firewall() -> Fault {
    Refusal::firewall().fault()
}

/// An access policy is missing; `permission` is `get`, `set`, `list`, `recover`, …
#[must_use]
pub fn forbidden_by_policy(permission: &str) -> Fault {
    Refusal::policy(permission).fault()
}

/// A role is missing; `action` is such as `Microsoft.KeyVault/vaults/secrets/getSecret/action`. The message has line breaks.
#[must_use]
pub fn forbidden_by_rbac(action: &str, name: &str) -> Fault {
    Refusal::rbac(action, name).fault()
}

/// A 403 whose message holds line breaks and quotes, both of which JSON escapes.
#[must_use]
pub fn forbidden_with_escapes() -> Fault {
    Refusal::new(403, "Forbidden", "Operation \"get\" is not allowed.\r\nVault: \"tests\";location=westeurope").fault()
}
