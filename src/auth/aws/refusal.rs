//! What STS refused, at which hop, and what to paste where to mend it. STS's own words are looked into and never shown:
//! they may repeat what was sent.

use super::super::claims::{Claims, now, shown};
use crate::error::{Failure, Kind};
use crate::http::aws::{Told, UNREADABLE, transport_help};

/// One step of a login.
pub(super) enum Hop<'a> {
    /// `AssumeRoleWithWebIdentity`.
    Token {
        role: &'a str,
        /// What the token that was sent says.
        claims: &'a Claims,
    },
    /// `AssumeRole`.
    Role {
        role: &'a str,
        /// Which of several.
        place: String,
        /// The role whose credentials asked, where it is known.
        before: Option<&'a str>,
        /// Whether an external id was sent.
        external_id: bool,
    },
    /// `GetCallerIdentity`.
    Identity,
}

/// A hop that was refused, or of which nothing was heard.
pub(super) struct Refused<'a> {
    pub(super) hop: &'a Hop<'a>,
    pub(super) told: &'a Told,
    pub(super) region: &'a str,
}

/// The account in an ARN.
pub(super) fn account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|account| !account.is_empty())
}

/// An ARN that can be shown: that of an identity of an account, and none that a server could hide something else in.
pub(super) fn identity(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam" | "sts", "", account, resource] = parts.as_slice() else { return None };
    let partition = partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    // Users, roles and sessions have names of at most 64 characters, with paths before them.
    let part =
        |part: &str| part.len() <= 64 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    (partition && arn.len() <= 2048 && is_account(account) && resource.split('/').all(part)).then_some(arn)
}

/// Whether the service's words hold these, in whatever case.
pub(super) fn says(told: &Told, words: &str) -> bool {
    told.message.as_deref().is_some_and(|message| message.to_ascii_lowercase().contains(words))
}

