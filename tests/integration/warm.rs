//! Connections that are opened ahead of need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use envsync::http;
use envsync::http::warm::warm;
use envsync_doubles::aws::SecretsManager;
use envsync_doubles::aws::sessions::{KEY, SECRET, TOKEN};
use envsync_doubles::aws::sts::{Sts, Trust};
use envsync_doubles::github::{REQUEST_TOKEN, TokenEndpoint};
use envsync_doubles::issuer::{GITHUB, Issuer, SUBJECT};

use super::harness::Room;

#[test]
fn the_request_that_needs_the_host_finds_the_connection() {
    let issuer = Issuer::start();
    let url = issuer.documents().url();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = http::client(None).unwrap();
        // A host that is not there is for the request that needs it.
        warm(&client, vec![format!("{url}/"), "http://127.0.0.1:1/".to_owned(), "no url".to_owned()]);
        while issuer.documents().warmed() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The answer is on its way; once it is read the connection is free.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let answer = client.get(format!("{url}/.well-known/jwks")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    });
    assert_eq!(issuer.documents().connections(), 1);
    assert_eq!(issuer.documents().calls(), ["Keys"]);
}

#[test]
fn while_github_makes_the_token_the_ways_to_sts_and_to_the_store_are_opened() {
    const ROLE: &str = "arn:aws:iam::123456789012:role/ci";
    let issuer = Issuer::named(GITHUB);
    let (endpoint, sts, store) =
        (TokenEndpoint::start(&issuer), Arc::new(Sts::start()), Arc::new(SecretsManager::start()));
    let trust = Trust::Token {
        issuer: GITHUB.to_owned(),
        audience: "sts.amazonaws.com".to_owned(),
        subject: SUBJECT.to_owned(),
    };
    sts.provider(&issuer, &["sts.amazonaws.com"]);
    sts.role(ROLE, trust);
    store.put("app", r#"{"A":"fake-value"}"#);
    store.demand(&sts.sessions());
    let room = Room::new();
    for secret in [KEY, SECRET, TOKEN, REQUEST_TOKEN] {
        room.secret_value(secret);
    }
    endpoint.tell({
        let room = Arc::clone(&room);
        move |jwt| {
            room.secret_value(jwt);
        }
    });
    // The token comes when the ways are open; a run that opens none gets it late and without them.
    endpoint.on("IdToken", 1, {
        let (sts, store) = (Arc::clone(&sts), Arc::clone(&store));
        move |_| {
            let late = Instant::now() + Duration::from_secs(5);
            while (sts.warmed() == 0 || store.warmed() == 0) && Instant::now() < late {
                std::thread::sleep(Duration::from_millis(5));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    let run = room.run().github().input("provider", "aws").input("aws_region", "eu-central-1");
    let run = run.input("aws_endpoint_url", &store.url()).input("aws_sts_endpoint_url", &sts.url());
    run.input("aws_role_arn", ROLE)
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &endpoint.request_url())
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
        .expect(0);
    assert_eq!((sts.warmed(), sts.connections(), sts.calls().len()), (1, 1, 1));
    assert_eq!((store.warmed(), store.connections(), store.calls().len()), (1, 1, 1));
}
