//! What Google's login services refuse, with what to paste. Causes are told apart by code and by the words that Google's
//! texts have ([troubleshooting](https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation)); where
//! those change, the general help is left.

use super::super::claims::{Claims, shown};
use super::call::Told;
use super::impersonation::Target;
use crate::error::{Failure, Kind};

/// A workload identity provider, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Provider {
    pub(super) project: String,
    pub(super) pool: String,
    pub(super) provider: String,
    pub(super) universe: String,
}

impl Provider {
    /// From `projects/N/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub(super) fn parse(path: &str, universe: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let ["projects", project, "locations", "global", "workloadIdentityPools", pool, "providers", provider] =
            parts.as_slice()
        else {
            return None;
        };
        let fits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        [project, pool, provider].into_iter().all(|part| fits(part)).then(|| Self {
            project: (*project).to_owned(),
            pool: (*pool).to_owned(),
            provider: (*provider).to_owned(),
            universe: universe.to_owned(),
        })
    }

    /// What the token service knows it by.
    pub(super) fn audience(&self) -> String {
        format!("//iam.{}/{}/providers/{}", self.universe, self.path(), self.provider)
    }

    fn path(&self) -> String {
        format!("projects/{}/locations/global/workloadIdentityPools/{}", self.project, self.pool)
    }

    /// The identity of a token, where the provider maps `google.subject` to `sub`, as it does by default
    /// ([principals](https://cloud.google.com/iam/docs/principal-identifiers)).
    pub(super) fn principal(&self, subject: &str) -> String {
        format!("principal://iam.{}/{}/subject/{subject}", self.universe, self.path())
    }

    /// A command on this provider.
    fn command(&self, verb: &str, options: &str) -> String {
        let Self { project, pool, provider, .. } = self;
        let global = format!("--project={project} --location=global --workload-identity-pool={pool}");
        format!("`gcloud iam workload-identity-pools providers {verb} {provider} {global}{options}`")
    }
}

/// One word of a command to paste into a shell, whatever a branch is called.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The token service did not take the token.
pub(super) fn exchange(status: u16, told: &Told, provider: &Provider, claims: &Claims) -> Failure {
    let what = format!(
        "Google refused the identity token at the workload identity pool with HTTP status {status}{}; the token has {}",
        told.words(),
        claims.shown()
    );
    Failure::new(Kind::Login, what).help(exchange_help(told, provider, claims))
}

