//! The managed identities of a machine: the endpoint of App Service, Functions and Container Apps, and that of the instance
//! metadata service of virtual machines.
//!
//! <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>. They are served on
//! the vault's own address and with its certificate, where the real ones are plain HTTP on the machine.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::entra::Entra;
use super::route::{Route, query};
use super::{IDENTITY_HEADER, MANAGED_CLIENT_ID, SYSTEM_CLIENT_ID};
use crate::http::{Request, Response};

/// Which identities the machine has, by their client ids.
pub struct Machine {
    pub system: Option<String>,
    pub assigned: Vec<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self { system: Some(SYSTEM_CLIENT_ID.to_owned()), assigned: vec![MANAGED_CLIENT_ID.to_owned()] }
    }
}

impl Machine {
    /// One request to the machine.
    pub fn answer(&self, entra: &mut Entra, route: &Route, request: &Request) -> Response {
        let app = *route == Route::AppIdentity;
        let refused = |status: u16, text: &str| {
            let of_app = json!({ "statusCode": status, "message": text });
            let of_machine = json!({ "error": "invalid_request", "error_description": text });
            respond(status, if app { &of_app } else { &of_machine })
        };
        // Both refuse a request that a browser could be tricked into; what App Service says then is not documented.
        if app && request.header("x-identity-header") != Some(IDENTITY_HEADER) {
            return refused(401, "The header X-IDENTITY-HEADER is missing or wrong.");
        }
        if !app && request.header("metadata") != Some("true") {
            return refused(400, "Required metadata header not specified");
        }
        let versions = if app { &["2019-08-01"][..] } else { &["2018-02-01", "2019-08-01", "2021-02-01"][..] };
        if !query(request, "api-version").is_some_and(|version| versions.contains(&version.as_str())) {
            return refused(400, "The api-version is missing or not supported.");
        }
        let Some(resource) = query(request, "resource").filter(|resource| !resource.is_empty()) else {
            return refused(400, "Required query parameter 'resource' not specified");
        };
        let wanted = query(request, "client_id");
        let identity = match &wanted {
            Some(id) => self.assigned.iter().find(|known| known.eq_ignore_ascii_case(id)),
            None => self.system.as_ref(),
        };
        let Some(identity) = identity else {
            return refused(400, if app { NONE_FOR_APP } else { "Identity not found" });
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let lifetime = entra.lifetime;
        // Times are text.
        let mut body = json!({
            "access_token": entra.issue(identity, resource.trim_end_matches('/')),
            "client_id": identity,
            "expires_on": (now + lifetime).to_string(),
            "not_before": now.to_string(),
            "resource": resource,
            "token_type": "Bearer",
        });
        if !app {
            body["expires_in"] = lifetime.to_string().into();
        }
        respond(200, &body)
    }
}

const NONE_FOR_APP: &str =
    "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.";

fn respond(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json; charset=utf-8", body.to_string())
}
