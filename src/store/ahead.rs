//! Which hosts a login and its store will ask after the first one, so that their connections can be opened meanwhile. Pure.
//!
//! What is asked for there only has to be answered: AWS redirects `/` or does not know it, Google does not know it, Entra
//! publishes its configuration, and a vault has a page for
//! [tests of the connection](https://learn.microsoft.com/azure/key-vault/general/private-link-diagnostics).

use crate::auth::way::{AwsWay, AzureWay, GcpWay, IdToken};
use crate::config::{Aws, Azure, AzureCloud, Config, Gcp, Store};
use crate::reference::{Entry, azure, gcp};

/// More hosts than these are left to the requests that need them.
const MOST: usize = 5;

/// The URLs, each host once; none where the login sends nothing, so that the first request goes to the store at once.
pub(super) fn urls(config: &Config) -> Vec<String> {
    let entries = &config.entries;
    let all = match &config.store {
        Store::Local { .. } => Vec::new(),
        Store::Aws(settings) => aws(settings, entries),
        Store::Gcp(settings) => google(settings, entries),
        Store::Azure(settings) => entra(settings, entries),
    };
    let mut each: Vec<String> = Vec::new();
    for url in all {
        if !each.contains(&url) && each.len() < MOST {
            each.push(url);
        }
    }
    each
}

/// Whether the exchange waits for another host, which has to give the token first.
fn is_fetched(token: &IdToken) -> bool {
    matches!(token, IdToken::GitHub { .. })
}

fn aws(settings: &Aws, entries: &[Entry]) -> Vec<String> {
    let sts = match &settings.login.way {
        AwsWay::Keys { .. } if settings.login.chain.is_empty() && settings.login.allowed_accounts.is_empty() => {
            return Vec::new();
        }
        AwsWay::Keys { .. } => false,
        AwsWay::WebIdentity { token, .. } => is_fetched(token),
        AwsWay::Container { .. } | AwsWay::Instance { .. } => !settings.login.chain.is_empty(),
    };
    // The SDK knows the names of the others.
    let host = |service: &str, given: Option<&String>, region: Option<&String>| match (given, region) {
        (Some(given), _) => Some(root(given)),
        (None, Some(region)) if !settings.fips && !settings.dual_stack => {
            let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            let known = !["us-iso", "eu-iso", "eusc-"].iter().any(|prefix| region.starts_with(prefix));
            known.then(|| format!("https://{service}.{region}.{suffix}/"))
        }
        _ => None,
    };
    let regions = || entries.iter().map(|entry| entry.reference.region.as_ref().or(settings.region.as_ref()));
    let login = settings.region.as_ref().or(regions().next().flatten());
    let sts = sts.then(|| host("sts", settings.sts_endpoint.as_ref(), login));
    let stores = regions().map(|region| host("secretsmanager", settings.endpoint.as_ref(), region));
    sts.into_iter().chain(stores).flatten().collect()
}

fn google(settings: &Gcp, entries: &[Entry]) -> Vec<String> {
    let (universe, impersonation) = (&settings.login.universe, settings.login.impersonation.is_some());
    let (sts, iam) = match &settings.login.way {
        GcpWay::Federation { token, .. } => (is_fetched(token), impersonation),
        GcpWay::Metadata { .. } => (false, impersonation),
        // With a file it shows only later whether anything is sent.
        GcpWay::Token(_) | GcpWay::Json(_) | GcpWay::File(_) if !impersonation => return Vec::new(),
        GcpWay::Token(_) | GcpWay::Json(_) | GcpWay::File(_) => (false, false),
    };
    let host = |name: &str, given: Option<&String>| {
        given.map_or_else(|| format!("https://{name}.{universe}/"), |given| root(given))
    };
    let sts = sts.then(|| host("sts", settings.sts_endpoint.as_ref()));
    let iam = iam.then(|| host("iamcredentials", settings.iam_endpoint.as_ref()));
    let stores = entries.iter().map(|entry| {
        let location = gcp::Name::parse(&entry.reference.id).ok().and_then(|name| name.location);
        let name =
            location.map_or_else(|| "secretmanager".to_owned(), |location| format!("secretmanager.{location}.rep"));
        host(&name, settings.endpoint.as_ref())
    });
    sts.into_iter().chain(iam).chain(stores).collect()
}

fn entra(settings: &Azure, entries: &[Entry]) -> Vec<String> {
    let authority = match &settings.login.way {
        AzureWay::Token(_) => return Vec::new(),
        AzureWay::ClientSecret { .. } | AzureWay::Managed { .. } => false,
        AzureWay::Assertion { token, .. } => is_fetched(token),
    };
    let authority = authority.then(|| {
        let cloud = match settings.cloud {
            AzureCloud::Public => "https://login.microsoftonline.com",
            AzureCloud::UsGovernment => "https://login.microsoftonline.us",
            AzureCloud::China => "https://login.chinacloudapi.cn",
        };
        root(settings.authority.as_deref().unwrap_or(cloud)) + "common/v2.0/.well-known/openid-configuration"
    });
    let vaults = entries.iter().filter_map(|entry| {
        let named = azure::Name::parse(&entry.reference.id).ok().and_then(|name| name.vault);
        Some(root(&named.or_else(|| settings.vault.clone())?) + "healthstatus")
    });
    authority.into_iter().chain(vaults).collect()
}

