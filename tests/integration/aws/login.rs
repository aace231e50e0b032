//! Who we are to AWS: the job's identity token, roles after roles, and the machine's own role, against an STS that checks
//! signature, issuer, audience, subject and time, and a Secrets Manager that lets nobody in but with what that has issued.

use std::sync::Arc;
use std::time::Duration;

use envsync_doubles::aws::agent::{AUTHORIZATION, Agent, PATH, SESSION};
use envsync_doubles::aws::sessions::{KEY, SECRET, TOKEN};
use envsync_doubles::aws::sts::{Sts, Trust};
use envsync_doubles::github::{REQUEST_TOKEN, TokenEndpoint};
use envsync_doubles::issuer::{GITHUB, GITLAB, IMMUTABLE_SUBJECT, Issuer, SUBJECT};
use envsync_doubles::{Double, Fault, When};

use super::super::harness::Run;
use super::{Cloud, ONE, each, nothing_was_changed};

const ROLE: &str = "arn:aws:iam::123456789012:role/ci/deploy";
const NEXT: &str = "arn:aws:iam::123456789012:role/next";
const LAST: &str = "arn:aws:iam::210987654321:role/last";
const AUDIENCE: &str = "sts.amazonaws.com";
const WEB: &str = "AssumeRoleWithWebIdentity";

/// A job of GitHub whose tokens AWS trusts.
struct Job {
    cloud: Cloud,
    issuer: Issuer,
    endpoint: Double<TokenEndpoint>,
    sts: Double<Sts>,
}

impl Job {
    fn new() -> Self {
        let job = Self::trusting(SUBJECT);
        job.sts.provider(&job.issuer, &[AUDIENCE]);
        job
    }

    /// With a role for this subject, and no provider.
    fn trusting(subject: &str) -> Self {
        let cloud = Cloud::holding(ONE);
        let issuer = Issuer::named(GITHUB);
        let endpoint = TokenEndpoint::start(&issuer);
        let sts = Sts::start();
        for hidden in [KEY, SECRET, TOKEN, REQUEST_TOKEN] {
            cloud.room.secret_value(hidden);
        }
        endpoint.tell({
            let room = Arc::clone(&cloud.room);
            move |jwt| hide_token(&room, jwt)
        });
        sts.role(ROLE, token(GITHUB, AUDIENCE, subject));
        cloud.double.demand(&sts.sessions());
        Self { cloud, issuer, endpoint, sts }
    }

    /// Whom the roles of a chain trust.
    fn chain(&self, external_id: Option<&str>) {
        let trust = |principal: &str, external_id: Option<&str>| Trust::Identity {
            principal: principal.to_owned(),
            external_id: external_id.map(str::to_owned),
        };
        self.sts.role(NEXT, trust(ROLE, external_id));
        self.sts.role(LAST, trust(NEXT, external_id));
    }

    /// Without any login.
    fn stranger(&self, mode: &str) -> Run {
        let run = self.cloud.run(mode).input("aws_access_key_id", "").input("aws_secret_access_key", "");
        run.input("aws_sts_endpoint_url", &self.sts.url())
    }

    fn run(&self, mode: &str) -> Run {
        let run = self.stranger(mode).github().input("aws_role_arn", ROLE);
        run.env("ACTIONS_ID_TOKEN_REQUEST_URL", &self.endpoint.request_url())
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
    }

    fn push(&self) -> Run {
        self.cloud.room.file(".env", "A=fake-one-new\n");
        self.run("push")
    }

    /// The fields of the requests of an operation to STS.
    fn asked(&self, operation: &str) -> Vec<String> {
        let action = format!("Action={operation}&");
        self.sts.requests().into_iter().filter(|body| body.contains(&action)).collect()
    }
}

fn hide_token(room: &super::Room, jwt: &str) {
    room.secret_value(jwt);
    room.secret_value(jwt.rsplit('.').next().unwrap());
}

fn token(issuer: &str, audience: &str, subject: &str) -> Trust {
    Trust::Token { issuer: issuer.to_owned(), audience: audience.to_owned(), subject: subject.to_owned() }
}

