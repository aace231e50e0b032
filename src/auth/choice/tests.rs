//! The choice, through the whole reading of the environment: each row is an environment and what comes of it.

use crate::config::{self, Environment, Store};
use crate::error::Kind;

const AWS: &str = "provider=aws aws_region=eu-central-1";
const GCP: &str = "provider=gcp gcp_project=p";
const AZURE: &str = "provider=azure azure_vault=vault-1";

/// Words for groups of variables. In values, `_` after `%` is a blank.
fn meaning(word: &str) -> &str {
    match word {
        "github" => {
            "GITHUB_ACTIONS=true ACTIONS_ID_TOKEN_REQUEST_URL=https://github.test/?v=2 ACTIONS_ID_TOKEN_REQUEST_TOKEN=s3cret"
        }
        "github-without" => "GITHUB_ACTIONS=true",
        "pull-request" => "GITHUB_ACTIONS=true GITHUB_EVENT_NAME=pull_request",
        "gitlab" => "GITLAB_CI=true CI_PROJECT_DIR=/builds",
        "role" => "aws_role_arn=arn:aws:iam::123456789012:role/deploy",
        "ROLE" => "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/of-env",
        "chain" => "aws_role_chain=arn:aws:iam::210987654321:role/next",
        "key" => "aws_access_key_id=AKIAs3cret aws_secret_access_key=s3cret",
        "left-key" => "AWS_ACCESS_KEY_ID=ASIAs3cret AWS_SECRET_ACCESS_KEY=s3cret AWS_SESSION_TOKEN=s3cret",
        "aws-pod" => "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/pod AWS_WEB_IDENTITY_TOKEN_FILE=/run/token",
        "provider" => {
            "gcp_workload_identity_provider=projects/123/locations/global/workloadIdentityPools/pool/providers/ci"
        }
        "gitlab-provider" => {
            "GCP_PROJECT_NUMBER=123 GCP_WORKLOAD_IDENTITY_FEDERATION_POOL_ID=pool GCP_WORKLOAD_IDENTITY_FEDERATION_PROVIDER_ID=lab"
        }
        "account" => "gcp_service_account=deploy@my-project.iam.gserviceaccount.com",
        "left-file" => "GOOGLE_APPLICATION_CREDENTIALS=/github/workspace/gha-creds-1.json",
        "ids" => {
            "azure_tenant_id=11111111-1111-4111-8111-111111111111 azure_client_id=22222222-2222-4222-8222-222222222222"
        }
        "IDS" => {
            "AZURE_TENANT_ID=11111111-1111-4111-8111-111111111111 AZURE_CLIENT_ID=33333333-3333-4333-8333-333333333333"
        }
        "aks-pod" => {
            "AZURE_TENANT_ID=11111111-1111-4111-8111-111111111111 AZURE_CLIENT_ID=33333333-3333-4333-8333-333333333333 AZURE_FEDERATED_TOKEN_FILE=/run/token"
        }
        "ambient" => "auth=ambient",
        "blank-keys" => "aws_access_key_id=%_ AWS_ACCESS_KEY_ID= AWS_SECRET_ACCESS_KEY=%_ AWS_SESSION_TOKEN=",
        other => other,
    }
}

fn environment(cloud: &str, row: &str) -> Environment {
    let words = format!("{cloud} {row}");
    let pairs = words.split_whitespace().flat_map(|word| meaning(word).split(' ')).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or_else(|| panic!("{row}: {pair} is no word"));
        let name = if name.starts_with(char::is_lowercase) {
            format!("ENVSYNC_{}", name.to_uppercase())
        } else {
            name.to_owned()
        };
        (name, value.replace("%_", " ").replace("%n", "\n"))
    });
    pairs.collect()
}

/// `ok`, or the exit code, and the whole text: the reason and the way, or all problems with their fixes.
fn outcome(cloud: &str, row: &str) -> (String, String) {
    match config::read(&environment(cloud, row), &[]).config {
        Ok(config) => match config.store {
            Store::Aws(aws) => ("ok".to_owned(), format!("{}\n{:?}", aws.login.because, aws.login)),
            Store::Gcp(gcp) => ("ok".to_owned(), format!("{}\n{:?} {:?}", gcp.login.because, gcp.login, gcp.project)),
            Store::Azure(azure) => ("ok".to_owned(), format!("{}\n{:?}", azure.login.because, azure.login)),
            Store::Local { .. } => panic!("no cloud"),
        },
        Err(failure) => {
            let all =
                failure.problems.iter().map(|p| format!("{}\n{}\n", p.what, p.help.as_deref().unwrap_or("NO HELP")));
            (failure.kind.exit_code().to_string(), all.collect())
        }
    }
}

