"""(b) The binary on the double: the table of all clouds, and what only Key Vault has."""

import datetime
import uuid

import pytest

import clients
from everywhere import *  # noqa: F403: pytest runs what is imported
from everywhere import play_or_skip
from scenarios import Case

ONE = ('{"A":"fake-one"}',)
TWO = ('{"A":"fake-old"}', '{"A":"fake-new"}')
PAST, FUTURE = (datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc) for year in (2020, 2090))
# What one version has and the next one lacks unless its writer carries it over.
PROPERTIES = {"content_type": "application/json", "tags": {"team": "fake-team", "x": ""}, "not_before": PAST, "expires_on": FUTURE}

AZURE_CASES = [
    Case("pull of a version", "pull", seeds=TWO, inputs={"SECRET": "{secret}?version={secret_v0}"}, written="A=fake-old\n"),
    Case("push of more than Key Vault takes", "push", seeds=ONE, file="A=fake-" + "x" * 25_600 + "\n", code=2, says=("help:",)),
    Case("push of as much as Key Vault takes", "push", seeds=ONE, file="A=fake-" + "x" * 25_500 + "\n", stored=[("A", "fake-" + "x" * 25_500)], new_versions=1),
    Case("pull of a name that Key Vault cannot hold", "pull", inputs={"SECRET": "under_score"}, code=2, says=("under_score", "help:")),
    Case("a vault without https", "pull", seeds=ONE, inputs={"AZURE_VAULT": "http://127.0.0.1:9"}, code=2, says=("help:",)),
    Case("pull of a deleted secret", "pull", seeds=ONE, state="deleted", code=5, says=("help:",)),
    Case("check of a deleted secret", "check", seeds=ONE, state="deleted", file="A=fake-one\n", code=5, says=("help:",)),
    Case("push to a deleted secret", "push", seeds=ONE, state="deleted", file="A=fake-two\n", code=5, says=("recover_deleted",)),
    Case(
        "push recovers a deleted secret",
        "push",
        seeds=ONE,
        state="deleted",
        file="A=fake-two\n",
        inputs={"RECOVER_DELETED": "true"},
        stored='{"A":"fake-two"}',
        new_versions=1,
    ),
]


@pytest.mark.parametrize("case", AZURE_CASES, ids=lambda case: case.name)
def test_scenario_of_azure(case, store, workspace):
    play_or_skip(case, store, workspace)


def test_a_push_carries_over_what_lives_with_a_version(store, workspace):
    name = store.make()
    before = store.seed(name, ONE[0], **PROPERTIES)
    workspace.file.write_text("A=fake-two\n")
    assert workspace.run(store, "push", name).code == 0
    new = store.properties(name)
    assert new.version != before and store.read(name) == '{"A":"fake-two"}'
    assert {key: getattr(new, key) for key in PROPERTIES} == PROPERTIES
    assert new.enabled
    old = store.properties(name, before)
    assert {key: getattr(old, key) for key in PROPERTIES} == PROPERTIES, "the version before is as it was"


def test_a_push_without_change_writes_nothing(store, workspace):
    name = store.make()
    before = store.seed(name, ONE[0], **PROPERTIES)
    updated = store.properties(name).updated_on
    workspace.file.write_text("A=fake-one\n")
    assert workspace.run(store, "push", name).code == 0
    assert store.versions(name) == [before] and store.properties(name).updated_on == updated


@pytest.mark.parametrize("mode", ["pull", "push", "check"])
@pytest.mark.parametrize(
    ("properties", "says"),
    [({"enabled": False}, "disabled"), ({"expires_on": PAST}, "expired"), ({"not_before": FUTURE}, "valid")],
    ids=["disabled", "expired", "not yet valid"],
)
def test_a_version_that_must_not_be_used(store, workspace, mode, properties, says):
    name = store.make()
    before = store.seed(name, ONE[0], **properties)
    text = None if mode == "pull" else "A=fake-two\n"
    if text:
        workspace.file.write_text(text)
    run = workspace.run(store, mode, name, hidden={"fake-one"})
    assert run.code == 5, run.output
    assert says in run.output and "help:" in run.output
    assert workspace.text() == text and store.versions(name) == [before]


def test_an_https_identifier_names_the_vault_and_the_version(store, workspace):
    name = store.make()
    old, _ = (store.seed(name, payload) for payload in TWO)
    identifier = f"{store.where.vault}/secrets/{name}"
    for secret, value in ((identifier, "new"), (identifier + "/", "new"), (f"{identifier}/{old}", "old"), (name.upper(), "new")):
        assert workspace.run(store, "pull", secret).code == 0
        assert workspace.text() == f"A=fake-{value}\n", secret
    assert workspace.run(store, "pull", identifier, AZURE_VAULT="").code == 0
    run = workspace.run(store, "pull", identifier, AZURE_VAULT="https://another.vault.azure.net")
    assert run.code == 2 and "another" in run.output, run.output