#[test]
fn github_pulls_and_pushes_with_a_role_and_no_key() {
    let job = Job::new();
    let done = job.run("pull").env("GITHUB_RUN_ID", "4711").expect(0);
    done.says(&["auth: ", ROLE]);
    let issued = job.sts.sessions().issued();
    assert_eq!((job.sts.calls(), issued.len()), (vec![WEB.to_owned()], 1), "one exchange a run");
    for hidden in [&issued[0].secret, &issued[0].token, &job.endpoint.given()[0]] {
        assert!(done.masks.contains(hidden), "it is masked");
    }
    let asked = &job.asked(WEB)[0];
    assert!(asked.contains("DurationSeconds=900") && asked.contains("RoleSessionName=envsync-4711"), "{asked}");
    assert!(!job.sts.seen()[0].headers.iter().any(|(name, _)| name == "authorization"), "it is not signed");
    job.push().expect(0);
    assert_eq!(job.cloud.json()["A"], "fake-one-new");
    assert!(job.cloud.double.identities().iter().all(|role| role == ROLE));
    assert_eq!(job.endpoint.given().len(), 2, "a token for each login");
}

#[test]
fn gitlab_pulls_and_pushes_with_its_id_token() {
    let job = Job::trusting(SUBJECT);
    let gitlab = Issuer::named(GITLAB);
    let (subject, audience) = ("project_path:octo/app:ref_type:branch:ref:main", "https://gitlab.com");
    let role = "arn:aws:iam::123456789012:role/gitlab";
    job.sts.provider(&gitlab, &[audience]);
    job.sts.role(role, token(GITLAB, audience, subject));
    let jwt = gitlab.token(subject, audience).sign();
    hide_token(&job.cloud.room, &jwt);
    for (mode, variable) in [("pull", "AWS_ID_TOKEN"), ("push", "GITLAB_OIDC_TOKEN"), ("push", "ENVSYNC_OIDC_TOKEN")] {
        job.cloud.room.file(".env", "A=fake-one-new\n");
        let run = job.stranger(mode).gitlab().input("aws_role_arn", role).env(variable, &jwt);
        run.env("CI_JOB_ID", "4712").expect(0).says(&["auth: "]);
    }
    assert_eq!((job.cloud.json()["A"].as_str(), job.sts.count(WEB)), (Some("fake-one-new"), 3));
}

#[test]
fn several_regions_are_one_login() {
    let job = Job::new();
    let far = r#"{"C":"fake-three-far"}"#;
    job.cloud.room.secret_values(far);
    job.cloud.double.put_in("us-east-1", "far", far);
    let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:far-AbCdEf";
    job.run("pull").input("secret", &format!("app\n{arn}")).expect(5);
    assert_eq!(job.sts.count(WEB), 1);
    // Where every secret is an ARN no region has to be given, and STS is that of the first one.
    job.chain(None);
    job.run("pull").input("secret", arn).input("aws_region", "").input("aws_role_chain", NEXT).expect(5);
    let signed = job.sts.seen().pop().unwrap();
    assert!(signed.header("authorization").unwrap().contains("/us-east-1/sts/"), "{signed:?}");
}

#[test]
fn a_chain_ends_in_its_last_role() {
    let job = Job::new();
    job.chain(Some("fake-external-id"));
    let chained =
        |run: Run| run.input("aws_role_chain", &format!("{NEXT}\n{LAST}")).input("aws_external_id", "fake-external-id");
    chained(job.run("pull").input("aws_allowed_account_ids", "210987654321")).expect(0).says(&[NEXT, LAST]);
    chained(job.push()).expect(0);
    assert_eq!(job.sts.calls(), [WEB, "AssumeRole", "AssumeRole"].repeat(2));
    assert!(job.cloud.double.identities().iter().all(|role| role == LAST));
    let asked = job.asked("AssumeRole");
    assert!(
        asked.iter().all(|body| body.contains("ExternalId=fake-external-id") && !body.contains("Tags")),
        "{asked:?}"
    );
}

