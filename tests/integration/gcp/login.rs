//! Logging in to Google with what the job has: a token of GitHub or GitLab, files of other actions, the machine.

use std::sync::Arc;
use std::time::Duration;

use envsync_doubles::gcp::{MACHINE, PROJECT, Provider, SecretManager};
use envsync_doubles::github::{REQUEST_TOKEN, TokenEndpoint};
use envsync_doubles::issuer::{GITHUB, GITLAB, IMMUTABLE_SUBJECT, Issuer, SUBJECT};
use envsync_doubles::{Double, Fault, When};
use serde_json::{Value, json};

use super::super::harness::{Room, Run};
use super::{ACCESS, ADD, APP, key_file};

const EXCHANGE: &str = "ExchangeToken";
const GENERATE: &str = "GenerateAccessToken";
const ACCOUNT: &str = "app@fake-project.iam.gserviceaccount.com";
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// A job on GitHub, and a Secret Manager that lets it in.
struct Site {
    room: Arc<Room>,
    issuer: Issuer,
    github: Double<TokenEndpoint>,
    google: Double<SecretManager>,
    provider: Provider,
}

impl Site {
    fn new() -> Self {
        let room = Room::new();
        let issuer = Issuer::named(GITHUB);
        let (github, google) = (TokenEndpoint::start(&issuer), SecretManager::start());
        room.secret_value(REQUEST_TOKEN);
        github.tell({
            let room = Arc::clone(&room);
            move |token| {
                room.secret_value(token);
                room.secret_value(token.rsplit('.').next().unwrap());
            }
        });
        google.tell({
            let room = Arc::clone(&room);
            move |token| {
                room.secret_value(token);
            }
        });
        let provider = Provider::new(&issuer);
        google.trust(&provider);
        google.let_in(&provider.principal(SUBJECT));
        google.account(ACCOUNT, &[&provider.principal(SUBJECT)]);
        google.let_in(&format!("serviceAccount:{ACCOUNT}"));
        google.put("app", APP);
        Self { room, issuer, github, google, provider }
    }

    /// Without a login.
    fn bare(&self) -> Run {
        let url = self.google.url();
        let run = self.room.run().github().input("provider", "gcp").input("local_store", "");
        let run = run.input("gcp_project", PROJECT).input("gcp_endpoint", &url);
        run.input("gcp_sts_endpoint", &url).input("gcp_iam_endpoint", &url)
    }

    /// A job that may ask for a token.
    fn job(&self) -> Run {
        let run = self.bare().env("ACTIONS_ID_TOKEN_REQUEST_URL", &self.github.request_url());
        run.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
    }

    fn run(&self) -> Run {
        self.job().input("gcp_workload_identity_provider", &self.provider.name())
    }

    fn push(&self) -> Run {
        self.room.file(".env", "A=fake-new-a\n");
        self.run().input("mode", "push")
    }

    /// As google-github-actions/auth writes it.
    fn file(&self) -> Value {
        let url = self.google.url();
        json!({
            "type": "external_account",
            "audience": format!("//iam.googleapis.com/{}", self.provider.name()),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{url}/v1/token"),
            "credential_source": {
                "url": format!("{}&audience=https%3A%2F%2Fiam.googleapis.com%2F{}", self.github.request_url(),
                    self.provider.name().replace('/', "%2F")),
                "headers": {"Authorization": format!("Bearer {REQUEST_TOKEN}")},
                "format": {"type": "json", "subject_token_field_name": "value"},
            },
        })
    }

    fn impersonation_url(&self) -> String {
        format!("{}/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken", self.google.url())
    }

    /// A run with this file, as another action leaves it: in the workspace, by the path that it has on the host.
    fn with_file(&self, file: &Value) -> Run {
        std::fs::write(self.room.path("gha-creds-f4ke.json"), file.to_string()).unwrap();
        self.bare().env(FILE, "/__w/app/app/gha-creds-f4ke.json")
    }

    #[track_caller]
    fn calls(&self, expected: &[&str]) {
        assert_eq!(self.google.calls(), expected);
    }

    fn bodies(&self, operation: &str) -> Vec<Value> {
        let bodies = self.google.calls().into_iter().zip(self.google.requests());
        bodies.filter(|(call, _)| call == operation).map(|(_, body)| serde_json::from_str(&body).unwrap()).collect()
    }
}

