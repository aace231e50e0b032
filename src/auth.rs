//! Who we are to a store: a pure choice between what is given, with its reason, or an error that lists what is missing.
//! Nothing ambient is ever looked for.

pub mod gcp;

pub mod azure;

use crate::error::{Failure, Kind, Problem};
use crate::secret::Secret;

/// An access key as it was given, perhaps in part.
#[derive(Clone, Default)]
pub struct AwsKeys {
    id: Option<Secret>,
    secret: Option<Secret>,
    token: Option<Secret>,
}

impl AwsKeys {
    /// The three parts; `None` where one is not set.
    #[must_use]
    pub fn new(id: Option<&str>, secret: Option<&str>, token: Option<&str>) -> Self {
        Self { id: id.map(Secret::from), secret: secret.map(Secret::from), token: token.map(Secret::from) }
    }

    fn given(&self) -> [bool; 3] {
        [self.id.is_some(), self.secret.is_some(), self.token.is_some()]
    }
}

/// The way that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsLogin {
    /// Access key id.
    pub id: Secret,
    /// Its secret.
    pub secret: Secret,
    /// For temporary credentials.
    pub token: Option<Secret>,
    /// One line for the log: which way, and why.
    pub because: String,
}

/// Chooses between the explicit inputs and what another action left in the environment. `shown` gives the name of an
/// input as its user writes it.
///
/// # Errors
/// [`Kind::Input`] where the way that comes first is given in part, [`Kind::Login`] where nothing is given at all.
pub fn choose_aws(inputs: AwsKeys, left: AwsKeys, shown: impl Fn(&str) -> String) -> Result<AwsLogin, Failure> {
    let named = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"].map(&shown);
    let variables = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(str::to_owned);
    let (keys, names, because) = if inputs.given().contains(&true) {
        (inputs, named, "access key of the inputs, because they are given")
    } else if left.given().contains(&true) {
        (left, variables, "access key of AWS_ACCESS_KEY_ID, because no input names one")
    } else {
        let [id, secret, _] = named;
        return Err(Failure::new(Kind::Login, "there is no AWS login: no access key is given").help(format!(
            "give `{id}` and `{secret}`, or run aws-actions/configure-aws-credentials in an earlier step"
        )));
    };
    match keys {
        AwsKeys { id: Some(id), secret: Some(secret), token } => {
            for (name, part) in names.iter().zip([Some(&id), Some(&secret), token.as_ref()]) {
                one_word(name, part)?;
            }
            let kind = if token.is_some() { "temporary " } else { "" };
            Ok(AwsLogin { id, secret, token, because: format!("{kind}{because}") })
        }
        partial => {
            let missing: Vec<String> = names
                .iter()
                .zip(partial.given())
                .take(2)
                .filter(|(_, given)| !given)
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            let have: Vec<String> = names
                .iter()
                .zip(partial.given())
                .filter(|(_, given)| *given)
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            let what = format!(
                "the AWS access key is incomplete: with {} there must be {}",
                have.join(", "),
                missing.join(", ")
            );
            Err(Failure {
                kind: Kind::Input,
                problems: vec![Problem::new(what, format!("set {}", missing.join(" and ")))],
            })
        }
    }
}

/// Credentials travel in headers, which hold no line breaks, and none has a blank: it was not copied as it is.
fn one_word(name: &str, part: Option<&Secret>) -> Result<(), Failure> {
    if part.is_none_or(|part| part.expose().bytes().all(|byte| byte.is_ascii_graphic())) {
        return Ok(());
    }
    let what = format!("`{name}` holds a blank, a line break or another character that no credential has");
    Err(Failure::new(Kind::Input, what).help("copy it again"))
}

/// What a Google login can be made of.
#[derive(Clone, Default)]
pub struct GcpKeys {
    /// An access token.
    pub token: Option<Secret>,
    /// A credentials file as text.
    pub json: Option<Secret>,
    /// The path of a credentials file.
    pub file: Option<String>,
}

