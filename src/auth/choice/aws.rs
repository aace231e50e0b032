//! Which AWS login it is.

mod role;

use super::token::{self, Found, JOBS, Source};
use super::{Given, Named, and, escaped, input, login, one_word, settle, twice};
use crate::auth::way::{AwsLogin, AwsWay};
use crate::error::{Failure, Problem};
use role::{Role, accounts, in_names, partitions};

const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
const LEFT: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// Chooses a login to AWS.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind) for what cannot be right, for a way that is given in part, and for two at once;
/// [`Kind::Login`](crate::error::Kind) where no way is given, or a role without an identity token to assume it with.
pub fn choose_aws(given: &Given<'_>) -> Result<AwsLogin, Failure> {
    let mut problems = Vec::new();
    let role = given.first("aws_role_arn", &["AWS_ROLE_ARN"]);
    let chosen = way(given, role.as_ref());
    // A role of the environment that is not used harms nobody.
    let used = role.filter(|role| role.input || matches!(chosen, Ok((AwsWay::WebIdentity { .. }, ..))));
    let chain: Vec<Named<'_>> = given
        .list("aws_role_chain")
        .into_iter()
        .map(|text| Named { text, name: given.shown("aws_role_chain"), input: true })
        .collect();
    let parsed: Vec<Option<Role<'_>>> =
        used.iter().chain(&chain).map(|role| Role::parse(role, &mut problems)).collect();
    partitions(given, &parsed, &mut problems);
    let allowed = given.list("aws_allowed_account_ids");
    accounts(given, &allowed, parsed.last(), &mut problems);
    // An empty list would let everybody in, or leave out the role that was meant.
    for (name, none) in [("aws_role_chain", chain.is_empty()), ("aws_allowed_account_ids", allowed.is_empty())] {
        if none && given.input(name).is_some() {
            let what = format!("{} is given, and names none", given.shown(name));
            problems.push(Problem::new(what, "see that the variable it is made of is set, or leave it out"));
        }
    }
    let external_id = given.input("aws_external_id");
    if let Some(id) = external_id {
        if chain.is_empty() {
            let what = format!("{} is given, and no role that it would be for", given.shown("aws_external_id"));
            let help = format!("a role takes it only in {}; take it out otherwise", given.shown("aws_role_chain"));
            problems.push(Problem::new(what, help));
        }
        if !(2..=1224).contains(&id.len()) || !id.bytes().all(|b| in_names(b) || b == b':' || b == b'/') {
            let what = format!("{} holds what no external id has", given.shown("aws_external_id"));
            problems.push(Problem::new(what, "it has 2 to 1,224 letters, digits and characters of `_+=,.@:/-`"));
        }
    }
    let duration_seconds = given.number("aws_role_duration_seconds", 900, 900..=43_200, &mut problems);
    if duration_seconds > 3600 && !chain.is_empty() {
        let what = format!(
            "{} is `{duration_seconds}`, and there is a chain of roles",
            given.shown("aws_role_duration_seconds")
        );
        problems.push(Problem::new(what, "a chained role lasts 3,600 seconds at most: give 900 to 3,600"));
    }
    let session_name = session_name(given, &mut problems);
    let (way, what, reason) = settle(problems, chosen)?;
    let hops: String = chain.iter().map(|role| format!(" → role {}", role.text)).collect();
    Ok(AwsLogin {
        way,
        because: format!("{what}{hops}, because {reason}"),
        chain: chain.iter().map(|role| role.text.to_owned()).collect(),
        external_id: external_id.map(str::to_owned),
        session_name,
        duration_seconds,
        allowed_accounts: allowed.into_iter().map(str::to_owned).collect(),
    })
}

/// A way, what it is in words, and why it is the one.
type Chosen = (AwsWay, String, String);