#[test]
fn a_key_can_begin_a_chain() {
    let job = Job::new();
    let user = "arn:aws:iam::123456789012:user/pipeline";
    let trust = Trust::Identity { principal: user.to_owned(), external_id: None };
    job.sts.role("arn:aws:iam::123456789012:role/by-user", trust);
    let keys = |chain: &str| {
        let run = job.cloud.run("pull").input("aws_sts_endpoint_url", &job.sts.url());
        run.input("aws_role_chain", chain)
    };
    keys("arn:aws:iam::123456789012:role/by-user").expect(0);
    assert_eq!(job.sts.calls(), ["AssumeRole"]);
    // Who tried is known only by what STS says.
    let done = keys(NEXT).expect(3);
    nothing_was_changed(done.says(&["AccessDenied", NEXT, "role 1 of 1", user, "aws_external_id", "sts:TagSession"]));
}

#[test]
fn a_role_of_the_chain_that_may_not_be_assumed_names_hop_identity_and_policy() {
    let rows = [(None, "no external id was sent"), (Some("fake-wrong-id"), "has to be just that of `aws_external_id`")];
    each(rows.to_vec(), |(given, help)| {
        let job = Job::new();
        job.chain(Some("fake-external-id"));
        let run = job.run("pull").input("aws_role_chain", NEXT).input("aws_external_id", given.unwrap_or_default());
        let principal = format!("\"Principal\": {{\"AWS\": \"{ROLE}\"}}");
        let done = run.expect(3);
        nothing_was_changed(done.says(&["AssumeRole of", NEXT, "role 1 of 1", "AccessDenied", &principal, help]));
        assert_eq!(job.sts.calls(), [WEB, "AssumeRole", "AssumeRole"], "twice, and no more");
    });
}

#[test]
fn the_account_is_looked_at_on_every_path() {
    each(vec!["123456789012", "999999999999"], |allowed| {
        let good = allowed == "123456789012";
        let code = if good { 0 } else { 3 };
        let judge = |done: super::Done| {
            if !good {
                nothing_was_changed(done.says(&["123456789012", "999999999999", "aws_allowed_account_ids"]));
            }
        };
        // Keys: STS is asked who they are.
        let keys = Cloud::holding(ONE);
        let sts = Sts::start();
        let run = keys.run("pull").input("aws_sts_endpoint_url", &sts.url());
        judge(run.input("aws_allowed_account_ids", allowed).expect(code));
        assert_eq!(sts.calls(), ["GetCallerIdentity"]);
        assert_eq!(keys.double.count("GetSecretValue"), usize::from(good));
        // A machine's role.
        let job = Job::new();
        let agent = Agent::start(ROLE, &job.sts.sessions());
        job.cloud.room.secret_value(SESSION);
        let run = job.stranger("pull").input("auth", "ambient").input("aws_allowed_account_ids", allowed);
        judge(run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &agent.url()).expect(code));
        assert_eq!(job.sts.calls(), ["GetCallerIdentity"]);
    });
    // A role: its answer tells. That it names another account than the one asked for is what this guards against.
    let job = Job::new();
    let elsewhere = "arn:aws:sts::555555555555:assumed-role/deploy/envsync";
    let session = job.sts.sessions().issue(ROLE, elsewhere, 900);
    let answer = format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
         <AssumedRoleUser><Arn>{elsewhere}</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>{}\
         </AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>2099-01-01T00:00:00Z\
         </Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        session.key, session.secret, session.token
    );
    let answer = envsync_doubles::http::Response::new(200, "text/xml", answer);
    job.sts.fail(WEB, When::Always, Fault::Answer(answer));
    let done = job.run("pull").input("aws_allowed_account_ids", "123456789012").expect(3);
    nothing_was_changed(done.says(&["555555555555", "123456789012"]));
    assert_eq!((job.sts.calls().len(), job.cloud.double.calls().len()), (1, 0));
}

