//! The metadata server of GCE, GKE and Cloud Run
//! ([documentation](https://cloud.google.com/compute/docs/access/authenticate-workloads)).

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::super::Means;
use super::Access;
use super::call::{Hop, Reply, Request, host, lifetime};
use crate::error::{Failure, Kind};

const HOP: Hop = Hop { name: "the metadata server of Google", check: "that this machine is one of Google Cloud" };
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

/// The base URL of the server.
pub(super) struct Metadata(pub(super) String);

impl Metadata {
    /// A token of the service account that the machine has.
    pub(super) async fn token(&self, means: &Means) -> Result<Access, Failure> {
        let reply = self.get("instance/service-accounts/default/token").await?;
        let token = || {
            let json = reply.json()?;
            Access::masked(json["access_token"].as_str()?, Some(lifetime(&json)), means)
        };
        token().ok_or_else(|| self.foreign(&reply))
    }

    /// The id of the project that the machine is in.
    pub(super) async fn project(&self) -> Result<String, Failure> {
        let reply = self.get("project/project-id").await?;
        let id = String::from_utf8_lossy(&reply.0.body).trim().to_owned();
        if crate::reference::gcp::is_project(&id) { Ok(id) } else { Err(self.foreign(&reply)) }
    }

    async fn get(&self, path: &str) -> Result<Reply, Failure> {
        let url = format!("{}/computeMetadata/v1/{path}", self.0.trim_end_matches('/'));
        let headers = HeaderMap::from_iter([(FLAVOR, HeaderValue::from_static("Google"))]);
        let request = Request { url: &url, headers, json: None };
        // On this machine or beside it, where no proxy could reach it, and none shall see the token.
        let direct = crate::http::direct()?;
        let reply = HOP.ask_if_there(&direct, request).await.map_err(|cause| {
            let what = format!("there is no metadata server of Google at `{}`: {cause}", host(&url));
            Failure::new(Kind::Login, what).help(
                "this machine is none of Google Cloud, or hides it from containers: leave out `auth: ambient` and give another \
                 login",
            )
        })??;
        if reply.0.headers.get(&FLAVOR).is_none_or(|value| value != "Google") {
            return Err(self.foreign(&reply));
        }
        match reply.0.status {
            200 => Ok(reply),
            404 => Err(Failure::new(Kind::Login, "this machine of Google Cloud has no service account")
                .help("attach one to it, with the scope `cloud-platform`, or give another login")),
            status => Err(Failure::new(
                Kind::Login,
                format!("the metadata server of Google refused a token with HTTP status {status}"),
            )
            .help("check the service account of the machine, and Workload Identity where it is a pod of GKE")),
        }
    }

    fn foreign(&self, reply: &Reply) -> Failure {
        Failure { kind: Kind::Login, ..HOP.foreign(&self.0, reply) }
    }
}
