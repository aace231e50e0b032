//! What the vault refuses for good, and hosts that are none: the right exit code, the object, the fix, and never a value,
//! whatever the answer says.

use std::net::TcpListener;

use envsync_doubles::azure::{forbidden_by_firewall, forbidden_by_policy, forbidden_by_rbac, forbidden_with_escapes};
use envsync_doubles::http::Response;
use envsync_doubles::{Fault, When};
use serde_json::json;

use super::{Cloud, ONE, each, nothing_was_changed};

const NEW: &str = "A=fake-one-new\n";

#[test]
fn a_missing_permission_is_named_with_what_to_grant() {
    let rows = [
        ("GetSecret", "getSecret/action", "Key Vault Secrets User", "get"),
        ("ListVersions", "readMetadata/action", "Key Vault Secrets Officer", "list"),
        ("SetSecret", "setSecret/action", "Key Vault Secrets Officer", "set"),
    ];
    each(rows.to_vec(), |(operation, action, role, permission)| {
        let by_role = forbidden_by_rbac(&format!("Microsoft.KeyVault/vaults/secrets/{action}"), "app");
        for (fault, says) in [
            (by_role, [action, role]),
            (forbidden_by_policy(permission), ["no access policy", &format!("--secret-permissions {permission}")]),
            (forbidden_by_firewall(), ["firewall", "az keyvault network-rule add"]),
            (forbidden_with_escapes(), ["access denied", "(Forbidden)"]),
        ] {
            let cloud = Cloud::holding(ONE);
            cloud.double.fail(operation, When::Always, fault);
            let done = cloud.push(NEW).expect(4);
            nothing_was_changed(done.says(&["app"]).says(&says));
            assert_eq!((cloud.double.count(operation), cloud.versions()), (1, 1), "it is not tried again");
        }
    });
}

#[test]
fn a_firewall_may_refuse_the_very_first_request() {
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("Challenge", When::Always, forbidden_by_firewall());
    nothing_was_changed(cloud.run("pull").expect(4).says(&["firewall"]));
}

#[test]
fn recovering_takes_a_permission_too() {
    let cloud = Cloud::holding(ONE);
    cloud.double.delete("app");
    cloud.double.fail("RecoverDeletedSecret", When::Always, Fault::AccessDenied);
    let done = cloud.push(NEW).input("recover_deleted", "true").expect(4);
    nothing_was_changed(done.says(&["recover/action", "Key Vault Secrets Officer"]));
}

#[test]
fn a_secret_that_belongs_to_a_certificate_of_the_vault_is_not_written() {
    let cloud = Cloud::holding(ONE);
    let id = format!("{}/secrets/app/{}", cloud.double.url(), cloud.newest());
    let body = json!({ "id": id, "value": ONE, "attributes": { "enabled": true }, "managed": true });
    let answer = Response::new(200, "application/json", body.to_string());
    cloud.double.fail("GetSecret", When::Always, Fault::Answer(answer));
    for (name, value) in [("concurrency", "safe"), ("concurrency", "none"), ("dry_run", "true")] {
        nothing_was_changed(cloud.push(NEW).input(name, value).expect(6).says(&["app", "certificate"]));
    }
    cloud.run("pull").expect(0);
    assert_eq!(cloud.double.count("SetSecret"), 0);
}

#[test]
fn an_answer_that_quotes_values_is_not_shown() {
    each(vec!["GetSecret", "ListVersions", "SetSecret"], |operation| {
        for (status, code) in [(400, 2), (409, 6), (418, 7)] {
            let cloud = Cloud::holding(ONE);
            let echo = Fault::status(status, "Bad fake-one-old", "the value fake-one-new \"fake-one-old\"\r\n");
            cloud.double.fail(operation, When::Next(4), echo);
            let run = cloud.push(NEW);
            // A conflict at the write is another writer's, and tried again.
            if (operation, status) == ("SetSecret", 409) {
                run.expect(0)
            } else {
                run.expect(code)
            };
        }
    });
}

#[test]
fn a_host_that_does_not_exist_is_told_in_time() {
    let cloud = Cloud::holding(ONE);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rows = [
        (format!("https://127.0.0.1:{}", closed.port()), "couldn't reach the vault at 127.0.0.1"),
        ("https://no-such-vault.invalid".to_owned(), "the host `no-such-vault.invalid` of the vault cannot be found"),
    ];
    each(rows.to_vec(), |(vault, says)| {
        // The SDK by itself would take 81 s; were the time up first, that would be said, and not the host.
        let done = cloud.run("pull").input("azure_vault", &vault).input("timeout_seconds", "10").expect(7);
        nothing_was_changed(done.says(&[says]));
    });
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let cloud = Cloud::holding(ONE);
    nothing_was_changed(cloud.run("pull").input("ca_file", "").expect(7).says(&["certificate"]));
    assert!(cloud.double.calls().is_empty());
}

#[test]
fn what_can_be_no_vault_no_name_and_no_version_is_refused_before_anything_is_sent() {
    let cloud = Cloud::holding(ONE);
    let url = cloud.double.url();
    let pull = |name: &str, value: &str| cloud.run("pull").input(name, value).expect(2);
    pull("azure_vault", &url.replace("https", "http")).says(&["https"]);
    pull("azure_vault", "my_vault").says(&["my_vault"]);
    for name in ["my_app", "my.app", "my app", &"x".repeat(128)] {
        pull("secret", name).says(&["ENVSYNC_SECRET", name, "Key Vault can hold"]);
    }
    for version in ["1", "..%2f..", "0123456789abcdef0123456789abcdex"] {
        pull("secret", &format!("app?version={version}")).says(&["version", "32 hexadecimal digits"]);
    }
    pull("secret", "https://other.vault.azure.net/secrets/app").says(&["another vault"]);
    pull("azure_cloud", "moon").says(&["moon"]);
    assert!(cloud.double.calls().is_empty());
    let missing = "0123456789abcdef0123456789abcdef";
    cloud.run("pull").input("secret", &format!("app?version={missing}")).expect(5).says(&[missing, "does not exist"]);
}
