//! Who we are to a store: a pure choice between what is given, with its reason, or an error that lists what is missing.
//! Nothing ambient is ever looked for.

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
                "the AWS access key is incomplete: {} is set and {} is not",
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
            ([Some("AKIAFAKE"), None, None], full, Err((Kind::Input, "`in:aws_secret_access_key` is not"))),
            (
                [None, None, Some("t")],
                full,
                Err((Kind::Input, "`in:aws_access_key_id`, `in:aws_secret_access_key` is not")),
            ),
            (none, [None, Some("fake"), None], Err((Kind::Input, "`AWS_ACCESS_KEY_ID` is not"))),
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