fn exchange_help(told: &Told, provider: &Provider, claims: &Claims) -> String {
    let says = |words: &[&str]| words.iter().any(|word| told.text.contains(word));
    let value = |claim: &Option<String>| claim.as_deref().map_or_else(|| "…".to_owned(), shown);
    let (issuer, subject) = (value(&claims.issuer), value(&claims.subject));
    let audience = claims.audience.first().map_or_else(|| "…".to_owned(), |text| shown(text));
    if told.reason == "SERVICE_DISABLED" {
        return format!(
            "run `gcloud services enable sts.googleapis.com --project={}`, and wait a few minutes",
            provider.project
        );
    }
    if told.code == "invalid_target" || (told.code == "invalid_request" && says(&["audience"])) {
        return format!(
            "there is no such provider, or it or its pool is disabled or deleted: check `gcp_workload_identity_provider` \
             (the project's number, not its id; a provider, not a pool) with {}",
            provider.command("describe", "")
        );
    }
    if told.code == "unauthorized_client" || says(&["attribute condition"]) {
        let option = format!(" --attribute-condition={}", quoted(&condition(&subject)));
        return format!(
            "the attribute condition of the provider does not hold for this token. One that does takes the place of the one that is \
             there, so join both with `||` where other jobs use the provider: {}",
            provider.command("update-oidc", &option)
        );
    }
    if says(&["127 bytes", "google.subject exceeds"]) {
        let option = " --attribute-mapping='google.subject=assertion.repository,…'";
        return format!(
            "`google.subject` may have 127 bytes: map something shorter than this `sub`, such as {}",
            provider.command("update-oidc", option)
        );
    }
    if says(&["audience"]) {
        let option = format!(" --allowed-audiences={}", quoted(&audience));
        return format!(
            "ask for an audience that the provider takes (`gcp_audience`; on GitLab the `aud` of the `id_tokens` entry; by \
             default `https:{}`), or let it take this one in place of all that it takes now: {}",
            provider.audience(),
            provider.command("update-oidc", &option)
        );
    }
    if says(&["connecting to", "openid configuration", "jwks", "fetch"]) {
        return format!(
            "Google cannot read the keys of `{issuer}`: it must be reachable from the internet, or its keys be uploaded: {}",
            provider.command("update-oidc", " --jwk-json-path=FILE")
        );
    }
    if says(&["stale", "expired", "issued at", "in the future", "not yet", "too old", "lifetime"]) {
        return "the token is over, or not yet good, by Google's clock: check the clock of the machine that issued it, and \
                 that no more than its few minutes lie between its making and this step"
            .to_owned();
    }
    if says(&["issuer"]) {
        let option = format!(" --issuer-uri={}", quoted(&issuer));
        return format!(
            "the provider trusts another issuer: name a provider for this one in `gcp_workload_identity_provider`, or, where no \
             other jobs use it, have it trust this one instead: {}",
            provider.command("update-oidc", &option)
        );
    }
    if says(&["signature", "signed", "key"]) {
        return format!(
            "its signature does not fit the keys of `{issuer}`: look at the provider's issuer and uploaded keys with {}",
            provider.command("describe", "")
        );
    }
    format!(
        "the provider must trust the issuer `{issuer}`, take the audience `{audience}`, and have a condition that holds, such \
         as `{}`: compare them with {}",
        condition(&subject),
        provider.command("describe", "")
    )
}

/// A condition that holds for this token: for GitHub its repository, else its subject.
fn condition(subject: &str) -> String {
    match repository(subject) {
        Some(repository) => format!("assertion.repository == \"{repository}\""),
        None => format!("assertion.sub == \"{subject}\""),
    }
}

/// `OWNER/REPOSITORY` of a GitHub subject, also of one with immutable ids (`repo:OWNER@1/REPOSITORY@2:…`).
fn repository(subject: &str) -> Option<String> {
    let (owner, name) = subject.strip_prefix("repo:")?.split(':').next()?.split_once('/')?;
    let bare = |part: &str| part.split('@').next().unwrap_or_default().to_owned();
    Some(format!("{}/{}", bare(owner), bare(name)))
}

/// Who wants to act as a service account.
pub(super) struct Caller<'a> {
    /// As IAM names it, where it is known.
    pub(super) member: Option<&'a str>,
    /// Of the token that it logged in with.
    pub(super) claims: Option<&'a Claims>,
}

/// The caller may not act as the account, or there is none.
pub(super) fn impersonation(status: u16, told: &Told, target: &Target, caller: &Caller<'_>) -> Failure {
    let account = &target.account;
    let token = caller.claims.map_or_else(String::new, |claims| format!("; the token has {}", claims.shown()));
    let what = format!(
        "Google refused a token of the service account `{account}` (impersonation) with HTTP status {status}{}{token}",
        told.words()
    );
    Failure::new(Kind::Login, what).help(impersonation_help(status, told, target, caller))
}

