//! What Key Vault answered, as something that a user can act on. Its messages are never shown, because they may quote what
//! was sent; its codes are
//! ([codes](https://learn.microsoft.com/azure/key-vault/general/rest-error-codes)).

use super::vault::resource;
use crate::error::{Failure, Kind};
use crate::http::azure::{Refused, Unreached, find};

/// A call that failed.
pub(super) struct Trouble {
    operation: Operation,
    name: String,
    host: String,
    cause: Cause,
}

/// What was called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Get,
    List,
    ListSecrets,
    Set,
    GetDeleted,
    Recover,
}

enum Cause {
    /// The login failed before anything was sent to the vault.
    Login(Failure),
    /// What was answered is wrong in a way that has been told.
    Other(Failure),
    Unreached(Unreached),
    Refused(Told),
    /// A success that is not that of Key Vault.
    Unreadable,
}

/// What of a refusal may be shown.
struct Told {
    status: u16,
    code: Option<String>,
    inner: Option<String>,
    /// `AKV10032` or `[TokenExpired]`: at the head of the message of a 401.
    login: Option<String>,
    /// Whether it has the shape of an error of Key Vault.
    of_vault: bool,
}

impl Told {
    fn new(refused: &Refused) -> Self {
        let body = refused.json();
        let error = &body["error"];
        let message = error["message"].as_str().unwrap_or_default();
        let in_brackets = message.strip_prefix('[').and_then(|message| message.split_once(']')).map(|(head, _)| head);
        let login = in_brackets.or_else(|| message.split(':').next().filter(|head| head.starts_with("AKV")));
        Self {
            status: refused.status,
            code: word(error["code"].as_str()),
            inner: word(error["innererror"]["code"].as_str()),
            login: word(login),
            of_vault: error.is_object(),
        }
    }

    /// The more exact of the two codes.
    fn code(&self) -> Option<&str> {
        self.inner.as_deref().or(self.code.as_deref())
    }
}

/// A code that can be shown.
fn word(text: Option<&str>) -> Option<String> {
    let fits = |text: &&str| (1..=60).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    text.filter(fits).map(str::to_owned)
}

impl Operation {
    /// As the documentation calls it.
    fn text(self) -> &'static str {
        match self {
            Self::Get => "Get Secret",
            Self::List => "Get Secret Versions",
            Self::ListSecrets => "Get Secrets",
            Self::Set => "Set Secret",
            Self::GetDeleted => "Get Deleted Secret",
            Self::Recover => "Recover Deleted Secret",
        }
    }

    /// The data action of a role
    /// ([permissions](https://learn.microsoft.com/azure/role-based-access-control/permissions/security#microsoftkeyvault)).
    fn action(self) -> &'static str {
        match self {
            Self::Get => "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            Self::Set => "Microsoft.KeyVault/vaults/secrets/setSecret/action",
            Self::List | Self::ListSecrets | Self::GetDeleted => {
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action"
            }
            Self::Recover => "Microsoft.KeyVault/vaults/secrets/recover/action",
        }
    }

    /// The permission of an access policy.
    fn permission(self) -> &'static str {
        match self {
            Self::Get | Self::GetDeleted => "get",
            Self::List | Self::ListSecrets => "list",
            Self::Set => "set",
            Self::Recover => "recover",
        }
    }

    /// The built-in role that allows it, and no more than its mode needs.
    fn role(self) -> &'static str {
        match self {
            Self::Get | Self::ListSecrets | Self::GetDeleted => "Key Vault Secrets User",
            // The role above could list too, but only a push lists versions.
            Self::List | Self::Set | Self::Recover => "Key Vault Secrets Officer",
        }
    }
}

impl Operation {
    /// What a list is of.
    pub(super) fn of(self, name: &str) -> String {
        match self {
            Self::ListSecrets => "secrets".to_owned(),
            _ => format!("versions of `{name}`"),
        }
    }
}

/// What a 409 to a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conflict {
    /// The secret is soft-deleted.
    Deleted,
    /// It is on its way there.
    BeingDeleted,
    /// It is on its way back.
    BeingRecovered,
    /// Another write, as far as the code tells.
    Contention,
    /// There is no code to tell.
    Untold,
}

impl Trouble {
    pub(super) fn new(operation: Operation, name: &str, host: &str, error: &azure_core::Error) -> Self {
        let cause = if let Some(failure) = find::<Failure>(error) {
            Cause::Login(failure.clone())
        } else if let Some(unreached) = find::<Unreached>(error) {
            Cause::Unreached(unreached.clone())
        } else if let Some(refused) = find::<Refused>(error) {
            Cause::Refused(Told::new(refused))
        } else {
            Cause::Unreadable
        };
        Self { operation, name: name.to_owned(), host: host.to_owned(), cause }
    }

