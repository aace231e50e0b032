//! Every input, once: name, default, help text. `action.yml`, the README's table and `--help` are checked against it.

use serde::Deserialize;

/// One input.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// In snake case; read from `INPUT_NAME`, else from `ENVSYNC_NAME`.
    pub name: &'static str,
    /// What holds where it is not given, as the documentation shows it; empty where there is none.
    pub default: &'static str,
    /// Whether its value is masked before anything is printed.
    pub secret: bool,
    /// One or two sentences.
    pub help: &'static str,
}

/// Makes the registry and the raw form that `envy` fills from one list, so that they cannot differ.
macro_rules! inputs {
    ($($name:ident $default:literal $kind:ident $help:literal)+) => {
        /// Every input there is, in the order of the documentation.
        pub const INPUTS: &[Input] = &[$(Input {
            name: stringify!($name),
            default: $default,
            secret: inputs!(@ $kind),
            help: $help,
        }),+];

        /// The inputs as text, as they were given: trimmed, blank ones absent.
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Raw {
            $(#[serde(default)] pub(super) $name: Option<String>,)+
        }

        impl Raw {
            /// The input of this name.
            pub(super) fn get(&self, name: &str) -> Option<&str> {
                match name {
                    $(stringify!($name) => self.$name.as_deref(),)+
                    _ => None,
                }
            }
        }
    };
    (@ secret) => { true };
    (@ plain) => { false };
}

inputs! {
    mode "pull" plain "What to do: `pull` (the file receives), `push` (the secret receives), `sync` (both receive what the other one changed) or `check` (nothing is written; any difference is drift)."
    provider "" plain "Where the secret is: `aws`, `gcp`, `azure` or `local`. Required."
    secret "envsync-secrets" plain "Which secret, in the store's own notation: `[NAME =] ID[?version=V | ?stage=S][#json.path]`. One `*` in it makes a pattern, with a secret for each variable: `prod/app/*`. Several, one a line, for `pull` and `check`."
    env_file ".env" plain "The file, relative to the workspace. `false`: no file (`pull` only)."
    content "" secret "`push` only: dotenv text or a JSON object in place of a file, such as GitHub's `toJSON(secrets)`; the job's own `github_token` in it is left out."
    include "" plain "Globs of names, in lines or commas; nothing else is read, written or removed. Default: all."
    exclude "" plain "Globs of names that are left out. Stronger than `include`."
    strip_prefix "" plain "`pull` and `check`: a prefix to take off the secret's names; names without it stay as they are."
    add_prefix "" plain "`pull` and `check`: a prefix to put before the secret's names."
    case "keep" plain "`pull` and `check`: `keep`, or `upper` for names in upper case."
    flatten_separator "_" plain "What joins the names of nested JSON objects."
    required_keys "" plain "Names that must be there, in lines or commas; a missing one fails before anything is written."
    template "" plain "A file such as `.env.example` whose names must be there."
    format "json" plain "How a new document is written: `json` (one object) or `dotenv` (text). An existing document keeps its form unless this is given."
    delete "false" plain "Remove from the receiving side what the giving side does not have; for `sync`, what was deleted on one side from the other. An error for a push to a pattern, which never deletes a secret."
    max_deletes "10" plain "The most variables that `delete` removes in one run; more are refused."
    prefer "fail" plain "`sync`: what counts where both sides changed a variable to different values: `file`, `secret`, or `fail`, which writes nothing at all."
    dry_run "false" plain "Do everything except writing."
    on_collision "error" plain "Two entries, members or secrets of a pattern that yield one name: `error`, or `last` for the last one."
    create "true" plain "`push` and `sync`: create a secret that does not exist."
    recover_deleted "false" plain "`push` and `sync`: recover a secret that is scheduled for deletion."
    concurrency "safe" plain "`safe`: what others write at the same time is kept, as far as the store allows. `none`: one plain write, where the permissions for the safe way are not given."
    fail_on_drift "true" plain "`check`: end with exit code 6 on any difference."
    outputs "false" plain "`pull`: every variable becomes a masked step output (GitHub)."
    export_env "false" plain "`pull`: every variable reaches the environment of later steps (GitHub)."
    dialect "portable" plain "Who reads the file, which decides how values are quoted: `portable` (every reader with quotes), `docker`, `shell`, `compose`, `python`, `node` or `next`. Several, in lines or commas: a form that all of them read. See docs/dotenv.md."
    unmasked_keys "" plain "Globs of names that are no secrets, such as `LOG_LEVEL` or `*_PORT`."
    min_mask_length "4" plain "Shorter values are not masked, because a mask on them would shred the log."
    cleanup "true" plain "A file that this step created is removed at the end of the job (GitHub's post step)."
    outputs_file "" plain "Elsewhere than on GitHub: a file for the outputs without values, in the form of GitLab's dotenv report."
    timeout_seconds "120" plain "The most that the whole run takes."
    local_store ".envsync" plain "`local`: the directory of the store."
    auth "" plain "`ambient`: where nothing else is given, log in as the machine (EC2, ECS, EKS; GCE, GKE; Azure's managed identities). Without it nothing of the machine is used."
    oidc_token "" secret "An identity token (JWT) for the cloud; else the one of GitHub's `id-token: write`, else `AWS_ID_TOKEN`, `GCP_ID_TOKEN` or `AZURE_ID_TOKEN`, else `GITLAB_OIDC_TOKEN`."
    oidc_token_file "" plain "A file that holds the identity token, read anew for each exchange."
    aws_region "" plain "The region; else the ARN's, `AWS_REGION` or `AWS_DEFAULT_REGION`."
    aws_role_arn "" plain "The role to assume with the job's identity token; else `AWS_ROLE_ARN`."
    aws_role_session_name "" plain "How CloudTrail names the run; else `AWS_ROLE_SESSION_NAME`, else `envsync-` and the run's number."
    aws_role_duration_seconds "900" plain "How long temporary credentials last: 900 to 43,200; with a chain 3,600 at most."
    aws_audience "" plain "What GitHub's identity token is asked to be for; another one brings its own audience. Default: `sts.amazonaws.com`, in China `sts.amazonaws.com.cn`."
    aws_role_chain "" plain "ARNs of roles to assume after the first login, one after another, in lines or commas."
    aws_external_id "" plain "The external id for the roles of `aws_role_chain`."
    aws_allowed_account_ids "" plain "The accounts, in lines or commas, of which the login must end in one."
    aws_access_key_id "" secret "An access key; else `AWS_ACCESS_KEY_ID` and its companions, which other actions leave."
    aws_secret_access_key "" secret "The access key's secret."
    aws_session_token "" secret "The session token of temporary credentials."
    aws_endpoint_url "" plain "The base URL of the service; else `AWS_ENDPOINT_URL_SECRETS_MANAGER` or `AWS_ENDPOINT_URL`."
    aws_sts_endpoint_url "" plain "The base URL of STS; else `AWS_ENDPOINT_URL_STS` or `AWS_ENDPOINT_URL`."
    gcp_project "" plain "The Google Cloud project of a secret that is given by its short name; else `GOOGLE_CLOUD_PROJECT`, else the project of `gcp_service_account` or of the service account key."
    gcp_locations "" plain "Where a new secret is replicated to, in lines or commas. Default: everywhere (automatic)."
    gcp_workload_identity_provider "" plain "The provider that takes the job's identity token, `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`; else that of GitLab's variables for Google."
    gcp_service_account "" plain "The service account to act as, whatever the login is: its e-mail address. Without it the login itself needs the permissions."
    gcp_delegates "" plain "Service accounts between the login and `gcp_service_account`, in lines or commas."
    gcp_audience "" plain "What GitHub's identity token is asked to be for; another one brings its own audience. Default: `https://iam.googleapis.com/` and the provider."
    gcp_token_lifetime "600" plain "How many seconds the token of `gcp_service_account` lasts: 300 to 43,200; more than 3,600 only where the organisation allows it."
    gcp_universe_domain "" plain "The domain of Google's services; else `GOOGLE_CLOUD_UNIVERSE_DOMAIN`. Default: `googleapis.com`."
    gcp_access_token "" secret "An OAuth access token for Google."
    gcp_credentials_json "" secret "Credentials as JSON, such as a service account key; else the file that `GOOGLE_APPLICATION_CREDENTIALS` names."
    gcp_endpoint "" plain "The base URL of Google Secret Manager, in place of Google's own."
    gcp_sts_endpoint "" plain "The base URL of Google's Security Token Service, in place of Google's own."
    gcp_iam_endpoint "" plain "The base URL of IAM Service Account Credentials, in place of Google's own."
    azure_vault "" plain "The Key Vault: its name or its https URL; else `AZURE_KEY_VAULT_SERVER_URL`."
    azure_tenant_id "" plain "The Entra tenant; else `AZURE_TENANT_ID`."
    azure_client_id "" plain "The application (client) id, or that of a managed identity; else `AZURE_CLIENT_ID`."
    azure_audience "" plain "What GitHub's identity token is asked to be for; another one brings its own audience. Default: `api://AzureADTokenExchange`, in other clouds with `USGov` or `China` behind it."
    azure_client_secret "" secret "The application's secret; else `AZURE_CLIENT_SECRET`."
    azure_access_token "" secret "An access token for Key Vault."
    azure_cloud "public" plain "`public`, `usgovernment` or `china`; also the names that azure/login takes."
    azure_authority_host "" plain "The base URL of Entra; else `AZURE_AUTHORITY_HOST`, else that of `azure_cloud`."
    ca_file "" plain "A PEM file of certificate authorities, added to those of the system."
}

/// The text of `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = String::from(
        "envsync: moves secrets between secret stores and .env files\n\n\
         Usage: envsync [--help | --version]\n\n\
         It takes no other arguments. Every input is an environment variable: ENVSYNC_ and the name in upper case, or\n\
         INPUT_ and the name, as GitHub sets it. Blank means unset.\n\nInputs:\n",
    );
    for input in INPUTS {
        text.push_str(&format!("  ENVSYNC_{}\n", input.name.to_ascii_uppercase()));
        text.push_str(&format!("      {}", input.help));
        if !input.default.is_empty() {
            text.push_str(&format!(" Default: `{}`.", input.default));
        }
        text.push('\n');
    }
    text.push_str(
        "\nExit codes: 0 done, 1 internal, 2 configuration or input, 3 login, 4 permission denied, 5 not found or deleted,\n\
         6 drift, a conflict, or refused by a guard, 7 the cloud, the network or the file system failed, 8 partly applied,\n\
         130 and 143 ended by SIGINT and SIGTERM.\n",
    );
    text
}