impl Refused<'_> {
    /// As a failure of the run.
    pub(super) fn failure(&self) -> Failure {
        let Self { told, region, .. } = self;
        let step = self.step();
        if let Some(transport) = &told.transport {
            let what = if transport == UNREADABLE {
                format!("AWS STS in {region} was asked for {step}, and {transport}")
            } else {
                format!("couldn't reach AWS STS in {region} for {step}: {transport}")
            };
            return Failure::new(Kind::Unavailable, what).help(transport_help(transport, "aws_sts_endpoint_url"));
        }
        let code = told.code.as_deref().unwrap_or_default();
        let status = told.status.unwrap_or_default();
        let with = if code.is_empty() { String::new() } else { format!(" ({code})") };
        let throttled = matches!(code, "Throttling" | "ThrottlingException" | "RequestLimitExceeded");
        // https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
        if throttled || status >= 500 || matches!(status, 408 | 429) || code == "IDPCommunicationError" {
            let help = match code {
                "IDPCommunicationError" => {
                    "AWS could not reach the issuer of the token: run it again; if it stays so, the issuer must be reachable \
                     from the internet"
                }
                _ => {
                    "run it again later; if it stays so, look at the region, the health of STS and `aws_sts_endpoint_url`"
                }
            };
            let what = format!("AWS STS in {region} failed {step} with HTTP status {status}{with} until we gave up");
            return Failure::new(Kind::Unavailable, what).help(help);
        }
        if code.is_empty() {
            let what = format!(
                "what answers in place of AWS STS in {region} is not AWS STS: asked for {step}, it gave HTTP status {status} \
                 and no error of STS"
            );
            return Failure::new(Kind::Unavailable, what)
                .help("check `aws_sts_endpoint_url` and the proxy variables: something in between may have answered");
        }
        let mut what = format!("AWS STS in {region} refused {step} with HTTP status {status}{with}");
        if let Hop::Token { claims, .. } = self.hop {
            what.push_str(&format!("; the token says {}", claims.shown()));
        }
        Failure::new(Kind::Login, what).help(self.help(code))
    }

    fn step(&self) -> String {
        match self.hop {
            Hop::Token { role, .. } => format!("AssumeRoleWithWebIdentity of `{role}`"),
            Hop::Role { role, place, .. } => {
                let by = self.by().map_or_else(String::new, |by| format!(" by `{by}`"));
                format!("AssumeRole of `{role}` ({place}){by}")
            }
            Hop::Identity => "GetCallerIdentity".to_owned(),
        }
    }

    /// Who asked: the role before, else the identity that STS names in its refusal.
    fn by(&self) -> Option<String> {
        if let Hop::Role { before: Some(before), .. } = self.hop {
            return Some((*before).to_owned());
        }
        let message = self.told.message.as_deref()?;
        let arn = message.split_once("User: ")?.1.split_whitespace().next()?;
        identity(arn).map(str::to_owned)
    }

    fn help(&self, code: &str) -> String {
        match (code, self.hop) {
            ("AccessDenied" | "AccessDeniedException", Hop::Token { role, claims }) => trust_of_token(role, claims),
            ("AccessDenied" | "AccessDeniedException", Hop::Role { role, external_id, .. }) => {
                self.trust_of_role(role, *external_id)
            }
            ("InvalidIdentityToken", Hop::Token { role, claims }) => self.invalid_token(role, claims),
            ("ExpiredTokenException", Hop::Token { claims, .. }) => {
                let over = claims.expires.is_some_and(|end| end <= now());
                let clock = if over { "" } else { "by the clock of this machine it is still good, so the clock is slow; " };
                format!(
                    "{clock}a token that cannot be fetched anew, such as one of GitLab's `id_tokens`, has to be used early in \
                     the job"
                )
            }
            ("IDPRejectedClaim", _) => {
                "the issuer no longer stands by this token, or a claim that the role demands is missing: check the role's \
                 trust policy and get a new token"
                    .to_owned()
            }
            ("RegionDisabledException", _) => format!(
                "STS is not active for this account in {}: activate it in the account settings of IAM, or take another region",
                self.region
            ),
            ("PackedPolicyTooLarge" | "MalformedPolicyDocument", _) => {
                "envsync sends no session policy and no session tags: look at the tags that the issuer puts into the token \
                 (the claim `https://aws.amazon.com/tags`)"
                    .to_owned()
            }
            ("ValidationError" | "ValidationException", _) if says(self.told, "duration") => {
                "lower `aws_role_duration_seconds`, or raise the role's maximum session duration".to_owned()
            }
            ("ValidationError" | "ValidationException" | "InvalidParameterValue" | "InvalidParameterCombination", _) => {
                "check the role's ARN, `aws_role_session_name` and `aws_role_duration_seconds`".to_owned()
            }
            ("InvalidClientTokenId" | "UnrecognizedClientException", _) => {
                "check the access key id; a key of another partition is unknown too".to_owned()
            }
            ("ExpiredToken" | "ExpiredTokenException" | "RequestExpired", _) => {
                "the credentials have expired: get new ones right before this step".to_owned()
            }
            ("SignatureDoesNotMatch" | "IncompleteSignature" | "RequestTimeTooSkewed", _) => {
                "check the secret access key, and the clock of this machine".to_owned()
            }
            _ => "look the code up at https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html".to_owned(),
        }
    }

    fn invalid_token(&self, role: &str, claims: &Claims) -> String {
        let told = self.told;
        let owner = account(role).unwrap_or("ACCOUNT");
        let issuer = claims.issuer.as_deref().map_or_else(|| "ISSUER".to_owned(), shown);
        let audience = claims.audience.first().map_or_else(|| "AUDIENCE".to_owned(), |one| shown(one));
        let provider = provider_arn(role, claims);
        let make = format!(
            "`aws iam create-open-id-connect-provider --url {issuer} --client-id-list {audience}` in account {owner}"
        );
        let admit = format!(
            "`aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn {provider} --client-id {audience}`"
        );
        if says(told, "no openidconnect provider") {
            format!("the account has no OIDC provider for this issuer: make it with {make}")
        } else if says(told, "audience") {
            format!(
                "the OIDC provider does not know this audience: add it with {admit}, or have the token made for another \
                 one (`aws_audience` on GitHub, the `aud` of the `id_tokens` entry on GitLab)"
            )
        } else if says(told, "thumbprint") {
            format!(
                "the certificate of the issuer is not the one that the OIDC provider `{provider}` was made for: set its \
                 thumbprint with `aws iam update-open-id-connect-provider-thumbprint`"
            )
        } else if says(told, "verification key") {
            "AWS could not get the keys of the issuer: run it again; if it stays so, the issuer must be reachable from the \
             internet"
                .to_owned()
        } else {
            format!(
                "either the account has no OIDC provider for this issuer (make it with {make}), or that does not know the \
                 audience (add it with {admit}), or the token is not one of this issuer"
            )
        }
    }

    fn trust_of_role(&self, role: &str, external_id: bool) -> String {
        let by = self.by();
        let principal = by.as_deref().map_or_else(|| "ARN".to_owned(), principal);
        let condition = if external_id {
            "; an external id was sent, and the policy's `sts:ExternalId` has to be just that of `aws_external_id`"
        } else {
            "; no external id was sent: where the policy demands one, set `aws_external_id`"
        };
        format!(
            "let the trust policy of `{role}` allow `sts:AssumeRole` to \"Principal\": {{\"AWS\": {}}}, and a policy of that \
             identity allow `sts:AssumeRole` on the role{condition}; session tags are not sent, so `sts:TagSession` is not needed",
            quoted(&principal)
        )
    }
}

