//! Who hands out the credentials of a machine's role: the metadata service of an instance (IMDSv2 only), and the agent of
//! a container.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html>,
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use serde_json::json;

use super::sessions::Sessions;
use super::sts::date;
use crate::double::{Double, Handle, Service};
use crate::http::{Request, Response};

/// What the metadata service hands out for a session of a caller.
pub const SESSION: &str = "fake-metadata-session-token==";
/// What a container has to send.
pub const AUTHORIZATION: &str = "fake-container-authorization";
/// The path of the container's credentials.
pub const PATH: &str = "/v1/credentials";

/// The service.
pub struct Agent {
    role: Option<String>,
    sessions: Sessions,
}

impl Agent {
    /// Starts one on a free loopback port, on a machine with this role; what it issues is in this book.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start(role: &str, sessions: &Sessions) -> Double<Self> {
        let service = Self { role: Some(role.to_owned()), sessions: sessions.clone() };
        Double::start(service).expect("a free loopback port")
    }

    fn credentials(&self, role: &str) -> Response {
        let (account, name) = (role.split(':').nth(4).unwrap_or_default(), role.rsplit('/').next().unwrap_or_default());
        let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/i-fake");
        let session = self.sessions.issue(role, &arn, 3600);
        let body = json!({
            "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": session.key, "SecretAccessKey": session.secret,
            "Token": session.token, "Expiration": date(session.expires),
        });
        Response::new(200, "application/json", body.to_string())
    }
}

impl Handle<Agent> {
    /// Takes the machine's role away.
    pub fn without_role(&self) {
        self.service().role = None;
    }
}

impl Service for Agent {
    fn operation(&self, request: &Request) -> String {
        match (request.method.as_str(), request.target.as_str()) {
            ("PUT", "/latest/api/token") => "Session",
            ("GET", "/latest/meta-data/iam/security-credentials/") => "Role",
            ("GET", target) if target.starts_with("/latest/meta-data/iam/security-credentials/") => "Credentials",
            ("GET", PATH) => "Container",
            _ => "Unknown",
        }
        .to_owned()
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Response {
        let known = request.header("x-aws-ec2-metadata-token") == Some(SESSION);
        let name = self.role.as_deref().and_then(|role| role.rsplit('/').next());
        match (operation, name, self.role.as_deref()) {
            ("Session", ..) => match request.header("x-aws-ec2-metadata-token-ttl-seconds").map(str::parse::<u32>) {
                Some(Ok(1..=21_600)) => Response::new(200, "text/plain", SESSION),
                _ => self.error(400, "", ""),
            },
            ("Role" | "Credentials", ..) if !known => self.error(401, "", ""),
            ("Role", Some(name), _) => Response::new(200, "text/plain", name),
            ("Credentials", Some(name), Some(role)) if request.target.ends_with(&format!("/{name}")) => {
                self.credentials(role)
            }
            ("Container", _, Some(role)) if request.header("authorization") == Some(AUTHORIZATION) => {
                self.credentials(role)
            }
            ("Container", ..) => self.error(401, "", ""),
            _ => self.error(404, "", ""),
        }
    }

    fn error(&self, status: u16, _: &str, _: &str) -> Response {
        Response::new(status, "text/html", format!("<html><body><h1>{status}</h1></body></html>"))
    }

    fn throttled(&self) -> Response {
        self.error(429, "", "")
    }

    fn access_denied(&self, _: &str, _: &Request) -> Response {
        self.error(403, "", "")
    }

    fn key_denied(&self) -> Response {
        self.error(403, "", "")
    }
}
