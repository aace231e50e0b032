"""(a) Microsoft's clients drive our double through every operation that a scenario uses, and get what Microsoft documents.

Only then may the double judge the binary. Sources: the REST reference of Key Vault's secrets, the clients' own
documentation (what a deletion and a recovery look like while they last), and bodies that users report.
"""

import concurrent.futures
import datetime
import ssl
import urllib.parse
import urllib.request
import uuid

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from azure.identity import CredentialUnavailableError

import clients
from clients import client, credential, refusal


@pytest.fixture
def vault(where):
    return client(where)


@pytest.fixture
def name():
    return f"double-{uuid.uuid4()}"


def ids(vault, name, **more):
    return [version.version for version in vault.list_properties_of_secret_versions(name, **more)]


def refused(call, *arguments, **more):
    """Status, code and inner code of a refusal."""
    with pytest.raises(HttpResponseError) as caught:
        call(*arguments, **more)
    return refusal(caught.value)


def test_a_secret_is_written_and_read_by_name_and_by_version(where, vault, name):
    one = vault.set_secret(name, "fake-one")
    two = vault.set_secret(name, "fake-two")
    assert one.id == f"{where.vault}/secrets/{name}/{one.properties.version}"
    assert len(one.properties.version) == 32 and int(one.properties.version, 16) >= 0
    assert (vault.get_secret(name).value, vault.get_secret(name).properties.version) == ("fake-two", two.properties.version)
    assert vault.get_secret(name, one.properties.version).value == "fake-one"
    # Upper and lower case are one name.
    assert vault.get_secret(name.upper()).value == "fake-two"
    assert sorted(ids(vault, name)) == sorted([one.properties.version, two.properties.version])
    assert one.properties.created_on.microsecond == 0 and one.properties.updated_on >= one.properties.created_on
    assert one.properties.recovery_level == "Recoverable+Purgeable" and one.properties.recoverable_days == 90
    vault.set_secret(name, "")
    assert vault.get_secret(name).value == ""


@pytest.mark.parametrize("version", ["7.4", "7.6", "2025-07-01", "2026-04-01"])
def test_every_version_of_the_interface(where, name, version):
    vault = client(where, api_version=version)
    vault.set_secret(name, "fake-one")
    assert vault.get_secret(name).value == "fake-one" and len(ids(vault, name)) == 1


def test_what_lives_with_a_version(vault, name):
    times = [datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc) for year in (2020, 2090)]
    all_of_it = {"content_type": "text/plain", "tags": {"team": "a", "x": ""}, "not_before": times[0], "expires_on": times[1]}
    one = vault.set_secret(name, "fake-one", **all_of_it).properties
    read = vault.get_secret(name).properties
    assert (read.content_type, read.tags, read.enabled) == ("text/plain", {"team": "a", "x": ""}, True)
    assert [read.not_before, read.expires_on] == times
    # The next version has none of it unless it is given again.
    vault.set_secret(name, "fake-two")
    bare = vault.get_secret(name).properties
    assert (bare.content_type, bare.tags, bare.not_before, bare.expires_on) == (None, None, None, None)
    kept = {version.version: version.tags for version in vault.list_properties_of_secret_versions(name)}
    assert kept == {one.version: {"team": "a", "x": ""}, bare.version: None}
    # Of one version they can be changed; the current one needs no id.
    vault.update_secret_properties(name, one.version, tags={"team": "b"})
    vault.update_secret_properties(name, content_type="application/json")
    assert vault.get_secret(name, one.version).properties.tags == {"team": "b"}
    assert vault.get_secret(name).properties.content_type == "application/json"


