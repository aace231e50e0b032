//! The identity token of the job as an assertion of the application, and what to do where Entra does not trust it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;

use super::super::Means;
use super::super::claims::{Claims, now};
use super::super::oidc;
use super::super::way::IdToken;
use super::refusal;

/// What gives the assertions: a fresh one for each exchange, where its source can.
pub(super) struct Platform {
    token: IdToken,
    audience: String,
    means: Means,
    sent: Sent,
}

/// What the token said that was sent last.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<Mutex<Option<Claims>>>);

impl Sent {
    /// For tests of what is made of it.
    #[cfg(test)]
    pub(super) fn of(claims: Claims) -> Self {
        Self(Arc::new(Mutex::new(Some(claims))))
    }

    pub(super) fn claims(&self) -> Option<Claims> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Platform {
    pub(super) fn new(token: &IdToken, audience: &str, means: &Means) -> Self {
        let (token, audience) = (token.clone(), audience.to_owned());
        Self { token, audience, means: means.clone(), sent: Sent::default() }
    }

    /// To look at afterwards.
    pub(super) fn sent(&self) -> Sent {
        self.sent.clone()
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Platform")
    }
}

#[async_trait::async_trait]
impl ClientAssertion for Platform {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let jwt = oidc::fetch(&self.token, &self.audience, &self.means).await.map_err(refusal)?;
        *self.sent.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(jwt.claims);
        Ok(jwt.token.expose().to_owned())
    }
}

/// What to do about a code of Entra that is about the identity token; `None` where it is about something else.
///
/// Codes: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>; the comparison letter for letter:
/// <https://learn.microsoft.com/entra/identity-platform/reference-breaking-changes>.
pub(super) fn hint(code: u64, client: &str, claims: &Claims) -> Option<String> {
    let trust = || trust(client, claims);
    Some(match code {
        70_021 => format!("the application has no federated credential with this issuer, subject and audience: {}", trust()),
        70_025 => format!("the application has no federated credential at all: {}", trust()),
        700_211 => format!(
            "the application has no federated credential with this issuer, which Entra compares letter for letter, a slash at its end too: {}",
            trust()
        ),
        700_212 => format!(
            "the federated credential is for another audience: {}, or make a credential for this one: {}",
            "have the token made for the one that it has, `api://AzureADTokenExchange` as a rule (`azure_audience` on GitHub, `aud` of `id_tokens` on GitLab)",
            trust()
        ),
        700_213 => format!("the application has no federated credential with this subject{}: {}", form(claims), trust()),
        7_002_138 => format!(
            "the application has a federated credential whose subject differs in upper and lower case only, which counts{}: correct it, or make another: {}",
            form(claims),
            trust()
        ),
        700_024 if over(claims) => {
            "the identity token was over when Entra got it: take a fresh one, or one that lasts longer".to_owned()
        }
        700_024 => {
            "Entra says that the identity token is over or not valid yet, and by the clock here it is good: set the clock of this machine".to_owned()
        }
        50_027 => "Entra cannot read the identity token: check what `oidc_token` or `oidc_token_file` holds".to_owned(),
        50_013 | 700_027 => {
            "the signature of the identity token is not one of its issuer's keys: check where the token comes from".to_owned()
        }
        50_166 | 501_661 => {
            "Entra could not get the issuer's keys: they must be readable from the internet at the issuer's address".to_owned()
        }
        _ => return None,
    })
}

/// Repositories that were made or renamed on GitHub since 2026-07-15 have subjects with ids in them, and the portal writes such ones too
/// (<https://docs.github.com/actions/reference/security/oidc>).
fn form(claims: &Claims) -> &'static str {
    let Some(name) = claims.subject.as_deref().and_then(|subject| subject.strip_prefix("repo:")) else { return "" };
    let name = name.split(':').next().unwrap_or_default();
    if name.contains('@') {
        " (it is in the form with immutable ids, `repo:OWNER@ID/NAME@ID:…`; a credential in the form without ids does not fit)"
    } else {
        " (it is in the form without ids; a credential with immutable ids, `repo:OWNER@ID/NAME@ID:…`, does not fit)"
    }
}