/// The way that was chosen for Google.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpLogin {
    /// What it is made of.
    pub way: GcpWay,
    /// One line for the log: which way, and why.
    pub because: String,
}

/// How to log in to Google.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcpWay {
    /// With an access token.
    Token(Secret),
    /// With a credentials file, given as text.
    Json(Secret),
    /// With a credentials file, to be read.
    File(String),
}

/// Chooses between the explicit inputs and what another action left in the environment.
///
/// # Errors
/// [`Kind::Input`] where two ways are given at once, [`Kind::Login`] where nothing is given at all.
pub fn choose_gcp(inputs: GcpKeys, left: GcpKeys, shown: impl Fn(&str) -> String) -> Result<GcpLogin, Failure> {
    let (token, json) = (shown("gcp_access_token"), shown("gcp_credentials_json"));
    let login = |way, because: &str| Ok(GcpLogin { way, because: because.to_owned() });
    match (inputs, left) {
        (GcpKeys { token: Some(_), json: Some(_), .. }, _) => {
            let what = format!("two Google logins are given at once: `{token}` and `{json}`");
            Err(Failure::new(Kind::Input, what).help("give one of them"))
        }
        (GcpKeys { token: Some(token), .. }, _) => {
            one_word(&shown("gcp_access_token"), Some(&token))?;
            login(GcpWay::Token(token), "access token of the inputs, because it is given")
        }
        (GcpKeys { json: Some(json), .. }, _) => {
            login(GcpWay::Json(json), "credentials of the inputs, because they are given")
        }
        (_, GcpKeys { file: Some(file), .. }) => {
            login(GcpWay::File(file), "the file of GOOGLE_APPLICATION_CREDENTIALS, because no input names credentials")
        }
        _ => Err(Failure::new(Kind::Login, "there is no Google login: no credentials are given")
            .help(format!("give `{json}` or `{token}`, or run google-github-actions/auth in an earlier step"))),
    }
}

/// The private key in a credentials file, for masking: the rest of such a file names people and projects.
#[must_use]
pub fn private_key(json: &str) -> Option<Secret> {
    #[derive(serde::Deserialize)]
    struct Key {
        private_key: String,
    }
    serde_json::from_str::<Key>(json).ok().map(|key| key.private_key.into())
}

/// An Entra application as it was given, perhaps in part, or an access token.
#[derive(Clone, Default)]
pub struct AzureKeys {
    tenant: Option<String>,
    client: Option<String>,
    secret: Option<Secret>,
    token: Option<Secret>,
}

impl AzureKeys {
    /// The parts; `None` where one is not set.
    #[must_use]
    pub fn new(tenant: Option<&str>, client: Option<&str>, secret: Option<&str>, token: Option<&str>) -> Self {
        Self {
            tenant: tenant.map(str::to_owned),
            client: client.map(str::to_owned),
            secret: secret.map(Secret::from),
            token: token.map(Secret::from),
        }
    }
}

/// The way that was chosen for Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureLogin {
    /// What it is made of.
    pub way: AzureWay,
    /// One line for the log: which way, and why.
    pub because: String,
}

/// How to log in to Azure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureWay {
    /// With an access token for Key Vault.
    Token(Secret),
    /// As an application with its secret.
    ClientSecret {
        /// Tenant id or domain.
        tenant: String,
        /// Application (client) id.
        client: String,
        /// Its secret.
        secret: Secret,
    },
}