#[test]
fn a_trust_policy_that_does_not_fit_is_told_with_the_one_to_paste() {
    let rows = [
        (SUBJECT, "repo:octo/app:environment:production", false),
        (IMMUTABLE_SUBJECT, SUBJECT, true),
        ("repo:Octo/App:ref:refs/heads/main", SUBJECT, false),
    ];
    each(rows.to_vec(), |(subject, trusted, immutable)| {
        let job = Job::trusting(trusted);
        job.sts.provider(&job.issuer, &[AUDIENCE]);
        job.endpoint.make(move |issuer, audience| issuer.token(subject, audience).sign());
        let host = "token.actions.githubusercontent.com";
        let conditions =
            format!("{{\"StringEquals\": {{\"{host}:aud\": \"{AUDIENCE}\", \"{host}:sub\": \"{subject}\"}}}}");
        let provider = format!("arn:aws:iam::123456789012:oidc-provider/{host}");
        let done = job.run("pull").expect(3);
        done.says(&["HTTP status 403 (AccessDenied)", ROLE, GITHUB, subject, &conditions, &provider, "exp "]);
        nothing_was_changed(&done);
        let text = done.text();
        let statement = &text[text.find("{\"Effect\"").unwrap()..text.find("; upper and lower case").unwrap()];
        let statement: serde_json::Value = serde_json::from_str(statement).unwrap();
        assert_eq!(statement["Principal"]["Federated"], provider.as_str(), "to be pasted as it is");
        assert_eq!(text.contains("immutable"), immutable);
        assert_eq!((job.sts.count(WEB), job.endpoint.given().len()), (2, 2), "twice, each time with a fresh token");
    });
}

#[test]
fn what_sts_refuses_is_told_once_with_a_fix() {
    let no_provider = Job::trusting(SUBJECT);
    let done = no_provider.run("pull").expect(3);
    nothing_was_changed(done.says(&[
        "InvalidIdentityToken",
        "aws iam create-open-id-connect-provider",
        GITHUB,
        AUDIENCE,
    ]));
    assert_eq!(no_provider.sts.count(WEB), 1);

    let job = Job::new();
    let done = job.run("pull").input("aws_audience", "fake-audience").expect(3);
    nothing_was_changed(done.says(&[
        "add-client-id-to-open-id-connect-provider",
        "fake-audience",
        "aws_audience",
        "`id_tokens`",
    ]));
    job.endpoint.make(|issuer, audience| issuer.token(SUBJECT, audience).expired(60).sign());
    nothing_was_changed(job.run("pull").expect(3).says(&["ExpiredTokenException", "ago"]));
    job.endpoint.make(|issuer, audience| issuer.token(SUBJECT, audience).forged().sign());
    nothing_was_changed(job.run("pull").expect(3).says(&["InvalidIdentityToken"]));
    job.endpoint.make(|issuer, audience| issuer.token(SUBJECT, audience).sign());
    let long = job.run("pull").input("aws_role_duration_seconds", "43200").expect(3);
    nothing_was_changed(long.says(&["ValidationError", "aws_role_duration_seconds"]));
    assert_eq!(job.sts.count(WEB), 4);

    let rows = [
        (403, "RegionDisabledException", "fake", "activate it"),
        (400, "PackedPolicyTooLarge", "fake", "session tags"),
        (400, "MalformedPolicyDocument", "fake", "no session policy"),
        (403, "IDPRejectedClaim", "fake", "new token"),
        (
            400,
            "InvalidIdentityToken",
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
            "thumbprint",
        ),
        (400, "ExpiredTokenException", "fake", "the clock is slow"),
        (400, "ValidationError", "fake", "aws_role_session_name"),
        (400, "FakeCode", "fake", "CommonErrors"),
    ];
    each(rows.to_vec(), |(status, code, message, help)| {
        let job = Job::new();
        job.sts.fail(WEB, When::Always, Fault::status(status, code, message));
        let done = job.run("pull").expect(3);
        nothing_was_changed(done.says(&[&format!("HTTP status {status} ({code})"), SUBJECT, help]));
        assert_eq!(job.sts.count(WEB), 1, "{code} is not tried again");
    });
}

#[test]
fn what_sts_says_is_never_repeated() {
    let words = "the token fake-words-of-the-server was not good";
    each(vec!["AccessDenied", "InvalidIdentityToken", "ValidationError", "FakeCode"], |code| {
        let job = Job::new();
        job.cloud.room.secret_value("fake-words-of-the-server");
        job.sts.fail(WEB, When::Always, Fault::status(400, code, words));
        nothing_was_changed(job.run("pull").expect(3).says(&[code]));
    });
}

