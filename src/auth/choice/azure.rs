//! Which Azure login it is.

use super::token::{self, Found, JOBS, Source};
use super::{Given, Named, and, escaped, input, login, one_word, settle, twice};
use crate::auth::way::{AzureLogin, AzureWay, IdToken, ManagedEndpoint};
use crate::error::{Failure, Problem};

const FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const SECRET: &str = "AZURE_CLIENT_SECRET";

/// Chooses a login to Azure. `audience` is what tokens of the cloud are for, where no input names another.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind) for what cannot be right, for a way that is given in part, and for two at once;
/// [`Kind::Login`](crate::error::Kind) where no way is given, or an application without an identity token or a secret.
pub fn choose_azure(given: &Given<'_>, audience: &str) -> Result<AzureLogin, Failure> {
    let mut problems = Vec::new();
    let ids = Ids {
        tenant: given.first("azure_tenant_id", &["AZURE_TENANT_ID"]),
        client: given.first("azure_client_id", &["AZURE_CLIENT_ID"]),
        audience: given.input("azure_audience").unwrap_or(audience),
    };
    let chosen = way(given, &ids);
    let used = !matches!(chosen, Ok((AzureWay::Token(_), ..)));
    if let Some(tenant) =
        ids.tenant.as_ref().filter(|tenant| (used || tenant.input) && !is_guid(tenant.text) && !is_domain(tenant.text))
    {
        let what = format!("{} is `{}`, which is no tenant", tenant.name, escaped(tenant.text));
        problems.push(Problem::new(
            what,
            "write the tenant's id (a GUID, which `az account show --query tenantId` prints) or its domain",
        ));
    }
    if let Some(client) = ids.client.as_ref().filter(|client| (used || client.input) && !is_guid(client.text)) {
        let what = format!("{} is `{}`, which is no application id", client.name, escaped(client.text));
        problems.push(Problem::new(
            what,
            "write the application's (client) id, a GUID; not its name, and not its object id",
        ));
    }
    let (way, what, reason) = settle(problems, chosen)?;
    Ok(AzureLogin { way, because: format!("{what}, because {reason}") })
}

/// A way, what it is in words, and why it is the one.
type Chosen = (AzureWay, String, String);

/// Who the application is. Ids are no secrets: they may stand in the job's environment while the step gives the rest, and
/// the reverse.
struct Ids<'a> {
    tenant: Option<Named<'a>>,
    client: Option<Named<'a>>,
    audience: &'a str,
}

impl<'a> Ids<'a> {
    fn both(&self) -> Option<(&Named<'a>, &Named<'a>)> {
        self.tenant.as_ref().zip(self.client.as_ref())
    }

    fn missing(&self, given: &Given<'_>) -> Vec<String> {
        let all = [("azure_tenant_id", self.tenant.is_some()), ("azure_client_id", self.client.is_some())];
        all.into_iter().filter(|(_, is)| !is).map(|(name, _)| given.shown(name)).collect()
    }
}

fn way(given: &Given<'_>, ids: &Ids<'_>) -> Result<Chosen, Failure> {
    let [token_name, secret_name, client_name] =
        ["azure_access_token", "azure_client_secret", "azure_client_id"].map(|name| given.shown(name));
    let (token, secret) = (given.input("azure_access_token"), given.input("azure_client_secret"));
    let by_input = ids.client.as_ref().is_some_and(|client| client.input);
    let whole = ids.both().is_some_and(|(tenant, client)| tenant.input && client.input);
    // With a secret the ids are its own; beside an access token they are another login.
    let federated = token::explicit(given).filter(|_| ids.both().is_some());
    let federated = federated.or_else(|| (whole && secret.is_none()).then(|| client_name.clone()));
    let own = [token.map(|_| token_name.clone()), secret.map(|_| secret_name.clone()), federated];
    let own: Vec<String> = own.into_iter().flatten().collect();
    if own.len() > 1 {
        return twice("Azure", &own, "");
    }
    if let Some(token) = token {
        let token = one_word(&token_name, token)?;
        return Ok((AzureWay::Token(token), "access token of the inputs".to_owned(), "it is given".to_owned()));
    }
    if let Some(secret) = secret {
        return with_secret(given, ids, secret, "the secret of the inputs", "it is given");
    }
    let left = given.variable(SECRET);
    let file = given.variable(FILE);
    let source = token::find(given, &["AZURE_ID_TOKEN", "AZURE_JWT"], by_input.then_some(FILE))?;
    // A webhook sets all three in a pod: who runs the job, and not whom the job wants to be.
    let of_machine = !by_input && ids.client.is_some() && file.is_some();
    let half = matches!(source, Source::Half);
    // A job may have an identity token for another cloud: a secret that stands beside its own ids is what was meant.
    let own_secret = !by_input && left.is_some();
    match (ids.both(), source) {
        (Some((tenant, client)), Source::Found(Found { token, via, meant }))
            if meant || !(of_machine || own_secret) =>
        {
            let unused = if left.is_some() { "; the secret of `AZURE_CLIENT_SECRET` is not used" } else { "" };
            let given_or_set = if by_input { "is given" } else { "is set and the job has an identity token" };
            let what = format!("{via} → application {} in tenant {}", client.text, tenant.text);
            let reason = format!("{} {given_or_set}{unused}", client.name);
            return Ok((assertion(tenant, client, token, ids.audience), what, reason));
        }
        (None, Source::Found(found)) if found.meant && left.is_none() && !given.ambient => {
            let name = found.via.trim_start_matches("OIDC with ");
            let missing = and(&ids.missing(given));
            let what = format!("the Azure login is incomplete: with {name} there must be {missing}");
            return Err(input(what, format!("set {missing}")));
        }
        _ => {}
    }
    if let Some(secret) = left {
        let aside = if by_input { ", and the job has no identity token" } else { "" };
        let reason = format!("it is in the environment and no input names another login{aside}");
        return with_secret(given, ids, secret, "the secret of AZURE_CLIENT_SECRET", &reason);
    }
    if given.ambient {
        return machine(given, ids, file.filter(|_| of_machine || by_input));
    }
    Err(match (ids.both(), ids.client.is_some() || ids.tenant.is_some()) {
        (Some(_), _) if of_machine => login(
            format!(
                "there is no Azure login: `AZURE_CLIENT_ID` and `{FILE}` name the machine's own identity, which is not used unasked"
            ),
            format!("set {} to `ambient` to use it, or give {client_name}", given.shown("auth")),
        ),
        (Some((_, client)), _) => {
            let what = format!("the application of {} can log in only with an identity token or a secret", client.name);
            let or =
                format!("give {secret_name}, or {token_name} (azure/login leaves nothing that a container can use)");
            token::missing(given, half, &what, ("AZURE_ID_TOKEN", ids.audience), &or)
        }
        (None, true) => {
            let missing = and(&ids.missing(given));
            let what = format!("the Azure login is incomplete: {missing} is not set");
            input(what, format!("set {missing}; then an identity token of the job or {secret_name} logs in"))
        }
        (None, false) => nothing(given),
    })
}

