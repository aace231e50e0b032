//! Which login a run takes, and what it says where there is none: all of it before anything is sent.

use std::sync::Arc;

use envsync_doubles::aws::SecretsManager;

use super::harness::{Done, Room, Run};

const SECRETS: [&str; 3] = ["fake-access-key-secret", "fake-request-token", "fake-header.fake-claims.fake-signature"];
const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";
const PROVIDER: &str = "projects/123/locations/global/workloadIdentityPools/pool/providers/ci";

/// A workspace in which none of the credentials may show.
fn room() -> Arc<Room> {
    let room = Room::new();
    SECRETS.iter().for_each(|secret| {
        room.secret_value(secret);
    });
    room
}

fn aws(run: Run) -> Run {
    run.input("provider", "aws").input("local_store", "").input("aws_region", "eu-central-1")
}

#[track_caller]
fn refused(done: &Done, words: &[&str]) {
    done.says(&["nothing was changed", "help: "]).says(words);
    assert_eq!(done.room.read(".env"), None);
}

#[test]
fn a_role_without_a_token_names_the_permission_on_github() {
    let room = room();
    let run = || aws(room.run().github()).input("aws_role_arn", ROLE);
    let words = ["with: aws_role_arn", "permissions: id-token: write", "reusable workflow", "forks"];
    refused(&run().expect(3), &words);
    refused(&run().env("GITHUB_EVENT_NAME", "pull_request").expect(3), &["this is a pull request"]);
    let half = run().env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", SECRETS[1]).expect(2);
    refused(&half, &["ACTIONS_ID_TOKEN_REQUEST_URL` is missing"]);
    let left = run().env("AWS_ACCESS_KEY_ID", "ASIAFAKE00000000").env("AWS_SECRET_ACCESS_KEY", SECRETS[0]).expect(3);
    refused(&left, &["with: aws_role_chain"]);
}

#[test]
fn on_gitlab_the_lines_to_add_stand_ready_to_be_pasted() {
    let room = room();
    let run = |provider: &str| room.run().gitlab().input("provider", provider).input("local_store", "");
    let id = "22222222-2222-4222-8222-222222222222";
    let rows = [
        (aws(run("aws")).input("aws_role_arn", ROLE), "AWS_ID_TOKEN", "sts.amazonaws.com".to_owned()),
        (
            run("gcp").input("gcp_project", "p").input("gcp_workload_identity_provider", PROVIDER),
            "GCP_ID_TOKEN",
            format!("https://iam.googleapis.com/{PROVIDER}"),
        ),
        (
            run("azure").input("azure_vault", "vault-1").input("azure_client_id", id).input("azure_tenant_id", id),
            "AZURE_ID_TOKEN",
            "api://AzureADTokenExchange".to_owned(),
        ),
    ];
    for (run, variable, audience) in rows {
        let lines = format!("\n  id_tokens:\n    {variable}:\n      aud: {audience}\n");
        refused(&run.expect(3), &[&lines]);
    }
}

#[test]
fn nothing_given_says_all_that_was_looked_for() {
    let room = room();
    let run = |provider: &str| room.run().github().input("provider", provider).input("local_store", "");
    let words = ["with: aws_role_arn", "AWS_ROLE_ARN", "AWS_ACCESS_KEY_ID", "configure-aws-credentials", "with: auth"];
    refused(&aws(run("aws")).env("AWS_ACCESS_KEY_ID", " ").env("AWS_ROLE_ARN", "").expect(3), &words);
    let words = [
        "with: gcp_workload_identity_provider",
        "with: gcp_access_token",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "with: auth",
    ];
    refused(&run("gcp").input("gcp_project", "p").env("GOOGLE_APPLICATION_CREDENTIALS", "").expect(3), &words);
    let words = [
        "azure/login",
        "with: azure_client_id",
        "id-token: write",
        "with: azure_access_token",
        "with: azure_client_secret",
    ];
    refused(&run("azure").input("azure_vault", "vault-1").expect(3), &words);
}

#[test]
fn everything_wrong_with_a_login_is_said_at_once() {
    let room = room();
    let run = aws(room.run().github())
        .input("mode", "pul")
        .input("aws_role_arn", "deploy")
        .input("aws_role_duration_seconds", "60")
        .input("aws_external_id", "ext-1")
        .input("oidc_token", SECRETS[2]);
    let words = [
        "with: mode` is `pul`",
        "`deploy`, which is no ARN",
        "from 900 to 43200",
        "with: aws_external_id` is given, and no role",
    ];
    refused(&run.expect(2), &words);
    let both = aws(room.run().github())
        .input("aws_role_arn", ROLE)
        .input("aws_access_key_id", "AKIAFAKE00000000")
        .input("aws_secret_access_key", SECRETS[0]);
    refused(&both.expect(2), &["two AWS logins", "with: aws_role_chain"]);
    let account = aws(room.run().github())
        .input("aws_role_arn", ROLE)
        .input("oidc_token", SECRETS[2])
        .input("aws_allowed_account_ids", "210987654321");
    refused(&account.expect(2), &["123456789012", "with: aws_allowed_account_ids"]);
}

#[test]
fn the_machine_is_asked_only_on_request() {
    let room = room();
    let run = || aws(room.run().plain()).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1");
    refused(&run().expect(3), &["there is no AWS login"]);
    let done = run().input("auth", "ambient").env("AWS_EC2_METADATA_DISABLED", "true").expect(3);
    refused(&done, &["AWS_EC2_METADATA_DISABLED"]);
    refused(&run().input("auth", "yes").expect(2), &["ENVSYNC_AUTH", "`ambient`"]);
}

#[test]
fn the_log_says_which_login_it_is_and_why() {
    let room = room();
    let double = SecretsManager::start();
    let run = aws(room.run().github()).input("aws_endpoint_url", &double.url()).input("secret", "app");
    let done = run
        .env("AWS_ACCESS_KEY_ID", "AKIAFAKE00000000")
        .env("AWS_SECRET_ACCESS_KEY", SECRETS[0])
        .env("AWS_ROLE_ARN", ROLE)
        .expect(5);
    done.says(&[
        "auth: access key of AWS_ACCESS_KEY_ID, because it is in the environment and no input names another login; \
         `AWS_ROLE_ARN` is not assumed, because the job has no identity token",
    ]);
}
