//! The login with the identity token of the job: what Entra is asked, what it refuses, and what a user is told then.

use std::sync::Arc;

use envsync_doubles::azure::{AUDIENCE, CLIENT_ID, DENIED_CLIENT_ID, TENANT, entra_error};
use envsync_doubles::github::{REQUEST_TOKEN, TokenEndpoint};
use envsync_doubles::issuer::{GITHUB, IMMUTABLE_SUBJECT, Issuer, SUBJECT};
use envsync_doubles::tunnel::Tunnel;
use envsync_doubles::{Double, Fault, When};

use super::super::harness::{Done, Run};
use super::{Cloud, ONE, each, nothing_was_changed};

const ACCESS: &str = "fake-token-of-entra";

/// A vault whose application trusts jobs of one branch.
struct Trusting {
    cloud: Cloud,
    issuer: Issuer,
}

impl Trusting {
    fn new() -> Self {
        let trusting = Self { cloud: Cloud::holding(ONE), issuer: Issuer::named(GITHUB) };
        for client in [CLIENT_ID, DENIED_CLIENT_ID] {
            trusting.cloud.double.trust(client, &trusting.issuer, SUBJECT, AUDIENCE);
        }
        trusting.cloud.double.tokens_are(ACCESS);
        trusting.cloud.room.secret_value(ACCESS);
        trusting
    }

    fn jwt(&self) -> String {
        self.issuer.token(SUBJECT, AUDIENCE).sign()
    }

    /// A run with this identity token, which no output may show.
    fn with(&self, mode: &str, jwt: &str) -> Run {
        self.cloud.room.secret_value(jwt);
        // Its signature alone would be enough for who has seen the rest elsewhere.
        self.cloud.room.secret_value(jwt.rsplit('.').next().unwrap());
        let run = self.cloud.stranger(mode).input("azure_tenant_id", TENANT).input("azure_client_id", CLIENT_ID);
        run.input("oidc_token", jwt)
    }

    #[track_caller]
    fn refused(&self, jwt: &str, says: &[&str]) {
        self.cloud.room.file(".env", "A=fake-one-new\n");
        for mode in ["pull", "push"] {
            let done = self.with(mode, jwt).expect(3);
            nothing_was_changed(done.says(says));
        }
        assert_eq!((self.cloud.double.count("GetSecret"), self.cloud.double.count("Token")), (0, 2), "no second try");
    }
}