fn nothing(given: &Given<'_>) -> Failure {
    let [client, tenant, secret, token, auth] =
        ["azure_client_id", "azure_tenant_id", "azure_client_secret", "azure_access_token", "auth"]
            .map(|name| given.shown(name));
    login(
        format!(
            "there is no Azure login: there is nothing in {client}, {tenant}, {secret} or {token}, nor in \
             `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` or `AZURE_CLIENT_SECRET`"
        ),
        format!(
            "give {client} and {tenant} in a job that has an identity token ({JOBS}), or with {secret}, or give \
             {token} alone; what azure/login did in an earlier step leaves nothing that a container can use; {auth} set to `ambient` takes the \
             machine's managed identity"
        ),
    )
}

fn assertion(tenant: &Named<'_>, client: &Named<'_>, token: IdToken, audience: &str) -> AzureWay {
    AzureWay::Assertion {
        tenant: tenant.text.to_owned(),
        client: client.text.to_owned(),
        token,
        audience: audience.to_owned(),
    }
}

fn with_secret(given: &Given<'_>, ids: &Ids<'_>, secret: &str, whose: &str, reason: &str) -> Result<Chosen, Failure> {
    let Some((tenant, client)) = ids.both() else {
        let missing = and(&ids.missing(given));
        let what = format!("the Azure login is incomplete: with {whose} there must be {missing}");
        return Err(input(what, format!("set {missing}")));
    };
    let what = format!("application {} in tenant {} with {whose}", client.text, tenant.text);
    let (tenant, client) = (tenant.text.to_owned(), client.text.to_owned());
    Ok((AzureWay::ClientSecret { tenant, client, secret: secret.into() }, what, reason.to_owned()))
}

/// In the order of Azure's own clients
/// ([credential chain](https://learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains)).
fn machine(given: &Given<'_>, ids: &Ids<'_>, file: Option<&str>) -> Result<Chosen, Failure> {
    let reason = format!("{} is `ambient`", given.shown("auth"));
    if let (Some((tenant, client)), Some(path)) = (ids.both(), file) {
        let token = IdToken::File { path: path.to_owned(), name: FILE.to_owned() };
        let what = format!("the pod's token in `{FILE}` → application {} in tenant {}", client.text, tenant.text);
        return Ok((assertion(tenant, client, token, ids.audience), what, reason));
    }
    let endpoint = match (given.variable("IDENTITY_ENDPOINT"), given.variable("IDENTITY_HEADER")) {
        (Some(url), Some(header)) => {
            ManagedEndpoint::AppService { url: url.to_owned(), header: one_word("`IDENTITY_HEADER`", header)? }
        }
        (None, None) => {
            let host = given.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
            ManagedEndpoint::Instance { endpoint: host.trim_end_matches('/').to_owned() }
        }
        (url, _) => {
            let (has, lacks) = if url.is_some() { ("ENDPOINT", "HEADER") } else { ("HEADER", "ENDPOINT") };
            let what = format!(
                "the machine's Azure identity is incomplete: with `IDENTITY_{has}` there must be `IDENTITY_{lacks}`"
            );
            return Err(input(
                what,
                "hand both to envsync as the machine has them; the agent of Azure Arc, which has only one, is not supported",
            ));
        }
    };
    let client = ids.client.as_ref().map(|client| client.text.to_owned());
    let which = client.as_ref().map_or_else(String::new, |client| format!(" {client}"));
    Ok((AzureWay::Managed { client, endpoint }, format!("the machine's managed identity{which}"), reason))
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::parse_str(text).is_ok()
}

fn is_domain(text: &str) -> bool {
    text.contains('.')
        && text
            .split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}