fn way(given: &Given<'_>, role: Option<&Named<'_>>) -> Result<Chosen, Failure> {
    let own = KEYS.map(|name| given.input(name));
    if own != [None; 3] {
        if role.is_some_and(|role| role.input) {
            let names = [KEYS[0], "aws_role_arn"].map(|name| given.shown(name));
            let more =
                format!("; a role that is to be assumed with the key goes into {}", given.shown("aws_role_chain"));
            return twice("AWS", &names, &more);
        }
        let (way, kind) = keys(own, &KEYS.map(|name| given.shown(name)))?;
        return Ok((way, format!("{kind}access key of the inputs"), "it is given".to_owned()));
    }
    let left = LEFT.map(|name| given.variable(name));
    let file = given.variable(FILE);
    let by_input = role.is_some_and(|role| role.input);
    let source = token::find(given, &["AWS_ID_TOKEN"], by_input.then_some(FILE))?;
    // A webhook sets both in a pod: who runs the job, and not whom the job wants to be.
    let of_machine = !by_input && role.is_some() && file.is_some();
    let half = matches!(source, Source::Half);
    let mut aside = String::new();
    match (role, source) {
        (Some(role), Source::Found(Found { token, via, meant })) if meant || !of_machine => {
            let unused = if left == [None; 3] { "" } else { "; the key of `AWS_ACCESS_KEY_ID` is not used" };
            let given_or_set = if by_input { "is given" } else { "is set and the job has an identity token" };
            let way = AwsWay::WebIdentity { role: role.text.to_owned(), token, audience: audience(given, role.text) };
            return Ok((way, format!("{via} → role {}", role.text), format!("{} {given_or_set}{unused}", role.name)));
        }
        (Some(role), _) if by_input => {
            let instead = if left == [None; 3] {
                format!("give an access key in {}", given.shown(KEYS[0]))
            } else {
                let chain = given.shown("aws_role_chain");
                format!(
                    "take {} out to use the key of `AWS_ACCESS_KEY_ID`, or move it to {chain} to be assumed with that key",
                    role.name
                )
            };
            return Err(no_token(given, half, role, &instead));
        }
        (Some(role), _) if !of_machine => {
            aside = format!("; {} is not assumed, because the job has no identity token", role.name);
        }
        (None, Source::Found(found)) if found.meant && left == [None; 3] && !given.ambient => {
            let name = found.via.trim_start_matches("OIDC with ");
            return Err(input(
                format!("the AWS login is incomplete: there is {name}, and no role to assume with it"),
                format!("set {}", given.shown("aws_role_arn")),
            ));
        }
        _ => {}
    }
    if left != [None; 3] {
        let (way, kind) = keys(left, &LEFT.map(|name| format!("`{name}`")))?;
        let reason = format!("it is in the environment and no input names another login{aside}");
        return Ok((way, format!("{kind}access key of AWS_ACCESS_KEY_ID"), reason));
    }
    if given.ambient {
        return machine(given, role.map(|role| role.text), file);
    }
    Err(match role {
        Some(role) if !of_machine => {
            no_token(given, half, role, &format!("give an access key in {}", given.shown(KEYS[0])))
        }
        Some(role) => login(
            format!(
                "there is no AWS login: {} and `{FILE}` name the machine's own identity, which is not used unasked",
                role.name
            ),
            format!(
                "set {} to `ambient` to use it, or give a role in {}",
                given.shown("auth"),
                given.shown("aws_role_arn")
            ),
        ),
        None => nothing(given),
    })
}

fn no_token(given: &Given<'_>, half: bool, role: &Named<'_>, or: &str) -> Failure {
    let what = format!("the role of {} can be assumed only with an identity token", role.name);
    token::missing(given, half, &what, ("AWS_ID_TOKEN", &audience(given, role.text)), or)
}

fn nothing(given: &Given<'_>) -> Failure {
    let [role, id, secret, auth] = ["aws_role_arn", KEYS[0], KEYS[1], "auth"].map(|name| given.shown(name));
    login(
        format!(
            "there is no AWS login: there is no role in {role} or `AWS_ROLE_ARN`, and no access key in {id} or `AWS_ACCESS_KEY_ID`"
        ),
        format!(
            "give {role} in a job that has an identity token ({JOBS}), or {id} and {secret}, or run \
             aws-actions/configure-aws-credentials without `aws-profile` in an earlier step; {auth} set to `ambient` takes the machine's own identity"
        ),
    )
}

/// An access key of three parts, and whether it is a temporary one, in words.
fn keys(parts: [Option<&str>; 3], names: &[String; 3]) -> Result<(AwsWay, &'static str), Failure> {
    let of = |given: bool| -> Vec<String> {
        names.iter().zip(parts).filter(|(_, part)| part.is_some() == given).map(|(name, _)| name.clone()).collect()
    };
    let [Some(id), Some(secret), token] = parts else {
        let missing: Vec<String> = of(false).into_iter().filter(|name| *name != names[2]).collect();
        let what = format!(
            "the AWS access key is incomplete: with {} there must be {}",
            of(true).join(", "),
            missing.join(", ")
        );
        return Err(input(what, format!("set {}", and(&missing))));
    };
    let [id_name, secret_name, token_name] = names;
    let (id, secret) = (one_word(id_name, id)?, one_word(secret_name, secret)?);
    let token = token.map(|token| one_word(token_name, token)).transpose()?;
    let kind = if token.is_some() { "temporary " } else { "" };
    Ok((AwsWay::Keys { id, secret, token }, kind))
}