fn root(base: &str) -> String {
    format!("{}/", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment};

    const GITHUB: [(&str, &str); 2] =
        [("ACTIONS_ID_TOKEN_REQUEST_URL", "https://h/?a=b"), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "fake-request-token")];
    const ROLE: (&str, &str) = ("ENVSYNC_AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci");
    const REGION: (&str, &str) = ("ENVSYNC_AWS_REGION", "eu-central-1");
    const PROVIDER: (&str, &str) =
        ("ENVSYNC_GCP_WORKLOAD_IDENTITY_PROVIDER", "projects/1/locations/global/workloadIdentityPools/p/providers/x");
    const IDS: [(&str, &str); 2] = [
        ("ENVSYNC_AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111"),
        ("ENVSYNC_AZURE_TENANT_ID", "22222222-2222-2222-2222-222222222222"),
    ];
    const JWT: &str = "e30.e30.e30";

    fn of(provider: &str, inputs: &[&[(&str, &str)]]) -> Vec<String> {
        let mut env = Environment::from([("ENVSYNC_PROVIDER".to_owned(), provider.to_owned())]);
        env.extend(inputs.iter().copied().flatten().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        urls(&config::read(&env, &[]).config.unwrap_or_else(|failure| panic!("{failure}")))
    }

    #[test]
    fn aws_warms_sts_while_github_is_asked_and_else_the_store_alone() {
        let given = [("AWS_ID_TOKEN", JWT)];
        let keys = [("AWS_ACCESS_KEY_ID", "fake-id"), ("AWS_SECRET_ACCESS_KEY", "fake-key"), REGION];
        let (sts, store) =
            ("https://sts.eu-central-1.amazonaws.com/", "https://secretsmanager.eu-central-1.amazonaws.com/");
        assert_eq!(of("aws", &[&GITHUB, &[ROLE, REGION]]), [sts, store]);
        assert_eq!(of("aws", &[&given, &[ROLE, REGION]]), [store]);
        assert!(of("aws", &[&keys]).is_empty());
        assert_eq!(of("aws", &[&keys, &[("ENVSYNC_AWS_ROLE_CHAIN", ROLE.1)]]), [store]);
        let endpoints = [
            ("ENVSYNC_AWS_ENDPOINT_URL", "http://localhost:1"),
            ("ENVSYNC_AWS_STS_ENDPOINT_URL", "http://localhost:2/"),
        ];
        assert_eq!(of("aws", &[&GITHUB, &[ROLE, REGION], &endpoints]), ["http://localhost:2/", "http://localhost:1/"]);
        let china =
            [("ENVSYNC_AWS_REGION", "cn-north-1"), ("ENVSYNC_AWS_ROLE_ARN", "arn:aws-cn:iam::123456789012:role/ci")];
        let found = of("aws", &[&GITHUB, &china]);
        assert_eq!(found[1], "https://secretsmanager.cn-north-1.amazonaws.com.cn/");
        let fips = [("AWS_USE_FIPS_ENDPOINT", "true")];
        assert!(of("aws", &[&GITHUB, &[ROLE, REGION], &fips]).is_empty());
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf";
        let secrets = format!("A = {arn}\nB = {arn}\nC = app");
        let found = of("aws", &[&GITHUB, &[ROLE, REGION, ("ENVSYNC_SECRET", &secrets)]]);
        assert_eq!(found, [sts, "https://secretsmanager.us-east-1.amazonaws.com/", store]);
    }

    #[test]
    fn google_warms_what_comes_after_the_first_hop() {
        let project = [("ENVSYNC_GCP_PROJECT", "fake-project"), PROVIDER];
        let account = [("ENVSYNC_GCP_SERVICE_ACCOUNT", "ci@fake-project.iam.gserviceaccount.com")];
        let (sts, iam, store) = (
            "https://sts.googleapis.com/",
            "https://iamcredentials.googleapis.com/",
            "https://secretmanager.googleapis.com/",
        );
        assert_eq!(of("gcp", &[&GITHUB, &project]), [sts, store]);
        assert_eq!(of("gcp", &[&GITHUB, &project, &account]), [sts, iam, store]);
        assert_eq!(of("gcp", &[&[("GCP_ID_TOKEN", JWT)], &project, &account]), [iam, store]);
        let token = [("ENVSYNC_GCP_ACCESS_TOKEN", "fake-token"), ("ENVSYNC_GCP_PROJECT", "fake-project")];
        assert!(of("gcp", &[&token]).is_empty());
        let regional = [("ENVSYNC_SECRET", "projects/p/locations/europe-west3/secrets/app")];
        let found = of("gcp", &[&[("GCP_ID_TOKEN", JWT)], &project, &regional]);
        assert_eq!(found, ["https://secretmanager.europe-west3.rep.googleapis.com/"]);
    }

    #[test]
    fn azure_warms_entra_while_github_is_asked_and_the_vault() {
        let vault = [("ENVSYNC_AZURE_VAULT", "fake-vault"), ("ENVSYNC_SECRET", "app")];
        let (entra, store) = (
            "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
            "https://fake-vault.vault.azure.net/healthstatus",
        );
        assert_eq!(of("azure", &[&GITHUB, &IDS, &vault]), [entra, store]);
        assert_eq!(of("azure", &[&[("AZURE_ID_TOKEN", JWT)], &IDS, &vault]), [store]);
        assert_eq!(of("azure", &[&IDS, &[("ENVSYNC_AZURE_CLIENT_SECRET", "fake-secret")], &vault]), [store]);
        assert!(of("azure", &[&[("ENVSYNC_AZURE_ACCESS_TOKEN", "fake-token")], &vault]).is_empty());
        let china = [("ENVSYNC_AZURE_CLOUD", "china")];
        assert_eq!(
            of("azure", &[&GITHUB, &IDS, &vault, &china]),
            [
                "https://login.chinacloudapi.cn/common/v2.0/.well-known/openid-configuration",
                "https://fake-vault.vault.azure.cn/healthstatus",
            ]
        );
    }

    #[test]
    fn the_embedded_store_has_no_host() {
        assert!(of("local", &[]).is_empty());
    }
}
