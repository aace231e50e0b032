//! Who we are to Entra and to the vault.

use envsync_doubles::azure::{ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, DENIED_CLIENT_ID, EXPIRED, TENANT, entra_error};
use envsync_doubles::http::Response;
use envsync_doubles::{Fault, When};
use serde_json::json;

use super::super::harness::Run;
use super::{Cloud, ONE, each, nothing_was_changed};

fn application(run: Run, tenant: &str, client: &str, secret: &str) -> Run {
    run.input("azure_tenant_id", tenant).input("azure_client_id", client).input("azure_client_secret", secret)
}

#[test]
fn an_application_with_its_secret_gets_one_token_for_all_calls() {
    let cloud = Cloud::holding(ONE);
    for name in ["two", "three"] {
        cloud.double.put(name, "fake-plain-text");
    }
    cloud.room.secret_value("fake-plain-text");
    let pull = application(cloud.stranger("pull"), TENANT, CLIENT_ID, CLIENT_SECRET);
    pull.input("secret", "app\nTWO = two\nTHREE = three").expect(0).says(&["auth: "]);
    assert_eq!((cloud.double.count("Token"), cloud.double.count("GetSecret")), (1, 3));
    cloud.room.file(".env", "A=fake-one-new\n");
    application(cloud.stranger("push"), TENANT, CLIENT_ID, CLIENT_SECRET).expect(0);
    assert_eq!(cloud.double.count("Token"), 2);
    assert_eq!(cloud.json()["A"], "fake-one-new");
}

#[test]
fn the_variables_of_azures_own_clients_are_taken_too() {
    let cloud = Cloud::holding(ONE);
    let url = cloud.double.url();
    let run = cloud.stranger("pull").input("azure_authority_host", "");
    run.env("AZURE_TENANT_ID", TENANT)
        .env("AZURE_CLIENT_ID", CLIENT_ID)
        .env("AZURE_CLIENT_SECRET", CLIENT_SECRET)
        .env("AZURE_AUTHORITY_HOST", &url)
        .expect(0);
    assert_eq!(cloud.double.count("Token"), 1);
}

#[test]
fn what_entra_refuses_is_an_error_with_its_code_and_a_fix() {
    let other = "44444444-4444-4444-8444-444444444444";
    let rows = [
        (TENANT, CLIENT_ID, "fake-wrong-secret", "AADSTS7000215", "not its id"),
        (TENANT, other, CLIENT_SECRET, "AADSTS700016", "azure_client_id"),
        (other, CLIENT_ID, CLIENT_SECRET, "AADSTS90002", "azure_tenant_id"),
    ];
    each(rows.to_vec(), |(tenant, client, secret, code, help)| {
        let cloud = Cloud::holding(ONE);
        cloud.room.secret_value("fake-wrong-secret");
        for mode in ["pull", "push"] {
            cloud.room.file(".env", "A=fake-one-new\n");
            let done = application(cloud.stranger(mode), tenant, client, secret).expect(3);
            nothing_was_changed(done.says(&[client, tenant, code, help]));
        }
        assert_eq!((cloud.double.count("GetSecret"), cloud.double.count("Token")), (0, 2), "it is not tried again");
    });
}

#[test]
fn a_partial_login_lists_what_is_missing_and_two_are_too_many() {
    let cloud = Cloud::holding(ONE);
    cloud
        .stranger("pull")
        .input("azure_client_id", CLIENT_ID)
        .expect(2)
        .says(&["AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"]);
    cloud.stranger("pull").expect(3).says(&["there is no Azure login"]);
    application(cloud.run("pull"), TENANT, CLIENT_ID, CLIENT_SECRET).expect(2).says(&["two Azure logins"]);
    let bad = application(cloud.stranger("pull"), "my tenant", CLIENT_ID, CLIENT_SECRET).expect(2);
    nothing_was_changed(bad.says(&["my tenant", "AZURE_TENANT_ID"]));
    assert!(cloud.double.calls().is_empty(), "nothing is sent");
}

#[test]
fn a_token_that_the_vault_does_not_take_is_a_login_error() {
    let cloud = Cloud::holding(ONE);
    for token in [format!("{EXPIRED}-fake-token"), "fake-unknown-token".to_owned()] {
        cloud.room.secret_value(&token);
        let done = cloud.stranger("pull").input("azure_access_token", &token).expect(3);
        nothing_was_changed(done.says(&["refused the access token", "az account get-access-token"]));
    }
    let expired = cloud.stranger("pull").input("azure_access_token", &format!("{EXPIRED}-fake-token")).expect(3);
    expired.says(&["(TokenExpired)"]);
    cloud.double.revoke_tokens();
    cloud.stranger("pull").input("azure_access_token", ACCESS_TOKEN).expect(3);
}

#[test]
fn an_application_without_a_role_is_told_which_to_assign() {
    let cloud = Cloud::holding(ONE);
    let done = application(cloud.stranger("pull"), TENANT, DENIED_CLIENT_ID, CLIENT_SECRET).expect(4);
    nothing_was_changed(done.says(&["getSecret/action", "Key Vault Secrets User"]));
}

#[test]
fn a_login_sits_out_what_passes_and_gives_up_on_what_stays() {
    let faults = [
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Truncate,
        Fault::Html(503),
        Fault::Throttle(None),
        entra_error(500, "server_error", 90_033, "A transient error has occurred. Please try again."),
    ];
    each(faults.to_vec(), |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("Token", When::Next(2), fault.clone());
        application(cloud.stranger("pull"), TENANT, CLIENT_ID, CLIENT_SECRET).expect(0);
        if fault == Fault::Throttle(None) {
            // Sat out for a minute: too long for a test.
            return;
        }
        cloud.double.fail("Token", When::Always, fault.clone());
        let done = application(cloud.stranger("pull"), TENANT, CLIENT_ID, CLIENT_SECRET).expect(7);
        done.says(&["Entra", "help: "]);
        assert!(cloud.double.count("Token") <= 8, "{fault:?}");
    });
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("Token", When::Always, Fault::Html(200));
    application(cloud.stranger("pull"), TENANT, CLIENT_ID, CLIENT_SECRET).expect(7).says(&["Entra"]);
}

#[test]
fn an_answer_whose_token_cannot_be_used_is_told() {
    let answers = [
        json!({"access_token": "fake-token", "expires_in": 1_000_000_000_000_i64, "token_type": "Bearer"}),
        json!({"access_token": "fake-token", "expires_in": i64::MAX, "token_type": "Bearer"}),
        json!({"access_token": "fake-token", "expires_in": i64::MIN, "token_type": "Bearer"}),
        json!({"access_token": "fake-token", "expires_in": "3600", "token_type": "Bearer"}),
        json!({"access_token": "fake\r\n::error::token", "expires_in": 3600, "token_type": "Bearer"}),
        json!({"access_token": "", "expires_in": 3600, "token_type": "Bearer"}),
        json!({"access_token": 1, "expires_in": 3600, "token_type": "Bearer"}),
    ];
    each(answers.to_vec(), |answer| {
        let cloud = Cloud::holding(ONE);
        cloud.room.secret_value("fake-token");
        let answer = Response::new(200, "application/json", answer.to_string());
        cloud.double.fail("Token", When::Always, Fault::Answer(answer));
        let done = application(cloud.stranger("pull"), TENANT, CLIENT_ID, CLIENT_SECRET).expect(7);
        nothing_was_changed(done.says(&["gave no token", "azure_authority_host"]));
        assert_eq!((cloud.double.count("Token"), cloud.double.count("GetSecret")), (1, 0));
    });
}