fn trust_of_token(role: &str, claims: &Claims) -> String {
    let host = host(claims);
    let audience = claims.audience.first().map_or("AUDIENCE", String::as_str);
    let subject = claims.subject.as_deref().unwrap_or("SUBJECT");
    let immutable = if is_immutable(subject) {
        "; this subject has the immutable ids (`owner@id/repo@id`) of repositories made or renamed since 2026-07-15, which a \
         policy with `repo:owner/repo:` does not match"
    } else {
        ""
    };
    format!(
        "check that the role exists in account {}, and that its trust policy has this among its `Statement`: {{\"Effect\": \
         \"Allow\", \"Action\": \"sts:AssumeRoleWithWebIdentity\", \"Principal\": {{\"Federated\": {}}}, \"Condition\": \
         {{\"StringEquals\": {{{}: {}, {}: {}}}}}}}; upper and lower case count{immutable}",
        account(role).unwrap_or("ACCOUNT"),
        quoted(&provider_arn(role, claims)),
        quoted(&format!("{host}:aud")),
        quoted(audience),
        quoted(&format!("{host}:sub")),
        quoted(subject),
    )
}

/// The issuer as IAM names it: without its scheme.
fn host(claims: &Claims) -> String {
    let issuer = claims.issuer.as_deref().unwrap_or("ISSUER");
    issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/').to_owned()
}

fn provider_arn(role: &str, claims: &Claims) -> String {
    let partition = role.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:iam::{}:oidc-provider/{}", account(role).unwrap_or("ACCOUNT"), shown(&host(claims)))
}

/// As policies name it: of a session, the role without its path, which the session does not tell.
fn principal(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "sts", _, account, resource] = parts.as_slice() else { return arn.to_owned() };
    let name = resource.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next());
    name.map_or_else(|| arn.to_owned(), |name| format!("arn:{partition}:iam::{account}:role/{name}"))
}