#[test]
fn a_job_logs_in_by_its_own_token() {
    let site = Site::new();
    let done = site.run().expect(0);
    done.says(&["auth: OIDC from GitHub"]);
    assert_eq!(site.room.variables(".env").len(), 2);
    site.calls(&[EXCHANGE, ACCESS]);
    assert!(done.masks.contains(&site.github.given()[0]), "the identity token is not masked");
    site.push().expect(0).output("secret-version", "2");
    // A fresh token for each exchange.
    assert_eq!(site.github.given().len(), 2);
}

#[test]
fn a_job_acts_as_a_service_account() {
    let site = Site::new();
    site.run().input("gcp_service_account", ACCOUNT).expect(0).says(&[ACCOUNT]);
    site.calls(&[EXCHANGE, GENERATE, ACCESS]);
    assert_eq!(site.bodies(GENERATE)[0]["lifetime"], "600s");

    let first = "first@fake-project.iam.gserviceaccount.com";
    let last = "last@fake-project.iam.gserviceaccount.com";
    site.google.account(first, &[&site.provider.principal(SUBJECT)]);
    site.google.account(last, &[&format!("serviceAccount:{first}")]);
    let run = || site.push().input("gcp_service_account", last).input("gcp_delegates", first);
    run().expect(4).says(&[&format!("--member='serviceAccount:{last}'")]);
    site.google.let_in(&format!("serviceAccount:{last}"));
    run().input("gcp_token_lifetime", "1200").expect(0);
    let sent = site.bodies(GENERATE).pop().unwrap();
    assert_eq!(sent["lifetime"], "1200s");
    assert_eq!(sent["delegates"], json!([format!("projects/-/serviceAccounts/{first}")]));
}

#[test]
fn a_job_on_gitlab_logs_in_by_the_token_it_was_given() {
    let site = Site::new();
    let issuer = Issuer::named(GITLAB);
    let provider = Provider { issuer: issuer.clone(), id: "gitlab".into(), ..site.provider.clone() };
    let subject = "project_path:octo/app:ref_type:branch:ref:main";
    site.google.trust(&provider);
    site.google.let_in(&provider.principal(subject));
    let token = issuer.token(subject, &format!("https://iam.googleapis.com/{}", provider.name())).sign();
    site.room.secret_value(&token);
    let run = |token: &str| {
        let run = site.bare().gitlab().env("GCP_ID_TOKEN", token);
        run.input("gcp_workload_identity_provider", &provider.name())
    };
    run(&token).expect(0);
    site.calls(&[EXCHANGE, ACCESS]);
    let old = issuer.token(subject, "x").expired(900).sign();
    site.room.secret_value(&old);
    run(&old).expect(3).says(&["expired", "GCP_ID_TOKEN"]);
    assert_eq!(site.google.count(EXCHANGE), 1);
}

#[test]
fn the_file_of_another_action_is_enough() {
    let site = Site::new();
    site.with_file(&site.file()).expect(0);
    site.calls(&[EXCHANGE, ACCESS]);

    let mut file = site.file();
    file["service_account_impersonation_url"] = json!(site.impersonation_url());
    file["service_account_impersonation"] = json!({"token_lifetime_seconds": 900});
    site.with_file(&file).expect(0);
    assert_eq!(site.bodies(GENERATE)[0]["lifetime"], "900s");
    // As text, too.
    site.room.secret_value(&file.to_string());
    site.bare().input("gcp_credentials_json", &file.to_string()).expect(0);

    // Over the account of the file another one.
    let other = "other@fake-project.iam.gserviceaccount.com";
    site.google.account(other, &[&format!("serviceAccount:{ACCOUNT}")]);
    site.google.let_in(&format!("serviceAccount:{other}"));
    site.with_file(&file).input("gcp_service_account", other).expect(0);
    assert_eq!(site.google.count(GENERATE), 4);

    let url = site.impersonation_url();
    let over = json!({"type": "impersonated_service_account", "source_credentials": site.file(),
        "service_account_impersonation_url": url, "delegates": []});
    site.with_file(&over).expect(0);
    assert_eq!(site.google.count(GENERATE), 5);
}

#[test]
fn a_file_that_a_checkout_took_away_is_told_with_the_order_of_the_steps() {
    let site = Site::new();
    let run = site.bare().env(FILE, "/github/workspace/gha-creds-f4ke.json");
    run.expect(2).says(&["there is no file", "gha-creds-f4ke.json", "actions/checkout", "gcp_credentials_json"]);
    let person = json!({"type": "authorized_user", "client_secret": "fake-secret", "refresh_token": "fake-token"});
    let done = site.with_file(&person).expect(2);
    done.says(&["the Google credentials in the file", "are the login of a person", "gcp_workload_identity_provider"]);
    site.calls(&[]);
}