/// Chooses between the explicit inputs and the variables of the environment. Ids may come from either, the secret decides
/// which way it is.
///
/// # Errors
/// [`Kind::Input`] where a way is given in part, or two at once; [`Kind::Login`] where nothing is given at all.
pub fn choose_azure(inputs: AzureKeys, left: AzureKeys, shown: impl Fn(&str) -> String) -> Result<AzureLogin, Failure> {
    let [tenant, client, secret, token] =
        ["azure_tenant_id", "azure_client_id", "azure_client_secret", "azure_access_token"].map(shown);
    let token_name = token.clone();
    if let (Some(_), Some(_)) = (&inputs.token, &inputs.secret) {
        let what = format!("two Azure logins are given at once: `{token}` and `{secret}`");
        return Err(Failure::new(Kind::Input, what).help("give one of them"));
    }
    if let Some(token) = inputs.token {
        one_word(&token_name, Some(&token))?;
        let because = "access token of the inputs, because it is given".to_owned();
        return Ok(AzureLogin { way: AzureWay::Token(token), because });
    }
    let explicit = inputs.tenant.is_some() || inputs.client.is_some() || inputs.secret.is_some();
    let any_left = left.tenant.is_some() || left.client.is_some() || left.secret.is_some();
    if !explicit && !any_left {
        return Err(Failure::new(Kind::Login, "there is no Azure login: no credentials are given")
            .help(format!("give `{tenant}`, `{client}` and `{secret}`, or `{token}`")));
    }
    // Ids are no secrets: they may stand in the job's environment while the step gives the secret, and the reverse.
    let own_secret = inputs.secret.is_some();
    let parts = (inputs.tenant.or(left.tenant), inputs.client.or(left.client), inputs.secret.or(left.secret));
    let because = if own_secret {
        "application with the secret of the inputs, because it is given"
    } else {
        "application with the secret of AZURE_CLIENT_SECRET, because no input names one"
    };
    match parts {
        (Some(tenant), Some(client), Some(secret)) => {
            Ok(AzureLogin { way: AzureWay::ClientSecret { tenant, client, secret }, because: because.to_owned() })
        }
        (has_tenant, has_client, has_secret) => {
            let given =
                [(tenant, has_tenant.is_some()), (client, has_client.is_some()), (secret, has_secret.is_some())];
            let missing: Vec<String> =
                given.into_iter().filter(|(_, given)| !given).map(|(name, _)| format!("`{name}`")).collect();
            let what = format!("the Azure login is incomplete: {} is not set", missing.join(", "));
            Err(Failure::new(Kind::Input, what).help(format!("set {}", missing.join(" and "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_table() {
        let none = [None; 3];
        let full = [Some("AKIAFAKE"), Some("fake"), None];
        let temporary = [Some("ASIAFAKE"), Some("fake"), Some("fake-token")];
        let rows: [(_, _, Result<&str, (Kind, &str)>); 9] = [
            (full, none, Ok("access key of the inputs")),
            (temporary, none, Ok("temporary access key of the inputs")),
            (none, full, Ok("access key of AWS_ACCESS_KEY_ID")),
            (none, temporary, Ok("temporary access key of AWS_ACCESS_KEY_ID")),
            (full, temporary, Ok("access key of the inputs")),
            (none, none, Err((Kind::Login, "no access key"))),
            ([Some("AKIAFAKE"), None, None], full, Err((Kind::Input, "must be `in:aws_secret_access_key`"))),
            (
                [None, None, Some("t")],
                full,
                Err((Kind::Input, "must be `in:aws_access_key_id`, `in:aws_secret_access_key`")),
            ),
            (none, [None, Some("fake"), None], Err((Kind::Input, "must be `AWS_ACCESS_KEY_ID`"))),
        ];
        for (inputs, left, expected) in rows {
            let keys = |k: [Option<&str>; 3]| AwsKeys::new(k[0], k[1], k[2]);
            let chosen = choose_aws(keys(inputs), keys(left), |name| format!("in:{name}"));
            match (chosen, expected) {
                (Ok(login), Ok(because)) => assert!(login.because.starts_with(because), "{}", login.because),
                (Err(failure), Err((kind, text))) => {
                    assert_eq!(failure.kind, kind);
                    assert!(failure.to_string().contains(text), "{failure}");
                }
                (chosen, expected) => panic!("{chosen:?} is not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_token_left_by_another_action_is_never_mixed_with_an_input() {
        let login = choose_aws(
            AwsKeys::new(Some("AKIAFAKE"), Some("fake"), None),
            AwsKeys::new(None, None, Some("fake-token")),
            str::to_owned,
        );
        assert_eq!(login.map(|l| l.token), Ok(None));
    }
}