    /// A success whose parts are missing.
    pub(super) fn unreadable(operation: Operation, name: &str, host: &str) -> Self {
        Self { operation, name: name.to_owned(), host: host.to_owned(), cause: Cause::Unreadable }
    }

    /// A failure that says all there is to say.
    pub(super) fn other(operation: Operation, name: &str, failure: Failure) -> Self {
        Self { operation, name: name.to_owned(), host: String::new(), cause: Cause::Other(failure) }
    }

    fn told(&self) -> Option<&Told> {
        match &self.cause {
            Cause::Refused(told) => Some(told),
            _ => None,
        }
    }

    /// There is no such secret, or no such version; it may be soft-deleted.
    pub(super) fn is_missing(&self) -> bool {
        self.told().is_some_and(|told| told.status == 404 && told.code.as_deref() == Some("SecretNotFound"))
    }

    /// The permission is missing.
    pub(super) fn is_denied(&self) -> bool {
        let denied = |told: &Told| told.status == 403 && told.of_vault && told.code() != Some("SecretDisabled");
        self.told().is_some_and(denied)
    }

    /// Whether the vault may have acted although no good answer came.
    pub(super) fn is_ambiguous(&self) -> bool {
        match &self.cause {
            Cause::Login(_) | Cause::Other(_) => false,
            Cause::Unreached(unreached) => unreached.sent,
            Cause::Refused(told) => told.status >= 500 || told.status == 408,
            Cause::Unreadable => true,
        }
    }

    /// Whether the request may still be under way: looking at what it has done is then no proof.
    pub(super) fn is_pending(&self) -> bool {
        matches!(&self.cause, Cause::Unreached(unreached) if unreached.pending)
    }

    /// What stands in the way of a write; `None` where it failed for another reason.
    pub(super) fn conflict(&self) -> Option<Conflict> {
        let told = self.told().filter(|told| told.status == 409 && told.of_vault)?;
        Some(match told.inner.as_deref() {
            Some("ObjectIsDeletedButRecoverable") => Conflict::Deleted,
            Some("ObjectIsBeingDeleted") => Conflict::BeingDeleted,
            Some("ObjectIsBeingRecovered") => Conflict::BeingRecovered,
            Some(_) => Conflict::Contention,
            None => Conflict::Untold,
        })
    }

    /// As a failure of the run.
    pub(super) fn failure(self) -> Failure {
        let (operation, name, host) = (self.operation.text(), &self.name, &self.host);
        let again = "run it again later; if it stays so, look at the health of the service and at the vault's URL";
        match &self.cause {
            Cause::Login(failure) | Cause::Other(failure) => failure.clone(),
            Cause::Unreached(unreached) if unreached.unknown_host => Failure::new(
                Kind::Unavailable,
                format!("the host `{}` of the vault cannot be found", unreached.host),
            )
            .help("check `azure_vault` and `azure_cloud`: a vault that does not exist has no host; else check the DNS"),
            Cause::Unreached(unreached) => {
                let cause = &unreached.cause;
                Failure::new(
                    Kind::Unavailable,
                    format!("couldn't reach the vault at {host} for {operation} of `{name}`: {cause}"),
                )
                .help("check the vault's URL, the proxy variables, and that the host can be reached from here")
            }
            Cause::Unreadable => {
                let what =
                    format!("the answer of {host} to {operation} of `{name}` is truncated or is not that of Key Vault");
                Failure::new(Kind::Unavailable, what).help(again)
            }
            Cause::Refused(told) => self.refused(told).unwrap_or_else(|| {
                let code = told.code().map_or_else(String::new, |code| format!(" ({code})"));
                let what = format!(
                    "the vault at {host} failed {operation} of `{name}` with HTTP status {}{code}",
                    told.status
                );
                Failure::new(Kind::Unavailable, what).help(again)
            }),
        }
    }

    fn refused(&self, told: &Told) -> Option<Failure> {
        let (operation, name, host) = (self.operation.text(), &self.name, &self.host);
        let new = |kind, what: String, help: &str| Some(Failure::new(kind, what).help(help));
        if !told.of_vault && (400..500).contains(&told.status) && !matches!(told.status, 408 | 429) {
            let what = format!(
                "what answers {operation} of `{name}` at {host} is not Key Vault: HTTP status {}, and no error of Key Vault",
                told.status
            );
            let help = "check the vault's URL and the proxy variables: something in between may have answered";
            return new(Kind::Unavailable, what, help);
        }
        match (told.status, told.code()) {
            (401, _) => Some(self.login(told)),
            (403, Some("SecretDisabled")) => new(
                Kind::NotFound,
                format!("the secret `{name}` in {host} is disabled, and cannot be read"),
                "enable the version with `az keyvault secret set-attributes --enabled true`, or read another one by `?version=`",
            ),
            (403, code) => Some(self.denied(code)),
            (404, Some("SecretNotFound")) => new(
                Kind::NotFound,
                format!("the secret `{name}` does not exist in {host}"),
                "check its name, its version and the vault",
            ),
            (409, code) => new(
                Kind::Refused,
                format!("the vault at {host} refused {operation} of `{name}` ({})", code.unwrap_or("Conflict")),
                "look at the state of the secret with `az keyvault secret show`, and run it again",
            ),
            (429, _) => new(
                Kind::Unavailable,
                format!("the vault at {host} throttled {operation} of `{name}` until we gave up"),
                "run it again later, or run fewer jobs at the same time",
            ),
            // The message of these may quote what was sent.
            (400 | 413, code) => new(
                Kind::Input,
                format!("the vault at {host} refused {operation} of `{name}` ({})", code.unwrap_or("BadRequest")),
                "check the secret's name and size, and that it has no more than 15 tags",
            ),
            _ => None,
        }
    }