def test_a_disabled_version_cannot_be_read_and_the_times_are_the_readers_affair(vault, name):
    past, future = (datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc) for year in (2020, 2090))
    one = vault.set_secret(name, "fake-one", enabled=False).properties.version
    for version in (None, one):
        with pytest.raises(HttpResponseError, match="Operation get is not allowed on a disabled secret."):
            vault.get_secret(name, version)
        assert refused(vault.get_secret, name, version) == (403, "Forbidden", "SecretDisabled")
    assert [version.enabled for version in vault.list_properties_of_secret_versions(name)] == [False]
    vault.update_secret_properties(name, one, enabled=True)
    assert vault.get_secret(name).value == "fake-one"
    for times in ({"expires_on": past}, {"not_before": future}):
        vault.set_secret(name, "fake-out of time", **times)
        assert vault.get_secret(name).value == "fake-out of time"


def test_what_is_not_there(vault, name):
    with pytest.raises(ResourceNotFoundError, match="was not found in this key vault"):
        vault.get_secret(name)
    assert refused(vault.get_secret, name) == (404, "SecretNotFound", None)
    assert ids(vault, name) == []
    vault.set_secret(name, "fake-one")
    assert refused(vault.get_secret, name, "0" * 32) == (404, "SecretNotFound", None)
    for call in (vault.get_deleted_secret, vault.begin_recover_deleted_secret, vault.purge_deleted_secret):
        assert refused(call, name) == (404, "SecretNotFound", None)
    assert refused(vault.begin_delete_secret, name + "-none") == (404, "SecretNotFound", None)


def test_names_sizes_and_tags(vault, name):
    bad = (400, "BadParameter", None)
    for wrong in ("under_score", "dot.dot", "x" * 128):
        assert refused(vault.set_secret, wrong, "fake") == bad
        assert refused(vault.get_secret, wrong) == bad
    vault.set_secret("0-" + name, "fake")
    vault.set_secret(name, "é" * 12_800)
    assert refused(vault.set_secret, name, "é" * 12_800 + "x") == bad
    vault.set_secret(name, "fake", tags={str(n): "x" for n in range(15)})
    assert refused(vault.set_secret, name, "fake", tags={str(n): "x" for n in range(16)}) == bad
    assert refused(vault.set_secret, name, "fake", content_type="x" * 256) == bad
    with pytest.raises(HttpResponseError, match="invalid name: under_score"):
        vault.get_secret("under_score")


def test_deletion_recovery_and_what_is_refused_meanwhile(where, vault, name):
    vault.set_secret(name, "fake-one")
    vault.set_secret(name, "fake-two", tags={"a": "b"})
    deletion = vault.begin_delete_secret(name, _polling_interval=0.01)
    gone = deletion.result()
    assert gone.recovery_id == f"{where.vault}/deletedsecrets/{name}"
    assert gone.scheduled_purge_date - gone.deleted_date == datetime.timedelta(days=90)
    # It is gone at once, and not at once among the deleted ones.
    assert refused(vault.get_secret, name) == (404, "SecretNotFound", None)
    assert refused(vault.set_secret, name, "fake") == (409, "Conflict", "ObjectIsBeingDeleted")
    deletion.wait()
    assert vault.get_deleted_secret(name).properties.tags == {"a": "b"}
    with pytest.raises(ResourceExistsError, match="currently in a deleted but recoverable state"):
        vault.set_secret(name, "fake")
    assert refused(vault.set_secret, name, "fake") == (409, "Conflict", "ObjectIsDeletedButRecoverable")
    assert refused(vault.get_secret, name) == (404, "SecretNotFound", None)
    assert ids(vault, name) == []
    assert name in [deleted.name for deleted in vault.list_deleted_secrets()]
    assert refused(vault.purge_deleted_secret, name) == (403, "Forbidden", None)

    recovery = vault.begin_recover_deleted_secret(name, _polling_interval=0.01)
    assert recovery.result().name == name
    assert refused(vault.get_secret, name) == (404, "SecretNotFound", None)
    recovery.wait()
    # All versions are back, the last one is current, and a write may still come too early.
    assert vault.get_secret(name).value == "fake-two" and len(ids(vault, name)) == 2
    with pytest.raises(ResourceExistsError, match="currently being recovered"):
        vault.set_secret(name, "fake")
    vault.set_secret(name, "fake-three")
    assert not [deleted.name for deleted in vault.list_deleted_secrets() if deleted.name == name]


