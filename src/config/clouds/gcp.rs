//! Where Google Secret Manager is.

use super::super::reader::{Reader, list};
use super::super::registry::Raw;
use crate::auth::choice::choose_gcp;
use crate::auth::way::{GcpLogin, GcpWay};
use crate::error::Failure;
use crate::reference::{Entry, gcp};

/// How to reach Google Secret Manager.
pub struct Gcp {
    /// For short names: id or number. A service account key may bring another.
    pub project: Option<String>,
    /// Where a new secret is replicated to; empty for everywhere.
    pub locations: Vec<String>,
    /// The base URL of the service in place of Google's own.
    pub endpoint: Option<String>,
    /// The base URL of the Security Token Service in place of Google's own.
    pub sts_endpoint: Option<String>,
    /// The base URL of IAM Service Account Credentials in place of Google's own.
    pub iam_endpoint: Option<String>,
    /// Who we are.
    pub login: GcpLogin,
}

impl Reader<'_> {
    pub(in crate::config) fn gcp(
        &mut self,
        raw: &Raw,
        entries: &[Entry],
        missing_login: &mut Option<Failure>,
    ) -> Option<Gcp> {
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
        for (name, url, example) in [
            ("gcp_endpoint", &raw.gcp_endpoint, "https://secretmanager.googleapis.com"),
            ("gcp_sts_endpoint", &raw.gcp_sts_endpoint, "https://sts.googleapis.com"),
            ("gcp_iam_endpoint", &raw.gcp_iam_endpoint, "https://iamcredentials.googleapis.com"),
        ] {
            self.base_url(name, url.as_ref(), false, example);
        }
        let login = self.login(raw, choose_gcp, missing_login)?;
        let acting = login.impersonation.as_ref();
        let project = project.or_else(|| acting.and_then(|to| project_of(&to.account)));
        // A credentials file and a machine may bring one; a token tells of none.
        let none_to_come = matches!(login.way, GcpWay::Token(_) | GcpWay::Federation { .. });
        if project.is_none()
            && none_to_come
            && let Some(short) = entries.iter().find(|entry| !entry.reference.id.contains('/'))
        {
            let id = &short.reference.id;
            let what = format!("is missing, and the secret `{id}` is named without its project");
            let help = format!("give the project's id or its number, or write `projects/PROJECT/secrets/{id}`");
            self.problem("gcp_project", &what, help);
        }
        Some(Gcp {
            project,
            locations,
            endpoint: raw.gcp_endpoint.clone(),
            sts_endpoint: raw.gcp_sts_endpoint.clone(),
            iam_endpoint: raw.gcp_iam_endpoint.clone(),
            login,
        })
    }
}

/// The project that a service account lies in: `NAME@PROJECT.iam.gserviceaccount.com`, or, where the project's id has a
/// domain, `NAME@PROJECT.DOMAIN.iam.gserviceaccount.com`.
fn project_of(account: &str) -> Option<String> {
    let (_, domain) = account.split_once('@')?;
    let project = domain.strip_suffix(".iam.gserviceaccount.com")?;
    let id = match project.split_once('.') {
        Some((project, domain)) => format!("{domain}:{project}"),
        None => project.to_owned(),
    };
    gcp::is_project(&id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::project_of;

    #[test]
    fn the_address_of_a_service_account_names_its_project() {
        let rows = [
            ("deploy@my-project.iam.gserviceaccount.com", Some("my-project")),
            ("deploy@my-project.example.com.iam.gserviceaccount.com", Some("example.com:my-project")),
            ("123-compute@developer.gserviceaccount.com", None),
            ("someone@example.com", None),
        ];
        for (account, project) in rows {
            assert_eq!(project_of(account).as_deref(), project, "{account}");
        }
    }
}
