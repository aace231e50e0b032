//! Errors as Google's APIs write them: HTTP status, canonical code, message, and details that say why.
//! <https://google.aip.dev/193>
//!
//! Texts are those of the real service where users have reported them; a client decides by code and reason.

use serde_json::{Value, json};

use super::state::SERVICE;

/// An error of the service.
pub struct Refusal {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
    details: Vec<Value>,
}

impl Refusal {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new() }
    }

    /// Adds why, as a program is to read it.
    fn because(mut self, domain: &str, reason: &str, metadata: &Value) -> Self {
        let kind = "type.googleapis.com/google.rpc.ErrorInfo";
        self.details.push(json!({ "@type": kind, "reason": reason, "domain": domain, "metadata": metadata }));
        self
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(400, "FAILED_PRECONDITION", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "NOT_FOUND", message)
    }

    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(409, "ALREADY_EXISTS", message)
    }

    /// No token, or one that is no good; `reason` tells which.
    pub fn unauthenticated(message: &str, reason: &str) -> Self {
        let more = "Expected OAuth 2 access token, login cookie or other valid authentication credential. See \
                    https://developers.google.com/identity/sign-in/web/devconsole-project.";
        let metadata = json!({ "service": SERVICE });
        Self::new(401, "UNAUTHENTICATED", format!("{message} {more}")).because("googleapis.com", reason, &metadata)
    }

    /// The caller lacks a permission on a resource, which is named as the caller named it.
    pub fn denied(permission: &str, resource: &str) -> Self {
        let message = format!("Permission '{permission}' denied for resource '{resource}' (or it may not exist).");
        let metadata = json!({ "permission": permission, "resource": resource });
        Self::new(403, "PERMISSION_DENIED", message).because("iam.googleapis.com", "IAM_PERMISSION_DENIED", &metadata)
    }

    /// A project that does not exist, or that the caller must not know of.
    pub fn unknown_project(project: &str) -> Self {
        let metadata = json!({ "service": SERVICE, "consumer": format!("projects/{project}") });
        Self::new(403, "PERMISSION_DENIED", format!("Permission denied on resource project {project}.")).because(
            "googleapis.com",
            "CONSUMER_INVALID",
            &metadata,
        )
    }

    /// The API was never turned on in this project.
    pub fn disabled(project: &str) -> Self {
        Self::disabled_service(project, SERVICE, "Secret Manager API")
    }

    /// As [`Refusal::disabled`], of another service.
    pub fn disabled_service(project: &str, service: &str, title: &str) -> Self {
        let url = format!("https://console.developers.google.com/apis/api/{service}/overview?project={project}");
        let message = format!(
            "{title} has not been used in project {project} before or it is disabled. Enable it by visiting {url} then \
             retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and \
             retry."
        );
        let metadata = json!({
            "service": service,
            "serviceTitle": title,
            "consumer": format!("projects/{project}"),
            "containerInfo": project,
            "activationUrl": url,
        });
        Self::new(403, "PERMISSION_DENIED", message).because("googleapis.com", "SERVICE_DISABLED", &metadata)
    }

    /// More calls than the quota of the project holds.
    pub fn exhausted(number: &str) -> Self {
        let message = format!(
            "Quota exceeded for quota metric 'Access requests' and limit 'Access requests per minute' of service \
             '{SERVICE}' for consumer 'project_number:{number}'."
        );
        let metadata = json!({ "service": SERVICE, "consumer": format!("projects/{number}") });
        Self::new(429, "RESOURCE_EXHAUSTED", message).because("googleapis.com", "RATE_LIMIT_EXCEEDED", &metadata)
    }

    /// The body of the answer.
    pub fn body(&self) -> Value {
        let mut body = error_body(self.status, self.code, &self.message);
        if !self.details.is_empty() {
            body["error"]["details"] = json!(self.details);
        }
        body
    }
}

/// An error without details.
pub fn error_body(status: u16, code: &str, message: &str) -> Value {
    json!({ "error": { "code": status, "message": message, "status": code } })
}