fn over(claims: &Claims) -> bool {
    claims.over_since(now()).is_some()
}

/// The command that makes Entra trust exactly this token. For a managed identity it is another one.
fn trust(client: &str, claims: &Claims) -> String {
    let (issuer, subject) = (claims.issuer.as_deref(), claims.subject.as_deref());
    let parts =
        (issuer.and_then(pasteable), subject.and_then(pasteable), claims.audience.first().and_then(|a| pasteable(a)));
    let (Some(issuer), Some(subject), Some(audience)) = parts else {
        return "see docs/azure.md for the command".to_owned();
    };
    let name = "envsync";
    let parameters =
        format!(r#"{{"name":"{name}","issuer":"{issuer}","subject":"{subject}","audiences":["{audience}"]}}"#);
    format!(
        "`az ad app federated-credential create --id {client} --parameters '{parameters}'`; for a managed identity \
         `az identity federated-credential create --name {name} --identity-name NAME --resource-group GROUP \
         --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'`"
    )
}

/// A value that can stand in a command as it is, and is none longer than Entra takes.
fn pasteable(value: &str) -> Option<&str> {
    let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !matches!(c, '\'' | '"' | '\\' | '`' | '$' | '!');
    ((1..=600).contains(&value.len()) && value.chars().all(plain)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(issuer: &str, subject: &str, audience: &str, expires: i64) -> Claims {
        Claims {
            issuer: Some(issuer.to_owned()),
            subject: Some(subject.to_owned()),
            audience: vec![audience.to_owned()],
            expires: Some(expires),
        }
    }

    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    const AUDIENCE: &str = "api://AzureADTokenExchange";
    const LATER: i64 = 4_000_000_000;

    #[test]
    fn each_code_has_a_hint_of_its_own() {
        let branch = claims(GITHUB, "repo:octo/app:ref:refs/heads/main", AUDIENCE, LATER);
        let immutable = claims(GITHUB, "repo:octo@1/app@2:ref:refs/heads/main", AUDIENCE, LATER);
        let rows = [
            (70_021, &branch, "this issuer, subject and audience"),
            (700_211, &branch, "a slash at its end"),
            (700_212, &branch, "azure_audience"),
            (700_213, &branch, "the form without ids"),
            (700_213, &immutable, "the form with immutable ids"),
            (7_002_138, &branch, "upper and lower case"),
        ];
        for (code, claims, words) in rows {
            let hint = hint(code, "client", claims).unwrap();
            assert!(hint.contains(words), "{code}: {hint}");
            let subject = claims.subject.as_deref().unwrap();
            let parameters = format!(
                r#"--id client --parameters '{{"name":"envsync","issuer":"{GITHUB}","subject":"{subject}","audiences":["{AUDIENCE}"]}}'`"#
            );
            assert!(hint.contains(&parameters), "{hint}");
        }
        let past = claims(GITHUB, "s", AUDIENCE, 1_000);
        for (code, claims, words) in [
            (700_024, &branch, "set the clock"),
            (700_024, &past, "take a fresh one"),
            (50_027, &branch, "cannot read"),
            (700_027, &branch, "signature"),
            (501_661, &branch, "readable from the internet"),
        ] {
            let hint = hint(code, "client", claims).unwrap();
            assert!(hint.contains(words) && !hint.contains("--parameters"), "{code}: {hint}");
        }
        assert_eq!(hint(700_016, "client", &branch), None);
    }

    #[test]
    fn what_cannot_be_pasted_gives_no_command() {
        for subject in ["it's", "a\nb", "$(reboot)", "`id`", "ünicode", "", &"x".repeat(601), "\u{202e}"] {
            let hint = hint(700_213, "client", &claims(GITHUB, subject, AUDIENCE, LATER)).unwrap();
            assert!(hint.contains("docs/azure.md") && !hint.contains("az ad app"), "{hint}");
        }
        let mut without = claims(GITHUB, "s", AUDIENCE, LATER);
        without.audience.clear();
        assert!(hint(700_212, "client", &without).unwrap().contains("docs/azure.md"));
    }
}