/// The order is that of the SDKs, in which a pod's role comes before the endpoint of its container
/// ([credential provider chain](https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html)).
fn machine(given: &Given<'_>, role: Option<&str>, file: Option<&str>) -> Result<Chosen, Failure> {
    let reason = format!("{} is `ambient`", given.shown("auth"));
    match (role, file) {
        (Some(role), Some(path)) => {
            let token = crate::auth::way::IdToken::File { path: path.to_owned(), name: FILE.to_owned() };
            let way = AwsWay::WebIdentity { role: role.to_owned(), token, audience: audience(given, role) };
            return Ok((way, format!("the pod's token in `{FILE}` → role {role}"), reason));
        }
        (None, Some(_)) => {
            let what = format!("the machine's AWS identity is incomplete: with `{FILE}` there must be `AWS_ROLE_ARN`");
            return Err(input(what, "set `AWS_ROLE_ARN`"));
        }
        _ => {}
    }
    let relative = given.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| {
        // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
        format!("http://169.254.170.2{}{path}", if path.starts_with('/') { "" } else { "/" })
    });
    let full = || given.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned);
    if let Some(url) = relative.or_else(full) {
        let authorization_file = given.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(str::to_owned);
        let authorization = given.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        let authorization =
            authorization.map(|text| one_word_or_two("AWS_CONTAINER_AUTHORIZATION_TOKEN", text)).transpose()?;
        let way = AwsWay::Container { url, authorization, authorization_file };
        return Ok((way, "the container's own credentials".to_owned(), reason));
    }
    if given.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(login(
            "there is no AWS login: the environment names no container's or pod's credentials, and `AWS_EC2_METADATA_DISABLED` forbids to ask the machine",
            format!(
                "give {} or {}, or unset `AWS_EC2_METADATA_DISABLED`",
                given.shown("aws_role_arn"),
                given.shown(KEYS[0])
            ),
        ));
    }
    let v6 =
        given.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let usual = if v6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let endpoint = given.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or(usual);
    let way = AwsWay::Instance { endpoint: endpoint.trim_end_matches('/').to_owned() };
    Ok((way, "the EC2 instance's own role".to_owned(), reason))
}

/// An `Authorization` header may have a scheme before the token.
fn one_word_or_two(name: &str, text: &str) -> Result<crate::secret::Secret, Failure> {
    let token = text.split_once(' ').map_or(text, |(_, token)| token);
    one_word(&format!("`{name}`"), token).map(|_| text.into())
}

/// What a token is asked to be for ([STS of China](https://docs.amazonaws.cn/en_us/aws/latest/userguide/iam.html)).
fn audience(given: &Given<'_>, role: &str) -> String {
    let china = role.starts_with("arn:aws-cn:");
    given.input("aws_audience").unwrap_or(if china { "sts.amazonaws.com.cn" } else { "sts.amazonaws.com" }).to_owned()
}

/// What CloudTrail shows: the run that it was, where there is one.
fn session_name(given: &Given<'_>, problems: &mut Vec<Problem>) -> String {
    if let Some(named) = given.first("aws_role_session_name", &["AWS_ROLE_SESSION_NAME"]) {
        if !(2..=64).contains(&named.text.len()) || !named.text.bytes().all(in_names) {
            let what = format!("{} is `{}`, which is no session name", named.name, escaped(named.text));
            problems.push(Problem::new(what, "it has 2 to 64 letters, digits and characters of `_+=,.@-`"));
        }
        return named.text.to_owned();
    }
    let run = ["GITHUB_RUN_ID", "CI_PIPELINE_ID"].iter().find_map(|name| given.variable(name));
    let run = run.filter(|run| run.len() <= 40 && run.bytes().all(|b| b.is_ascii_digit()));
    run.map_or_else(|| "envsync".to_owned(), |run| format!("envsync-{run}"))
}