#[test]
fn a_token_in_a_file_is_read_as_the_credentials_say() {
    let site = Site::new();
    let token = site.issuer.token(SUBJECT, &format!("https://iam.googleapis.com/{}", site.provider.name())).sign();
    site.room.secret_value(&token);
    std::fs::write(site.room.path("token.txt"), format!("{token}\n")).unwrap();
    std::fs::write(site.room.path("token.json"), json!({"id": token}).to_string()).unwrap();
    let with = |source: Value| {
        let mut file = site.file();
        file["credential_source"] = source;
        site.with_file(&file)
    };
    with(json!({"file": "token.txt"})).expect(0);
    with(json!({"file": site.room.path("token.txt"), "format": {"type": "text"}})).expect(0);
    let format = |field: &str| json!({"type": "json", "subject_token_field_name": field});
    with(json!({"file": "token.json", "format": format("id")})).expect(0);
    with(json!({"file": "token.json", "format": format("other")})).expect(3).says(&["no identity token", "`other`"]);
    with(json!({"file": "token.json"})).expect(3).says(&["no identity token"]);
    with(json!({"file": "no-such-file"})).expect(2).says(&["no-such-file"]);
    assert_eq!(site.google.count(EXCHANGE), 3);
}

#[test]
fn a_file_cannot_send_the_token_elsewhere_and_starts_no_program() {
    let site = Site::new();
    let foreign = SecretManager::start();
    let with = |path: &str, value: Value| {
        let mut file = site.file();
        file[path] = value;
        site.with_file(&file)
    };
    let token_url = format!("{}/v1/token", foreign.url());
    with("token_url", json!(token_url)).expect(2).says(&["token_url", "no such service of Google", "gcp_sts_endpoint"]);
    let account = site.impersonation_url().replace(&site.google.url(), &foreign.url());
    with("service_account_impersonation_url", json!(account)).expect(2).says(&["no such service of Google"]);
    let program = json!({"executable": {"command": format!("touch {}", site.room.path("ran").display())}});
    with("credential_source", program).expect(2).says(&["no program is ever run"]);
    assert!(!site.room.path("ran").exists());
    with("credential_source", json!({"environment_id": "aws1"})).expect(2).says(&["from AWS"]);
    site.with_file(&json!({"type": "authorized_user"})).expect(2).says(&["gcp_workload_identity_provider"]);
    site.calls(&[]);
    assert!(foreign.calls().is_empty() && site.github.given().is_empty());
}

#[test]
fn what_is_already_a_login_can_act_as_an_account() {
    let site = Site::new();
    let first = "serviceAccount:first@fake-project.iam.gserviceaccount.com";
    let key = format!("serviceAccount:fake@{PROJECT}.iam.gserviceaccount.com");
    let account = "to@fake-project.iam.gserviceaccount.com";
    site.google.account(account, &[first, &key]);
    site.google.let_in(&format!("serviceAccount:{account}"));
    let token = site.google.issue(first);
    let run = || site.bare().input("gcp_service_account", account);
    run().input("gcp_access_token", &token).expect(0);
    site.calls(&[GENERATE, ACCESS]);
    site.room.secret_value(include_str!("../../data/rsa-2048.pkcs8.base64").lines().next().unwrap());
    run().input("gcp_credentials_json", &key_file()).expect(0);
    let stranger = site.google.issue("serviceAccount:stranger@fake");
    let done = run().input("gcp_access_token", &stranger).expect(3);
    done.says(&["impersonation", "roles/iam.serviceAccountTokenCreator"]);
}