def test_more_versions_than_a_page_holds(store, workspace):
    name = store.make()
    for n in range(60):
        store.seed(name, f'{{"A":"fake-{n}"}}')
    workspace.file.write_text("B=fake-b\n")
    assert workspace.run(store, "push", name).code == 0
    assert store.read(name) == '{"A":"fake-59","B":"fake-b"}' and len(store.versions(name)) == 61


@pytest.mark.parametrize(
    ("login", "code", "says"),
    [
        ({"AZURE_CLIENT_SECRET": "fake-wrong-secret"}, 3, "AADSTS7000215"),
        ({"AZURE_CLIENT_ID": "44444444-4444-4444-8444-444444444444"}, 3, "AADSTS700016"),
        ({"AZURE_TENANT_ID": "55555555-5555-4555-8555-555555555555"}, 3, "AADSTS90002"),
        ({"AZURE_CLIENT_ID": clients.DENIED_CLIENT_ID}, 4, "Key Vault Secrets"),
        ({"AZURE_CLIENT_SECRET": ""}, 3, "ENVSYNC_AZURE_CLIENT_SECRET"),
    ],
    ids=["secret", "application", "tenant", "role", "incomplete"],
)
def test_refused_logins(store, workspace, login, code, says):
    name = store.make()
    store.seed(name, ONE[0])
    run = workspace.run(store, "pull", name, hidden={"fake-wrong-secret"}, **login)
    assert run.code == code, run.output
    assert says in run.output
    assert workspace.text() is None


@pytest.mark.parametrize(("token", "code"), [(clients.ACCESS_TOKEN, 0), ("EXPIRED-fake", 3), ("DENIED-fake", 4)])
def test_an_access_token_in_place_of_a_login(store, workspace, token, code):
    name = store.make()
    store.seed(name, ONE[0])
    none = {f"AZURE_{part}": "" for part in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")}
    run = workspace.run(store, "pull", name, hidden={token}, AZURE_ACCESS_TOKEN=token, **none)
    assert run.code == code, run.output
    assert workspace.text() == ("A=fake-one\n" if code == 0 else None)


# What replaces the application's secret, and what the binary is told in its place.
def by_token(store, tmp_path):
    return {"AZURE_CLIENT_SECRET": "", "OIDC_TOKEN": store.where.identity_token()}


def by_file(store, tmp_path):
    (tmp_path / "token").write_text(store.where.identity_token())
    return {"AZURE_CLIENT_SECRET": "", "OIDC_TOKEN_FILE": str(tmp_path / "token")}


@pytest.mark.parametrize("way", [by_token, by_file])
def test_a_federated_login_in_both_directions(store, workspace, tmp_path, way):
    """They read what we wrote, we read what they wrote."""
    name = store.make()
    login = way(store, tmp_path)
    hidden = {store.where.token_bearer, login.get("OIDC_TOKEN", "")} - {""}
    workspace.file.write_text("A=fake-one\n")
    run = workspace.run(store, "push", name, hidden=hidden, **login)
    assert run.code == 0, run.output
    theirs = clients.client(store.where, clients.federated(store.where))
    assert theirs.get_secret(name).value == '{"A":"fake-one"}'
    theirs.set_secret(name, '{"A":"fake-two"}')
    run = workspace.run(store, "pull", name, hidden=hidden, **way(store, tmp_path))
    assert run.code == 0, run.output
    assert workspace.text() == "A=fake-two\n"


@pytest.mark.parametrize(
    ("client_id", "audience", "code"),
    [
        (clients.DENIED_CLIENT_ID, clients.AUDIENCE, "AADSTS700213"),
        (clients.MANAGED_CLIENT_ID, clients.AUDIENCE, "AADSTS7002138"),
        (clients.SYSTEM_CLIENT_ID, clients.AUDIENCE, "AADSTS700211"),
        (clients.CLIENT_ID, "api://other", "AADSTS700212"),
    ],
    ids=["subject", "case", "issuer", "audience"],
)
def test_a_token_that_is_not_trusted(store, workspace, client_id, audience, code):
    name = store.make()
    store.seed(name, ONE[0])
    token = store.where.identity_token(audience)
    run = workspace.run(store, "pull", name, hidden={token}, AZURE_CLIENT_SECRET="", AZURE_CLIENT_ID=client_id, OIDC_TOKEN=token)
    assert run.code == 3, run.output
    assert code in run.output and "az ad app federated-credential create" in run.output
    assert workspace.text() is None


def test_a_certificate_that_nobody_vouches_for(store, workspace):
    name = store.make()
    run = workspace.run(store, "pull", name, CA_FILE="", TIMEOUT_SECONDS="30")
    assert run.code in (3, 7) and "help:" in run.output, run.output


def test_a_name_that_is_not_there_is_made_in_the_case_that_was_given(store, workspace):
    name = f"Conformance-{uuid.uuid4()}"
    workspace.file.write_text("A=fake-one\n")
    assert workspace.run(store, "push", name).code == 0
    assert store.read(name.lower()) == store.read(name) is not None