#[test]
fn what_sts_gives_in_place_of_a_code_an_identity_or_a_key_is_not_shown() {
    let hidden = "fake-part-of-a-token-0123456789";
    each(vec![400, 403], |status| {
        let job = Job::new();
        job.cloud.room.secret_value(hidden);
        job.sts.fail(WEB, When::Always, Fault::status(status, hidden, "fake"));
        nothing_was_changed(job.run("pull").expect(7).says(&["is not AWS STS"]));
    });
    let identity = "arn:aws:sts::123456789012:assumed-role/deploy/envsync";
    let rows = [
        // id, secret, token and who that is; the exit code and what is said
        ("ASIAFAKE&#10;x", "fake-key", "fake-session", identity, 7, "is not that of the service"),
        ("", "fake-key", "fake-session", identity, 7, "is not that of the service"),
        ("ASIAFAKE", "fake&#13;key", "fake-session", identity, 7, "is not that of the service"),
        ("ASIAFAKE", "fake-key", "fake&#10;session", identity, 7, "is not that of the service"),
        ("ASIAFAKE", "fake-key", "fake-session", "arn:aws:sts::fake-part-of-a-token-0123456789:x", 3, "does not name"),
        ("ASIAFAKE", "fake-key", "fake-session", "", 3, "does not name"),
    ];
    each(rows.to_vec(), |(id, secret, token, arn, code, said)| {
        let job = Job::new();
        job.cloud.room.secret_value(hidden);
        let answer = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
             <AssumedRoleUser><Arn>{arn}</Arn><AssumedRoleId>A:b</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>{id}\
             </AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>\
             2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        );
        let answer = envsync_doubles::http::Response::new(200, "text/xml", answer);
        job.sts.fail(WEB, When::Always, Fault::Answer(answer));
        let run = job.run("pull").input("aws_allowed_account_ids", "123456789012");
        nothing_was_changed(run.expect(code).says(&[said]));
        assert!(job.cloud.double.calls().is_empty());
    });
}

fn passing() -> Vec<Fault> {
    vec![
        Fault::status(503, "ServiceUnavailable", "fake"),
        Fault::status(500, "InternalFailure", "fake"),
        Fault::status(408, "RequestTimeout", "fake"),
        Fault::Throttle(None),
        Fault::status(429, "Throttling", "fake"),
        Fault::Throttle(Some(Duration::from_secs(1))),
        Fault::Html(429),
        Fault::Html(502),
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Truncate,
    ]
}

#[test]
fn every_hop_sits_out_what_passes() {
    let hops = [WEB, "AssumeRole", "GetCallerIdentity"];
    let mut rows: Vec<_> = passing().into_iter().flat_map(|fault| hops.map(|hop| (hop, fault.clone()))).collect();
    rows.push((WEB, Fault::status(400, "IDPCommunicationError", "fake")));
    each(rows, |(hop, fault)| {
        let job = Job::new();
        job.chain(None);
        job.sts.fail(hop, When::Next(2), fault.clone());
        let run = match hop {
            "GetCallerIdentity" => {
                job.cloud.double.demand(&job.sts.sessions());
                let session = job.sts.sessions().issue(ROLE, "arn:aws:sts::123456789012:assumed-role/a/b", 900);
                let run = job.stranger("pull").input("aws_access_key_id", &session.key);
                let run =
                    run.input("aws_secret_access_key", &session.secret).input("aws_session_token", &session.token);
                run.input("aws_allowed_account_ids", "123456789012")
            }
            _ => job.run("pull").input("aws_role_chain", NEXT),
        };
        run.expect(0);
        assert_eq!(job.sts.count(hop), 3, "{hop}: {fault:?}");
    });
}

#[test]
fn an_answer_that_lags_is_asked_for_again() {
    let job = Job::new();
    job.sts.fail(WEB, 1, Fault::Hang);
    job.run("pull").expect(0);
    assert_eq!(job.sts.count(WEB), 2);
}