#[test]
fn each_refusal_of_the_pool_says_what_to_paste() {
    let long = format!("repo:octo/{}:ref:refs/heads/main", "a".repeat(120));
    let site = Site::new();
    let provider = |change: fn(&mut Provider)| {
        let mut provider = site.provider.clone();
        change(&mut provider);
        site.google.trust(&provider);
    };
    let refused = |words: &[&str]| {
        let done = site.run().expect(3);
        done.says(&["workload identity pool", "HTTP status 400", "iss https://", "sub repo:", "exp 20"]).says(words);
        done.says(&["nothing was changed"]);
    };
    provider(|p| p.enabled = false);
    refused(&["invalid_target", "providers describe app --project=123456789012", "github"]);
    provider(|p| p.audiences = vec!["https://fake-other.example".into()]);
    refused(&[
        "invalid_grant",
        "gcp_audience",
        "--allowed-audiences='https://iam.googleapis.com/projects/123456789012",
    ]);
    site.run().input("gcp_audience", "https://fake-other.example").expect(0);
    provider(|p| p.condition = vec![("repository".into(), "octo/other".into())]);
    refused(&["unauthorized_client", "--attribute-condition='assertion.repository == \"octo/app\"'"]);
    provider(|_| ());
    site.github.make(move |issuer, audience| issuer.token(&long, audience).sign());
    refused(&["127 bytes"]);
    site.github
        .make(|issuer, audience| issuer.token(SUBJECT, audience).issuer("https://ghes.example/_services/token").sign());
    refused(&["--issuer-uri='https://ghes.example/_services/token'"]);
    site.github.make(|issuer, audience| issuer.token(SUBJECT, audience).aged(-900).sign());
    refused(&["by Google's clock"]);
    site.github.make(|issuer, audience| issuer.token(SUBJECT, audience).forged().sign());
    refused(&["does not fit the keys"]);
    assert_eq!(site.google.count(ACCESS), 1);
}

#[test]
fn each_refusal_of_the_account_says_what_to_paste() {
    let site = Site::new();
    let run = |account: &str| site.run().input("gcp_service_account", account);
    let name = "no-such@fake-project.iam.gserviceaccount.com";
    run(name).expect(3).says(&["impersonation", "NOT_FOUND", "there is no service account"]);
    let closed = "closed@fake-project.iam.gserviceaccount.com";
    site.google.account(closed, &[]);
    let member = format!("--member='{}'", site.provider.principal(SUBJECT));
    run(closed).expect(3).says(&[
        "IAM_PERMISSION_DENIED",
        "add-iam-policy-binding closed@fake-project.iam.gserviceaccount.com --project=fake-project",
        "roles/iam.workloadIdentityUser",
        &member,
        "iss https://token.actions.githubusercontent.com",
    ]);
    run(ACCOUNT).input("gcp_token_lifetime", "7200").expect(3).says(&["LifetimeExtension"]);
    site.google.extend(ACCOUNT);
    run(ACCOUNT).input("gcp_token_lifetime", "7200").expect(0);
    site.google.enable_iam(false);
    run(ACCOUNT).expect(3).says(&["gcloud services enable iamcredentials.googleapis.com --project=fake-project"]);
}

#[test]
fn who_may_not_read_the_secret_is_named_as_iam_does() {
    let site = Site::new();
    site.github.make(|issuer, audience| issuer.token(IMMUTABLE_SUBJECT, audience).sign());
    let member = format!("--member='{}'", site.provider.principal(IMMUTABLE_SUBJECT));
    site.run().expect(4).says(&["roles/secretmanager.secretAccessor", &member]);
}

#[test]
fn what_passes_at_a_hop_is_no_matter() {
    for operation in [EXCHANGE, GENERATE] {
        for (times, fault) in [
            (2, Fault::status(503, "UNAVAILABLE", "")),
            (1, Fault::Throttle(Some(Duration::from_secs(1)))),
            (1, Fault::ResetBefore),
            (1, Fault::Truncate),
            (1, Fault::Html(502)),
        ] {
            let site = Site::new();
            site.google.fail(operation, When::Next(times), fault.clone());
            site.run().input("gcp_service_account", ACCOUNT).expect(0);
            assert_eq!(site.google.count(operation), times + 1, "{operation} {fault:?}");
        }
    }
}

#[test]
fn what_lasts_at_a_hop_is_told() {
    const ECHO: &str = "hunter2-fake-echo";
    let rows = [
        (Fault::status(503, "UNAVAILABLE", ECHO), 7, "HTTP status 503"),
        (Fault::ResetBefore, 7, "couldn't reach"),
        (Fault::Html(403), 7, "is not Google's"),
        (Fault::Html(200), 7, "is not Google's"),
        (Fault::Garbage, 7, "is not Google's"),
        (Fault::status(418, "TEAPOT", ECHO), 3, "TEAPOT"),
    ];
    // At once, because each waits some seconds between its attempts.
    std::thread::scope(|scope| {
        for operation in [EXCHANGE, GENERATE] {
            for (fault, code, words) in &rows {
                scope.spawn(move || {
                    let site = Site::new();
                    site.room.secret_value(ECHO);
                    site.google.fail(operation, When::Always, fault.clone());
                    let done = site.push().input("gcp_service_account", ACCOUNT).expect(*code);
                    done.says(&[words, "nothing was changed"]);
                });
            }
        }
    });
}