fn impersonation_help(status: u16, told: &Told, target: &Target, caller: &Caller<'_>) -> String {
    let account = &target.account;
    // https://cloud.google.com/iam/docs/service-account-overview#service-account-email
    let project = account.split_once('@').and_then(|(_, domain)| domain.strip_suffix(".iam.gserviceaccount.com"));
    let project = project.map_or_else(String::new, |project| format!(" --project={project}"));
    match (status, told.reason.as_str()) {
        (_, "SERVICE_DISABLED") => {
            return format!(
                "run `gcloud services enable iamcredentials.googleapis.com{project}`, and wait a few minutes"
            );
        }
        (404, _) => {
            let others = if target.delegates.is_empty() { "" } else { ", or one of `gcp_delegates`" };
            return format!(
                "there is no service account `{account}`{others}, or it is deleted: check the e-mail address, see `gcloud iam \
                 service-accounts list{project}`"
            );
        }
        (400, _) if told.text.contains("lifetime") || target.lifetime_seconds > 3600 => {
            return "more than 3600 seconds are for accounts that the organization policy \
                     `constraints/iam.allowServiceAccountCredentialLifetimeExtension` lists: set `gcp_token_lifetime` to 3600 \
                     or less, or have the account listed"
                .to_owned();
        }
        (401, _) => return "the first token is over or was withdrawn: get a new one, or give another login".to_owned(),
        (403, _) => {}
        _ => return format!("check the e-mail addresses: `{account}`, and those of `gcp_delegates`"),
    }
    let role = match caller.member {
        Some(member) if member.starts_with("principal") => "roles/iam.workloadIdentityUser",
        _ => "roles/iam.serviceAccountTokenCreator",
    };
    let member = caller.member.unwrap_or("MEMBER");
    // The first of the chain is whom the caller acts as.
    let first = target.delegates.first().unwrap_or(account);
    let command = format!(
        "`gcloud iam service-accounts add-iam-policy-binding {first}{} --role={role} --member={}`",
        if target.delegates.is_empty() { project.as_str() } else { "" },
        quoted(member)
    );
    let chain = match target.delegates.is_empty() {
        true => "",
        false => {
            "; each delegate needs `roles/iam.serviceAccountTokenCreator` on the next, the last one on the account"
        }
    };
    format!(
        "check that the account exists, and let this run act as it (iam.serviceAccounts.getAccessToken): {command}{chain}; \
         it takes some minutes to work"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Provider {
        let path = "projects/123456789012/locations/global/workloadIdentityPools/github/providers/app";
        Provider::parse(path, "googleapis.com").unwrap()
    }

    fn claims() -> Claims {
        Claims {
            issuer: Some("https://token.actions.githubusercontent.com".into()),
            subject: Some("repo:octo@1/app@2:ref:refs/heads/main".into()),
            audience: vec!["https://fake-audience.example".into()],
            expires: Some(1_790_000_000),
        }
    }

    fn told(code: &str, reason: &str, text: &str) -> Told {
        Told { code: code.into(), reason: reason.into(), text: text.to_lowercase() }
    }

    #[test]
    fn a_provider_is_more_than_a_pool() {
        assert_eq!(
            provider().audience(),
            "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/github/providers/app"
        );
        for bad in [
            "projects/1/locations/global/workloadIdentityPools/github",
            "projects/1/locations/eu/workloadIdentityPools/github/providers/app",
            "projects/1/locations/global/workloadIdentityPools//providers/app",
            "projects/1/locations/global/workloadIdentityPools/a/providers/b`c",
        ] {
            assert_eq!(Provider::parse(bad, "googleapis.com"), None, "{bad}");
        }
    }

    #[test]
    fn a_branch_cannot_leave_its_quotes() {
        assert_eq!(quoted("a'$(fake)'b"), r"'a'\''$(fake)'\''b'");
        let told = told("unauthorized_client", "", "");
        let claims = Claims { subject: Some("repo:o'\"; fake/a:ref:x".into()), ..claims() };
        let failure = exchange(400, &told, &provider(), &claims);
        let help = failure.problems[0].help.as_deref().unwrap();
        assert!(help.contains(r#"'assertion.repository == "o'\''\"; fake/a"'"#), "{help}");
    }

    #[test]
    fn each_refusal_of_the_pool_has_its_own_fix() {
        // The texts are those that users report.
        let rows = [
            (
                "invalid_target",
                "The target service indicated by the \"audience\" parameters is invalid.",
                "no such provider",
            ),
            ("invalid_request", "Invalid value for \"audience\".", "not a pool"),
            (
                "unauthorized_client",
                "The given credential is rejected by the attribute condition.",
                "--attribute-condition='assertion.repository == \"octo/app\"'",
            ),
            (
                "invalid_grant",
                "The audience in ID Token [x] does not match the expected audience y.",
                "--allowed-audiences='https://fake-audience.example'",
            ),
            (
                "invalid_grant",
                "The issuer in ID Token https://x does not match the expected ones: [https://y]",
                "--issuer-uri='https://token.actions.githubusercontent.com'",
            ),
            ("invalid_grant", "The size of mapped attribute google.subject exceeds the 127 bytes limit.", "127 bytes:"),
            ("invalid_grant", "ID Token issued at 1617 is stale to sign-in.", "by Google's clock"),
            ("invalid_grant", "Error connecting to the given credential's issuer.", "--jwk-json-path"),
            ("invalid_grant", "Invalid JWT signature.", "does not fit the keys"),
            ("invalid_grant", "Something new.", "must trust the issuer"),
        ];
        for (code, text, help) in rows {
            let failure = exchange(400, &told(code, "", text), &provider(), &claims());
            assert_eq!(failure.kind, Kind::Login);
            assert!(failure.to_string().contains("exp 2026-09-21T"), "{failure}");
            let said = failure.problems[0].help.as_deref().unwrap();
            assert!(said.contains(help), "{text}: {said}");
            // Other jobs may live on what such a command replaces.
            let replaces =
                ["--attribute-condition", "--allowed-audiences", "--issuer-uri"].iter().any(|o| said.contains(o));
            let warned = ["in place of all", "takes the place", "where no other jobs"].iter().any(|w| said.contains(w));
            assert_eq!(replaces, warned, "{text}: {said}");
        }
        let off = exchange(403, &told("PERMISSION_DENIED", "SERVICE_DISABLED", ""), &provider(), &claims());
        assert!(off.problems[0].help.as_deref().unwrap().contains("enable sts.googleapis.com --project=123456789012"));
    }

    #[test]
    fn each_refusal_of_impersonation_has_its_own_fix() {
        let target = |lifetime, delegates: &[&str]| Target {
            url: String::new(),
            account: "app@fake-project.iam.gserviceaccount.com".into(),
            delegates: delegates.iter().map(|name| (*name).to_owned()).collect(),
            lifetime_seconds: lifetime,
        };
        let principal = provider().principal("repo:octo/app:ref:refs/heads/main");
        let federated = Some(principal.as_str());
        let rows = [
            (
                403,
                told("PERMISSION_DENIED", "IAM_PERMISSION_DENIED", ""),
                target(600, &[]),
                federated,
                "app@fake-project.iam.gserviceaccount.com --project=fake-project --role=roles/iam.workloadIdentityUser --member='principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/github/subject/repo:octo/app:ref:refs/heads/main'",
            ),
            (
                403,
                told("PERMISSION_DENIED", "", ""),
                target(600, &["first@fake"]),
                federated,
                "binding first@fake --role",
            ),
            (
                403,
                told("PERMISSION_DENIED", "", ""),
                target(600, &[]),
                Some("serviceAccount:x@fake"),
                "roles/iam.serviceAccountTokenCreator",
            ),
            (
                403,
                told("PERMISSION_DENIED", "SERVICE_DISABLED", ""),
                target(600, &[]),
                federated,
                "iamcredentials.googleapis.com",
            ),
            (
                404,
                told("NOT_FOUND", "", ""),
                target(600, &[]),
                federated,
                "fake-project.iam.gserviceaccount.com`, or it",
            ),
            (
                404,
                told("NOT_FOUND", "", ""),
                target(600, &["first@fake"]),
                federated,
                "or one of `gcp_delegates`, or it",
            ),
            (400, told("INVALID_ARGUMENT", "", "cannot exceed"), target(7200, &[]), federated, "LifetimeExtension"),
            (401, told("UNAUTHENTICATED", "", ""), target(600, &[]), None, "the first token is over"),
        ];
        for (status, told, target, member, help) in rows {
            let claims = claims();
            let caller = Caller { member, claims: Some(&claims) };
            let failure = impersonation(status, &told, &target, &caller);
            let said = failure.problems[0].help.as_deref().unwrap();
            assert!(said.contains(help), "{said}");
        }
    }
}