#[test]
fn keys_of_an_issuer_that_aws_could_not_get_are_tried_once_more() {
    let job = Job::new();
    let words = "Couldn't retrieve verification key from your identity provider, please reference documentation";
    let fault = Fault::status(400, "InvalidIdentityToken", words);
    job.sts.fail(WEB, When::Next(1), fault.clone());
    job.run("pull").expect(0);
    job.sts.fail(WEB, When::Always, fault);
    nothing_was_changed(job.run("pull").expect(3).says(&["reachable from the internet"]));
    assert_eq!(job.sts.count(WEB), 4);
}

#[test]
fn what_stays_ends_the_login_and_not_by_the_runs_time() {
    let mut faults = passing();
    faults.extend([Fault::Garbage, Fault::Html(200)]);
    each(faults, |fault| {
        let job = Job::new();
        job.sts.fail("*", When::Always, fault.clone());
        let done = job.run("pull").expect(7);
        nothing_was_changed(done.says(&["AWS STS in eu-central-1", WEB, ROLE]));
        assert!(!done.text().contains("took longer") && job.sts.calls().len() <= 5, "{fault:?}");
        assert!(job.cloud.double.calls().is_empty(), "{fault:?}");
    });
    let job = Job::new();
    let done = job.run("pull").input("aws_sts_endpoint_url", "http://127.0.0.1:9").expect(7);
    nothing_was_changed(done.says(&["couldn't reach AWS STS", "aws_sts_endpoint_url"]));
    for status in [302, 403, 404] {
        let job = Job::new();
        job.sts.fail("*", When::Always, Fault::Html(status));
        nothing_was_changed(job.run("pull").expect(7).says(&[&format!("HTTP status {status}"), "is not AWS STS"]));
        assert_eq!(job.sts.count(WEB), 1, "{status}");
    }
}

#[test]
fn a_long_run_renews_its_credentials_with_a_fresh_token() {
    let job = Job::new();
    job.chain(None);
    // Shorter than what is kept for a call: every call brings its own.
    job.sts.lasting(20);
    job.push().input("aws_role_chain", NEXT).expect(0);
    let logins = job.sts.count(WEB);
    assert!(logins > 1, "{logins}");
    assert_eq!((job.sts.count("AssumeRole"), job.endpoint.given().len()), (logins, logins));
    let mut tokens = job.endpoint.given();
    tokens.dedup();
    assert_eq!(tokens.len(), logins, "each is another one");
    assert_eq!(job.cloud.json()["A"], "fake-one-new");
}

#[test]
fn a_renewal_that_is_refused_says_what_the_login_says() {
    // The first exchange is the login, and each of a push's five calls needs one of its own here.
    each(vec![2, 3, 4, 5], |nth| {
        let job = Job::new();
        job.sts.lasting(5);
        job.sts.fail(WEB, nth, Fault::status(400, "RegionDisabledException", "fake"));
        let done = job.push().expect(3);
        nothing_was_changed(done.says(&["RegionDisabledException", SUBJECT, "activate it"]));
        assert_eq!((job.cloud.json()["A"].as_str(), job.sts.count(WEB) >= nth), (Some("fake-one-old"), true));
    });
    // With the move of the label everything that counts is done.
    let job = Job::new();
    job.sts.lasting(5);
    job.sts.fail(WEB, 6, Fault::status(400, "RegionDisabledException", "fake"));
    job.push().expect(0).says(&["the label ENVSYNC_PENDING stays"]);
    assert_eq!(job.cloud.json()["A"], "fake-one-new");
}