def test_lists_come_page_by_page(vault):
    prefix = f"many-{uuid.uuid4()}-"
    for n in range(27):
        vault.set_secret(f"{prefix}{n:02}", "fake", enabled=n != 3)
    listed = {secret.name: secret for secret in vault.list_properties_of_secrets() if secret.name.startswith(prefix)}
    assert len(listed) == 27 and not listed[f"{prefix}03"].enabled and listed[f"{prefix}04"].version is None
    pages = list(vault.list_properties_of_secrets(max_page_size=10).by_page())
    assert [len(list(page)) <= 10 for page in pages] == [True] * len(pages) and len(pages) >= 3
    many = f"{prefix}00"
    versions = [vault.set_secret(many, f"fake-{n}").properties.version for n in range(30)]
    assert set(versions) < set(ids(vault, many)) and len(ids(vault, many, max_page_size=7)) == 31
    # The order of the list says nothing about the order of the writes.
    assert ids(vault, many) == sorted(ids(vault, many)) != versions
    assert refused(next, iter(vault.list_properties_of_secrets(max_page_size=26))) == (400, "BadParameter", None)


def test_a_second_write_at_once_is_a_conflict(tmp_path, name):
    """Key Vault does not let one secret be written twice at once: 409 (Azure/azure-sdk-for-net#51761)."""
    with clients.double(tmp_path, busy_milliseconds=60_000) as where:
        vault = client(where)
        vault.set_secret(name, "fake-one")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: refused(vault.set_secret, name, f"fake-{n}"), range(4)))
        assert answers == [(409, "Conflict", None)] * 4
        vault.set_secret(name + "-2", "fake-other")
        assert (vault.get_secret(name).value, len(ids(vault, name))) == ("fake-one", 1)


def test_the_challenge_names_the_authority_and_the_resource(where, name):
    """The first request of Microsoft's client is bare; the answer says where to log in and for what."""
    trust = ssl.create_default_context(cafile=where.ca_file)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{where.vault}/secrets/{name}?api-version=7.6", context=trust)
    challenge = caught.value.headers["WWW-Authenticate"]
    assert caught.value.code == 401
    assert challenge == f'Bearer authorization="{where.authority}/{clients.TENANT}", resource="https://vault.azure.net"'


def test_nobody_else_can_stand_in_for_the_double(where, vault, name, tmp_path):
    """The certificate is the one that was given out: without it, and with another double's, there is no connection."""
    with clients.double(tmp_path) as other:
        for connection_verify in (True, other.ca_file):
            with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED|self-signed certificate"):
                client(where, connection_verify=connection_verify).get_secret(name)


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ({"client_secret": "fake-wrong"}, "AADSTS7000215: Invalid client secret provided"),
        ({"client_id": "44444444-4444-4444-8444-444444444444"}, "AADSTS700016: Application with identifier '4444"),
    ],
)
def test_the_authority_refuses(where, name, login, says):
    # The lines behind the message end as Entra's do.
    with pytest.raises(ClientAuthenticationError, match=f"(?s){says}.*\\r\nTrace ID: .*\\r\nCorrelation ID: "):
        client(where, credential(where, **login)).get_secret(name)


def test_the_authority_knows_its_tenants(where):
    # Microsoft's client asks for the tenant's configuration first, and tries no login without it.
    with pytest.raises(ClientAuthenticationError, match="Unable to get authority configuration"):
        credential(where, tenant=str(uuid.uuid4())).get_token("https://vault.azure.net/.default")
    form = urllib.parse.urlencode({
        "grant_type": "client_credentials",
        "client_id": clients.CLIENT_ID,
        "client_secret": clients.CLIENT_SECRET,
        "scope": "https://vault.azure.net/.default",
    })
    trust = ssl.create_default_context(cafile=where.ca_file)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{where.authority}/{uuid.uuid4()}/oauth2/v2.0/token", form.encode(), context=trust)
    assert caught.value.code == 400 and "AADSTS90002: Tenant" in caught.value.read().decode()