/// Each row: what is given, `ok` or an exit code, and parts that the text has.
fn judge(cloud: &str, rows: &[(&str, &str, &[&str])]) {
    let mut wrong = Vec::new();
    for (row, code, parts) in rows {
        let (found, text) = outcome(cloud, row);
        let missing: Vec<_> = parts.iter().filter(|part| !text.contains(**part)).collect();
        if found != *code || !missing.is_empty() || text.contains("s3cret") || text.contains("NO HELP") {
            wrong.push(format!("{row}\n  is {found}, not {code}; lacks {missing:?} in\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn aws() {
    judge(
        AWS,
        &[
            // Explicit keys.
            ("key", "ok", &["access key of the inputs, because it is given", "Keys {", "token: None"]),
            ("key aws_session_token=s3cret", "ok", &["temporary access key of the inputs"]),
            ("key left-key", "ok", &["access key of the inputs", "token: None"]),
            ("key github", "ok", &["access key of the inputs"]),
            ("key ROLE github", "ok", &["access key of the inputs"]),
            ("key ambient", "ok", &["access key of the inputs"]),
            (
                "key role github",
                "2",
                &["two AWS logins", "`ENVSYNC_AWS_ACCESS_KEY_ID` and `ENVSYNC_AWS_ROLE_ARN`", "_ROLE_CHAIN"],
            ),
            ("key role", "2", &["two AWS logins"]),
            (
                "aws_access_key_id=AKIAs3cret",
                "2",
                &["with `ENVSYNC_AWS_ACCESS_KEY_ID` there must be `ENVSYNC_AWS_SECRET_ACCESS_KEY`"],
            ),
            ("aws_access_key_id=AKIAs3cret left-key", "2", &["incomplete"]),
            (
                "aws_session_token=s3cret left-key",
                "2",
                &["there must be `ENVSYNC_AWS_ACCESS_KEY_ID`, `ENVSYNC_AWS_SECRET_ACCESS_KEY`"],
            ),
            ("aws_access_key_id=AKIA%_s3cret aws_secret_access_key=s3cret", "2", &["holds a blank"]),
            // OIDC.
            (
                "role github",
                "ok",
                &[
                    "OIDC from GitHub → role arn:aws:iam::123456789012:role/deploy, because `ENVSYNC_AWS_ROLE_ARN` is given\n",
                    "audience: \"sts.amazonaws.com\"",
                    "v=2",
                ],
            ),
            ("role github FORGEJO_ACTIONS=true", "ok", &["OIDC from Forgejo"]),
            ("role gitlab AWS_ID_TOKEN=s3cret", "ok", &["OIDC with `AWS_ID_TOKEN` → role", "name: \"AWS_ID_TOKEN\""]),
            ("role gitlab GITLAB_OIDC_TOKEN=s3cret", "ok", &["OIDC with `GITLAB_OIDC_TOKEN`"]),
            ("role gitlab AWS_ID_TOKEN=s3cret GITLAB_OIDC_TOKEN=s3cret", "ok", &["`AWS_ID_TOKEN`"]),
            ("role gitlab GCP_ID_TOKEN=s3cret", "3", &["no identity token"]),
            ("role oidc_token=s3cret github", "ok", &["OIDC with `ENVSYNC_OIDC_TOKEN` → role"]),
            (
                "role oidc_token=s3cret oidc_token_file=/f",
                "2",
                &["two identity tokens", "`ENVSYNC_OIDC_TOKEN` and `ENVSYNC_OIDC_TOKEN_FILE`"],
            ),
            (
                "role oidc_token_file=t.jwt github",
                "ok",
                &["OIDC with the file of `ENVSYNC_OIDC_TOKEN_FILE`", "path: \"t.jwt\""],
            ),
            ("role oidc_token=s3cret%_s3cret", "2", &["`ENVSYNC_OIDC_TOKEN` holds a blank"]),
            ("role github left-key", "ok", &["OIDC from GitHub", "the key of `AWS_ACCESS_KEY_ID` is not used"]),
            ("ROLE github left-key", "ok", &["role/of-env, because `AWS_ROLE_ARN` is set", "is not used"]),
            (
                "ROLE gitlab AWS_ID_TOKEN=s3cret",
                "ok",
                &["OIDC with `AWS_ID_TOKEN` → role arn:aws:iam::123456789012:role/of-env"],
            ),
            ("role ROLE github", "ok", &["role/deploy, because `ENVSYNC_AWS_ROLE_ARN` is given"]),
            (
                "role AWS_WEB_IDENTITY_TOKEN_FILE=/run/token",
                "ok",
                &["the file of `AWS_WEB_IDENTITY_TOKEN_FILE` → role", "path: \"/run/token\""],
            ),
            ("role github AWS_WEB_IDENTITY_TOKEN_FILE=/run/token", "ok", &["OIDC from GitHub"]),
            ("role github ambient AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x", "ok", &["OIDC from GitHub"]),
            ("role github aws_audience=mine", "ok", &["audience: \"mine\""]),
            // No token.
            (
                "role github-without",
                "3",
                &[
                    "can be assumed only with an identity token",
                    "`permissions: id-token: write`",
                    "reusable workflow",
                    "forks",
                ],
            ),
            ("role pull-request", "3", &["this is a pull request: one from a fork or of Dependabot"]),
            ("role FORGEJO_ACTIONS=true github-without", "3", &["enable-openid-connect: true"]),
            (
                "role gitlab",
                "3",
                &[
                    "under another name in `ENVSYNC_OIDC_TOKEN`",
                    "\nid_tokens:\n  AWS_ID_TOKEN:\n    aud: sts.amazonaws.com",
                ],
            ),
            ("role", "3", &["`ENVSYNC_OIDC_TOKEN`", "`ENVSYNC_OIDC_TOKEN_FILE`", "`ENVSYNC_AWS_ACCESS_KEY_ID`"]),
            (
                "role left-key github-without",
                "3",
                &["take `ENVSYNC_AWS_ROLE_ARN` out", "move it to `ENVSYNC_AWS_ROLE_CHAIN`"],
            ),
            ("role ambient", "3", &["no identity token"]),
            ("ROLE", "3", &["the role of `AWS_ROLE_ARN`", "no identity token"]),
            (
                "role ACTIONS_ID_TOKEN_REQUEST_URL=https://x.test",
                "2",
                &["only `ACTIONS_ID_TOKEN_REQUEST_URL` is set: `ACTIONS_ID_TOKEN_REQUEST_TOKEN` is missing"],
            ),
            ("role ACTIONS_ID_TOKEN_REQUEST_TOKEN=s3cret", "2", &["`ACTIONS_ID_TOKEN_REQUEST_URL` is missing"]),
            ("role ACTIONS_ID_TOKEN_REQUEST_TOKEN=s3cret AWS_ID_TOKEN=s3cret", "ok", &["OIDC with `AWS_ID_TOKEN`"]),
            ("oidc_token=s3cret", "2", &["there is `ENVSYNC_OIDC_TOKEN`, and no role", "set `ENVSYNC_AWS_ROLE_ARN`"]),
            ("gitlab AWS_ID_TOKEN=s3cret", "2", &["there is `AWS_ID_TOKEN`, and no role"]),
            // What another action left.
            ("left-key", "ok", &["temporary access key of AWS_ACCESS_KEY_ID, because it is in the environment"]),
            ("left-key github", "ok", &["temporary access key of AWS_ACCESS_KEY_ID"]),
            (
                "left-key ROLE",
                "ok",
                &["AWS_ACCESS_KEY_ID", "`AWS_ROLE_ARN` is not assumed, because the job has no identity token"],
            ),
            ("left-key ROLE ACTIONS_ID_TOKEN_REQUEST_TOKEN=s3cret", "ok", &["AWS_ACCESS_KEY_ID"]),
            ("left-key AWS_ROLE_ARN=deploy", "ok", &["AWS_ACCESS_KEY_ID"]),
            ("left-key oidc_token=s3cret", "ok", &["AWS_ACCESS_KEY_ID"]),
            ("left-key ambient", "ok", &["AWS_ACCESS_KEY_ID"]),
            ("AWS_SECRET_ACCESS_KEY=s3cret", "2", &["there must be `AWS_ACCESS_KEY_ID`"]),
            ("AWS_SECRET_ACCESS_KEY=s3cret role github", "ok", &["OIDC from GitHub"]),
            // Blank is unset.
            (
                "blank-keys",
                "3",
                &[
                    "there is no AWS login",
                    "`permissions: id-token: write`",
                    "configure-aws-credentials",
                    "`ENVSYNC_AUTH` set to `ambient`",
                ],
            ),
            ("blank-keys role github", "ok", &["is given\n"]),
            ("aws_role_arn=%_ ROLE github", "ok", &["role/of-env"]),
            ("role ACTIONS_ID_TOKEN_REQUEST_URL= ACTIONS_ID_TOKEN_REQUEST_TOKEN=%_", "3", &["no identity token"]),
            ("github", "3", &["there is no AWS login"]),
            ("gitlab", "3", &["there is no AWS login", "GitLab: `id_tokens`"]),
            // The machine.
            (
                "ambient",
                "ok",
                &["the EC2 instance's own role, because `ENVSYNC_AUTH` is `ambient`", "http://169.254.169.254\""],
            ),
            ("ambient AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1/", "ok", &["http://127.0.0.1:1\""]),
            ("ambient AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6", "ok", &["http://[fd00:ec2::254]\""]),
            ("ambient AWS_EC2_METADATA_DISABLED=true", "3", &["`AWS_EC2_METADATA_DISABLED` forbids"]),
            (
                "ambient AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/x",
                "ok",
                &["the container's own", "http://169.254.170.2/v2/x\""],
            ),
            (
                "ambient AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.23/v1 AWS_CONTAINER_AUTHORIZATION_TOKEN=s3cret AWS_EC2_METADATA_DISABLED=true",
                "ok",
                &["http://169.254.170.23/v1\"", "authorization: Some"],
            ),
            (
                "ambient AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/t",
                "ok",
                &["authorization_file: Some(\"/t\")"],
            ),
            (
                "ambient aws-pod",
                "ok",
                &["the pod's token in `AWS_WEB_IDENTITY_TOKEN_FILE` → role arn:aws:iam::123456789012:role/pod"],
            ),
            ("ambient aws-pod github", "ok", &["the pod's token"]),
            ("ambient AWS_WEB_IDENTITY_TOKEN_FILE=/t", "2", &["there must be `AWS_ROLE_ARN`"]),
            ("ambient AWS_ROLE_ARN=nonsense AWS_WEB_IDENTITY_TOKEN_FILE=/t", "2", &["`AWS_ROLE_ARN` is `nonsense`"]),
            ("aws-pod", "3", &["not used unasked", "`ENVSYNC_AUTH` to `ambient`"]),
            ("aws-pod github", "3", &["not used unasked"]),
            ("aws-pod gitlab AWS_ID_TOKEN=s3cret", "ok", &["OIDC with `AWS_ID_TOKEN`"]),
            ("aws-pod left-key", "ok", &["AWS_ACCESS_KEY_ID"]),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/x", "3", &["there is no AWS login"]),
            ("auth=oidc left-key", "2", &["`ENVSYNC_AUTH` is `oidc`, which is not known", "`ambient`"]),
        ],
    );
}

#[test]
fn roles_and_what_belongs_to_them() {
    judge(
        AWS,
        &[
            (
                "aws_role_arn=deploy github",
                "2",
                &["is `deploy`, which is no ARN of a role", "`arn:aws:iam::123456789012:role/deploy`"],
            ),
            ("aws_role_arn=arn:aws:iam::123456789012 github", "2", &["cut off"]),
            ("aws_role_arn=arn:aws:sts::123456789012:assumed-role/deploy/x github", "2", &["a role's session"]),
            ("aws_role_arn=arn:aws:iam::123456789012:user/x github", "2", &["something else than a role"]),
            ("aws_role_arn=arn:aws:iam::12345678901:role/x github", "2", &["twelve digits"]),
            ("aws_role_arn=arn:azure:iam::123456789012:role/x github", "2", &["partition there is not"]),
            ("aws_role_arn=arn:aws:iam::123456789012:role/a*b github", "2", &["no possible name"]),
            (
                "aws_role_arn=arn:aws-cn:iam::123456789012:role/x github",
                "2",
                &["`aws-cn`, and the region `eu-central-1`", "is in `aws`"],
            ),
            (
                "aws_role_arn=arn:aws-cn:iam::123456789012:role/x github aws_region=cn-north-1",
                "ok",
                &["audience: \"sts.amazonaws.com.cn\""],
            ),
            (
                "aws_role_arn=arn:aws-us-gov:iam::123456789012:role/x github aws_region=us-gov-west-1",
                "ok",
                &["\"sts.amazonaws.com\""],
            ),
            (
                "aws_role_arn=arn:aws-cn:iam::123456789012:role/x gitlab aws_region=cn-north-1",
                "3",
                &["aud: sts.amazonaws.com.cn"],
            ),
            ("AWS_ROLE_ARN=deploy github", "2", &["`AWS_ROLE_ARN` is `deploy`"]),
            (
                "role chain github",
                "ok",
                &[
                    "role/deploy → role arn:aws:iam::210987654321:role/next, because",
                    "chain: [\"arn:aws:iam::210987654321:role/next\"]",
                ],
            ),
            ("key chain", "ok", &["access key of the inputs → role arn:aws:iam::210987654321:role/next, because"]),
            ("left-key chain aws_external_id=ext-1", "ok", &["external_id: Some(\"ext-1\")"]),
            ("ambient chain", "ok", &["the EC2 instance's own role → role arn"]),
            ("chain", "3", &["there is no AWS login"]),
            (
                "left-key aws_role_chain=arn:aws:iam::210987654321:role/a,next",
                "2",
                &["`ENVSYNC_AWS_ROLE_CHAIN` is `next`"],
            ),
            (
                "role github aws_role_chain=arn:aws-cn:iam::210987654321:role/a",
                "2",
                &["one of `aws-cn`", "one partition"],
            ),
            ("role github aws_external_id=ext-1", "2", &["`ENVSYNC_AWS_EXTERNAL_ID` is given, and no role"]),
            ("left-key chain aws_external_id=e", "2", &["no external id has"]),
            ("role github aws_role_duration_seconds=43200", "ok", &["duration_seconds: 43200"]),
            ("role github aws_role_duration_seconds=899", "2", &["from 900 to 43200"]),
            ("role github aws_role_duration_seconds=43201", "2", &["no number in its range"]),
            ("role github chain aws_role_duration_seconds=3601", "2", &["3,600 seconds at most"]),
            ("role github", "ok", &["duration_seconds: 900", "session_name: \"envsync\""]),
            ("role github GITHUB_RUN_ID=4711", "ok", &["session_name: \"envsync-4711\""]),
            ("role gitlab AWS_ID_TOKEN=s3cret CI_PIPELINE_ID=12", "ok", &["session_name: \"envsync-12\""]),
            ("role github GITHUB_RUN_ID=a/b", "ok", &["session_name: \"envsync\""]),
            ("role github AWS_ROLE_SESSION_NAME=mine aws_role_session_name=ours", "ok", &["session_name: \"ours\""]),
            ("role github AWS_ROLE_SESSION_NAME=a%_b", "2", &["`AWS_ROLE_SESSION_NAME` is `a b`"]),
            ("role github aws_allowed_account_ids=123456789012", "ok", &["allowed_accounts: [\"123456789012\"]"]),
            (
                "role github aws_allowed_account_ids=210987654321",
                "2",
                &["the account 123456789012, which `ENVSYNC_AWS_ALLOWED_ACCOUNT_IDS` does not allow"],
            ),
            ("role github chain aws_allowed_account_ids=123456789012", "2", &["the account 210987654321"]),
            ("role github chain aws_allowed_account_ids=123456789012%n210987654321", "ok", &["\"210987654321\"]"]),
            ("key aws_allowed_account_ids=1234-5678-9012", "2", &["twelve digits each"]),
            ("key aws_allowed_account_ids=,", "2", &["`ENVSYNC_AWS_ALLOWED_ACCOUNT_IDS` is given, and names none"]),
            ("key aws_role_chain=,%n", "2", &["`ENVSYNC_AWS_ROLE_CHAIN` is given, and names none"]),
            (
                "aws_role_arn=x chain aws_external_id=e aws_role_duration_seconds=1 gitlab",
                "2",
                &["`x`", "external", "in its range", "id_tokens:"],
            ),
        ],
    );
}

#[test]
fn google() {
    const FEDERATED: &str = "projects/123/locations/global/workloadIdentityPools/pool/providers/ci";
    judge(
        GCP,
        &[
            ("gcp_access_token=s3cret", "ok", &["access token of the inputs, because it is given"]),
            (
                "gcp_credentials_json={s3cret} left-file github",
                "ok",
                &["credentials of the inputs, because they are given"],
            ),
            (
                "gcp_access_token=s3cret gcp_credentials_json={s3cret}",
                "2",
                &["two Google logins", "`ENVSYNC_GCP_ACCESS_TOKEN` and `ENVSYNC_GCP_CREDENTIALS_JSON`"],
            ),
            ("gcp_access_token=s3cret provider github", "2", &["two Google logins", "_PROVIDER`"]),
            ("gcp_access_token=s3cret gcp_credentials_json={s3cret} provider", "2", &["three Google logins"]),
            ("gcp_access_token=s3%_cret", "2", &["holds a blank"]),
            ("gcp_access_token=s3cret gitlab-provider github", "ok", &["access token"]),
            (
                "gcp_access_token=s3cret ambient account",
                "ok",
                &["access token of the inputs → service account deploy@"],
            ),
            (
                "provider github",
                "ok",
                &[
                    &format!(
                        "OIDC from GitHub → {FEDERATED}, because `ENVSYNC_GCP_WORKLOAD_IDENTITY_PROVIDER` is given\n"
                    ),
                    "audience: \"https://iam.googleapis.com/projects/123/",
                    "impersonation: None",
                ],
            ),
            (
                "provider github account gcp_delegates=a@p.iam.gserviceaccount.com",
                "ok",
                &[
                    "providers/ci → service account a@p.iam.gserviceaccount.com → service account deploy@",
                    "lifetime_seconds: 600",
                ],
            ),
            ("provider github gcp_audience=mine", "ok", &["audience: \"mine\""]),
            ("provider gitlab GCP_ID_TOKEN=s3cret", "ok", &["OIDC with `GCP_ID_TOKEN`"]),
            ("provider gitlab GITLAB_OIDC_TOKEN=s3cret AWS_ID_TOKEN=s3cret", "ok", &["OIDC with `GITLAB_OIDC_TOKEN`"]),
            (
                "gitlab-provider gitlab GCP_ID_TOKEN=s3cret",
                "ok",
                &[
                    "→ projects/123/locations/global/workloadIdentityPools/pool/providers/lab, because `GCP_WORKLOAD",
                    "is set",
                ],
            ),
            ("provider oidc_token=s3cret github", "ok", &["OIDC with `ENVSYNC_OIDC_TOKEN`"]),
            ("provider oidc_token_file=t", "ok", &["OIDC with the file of `ENVSYNC_OIDC_TOKEN_FILE`"]),
            (
                "provider github left-file",
                "ok",
                &["OIDC from GitHub", "the file of `GOOGLE_APPLICATION_CREDENTIALS` is not used"],
            ),
            ("provider github-without", "3", &["takes only an identity token", "id-token: write"]),
            (
                "provider github-without left-file",
                "3",
                &["take `ENVSYNC_GCP_WORKLOAD_IDENTITY_PROVIDER` out to use the file"],
            ),
            (
                "provider gitlab",
                "3",
                &["\nid_tokens:\n  GCP_ID_TOKEN:\n    aud: https://iam.googleapis.com/projects/123/"],
            ),
            ("provider ACTIONS_ID_TOKEN_REQUEST_URL=https://x.test", "2", &["_TOKEN` is missing"]),
            ("gitlab-provider gitlab", "3", &["\nid_tokens:\n  GCP_ID_TOKEN:"]),
            (
                "gitlab-provider left-file",
                "ok",
                &["the file of GOOGLE_APPLICATION_CREDENTIALS", "is not used, because the job has no identity token"],
            ),
            (
                "GCP_PROJECT_NUMBER=123 GCP_WORKLOAD_IDENTITY_FEDERATION_POOL_ID=pool",
                "2",
                &["`GCP_WORKLOAD_IDENTITY_FEDERATION_PROVIDER_ID` is not set"],
            ),
            ("GCP_PROJECT_NUMBER=123 github", "3", &["there is no Google login"]),
            ("oidc_token=s3cret", "2", &["there is `ENVSYNC_OIDC_TOKEN`, and no provider"]),
            (
                "left-file",
                "ok",
                &["the file of GOOGLE_APPLICATION_CREDENTIALS, because it is in the environment", "gha-creds-1.json"],
            ),
            ("left-file GOOGLE_GHA_CREDS_PATH=/x github", "ok", &["which google-github-actions/auth left"]),
            ("left-file account", "ok", &["→ service account deploy@"]),
            ("left-file ambient", "ok", &["the file of GOOGLE_APPLICATION_CREDENTIALS"]),
            (
                "GOOGLE_APPLICATION_CREDENTIALS=%_ gcp_access_token=",
                "3",
                &["there is no Google login", "google-github-actions/auth", "`ambient`"],
            ),
            ("GOOGLE_APPLICATION_CREDENTIALS= GOOGLE_GHA_CREDS_PATH=/x", "3", &["there is no Google login"]),
            ("gcp_workload_identity_provider=%_ github", "3", &["there is no Google login"]),
            (
                "ambient",
                "ok",
                &["the machine's own service account, because `ENVSYNC_AUTH`", "http://metadata.google.internal\""],
            ),
            ("ambient GCE_METADATA_HOST=127.0.0.1:1 account", "ok", &["http://127.0.0.1:1\"", "→ service account"]),
            ("ambient GCE_METADATA_HOST=http://x/y", "2", &["`GCE_METADATA_HOST` is no host"]),
            ("ambient provider github", "ok", &["OIDC from GitHub"]),
            ("github", "3", &["there is no Google login"]),
            ("gitlab", "3", &["there is no Google login", "GitLab: `id_tokens`"]),
        ],
    );
}

#[test]
fn providers_and_service_accounts() {
    let path = "projects/123/locations/global/workloadIdentityPools/pool/providers/ci";
    for host in ["", "//iam.googleapis.com/", "https://iam.googleapis.com/"] {
        let (code, text) = outcome(GCP, &format!("github gcp_workload_identity_provider={host}{path}"));
        assert!(code == "ok" && text.contains(&format!("provider: \"{path}\"")), "{text}");
    }
    judge(
        GCP,
        &[
            (
                "github gcp_workload_identity_provider=projects/123/locations/global/workloadIdentityPools/pool",
                "2",
                &["names a pool, and not a provider", "append"],
            ),
            (
                "github gcp_workload_identity_provider=projects/my-proj/locations/global/workloadIdentityPools/pool/providers/ci",
                "2",
                &["wants the number", "gcloud projects describe my-proj"],
            ),
            (
                "github gcp_workload_identity_provider=projects/1/locations/europe-west3/workloadIdentityPools/pool/providers/ci",
                "2",
                &["location `europe-west3`"],
            ),
            (
                "github gcp_workload_identity_provider=locations/global/workforcePools/pool/providers/ci",
                "2",
                &["workforce pool"],
            ),
            (
                "github gcp_workload_identity_provider=projects/1/locations/global/workloadIdentityPools/Pool/providers/",
                "2",
                &["which cannot be"],
            ),
            ("github gcp_workload_identity_provider=ci", "2", &["is `ci`, which is no provider"]),
            (
                "github gcp_workload_identity_provider=https://iam.evil.test/projects/1/locations/global/workloadIdentityPools/p/providers/ci",
                "2",
                &["which is no provider"],
            ),
            ("github provider gcp_universe_domain=apis.example.com", "ok", &["universe: \"apis.example.com\""]),
            (
                "github provider GOOGLE_CLOUD_UNIVERSE_DOMAIN=apis.example.com",
                "ok",
                &["universe: \"apis.example.com\""],
            ),
            ("github provider gcp_universe_domain=https://x.test", "2", &["which is no domain"]),
            ("github provider gcp_service_account=deploy", "2", &["`deploy`, which is no service account's e-mail"]),
            ("github provider account gcp_delegates=a", "2", &["GCP_DELEGATES` holds `a`"]),
            ("github provider gcp_delegates=a@p.iam.gserviceaccount.com", "2", &["no service account to act as"]),
            ("github provider gcp_token_lifetime=900", "2", &["no service account to act as"]),
            ("github provider account gcp_token_lifetime=43200", "ok", &["lifetime_seconds: 43200"]),
            ("github provider account gcp_token_lifetime=299", "2", &["from 300 to 43200"]),
            ("github provider account gcp_project=", "ok", &["Some(\"my-project\")"]),
            (
                "github provider gcp_project=",
                "2",
                &["`ENVSYNC_GCP_PROJECT` is missing", "`projects/PROJECT/secrets/envsync-secrets`"],
            ),
            ("gcp_access_token=s3cret gcp_project=", "2", &["`ENVSYNC_GCP_PROJECT` is missing"]),
            ("github provider gcp_project= secret=projects/p/secrets/app", "ok", &["OIDC from GitHub"]),
            ("GOOGLE_APPLICATION_CREDENTIALS=/x gcp_project=", "ok", &["None"]),
            ("ambient gcp_project=", "ok", &["None"]),
            ("github provider account GOOGLE_CLOUD_PROJECT=other gcp_project=", "ok", &["Some(\"other\")"]),
        ],
    );
}

#[test]
fn azure() {
    judge(
        AZURE,
        &[
            ("azure_access_token=s3cret", "ok", &["access token of the inputs"]),
            ("azure_access_token=s3cret IDS github", "ok", &["access token of the inputs"]),
            ("azure_access_token=s3cret AZURE_CLIENT_ID=my-app", "ok", &["access token of the inputs"]),
            (
                "ids azure_client_secret=s3cret",
                "ok",
                &[
                    "application 22222222-2222-4222-8222-222222222222 in tenant 11111111-1111-4111-8111-111111111111 with the secret of the inputs, because it is given",
                    "ClientSecret {",
                ],
            ),
            ("ids azure_client_secret=s3cret github", "ok", &["with the secret of the inputs"]),
            ("IDS azure_client_secret=s3cret AZURE_CLIENT_SECRET=s3cret", "ok", &["with the secret of the inputs"]),
            (
                "azure_client_secret=s3cret",
                "2",
                &["there must be `ENVSYNC_AZURE_TENANT_ID` and `ENVSYNC_AZURE_CLIENT_ID`"],
            ),
            ("azure_access_token=s3cret azure_client_secret=s3cret", "2", &["two Azure logins"]),
            ("azure_access_token=s3cret ids", "2", &["two Azure logins", "`ENVSYNC_AZURE_CLIENT_ID`"]),
            ("ids azure_client_secret=s3cret oidc_token=s3cret", "2", &["two Azure logins", "`ENVSYNC_OIDC_TOKEN`"]),
            ("azure_access_token=s3%_cret", "2", &["holds a blank"]),
            (
                "ids github",
                "ok",
                &[
                    "OIDC from GitHub → application 22222222-2222-4222-8222-222222222222 in tenant 1",
                    "because `ENVSYNC_AZURE_CLIENT_ID` is given\n",
                    "\"api://AzureADTokenExchange\"",
                ],
            ),
            ("ids github azure_cloud=usgovernment", "ok", &["\"api://AzureADTokenExchangeUSGov\""]),
            ("ids github azure_cloud=azurechinacloud", "ok", &["\"api://AzureADTokenExchangeChina\""]),
            ("ids github azure_audience=mine azure_cloud=china", "ok", &["audience: \"mine\""]),
            ("ids gitlab AZURE_ID_TOKEN=s3cret", "ok", &["OIDC with `AZURE_ID_TOKEN`"]),
            ("IDS gitlab AZURE_JWT=s3cret", "ok", &["OIDC with `AZURE_JWT`", "because `AZURE_CLIENT_ID` is set"]),
            ("IDS gitlab GITLAB_OIDC_TOKEN=s3cret", "ok", &["OIDC with `GITLAB_OIDC_TOKEN`"]),
            ("ids oidc_token=s3cret github", "ok", &["OIDC with `ENVSYNC_OIDC_TOKEN`"]),
            ("ids oidc_token_file=t", "ok", &["OIDC with the file of"]),
            (
                "ids AZURE_FEDERATED_TOKEN_FILE=/run/token",
                "ok",
                &["OIDC with the file of `AZURE_FEDERATED_TOKEN_FILE`"],
            ),
            (
                "ids github AZURE_CLIENT_SECRET=s3cret",
                "ok",
                &["OIDC from GitHub", "the secret of `AZURE_CLIENT_SECRET` is not used"],
            ),
            (
                "IDS github AZURE_CLIENT_SECRET=s3cret",
                "ok",
                &["the secret of AZURE_CLIENT_SECRET", "no input names another"],
            ),
            (
                "azure_client_id=22222222-2222-4222-8222-222222222222 AZURE_TENANT_ID=contoso.onmicrosoft.com github",
                "ok",
                &["in tenant contoso.onmicrosoft.com"],
            ),
            (
                "azure_client_id=22222222-2222-4222-8222-222222222222 github",
                "2",
                &["`ENVSYNC_AZURE_TENANT_ID` is not set"],
            ),
            ("AZURE_TENANT_ID=contoso.com", "2", &["`ENVSYNC_AZURE_CLIENT_ID` is not set"]),
            (
                "oidc_token=s3cret",
                "2",
                &["with `ENVSYNC_OIDC_TOKEN` there must be `ENVSYNC_AZURE_TENANT_ID` and `ENVSYNC_AZURE_CLIENT_ID`"],
            ),
            (
                "ids github-without",
                "3",
                &[
                    "only with an identity token or a secret",
                    "id-token: write",
                    "_CLIENT_SECRET`",
                    "_ACCESS_TOKEN`",
                    "azure/login leaves nothing",
                ],
            ),
            ("ids gitlab", "3", &["\nid_tokens:\n  AZURE_ID_TOKEN:\n    aud: api://AzureADTokenExchange"]),
            ("ids ACTIONS_ID_TOKEN_REQUEST_URL=https://x.test", "2", &["_TOKEN` is missing"]),
            ("IDS", "3", &["`AZURE_CLIENT_ID` can log in only"]),
            (
                "IDS AZURE_CLIENT_SECRET=s3cret",
                "ok",
                &["with the secret of AZURE_CLIENT_SECRET, because it is in the environment"],
            ),
            ("ids AZURE_CLIENT_SECRET=s3cret", "ok", &["with the secret of AZURE_CLIENT_SECRET"]),
            ("AZURE_CLIENT_SECRET=s3cret", "2", &["there must be"]),
            (
                "azure_client_id=%_ AZURE_TENANT_ID= AZURE_CLIENT_SECRET=%_ github",
                "3",
                &[
                    "there is no Azure login",
                    "azure/login",
                    "`AZURE_TENANT_ID`",
                    "`ENVSYNC_AZURE_ACCESS_TOKEN`",
                    "`ENVSYNC_AZURE_CLIENT_SECRET`",
                    "`permissions: id-token: write`",
                    "GitLab: `id_tokens`",
                ],
            ),
            (
                "azure_client_id=my-app AZURE_TENANT_ID=contoso.com github",
                "2",
                &["`my-app`, which is no application id"],
            ),
            (
                "azure_client_id=22222222-2222-4222-8222-222222222222 azure_tenant_id=common github",
                "2",
                &["`common`, which is no tenant"],
            ),
            ("ambient", "ok", &["the machine's managed identity, because", "http://169.254.169.254\""]),
            (
                "ambient azure_client_id=22222222-2222-4222-8222-222222222222",
                "ok",
                &["managed identity 22222222-", "client: Some"],
            ),
            ("ambient IDENTITY_ENDPOINT=http://127.0.0.1:1/x IDENTITY_HEADER=s3cret", "ok", &["AppService {"]),
            ("ambient IDENTITY_ENDPOINT=http://127.0.0.1:1/x", "2", &["there must be `IDENTITY_HEADER`"]),
            (
                "ambient aks-pod",
                "ok",
                &["the pod's token in `AZURE_FEDERATED_TOKEN_FILE` → application 3", "Assertion {"],
            ),
            ("ambient aks-pod github", "ok", &["the pod's token"]),
            ("ambient ids github", "ok", &["OIDC from GitHub"]),
            ("aks-pod", "3", &["not used unasked", "`ambient`"]),
            ("aks-pod github", "3", &["not used unasked"]),
            ("aks-pod gitlab AZURE_JWT=s3cret", "ok", &["OIDC with `AZURE_JWT`"]),
            ("IDENTITY_ENDPOINT=http://127.0.0.1:1/x IDENTITY_HEADER=s3cret", "3", &["there is no Azure login"]),
            ("ids github azure_vault= AZURE_KEY_VAULT_SERVER_URL=https://vault-2.vault.azure.net/", "ok", &["OIDC"]),
        ],
    );
}

#[test]
fn everything_that_proves_who_we_are_is_hidden_first() {
    let names = [
        "ENVSYNC_OIDC_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "AWS_ID_TOKEN",
        "GCP_ID_TOKEN",
        "AZURE_ID_TOKEN",
        "AZURE_JWT",
        "GITLAB_OIDC_TOKEN",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        "IDENTITY_HEADER",
    ];
    let env = names.iter().map(|name| ((*name).to_owned(), format!("fake-{name}"))).collect();
    let reading = config::read(&env, &[]);
    assert!(reading.config.is_err_and(|failure| failure.kind == Kind::Input));
    for name in names {
        assert!(reading.secrets.iter().any(|secret| secret.expose() == format!("fake-{name}")), "{name}");
    }
}