#[test]
fn the_machines_own_role_is_taken_when_it_is_asked_for() {
    let job = Job::new();
    let agent = Agent::start(ROLE, &job.sts.sessions());
    for hidden in [SESSION, AUTHORIZATION] {
        job.cloud.room.secret_value(hidden);
    }
    job.cloud.room.file("authorization", format!("{AUTHORIZATION}\n"));
    let container = format!("{}{PATH}", agent.url());
    let path = job.cloud.room.path("authorization");
    let ambient = |mode: &str| {
        job.cloud.room.file(".env", "A=fake-one-new\n");
        job.stranger(mode).input("auth", "ambient")
    };
    // A proxy reaches no machine's own address.
    let instance = |mode: &str| {
        let run = ambient(mode).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &agent.url());
        run.env("HTTP_PROXY", "http://127.0.0.1:9").env("NO_PROXY", "")
    };
    let reached = |run: Run| run.env("HTTP_PROXY", "");
    let with_token = |mode: &str| {
        let run = ambient(mode).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container);
        run.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", AUTHORIZATION)
    };
    let with_file = |mode: &str| {
        let run = ambient(mode).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container);
        run.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.to_str().unwrap())
    };
    for mode in ["pull", "push"] {
        reached(instance(mode)).expect(0).says(&["auth: "]);
        with_token(mode).expect(0);
        with_file(mode).expect(0);
    }
    assert_eq!(agent.calls()[..4], ["Session", "Role", "Credentials", "Container"]);
    assert!(job.cloud.double.identities().iter().all(|role| role == ROLE));
    // What is missing is an input, and not what is to be moved.
    let missing = with_file("pull").env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "not-there");
    nothing_was_changed(missing.expect(2).says(&["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "not-there"]));
    // The proxy is one for the store, and not for the machine.
    instance("pull").expect(7).says(&["GetSecretValue"]);
    // Without being asked for, nothing of the machine is looked at.
    let before = agent.calls().len();
    let run = job.stranger("pull").env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container);
    run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &agent.url()).expect(3);
    assert_eq!(agent.calls().len(), before);
}

#[test]
fn the_machine_sits_out_what_passes_and_says_what_it_lacks() {
    let start = || {
        let job = Job::new();
        job.cloud.room.secret_value(SESSION);
        let agent = Agent::start(ROLE, &job.sts.sessions());
        (job, agent)
    };
    let run = |job: &Job, agent: &Double<Agent>| {
        let run = job.stranger("pull").input("auth", "ambient");
        run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &agent.url())
    };
    let faults = [
        Fault::status(503, "", ""),
        Fault::Throttle(Some(Duration::from_secs(1))),
        Fault::ResetBefore,
        Fault::Truncate,
        Fault::Html(500),
    ];
    let rows = faults.iter().flat_map(|fault| ["Session", "Role", "Credentials"].map(|hop| (hop, fault.clone())));
    each(rows.collect(), |(hop, fault)| {
        let (job, agent) = start();
        agent.fail(hop, When::Next(2), fault.clone());
        run(&job, &agent).expect(0);
        assert_eq!(agent.count(hop), 3, "{hop}: {fault:?}");
    });
    let (job, agent) = start();
    agent.without_role();
    nothing_was_changed(run(&job, &agent).expect(3).says(&["HTTP status 404", "attach a role"]));
    let (job, agent) = start();
    agent.fail("Session", When::Always, Fault::AccessDenied);
    nothing_was_changed(run(&job, &agent).expect(3).says(&["HTTP status 403", "IMDSv2"]));
    let (job, agent) = start();
    agent.fail("Credentials", When::Always, Fault::Garbage);
    nothing_was_changed(run(&job, &agent).expect(7).says(&["is not that of the service"]));
}

#[test]
fn a_machine_without_a_role_is_found_out_in_time() {
    let job = Job::new();
    let agent = Agent::start(ROLE, &job.sts.sessions());
    agent.fail("*", When::Always, Fault::Hang);
    let run = |url: &str| {
        let run = job.stranger("pull").input("auth", "ambient").input("timeout_seconds", "12");
        run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
    };
    for url in [agent.url().as_str(), "http://127.0.0.1:9"] {
        // Before the run's time is up, which would be exit code 7.
        let done = run(url).expect(3);
        nothing_was_changed(done.says(&["`auth: ambient` found no AWS credentials", url, "was tried", "hop limit"]));
    }
    let far = job.stranger("pull").input("auth", "ambient");
    let far = far.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://203.0.113.9/fake-path-of-credentials");
    job.cloud.room.secret_value("fake-path-of-credentials");
    nothing_was_changed(far.expect(2).says(&["203.0.113.9", "neither https"]));
}