class Given:
    """A token that somebody else has got."""

    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **more):
        return AccessToken(self.token, 4_000_000_000)


def test_tokens_are_judged(where, vault, name):
    vault.set_secret(name, "fake-one")
    assert client(where, Given(clients.ACCESS_TOKEN)).get_secret(name).value == "fake-one"
    for token, says in (("fake-unknown", "Error validating token"), ("EXPIRED-fake", "TokenExpired")):
        with pytest.raises(ClientAuthenticationError, match=says):
            client(where, Given(token)).get_secret(name)
    elsewhere = credential(where).get_token("https://management.azure.com/.default").token
    with pytest.raises(ClientAuthenticationError, match="AKV10022: Invalid audience"):
        client(where, Given(elsewhere)).get_secret(name)
    powerless = client(where, credential(where, client_id=clients.DENIED_CLIENT_ID))
    for call, action in ((powerless.get_secret, "secrets/getSecret/action"), (lambda n: powerless.set_secret(n, "x"), "secrets/setSecret/action")):
        assert refused(call, name) == (403, "Forbidden", "ForbiddenByRbac")
        with pytest.raises(HttpResponseError, match=action):
            call(name)
    assert vault.get_secret(name).value == "fake-one"


# The logins without a secret. Sources: Entra's documentation of federated credentials, and the texts that users report.

RESOURCE = "https://vault.azure.net/.default"


@pytest.mark.parametrize("way", ["assertion", "file"])
def test_a_federated_credential_logs_in_for_both_directions(where, name, tmp_path, way):
    if way == "assertion":
        login = clients.federated(where)
    else:
        token_file = tmp_path / "token"
        token_file.write_text(where.identity_token())
        login = clients.workload(where, token_file)
    vault = client(where, login)
    vault.set_secret(name, "fake-one")
    assert vault.get_secret(name).value == "fake-one"
    assert login.get_token(RESOURCE).expires_on > datetime.datetime.now().timestamp() + 3000


@pytest.mark.parametrize(
    ("client_id", "audience", "code", "says"),
    [
        (clients.DENIED_CLIENT_ID, clients.AUDIENCE, 700213, "presented assertion subject 'repo:octo/app:ref:refs/heads/main'"),
        (clients.MANAGED_CLIENT_ID, clients.AUDIENCE, 7002138, "not with case-sensitive comparison"),
        (clients.SYSTEM_CLIENT_ID, clients.AUDIENCE, 700211, "presented assertion issuer 'https://token.actions.githubusercontent.com'"),
        (clients.CLIENT_ID, "api://other", 700212, "presented assertion audience 'api://other'"),
        ("44444444-4444-4444-8444-444444444444", clients.AUDIENCE, 700016, "was not found in the directory"),
    ],
    ids=["subject", "case", "issuer", "audience", "application"],
)
def test_a_token_that_is_not_trusted(where, client_id, audience, code, says):
    with pytest.raises(ClientAuthenticationError, match=f"AADSTS{code}: .*{says}"):
        clients.federated(where, client_id, audience).get_token(RESOURCE)


@pytest.fixture(params=["app", "machine"])
def machine(where, request, monkeypatch):
    """The variables by which a client finds the identity of an app, or of a virtual machine."""
    if request.param == "app":
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{where.vault}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", clients.IDENTITY_HEADER)
    else:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", where.vault)


@pytest.mark.parametrize("client_id", [None, clients.MANAGED_CLIENT_ID], ids=["system", "assigned"])
def test_a_managed_identity(where, name, machine, client_id):
    vault = client(where, clients.managed(where, client_id))
    vault.set_secret(name, "fake-one")
    assert vault.get_secret(name).value == "fake-one"


def test_an_identity_that_the_machine_does_not_have(where, machine):
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError)):
        clients.managed(where, "88888888-8888-4888-8888-888888888888").get_token(RESOURCE)