/// `repo:owner@1/repo@2:…`, as GitHub writes it since then
/// ([reference](https://docs.github.com/actions/reference/security/oidc)).
fn is_immutable(subject: &str) -> bool {
    let Some(repository) = subject.strip_prefix("repo:").and_then(|rest| rest.split(':').next()) else { return false };
    let numbered = |part: &str| {
        part.rsplit_once('@').is_some_and(|(_, id)| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
    };
    repository.split_once('/').is_some_and(|(owner, name)| numbered(owner) && numbered(name))
}

/// As a string of JSON, to be pasted into a policy.
fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(hop: &Hop<'_>, code: &str, message: &str) -> Failure {
        let (code, message) = (Some(code.to_owned()), Some(message.to_owned()));
        let told = Told { code, message, status: Some(403), ..Told::default() };
        Refused { hop, told: &told, region: "eu-central-1" }.failure()
    }

    #[test]
    fn who_asked_is_taken_from_an_answer_only_where_it_is_an_identity() {
        let role = "arn:aws:iam::123456789012:role/next";
        let hop = Hop::Role { role, place: "role 1 of 1".to_owned(), before: None, external_id: false };
        let rows = [
            ("User: arn:aws:iam::123456789012:user/a is not authorized", "arn:aws:iam::123456789012:user/a"),
            (
                "User: arn:aws:sts::123456789012:assumed-role/ci/run is not authorized",
                "arn:aws:iam::123456789012:role/ci",
            ),
            ("User: fake-secret is not authorized", "ARN"),
            ("User: arn:aws:iam::fake-secret:user/a is not authorized", "ARN"),
            ("User: arn:aws:iam::123456789012:user/fake-secret%20fake is not authorized", "ARN"),
            ("User: arn:fake-secret:iam::123456789012:user/a is not authorized", "ARN"),
            (&format!("User: arn:aws:iam::123456789012:user/{} is not authorized", "fake-secret".repeat(6)), "ARN"),
            ("User: ", "ARN"),
            ("fake-secret", "ARN"),
        ];
        for (message, principal) in rows {
            let failure = refused(&hop, "AccessDenied", message);
            let help = failure.problems[0].help.clone().unwrap();
            assert!(help.contains(&format!("{{\"AWS\": \"{principal}\"}}")), "{message}: {help}");
            assert!(!format!("{failure:?}").contains("fake-secret"), "{failure:?}");
        }
    }

    #[test]
    fn the_provider_is_that_of_the_roles_account_and_partition() {
        let claims = |issuer: &str| Claims { issuer: Some(issuer.to_owned()), ..Claims::default() };
        let rows = [
            ("arn:aws:iam::123456789012:role/a", "https://gitlab.example.com/", "gitlab.example.com"),
            ("arn:aws-cn:iam::123456789012:role/a", "https://example.com/id/FAKE", "example.com/id/FAKE"),
        ];
        for (role, issuer, host) in rows {
            let partition = role.split(':').nth(1).unwrap();
            let expected = format!("arn:{partition}:iam::123456789012:oidc-provider/{host}");
            assert_eq!(provider_arn(role, &claims(issuer)), expected);
        }
    }

    #[test]
    fn what_a_token_says_can_neither_break_a_line_nor_a_policy() {
        let claims = Claims {
            issuer: Some("https://fake\n::error::x".to_owned()),
            subject: Some("a\", \"b\": \"*".to_owned()),
            audience: Vec::new(),
            expires: None,
        };
        let hop = Hop::Token { role: "arn:aws:iam::123456789012:role/a", claims: &claims };
        let failure = refused(&hop, "AccessDenied", "");
        let said = format!("{failure}{}", failure.problems[0].help.clone().unwrap());
        assert!(!said.contains('\n'), "{said}");
        assert!(said.contains(r#"a\", \"b\": \"*"#), "{said}");
    }

    #[test]
    fn immutable_subjects() {
        for good in ["repo:octo@1/app@2:ref:refs/heads/main", "repo:o-c@10/a.b@200:pull_request"] {
            assert!(is_immutable(good), "{good}");
        }
        for other in
            ["repo:octo/app:ref:refs/heads/a@1", "repo:octo@1/app:x", "repo:octo@/app@:x", "project_path:a@1/b@2:x"]
        {
            assert!(!is_immutable(other), "{other}");
        }
    }
}