/// The hint's command, as something to compare with.
fn parameters(done: &Done) -> serde_json::Value {
    let text = done.text();
    let json = text.split_once("--parameters '").unwrap().1.split_once("'`").unwrap().0;
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_trusted_token_logs_in_for_both_directions() {
    let trusting = Trusting::new();
    for place in [Run::plain, Run::github, Run::gitlab] {
        let run = place(trusting.with("pull", &trusting.jwt())).input("ca_file", "ca.pem");
        run.expect(0);
        assert_eq!(trusting.cloud.room.variables(".env")["A"], "fake-one-old");
    }
    assert_eq!((trusting.cloud.double.count("Token"), trusting.cloud.double.count("GetSecret")), (3, 3));
    trusting.cloud.room.file(".env", "A=fake-one-new\n");
    trusting.with("push", &trusting.jwt()).expect(0);
    assert_eq!(trusting.cloud.json()["A"], "fake-one-new");
    assert_eq!(trusting.cloud.double.count("Token"), 4, "one login for all calls of a run");
}

#[test]
fn on_github_the_tokens_are_masked() {
    let trusting = Trusting::new();
    let jwt = trusting.jwt();
    let done = trusting.with("pull", &jwt).github().expect(0);
    assert!(done.masks.contains(ACCESS) && done.masks.contains(&jwt), "{:?}", done.masks.len());
}

/// A run on GitHub, where the endpoint gives the tokens; none of them may show.
fn from_github(trusting: &Trusting, endpoint: &Double<TokenEndpoint>, mode: &str) -> Run {
    let room = Arc::clone(&trusting.cloud.room);
    endpoint.tell(move |jwt| {
        room.secret_value(jwt);
    });
    trusting.cloud.room.secret_value(REQUEST_TOKEN);
    let run = trusting.cloud.stranger(mode).github().input("ca_file", "ca.pem");
    let run = run.input("azure_tenant_id", TENANT).input("azure_client_id", CLIENT_ID);
    run.env("ACTIONS_ID_TOKEN_REQUEST_URL", &endpoint.request_url())
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
}

#[test]
fn on_github_each_exchange_takes_a_token_of_its_own() {
    let trusting = Trusting::new();
    let endpoint = TokenEndpoint::start(&trusting.issuer);
    from_github(&trusting, &endpoint, "pull").expect(0).says(&["auth: OIDC from GitHub"]);
    assert_eq!((endpoint.count("IdToken"), trusting.cloud.double.count("Token")), (1, 1));
    trusting.cloud.room.file(".env", "A=fake-one-new\n");
    // So near to its end that each call of the vault wants another one.
    trusting.cloud.double.tokens_last(0);
    from_github(&trusting, &endpoint, "push").expect(0);
    let exchanges = trusting.cloud.double.count("Token");
    assert!(exchanges > 3, "{exchanges}");
    assert_eq!(endpoint.count("IdToken"), exchanges);
    let mut sent = trusting.cloud.double.requests();
    sent.retain(|body| body.contains("client_assertion="));
    sent.dedup();
    assert_eq!(sent.len(), exchanges, "no token is sent twice");
}

#[test]
fn what_keeps_github_from_giving_a_token_is_told_as_it_is() {
    let trusting = Trusting::new();
    let endpoint = TokenEndpoint::start(&trusting.issuer);
    let done = from_github(&trusting, &endpoint, "pull").input("azure_audience", "api://other").expect(3);
    nothing_was_changed(done.says(&["AADSTS700212", "aud api://other"]));
    endpoint.expire();
    let done = from_github(&trusting, &endpoint, "pull").expect(3);
    nothing_was_changed(done.says(&["401"]));
    assert!(
        !done.text().contains("Entra") && !done.text().contains("redential authentication failed"),
        "{}",
        done.text()
    );
    assert_eq!(trusting.cloud.double.count("Token"), 1);
}

#[test]
fn a_token_that_is_just_over_is_told_apart_from_a_wrong_clock() {
    let trusting = Trusting::new();
    let over = trusting.issuer.token(SUBJECT, AUDIENCE).expired(20).sign();
    trusting.refused(&over, &["AADSTS700024", "s ago)", "take a fresh one"]);
}

#[test]
fn a_pod_logs_in_with_the_file_that_its_webhook_mounts() {
    let trusting = Trusting::new();
    let jwt = trusting.jwt();
    trusting.cloud.room.secret_value(&jwt).file("token", &jwt);
    let pod = || {
        let run = trusting.cloud.stranger("pull").env("AZURE_FEDERATED_TOKEN_FILE", "token");
        run.env("AZURE_TENANT_ID", TENANT).env("AZURE_CLIENT_ID", CLIENT_ID)
    };
    pod().expect(3).says(&["ambient"]);
    pod().input("auth", "ambient").expect(0);
    assert_eq!(trusting.cloud.double.count("Token"), 1);
}

#[test]
fn a_file_is_read_anew_for_each_login() {
    let trusting = Trusting::new();
    let given = |jwt: &str| {
        trusting.cloud.room.file("token", format!("{jwt}\n"));
        trusting.with("pull", jwt).input("oidc_token", "").input("oidc_token_file", "token")
    };
    given(&trusting.jwt()).expect(0);
    given(&trusting.issuer.token("repo:octo/other:ref:refs/heads/main", AUDIENCE).sign()).expect(3);
    given(&trusting.jwt()).expect(0);
}

#[test]
fn what_entra_does_not_trust_is_told_with_the_very_credential_to_make() {
    type Make = fn(&Issuer) -> String;
    let rows: [(Make, &str, &[&str]); 6] = [
        (
            |issuer| issuer.token("repo:octo/app:pull_request", AUDIENCE).sign(),
            "AADSTS700213",
            &["this subject", "repo:octo/app:pull_request"],
        ),
        (
            |issuer| issuer.token(IMMUTABLE_SUBJECT, AUDIENCE).sign(),
            "AADSTS700213",
            &["immutable ids", IMMUTABLE_SUBJECT],
        ),
        (
            |issuer| issuer.token("repo:Octo/app:ref:refs/heads/main", AUDIENCE).sign(),
            "AADSTS7002138",
            &["upper and lower case"],
        ),
        (
            |issuer| issuer.token(SUBJECT, "https://github.com/octo").sign(),
            "AADSTS700212",
            &["another audience", "azure_audience"],
        ),
        (
            |issuer| issuer.token(SUBJECT, AUDIENCE).issuer("https://token.actions.example.test/").sign(),
            "AADSTS700211",
            &["a slash at its end", "https://token.actions.example.test/"],
        ),
        (|issuer| issuer.token(SUBJECT, AUDIENCE).forged().sign(), "AADSTS700027", &["signature"]),
    ];
    each(rows.to_vec(), |(make, code, says)| {
        let trusting = Trusting::new();
        let jwt = make(&trusting.issuer);
        trusting.refused(&jwt, &[&[code, CLIENT_ID, TENANT, "sub repo:", "aud ", "help: "], says].concat());
        if code == "AADSTS700027" {
            return;
        }
        let told = parameters(&trusting.with("pull", &jwt).expect(3));
        let said = envsync_doubles::issuer::peek(&jwt).unwrap();
        assert_eq!(told["issuer"], said.issuer());
        assert_eq!(told["subject"], said.subject());
        assert_eq!(told["audiences"], serde_json::json!(said.audiences()));
    });
}

#[test]
fn what_the_hint_says_makes_the_login_work() {
    let trusting = Trusting::new();
    let subject = "repo:octo/app:environment:production";
    let jwt = trusting.issuer.token(subject, AUDIENCE).sign();
    let told = parameters(&trusting.with("pull", &jwt).expect(3));
    let text = |name: &str| told[name].as_str().unwrap();
    let audience = told["audiences"][0].as_str().unwrap();
    assert_eq!(text("issuer"), trusting.issuer.issuer());
    trusting.cloud.double.trust(CLIENT_ID, &trusting.issuer, text("subject"), audience);
    trusting.with("pull", &jwt).expect(0);
}

#[test]
fn other_refusals_have_hints_of_their_own() {
    let rows = [
        (70_021, "this issuer, subject and audience"),
        (700_024, "set the clock"),
        (50_027, "cannot read the identity token"),
        (700_016, "azure_client_id"),
        (90_002, "azure_tenant_id"),
        (53_003, "Conditional Access"),
        (7_000_112, "disabled"),
        (500_011, "azure_cloud"),
        (501_661, "readable from the internet"),
        (999_999, "look the code up"),
    ];
    each(rows.to_vec(), |(code, help)| {
        let trusting = Trusting::new();
        let jwt = trusting.jwt();
        // A hostile authority repeats what it was sent.
        let fault = entra_error(401, "invalid_client", code, &format!("it was {jwt}"));
        trusting.cloud.double.fail("Token", When::Always, fault);
        trusting.refused(&jwt, &[&format!("AADSTS{code}"), help, SUBJECT]);
    });
}

#[test]
fn an_application_that_trusts_nobody_or_may_do_nothing_is_told_apart() {
    let trusting = Trusting::new();
    let other = "44444444-4444-4444-8444-444444444444";
    trusting.cloud.double.register(TENANT, other, "fake-other");
    let run = trusting.with("pull", &trusting.jwt()).input("azure_client_id", other);
    run.expect(3).says(&["AADSTS70025", "no federated credential"]);
    trusting.cloud.double.tokens_are("DENIED-fake-token");
    trusting.cloud.room.secret_value("DENIED-fake-token");
    let run = trusting.with("pull", &trusting.jwt()).input("azure_client_id", DENIED_CLIENT_ID);
    run.expect(4).says(&["Key Vault Secrets User"]);
}

#[test]
fn a_login_sits_out_what_passes_and_gives_up_on_what_stays() {
    let faults = [
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Truncate,
        Fault::Html(503),
        Fault::Throttle(Some(std::time::Duration::from_secs(1))),
        entra_error(500, "server_error", 90_033, "A transient error has occurred. Please try again."),
    ];
    each(faults.to_vec(), |fault| {
        let trusting = Trusting::new();
        trusting.cloud.double.fail("Token", When::Next(2), fault.clone());
        trusting.with("pull", &trusting.jwt()).expect(0);
        assert_eq!(trusting.cloud.double.count("Token"), 3, "{fault:?}");
        if matches!(fault, Fault::Throttle(_)) {
            // Sat out for a minute: too long for a test.
            return;
        }
        trusting.cloud.double.fail("Token", When::Always, fault.clone());
        trusting.with("pull", &trusting.jwt()).expect(7).says(&["Entra", "help: "]);
        assert_eq!(trusting.cloud.double.count("GetSecret"), 1, "{fault:?}");
    });
}

#[test]
fn what_something_in_between_answers_is_no_refusal_of_entra() {
    each(vec![Fault::Html(200), Fault::Html(403), Fault::Html(404), Fault::Garbage], |fault| {
        let trusting = Trusting::new();
        trusting.cloud.double.fail("Token", When::Always, fault);
        let done = trusting.with("pull", &trusting.jwt()).expect(7);
        nothing_was_changed(done.says(&["what answers at the address of Entra", "azure_authority_host"]));
        assert_eq!(trusting.cloud.double.count("Token"), 1, "it is not sent again");
    });
}

#[test]
fn a_login_that_nobody_answers_ends_in_time() {
    let trusting = Trusting::new();
    trusting.cloud.double.fail("Token", When::Always, Fault::Hang);
    let run = trusting.with("pull", &trusting.jwt()).input("timeout_seconds", "4");
    nothing_was_changed(run.expect(7).says(&["took longer than 4 s"]));
}

#[test]
fn a_token_that_is_about_to_end_is_renewed_by_a_new_exchange() {
    let trusting = Trusting::new();
    trusting.cloud.double.tokens_last(30);
    for name in ["two", "three"] {
        trusting.cloud.double.put(name, "fake-plain-text");
    }
    trusting.cloud.room.secret_value("fake-plain-text");
    trusting.cloud.room.file(".env", "A=fake-one-new\n");
    trusting.with("push", &trusting.jwt()).expect(0);
    assert!(trusting.cloud.double.count("Token") > 1, "{:?}", trusting.cloud.double.calls());
    // A renewal that is refused has the same words as a first login.
    let trusting = Trusting::new();
    trusting.cloud.double.tokens_last(0);
    trusting.cloud.room.file(".env", "A=fake-one-new\n");
    let fault = entra_error(401, "invalid_client", 700_213, "changed meanwhile");
    trusting.cloud.double.on("ListVersions", 1, move |double| double.fail("Token", When::Always, fault.clone()));
    let done = trusting.with("push", &trusting.jwt()).expect(3);
    nothing_was_changed(done.says(&["AADSTS700213", "az ad app federated-credential create"]));
    assert_eq!(trusting.cloud.json()["A"], "fake-one-old");
}

/// Under the names of the real services, by a proxy that leads them to the double.
#[test]
fn at_a_known_vault_the_login_comes_first_and_the_vault_is_asked_nothing_before() {
    let clouds = [
        ("public", "app-vault.vault.azure.net", "login.microsoftonline.com"),
        ("usgovernment", "app-vault.vault.usgovcloudapi.net", "login.microsoftonline.us"),
        ("china", "app-vault.vault.azure.cn", "login.chinacloudapi.cn"),
    ];
    for (name, vault, authority) in clouds {
        let trusting = Trusting::new();
        let tunnel = Tunnel::start(&trusting.cloud.double.url()).unwrap();
        let run = |jwt: &str| {
            let run = trusting.with("pull", jwt).env("HTTPS_PROXY", &tunnel.url());
            run.input("azure_vault", "app-vault").input("azure_cloud", name).input("azure_authority_host", "")
        };
        let audience = format!("resource=https://{}", vault.split_once('.').unwrap().1);
        run(&trusting.issuer.token("repo:octo/other:pull_request", AUDIENCE).sign()).expect(3).says(&["AADSTS700213"]);
        assert_eq!(trusting.cloud.double.calls(), ["Token"], "{name}");
        assert_eq!(tunnel.hosts(), [format!("{authority}:443")], "{name}");
        let scope = trusting.cloud.double.requests()[0].clone();
        assert!(scope.contains(&audience.replace("resource=", "scope=").replace("://", "%3A%2F%2F")), "{name}");
        // Tokens of the double are for the public cloud's vaults alone.
        let code = if name == "public" { 0 } else { 3 };
        run(&trusting.jwt()).expect(code);
        assert_eq!(trusting.cloud.double.calls(), ["Token", "Token", "GetSecret"], "{name}");
        assert!(tunnel.hosts().contains(&format!("{vault}:443")), "{name}: {:?}", tunnel.hosts());
    }
}

#[test]
fn a_refused_login_is_said_before_a_missing_file() {
    let trusting = Trusting::new();
    let tunnel = Tunnel::start(&trusting.cloud.double.url()).unwrap();
    let jwt = trusting.issuer.token("repo:octo/other:pull_request", AUDIENCE).sign();
    let run = trusting.with("push", &jwt).env("HTTPS_PROXY", &tunnel.url()).input("azure_authority_host", "");
    run.input("azure_vault", "app-vault").expect(3).says(&["AADSTS700213"]);
}

#[test]
fn a_host_does_not_choose_what_the_token_is_for() {
    let foreign = ["https://graph.microsoft.com", "https://management.azure.com", "https://example.org", "x"];
    each(foreign.to_vec(), |resource| {
        let trusting = Trusting::new();
        trusting.cloud.double.challenge_for(resource);
        trusting.cloud.room.file(".env", "A=fake-one-new\n");
        for mode in ["pull", "push"] {
            let done = trusting.with(mode, &trusting.jwt()).expect(3);
            nothing_was_changed(done.says(&["asks for a token for", resource, "azure_vault"]));
        }
        // A token that was given is not sent to it either.
        trusting.cloud.run("pull").expect(3);
        assert_eq!(trusting.cloud.double.calls(), ["Challenge", "Challenge", "Challenge"]);
    });
}

#[test]
fn pages_of_something_in_between_are_no_answers_of_the_vault() {
    each(vec![400, 401, 403, 404, 409], |status| {
        let trusting = Trusting::new();
        trusting.cloud.double.fail("GetSecret", When::Always, Fault::Html(status));
        let done = trusting.with("pull", &trusting.jwt()).expect(7);
        nothing_was_changed(done.says(&["is not Key Vault", &format!("HTTP status {status}")]));
        assert_eq!(trusting.cloud.double.count("GetSecret"), 1);
    });
}