#[test]
fn a_source_that_refuses_is_a_matter_of_the_login() {
    let site = Site::new();
    site.github.expire();
    site.run().expect(3).says(&["401"]);
    site.with_file(&site.file()).expect(3).says(&["HTTP status 401", "request token"]);
    site.calls(&[]);
}

#[test]
fn a_token_that_ends_during_the_run_is_renewed() {
    let site = Site::new();
    site.google.tokens_live(Duration::from_secs(2));
    site.google.fail(ACCESS, 1, Fault::Slow(Duration::from_secs(3)));
    site.push().expect(0).output("secret-version", "2");
    site.calls(&[EXCHANGE, ACCESS, EXCHANGE, ADD]);
    assert_eq!(site.github.given().len(), 2);
}

#[test]
fn a_renewal_that_is_refused_says_so_and_changes_nothing() {
    let site = Site::new();
    site.google.tokens_live(Duration::from_secs(2));
    site.google.fail(ACCESS, 1, Fault::Slow(Duration::from_secs(3)));
    let disabled = Provider { enabled: false, ..site.provider.clone() };
    site.google.on(ACCESS, 1, move |google| google.trust(&disabled));
    site.push().expect(3).says(&["invalid_target", "nothing was changed"]);
    assert_eq!(site.google.versions("app"), ["1"]);
}

#[test]
fn the_machine_logs_in_only_when_it_is_allowed_to() {
    let site = Site::new();
    site.google.let_in(&format!("serviceAccount:{MACHINE}"));
    site.google.be_machine();
    let host = site.google.url().replace("http://", "");
    let run = || site.bare().env("GCE_METADATA_HOST", &host).input("gcp_project", "");
    run().expect(3).says(&["there is no Google login"]);
    site.calls(&[]);
    run().input("auth", "ambient").expect(0).says(&["auth: the machine's own service account"]);
    site.calls(&["MachineProject", "MachineToken", ACCESS]);
}

#[test]
fn what_is_on_the_machine_is_asked_past_every_proxy() {
    // Nobody listens on port 1: what goes by the proxy fails.
    let proxied = |run: Run| run.env("HTTP_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "");
    let site = Site::new();
    site.google.let_in(&format!("serviceAccount:{MACHINE}"));
    site.google.be_machine();
    let host = site.google.url().replace("http://", "");
    let run = site.bare().env("GCE_METADATA_HOST", &host).input("gcp_project", "").input("auth", "ambient");
    proxied(run).expect(7).says(&["Secret Manager"]);
    site.calls(&["MachineProject", "MachineToken"]);
    // A source of tokens that a credentials file names, with the request token in its headers.
    let site = Site::new();
    proxied(site.with_file(&site.file())).expect(7).says(&["Security Token Service"]);
    assert_eq!(site.github.given().len(), 1);
}

#[test]
fn a_metadata_server_that_stumbles_is_not_taken_for_none() {
    for fault in [Fault::status(503, "", ""), Fault::Throttle(Some(Duration::from_secs(2))), Fault::ResetAfter] {
        let site = Site::new();
        site.google.let_in(&format!("serviceAccount:{MACHINE}"));
        site.google.be_machine();
        let host = site.google.url().replace("http://", "");
        let run = || site.bare().env("GCE_METADATA_HOST", &host).input("auth", "ambient");
        site.google.fail("MachineToken", When::Next(3), fault.clone());
        run().expect(0);
        site.google.fail("MachineToken", When::Always, fault.clone());
        let done = run().expect(7);
        done.says(&["metadata server of Google"]);
        assert!(!done.text().contains("there is no"), "{fault:?}");
    }
}

#[test]
fn a_machine_that_is_none_of_google_is_found_out_soon() {
    let site = Site::new();
    let run = |host: &str| site.bare().env("GCE_METADATA_HOST", host).input("auth", "ambient");
    // Something else answers there.
    run(&site.google.url().replace("http://", "")).expect(3).says(&["is not the metadata server of Google"]);
    // Nothing does, or it says nothing.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    run(&format!("127.0.0.1:{port}")).input("timeout_seconds", "10").expect(3).says(&["metadata server"]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap().to_string();
    run(&host).input("timeout_seconds", "10").expect(3).says(&["no answer within 3 seconds"]);
}