    fn login(&self, told: &Told) -> Failure {
        let code = told.login.as_ref().or(told.code.as_ref()).map_or_else(String::new, |code| format!(" ({code})"));
        // https://learn.microsoft.com/azure/key-vault/general/rest-error-codes#http-401-unauthenticated-request
        let why = match told.login.as_deref() {
            Some("AKV10032") => "the token is of another tenant than the vault: check `azure_tenant_id`",
            Some("AKV10022") => "the token is for another resource",
            Some("TokenExpired") => "the token has expired: get one right before this step",
            _ => "the token has expired, or is not for Key Vault",
        };
        let resource = resource(&self.host).unwrap_or("https://vault.azure.net");
        let help = format!("{why}; `az account get-access-token --resource {resource}` gives a good one");
        Failure::new(Kind::Login, format!("the vault at {} refused the access token{code}", self.host)).help(help)
    }

    fn denied(&self, code: Option<&str>) -> Failure {
        let (operation, name, host) = (self.operation, &self.name, &self.host);
        let unprotected = match operation {
            Operation::List => {
                ", or set `concurrency: none` for one plain write without protection against lost updates"
            }
            _ => "",
        };
        let (what, help) = match code {
            Some("ForbiddenByFirewall") => (
                "the vault's firewall does not let this address in".to_owned(),
                "add the address with `az keyvault network-rule add`, or run the job inside a network that the vault allows".to_owned(),
            ),
            Some("ForbiddenByConnection") => (
                "the vault does not take connections from public networks".to_owned(),
                "run the job where the vault's private endpoint can be reached".to_owned(),
            ),
            Some("ForbiddenByPolicy") => {
                let permission = operation.permission();
                (
                    format!("no access policy allows `{permission}`"),
                    format!("add it with `az keyvault set-policy --secret-permissions {permission}`{unprotected}"),
                )
            }
            _ => (
                format!("no role allows `{}`", operation.action()),
                format!("assign the role `{}` on the vault to the identity of this run{unprotected}", operation.role()),
            ),
        };
        let code = code.unwrap_or("Forbidden");
        let what = format!("access denied: {} of `{name}` in {host}: {what} ({code})", operation.text());
        Failure::new(Kind::Denied, what).help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core::error::ErrorKind;

    fn trouble(operation: Operation, status: u16, body: &str) -> Trouble {
        let error = azure_core::Error::new(ErrorKind::Other, Refused::new(status, body));
        Trouble::new(operation, "app", "v.vault.azure.net", &error)
    }

    /// With a line break and a quote in it, which JSON escapes, and a value that must not show.
    fn body(code: &str, inner: &str) -> String {
        let inner = if inner.is_empty() { String::new() } else { format!(r#","innererror":{{"code":"{inner}"}}"#) };
        format!(r#"{{"error":{{"code":"{code}","message":"fake-value \"x\"\r\nVault: v"{inner}}}}}"#)
    }

    #[test]
    fn what_the_vault_says_becomes_an_error_with_a_fix() {
        use Operation::{Get, GetDeleted, List, Recover, Set};
        let rows = [
            (Get, 401, "Unauthorized", "", Kind::Login, "refused the access token", "az account get-access-token"),
            (Get, 403, "Forbidden", "ForbiddenByRbac", Kind::Denied, "getSecret/action", "Key Vault Secrets User"),
            (Set, 403, "Forbidden", "ForbiddenByRbac", Kind::Denied, "setSecret/action", "Key Vault Secrets Officer"),
            (List, 403, "Forbidden", "ForbiddenByRbac", Kind::Denied, "readMetadata/action", "concurrency: none"),
            (Recover, 403, "Forbidden", "ForbiddenByPolicy", Kind::Denied, "`recover`", "set-policy"),
            (Get, 403, "Forbidden", "ForbiddenByFirewall", Kind::Denied, "firewall", "network-rule"),
            (Get, 403, "Forbidden", "ForbiddenByConnection", Kind::Denied, "public networks", "private endpoint"),
            (Get, 403, "Forbidden", "", Kind::Denied, "(Forbidden)", "Key Vault Secrets User"),
            (Get, 403, "Forbidden", "SecretDisabled", Kind::NotFound, "is disabled", "--enabled true"),
            (GetDeleted, 404, "SecretNotFound", "", Kind::NotFound, "does not exist", "check its name"),
            (Get, 404, "", "", Kind::Unavailable, "HTTP status 404", "vault's URL"),
            (Recover, 409, "Conflict", "ObjectIsBeingDeleted", Kind::Refused, "ObjectIsBeingDeleted", "run it again"),
            (Get, 429, "Throttled", "", Kind::Unavailable, "throttled", "fewer jobs"),
            (Set, 400, "BadParameter", "", Kind::Input, "BadParameter", "15 tags"),
            (Get, 503, "", "", Kind::Unavailable, "HTTP status 503", "later"),
        ];
        for (operation, status, code, inner, kind, what, help) in rows {
            let failure = trouble(operation, status, &body(code, inner)).failure();
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.to_string().contains(what), "`{what}` is not in {failure}");
            let found = failure.problems[0].help.clone().unwrap();
            assert!(found.contains(help), "`{help}` is not in {found}");
            assert!(!format!("{failure} {found}").contains("fake-value"), "{failure}");
        }
    }

    #[test]
    fn what_is_no_answer_of_key_vault_is_not_taken_for_one() {
        for status in [400, 401, 403, 404, 407, 409, 413] {
            for body in ["<html>fake-value</html>", "", r#"{"message":"fake-value"}"#, r#"{"error":"fake-value"}"#] {
                let trouble = trouble(Operation::Get, status, body);
                assert!(!trouble.is_denied() && !trouble.is_missing(), "{status} {body}");
                let failure = trouble.failure();
                assert_eq!(failure.kind, Kind::Unavailable, "{failure}");
                assert!(failure.to_string().contains(&format!("is not Key Vault: HTTP status {status}")), "{failure}");
                assert!(!failure.to_string().contains("fake-value"), "{failure}");
            }
        }
    }

    #[test]
    fn a_code_that_is_no_word_is_not_shown() {
        for code in ["fake value", "<b>", &"x".repeat(61), ""] {
            let failure = trouble(Operation::Get, 418, &body(code, "")).failure();
            assert!(failure.to_string().ends_with("HTTP status 418"), "{failure}");
        }
        let page = trouble(Operation::Get, 502, "<html>fake-value</html>").failure();
        assert_eq!((page.kind, page.to_string().contains("fake-value")), (Kind::Unavailable, false));
    }

    #[test]
    fn a_conflict_is_told_by_its_inner_code() {
        for (inner, expected) in [
            ("ObjectIsDeletedButRecoverable", Conflict::Deleted),
            ("ObjectIsBeingDeleted", Conflict::BeingDeleted),
            ("ObjectIsBeingRecovered", Conflict::BeingRecovered),
            ("SomethingNew", Conflict::Contention),
            ("", Conflict::Untold),
        ] {
            assert_eq!(trouble(Operation::Set, 409, &body("Conflict", inner)).conflict(), Some(expected), "{inner}");
        }
        assert_eq!(trouble(Operation::Set, 403, &body("Forbidden", "ForbiddenByRbac")).conflict(), None);
    }

    #[test]
    fn what_may_have_been_done_is_told_from_what_was_not() {
        for (status, ambiguous) in [(400, false), (403, false), (409, false), (429, false), (408, true), (500, true)] {
            assert_eq!(trouble(Operation::Set, status, "").is_ambiguous(), ambiguous, "{status}");
        }
        let lost = |sent| {
            let lost = Unreached { host: "h".into(), cause: "reset".into(), unknown_host: false, sent, pending: false };
            Trouble::new(Operation::Set, "app", "h", &azure_core::Error::new(ErrorKind::Other, lost))
        };
        assert!(lost(true).is_ambiguous() && !lost(false).is_ambiguous());
        assert!(Trouble::unreadable(Operation::Set, "app", "h").is_ambiguous());
    }

    #[test]
    fn a_host_that_does_not_exist_is_named() {
        let lost = Unreached {
            host: "wrong.vault.azure.net".into(),
            cause: "dns".into(),
            unknown_host: true,
            sent: false,
            pending: false,
        };
        let error = azure_core::Error::new(ErrorKind::Other, lost);
        let failure = Trouble::new(Operation::Get, "app", "wrong.vault.azure.net", &error).failure();
        assert_eq!(failure.kind, Kind::Unavailable);
        assert!(failure.to_string().contains("`wrong.vault.azure.net`"), "{failure}");
        assert!(failure.problems[0].help.as_ref().unwrap().contains("azure_vault"));
    }
}
