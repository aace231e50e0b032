"""Logging in by workload identity federation: Google's own library on our doubles of the Security Token Service and the IAM
Credentials API first; then the binary, which reads what that library's client wrote, and the other way round.
"""

import json
import urllib.parse
import urllib.request
import uuid

import pytest
from google.api_core import exceptions
from google.auth import exceptions as auth_exceptions
from google.auth import identity_pool, impersonated_credentials
from google.auth.transport.requests import Request

from conftest import Token, client
from doubles import double
from everywhere import workspace  # noqa: F401: a fixture
from store import PROJECT, GcpStore

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Site:
    """A job on GitHub with its provider, and the one service account that it may act as."""

    def __init__(self, url, request_url, request_token, provider, account):
        self.url, self.request_url, self.request_token = url, request_url, request_token
        self.provider, self.account = provider, account

    def source(self, audience=None):
        audience = audience or f"https://iam.googleapis.com/{self.provider}"
        return {
            "url": f"{self.request_url}&audience={urllib.parse.quote(audience, safe='')}",
            "headers": {"Authorization": f"Bearer {self.request_token}"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        }

    def token(self):
        """The job's identity token."""
        source = self.source()
        request = urllib.request.Request(source["url"], headers=source["headers"])
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["value"]

    def file(self, source=None, account=None, provider=None):
        """As google-github-actions/auth writes it."""
        file = {
            "type": "external_account",
            "audience": f"//iam.googleapis.com/{provider or self.provider}",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{self.url}/v1/token",
            "credential_source": source or self.source(),
        }
        if account:
            name = f"projects/-/serviceAccounts/{account}:generateAccessToken"
            file["service_account_impersonation_url"] = f"{self.url}/v1/{name}"
            file["service_account_impersonation"] = {"token_lifetime_seconds": 900}
        return file


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with double("gcp-login", tmp_path_factory.mktemp("double-login"), lines=5) as (lines, _):
        yield Site(*lines)


@pytest.fixture(autouse=True)
def nothing_leaves_this_machine(monkeypatch):
    """The library looks up where an identity may be used at Google's own host, beside the login."""
    for credentials in (identity_pool.Credentials, impersonated_credentials.Credentials):
        monkeypatch.setattr(credentials, "_maybe_start_regional_access_boundary_refresh", lambda *_: None)


def library(file):
    """Credentials of Google's library."""
    return identity_pool.Credentials.from_info(file).with_scopes([SCOPE])


class FederatedStore(GcpStore):
    """The store with Google's client logged in by federation, and the binary by one of its ways."""

    def __init__(self, site, login):
        super().__init__("double", site.url, client(site.url, library(site.file())), "")
        self.login = login

    def inputs(self):
        return {
            "PROVIDER": "gcp",
            "GCP_PROJECT": PROJECT,
            "GCP_ENDPOINT": self.url,
            "GCP_STS_ENDPOINT": self.url,
            "GCP_IAM_ENDPOINT": self.url,
            **self.login,
        }


def reads_and_writes(site, credentials):
    google = client(site.url, credentials)
    name = f"login-{uuid.uuid4()}"
    parent = f"projects/{PROJECT}"
    google.create_secret(request={"parent": parent, "secret_id": name, "secret": {"replication": {"automatic": {}}}})
    google.add_secret_version(request={"parent": f"{parent}/secrets/{name}", "payload": {"data": b"fake-value"}})
    answer = google.access_secret_version(request={"name": f"{parent}/secrets/{name}/versions/latest"})
    assert answer.payload.data == b"fake-value"


@pytest.mark.parametrize("impersonated", [False, True])
@pytest.mark.parametrize("form", ["url", "text", "json"])
def test_googles_library_logs_in(site, tmp_path, form, impersonated):
    source = None
    if form != "url":
        path = tmp_path / "token"
        path.write_text(site.token() if form == "text" else json.dumps({"id": site.token()}))
        described = {"type": "text"} if form == "text" else {"type": "json", "subject_token_field_name": "id"}
        source = {"file": str(path), "format": described}
    reads_and_writes(site, library(site.file(source, site.account if impersonated else None)))


def test_googles_library_understands_what_is_refused(site):
    rows = [
        (site.file(site.source("https://fake-other.example")), "invalid_grant"),
        (site.file(provider=site.provider.replace("/app", "/none")), "invalid_target"),
        (site.file(provider=site.provider.split("/providers")[0]), "invalid_request"),
    ]
    for file, error in rows:
        with pytest.raises(auth_exceptions.OAuthError, match=error):
            library(file).refresh(Request())
    with pytest.raises(auth_exceptions.RefreshError, match="Not found; Gaia id not found"):
        library(site.file(account="none@fake-project.iam.gserviceaccount.com")).refresh(Request())


def test_only_tokens_that_were_given_out_are_good(site):
    credentials = library(site.file())
    credentials.refresh(Request())
    name = {"name": f"projects/{PROJECT}/secrets/none/versions/latest"}
    # This one is good: there is no such secret.
    with pytest.raises(exceptions.NotFound):
        client(site.url, Token(credentials.token)).access_secret_version(request=name, retry=None)
    for token in (site.token(), credentials.token + "x"):
        with pytest.raises(exceptions.Unauthorized):
            client(site.url, Token(token)).access_secret_version(request=name, retry=None)


def ways(site):
    """Each way in which the binary logs in here."""
    federation = {"GCP_WORKLOAD_IDENTITY_PROVIDER": site.provider, "OIDC_TOKEN": site.token()}
    return {
        "direct": federation,
        "impersonated": {**federation, "GCP_SERVICE_ACCOUNT": site.account},
        "file": {"GCP_CREDENTIALS_JSON": json.dumps(site.file())},
        "file, impersonated": {"GCP_CREDENTIALS_JSON": json.dumps(site.file(account=site.account))},
    }


@pytest.mark.parametrize("way", ["direct", "impersonated", "file", "file, impersonated"])
def test_both_ways_logged_in_by_federation(site, workspace, way):
    login = ways(site)[way]
    store = FederatedStore(site, login)
    hidden = {site.request_token, login.get("OIDC_TOKEN", site.request_token)}
    name = store.make()
    workspace.file.write_text("A=fake-0\n")
    run = workspace.run(store, "push", name, hidden=hidden)
    assert run.code == 0, run.output
    assert json.loads(store.read(name)) == {"A": "fake-0"}
    store.seed(name, '{"A":"fake-1"}')
    run = workspace.run(store, "pull", name, hidden=hidden)
    assert run.code == 0, run.output
    assert workspace.text() == "A=fake-1\n"


def test_a_refused_exchange_is_no_login(site, workspace):
    wrong = {"GCP_WORKLOAD_IDENTITY_PROVIDER": site.provider.replace("/app", "/none"), "OIDC_TOKEN": site.token()}
    store = FederatedStore(site, wrong)
    run = workspace.run(store, "pull", store.make(), hidden={wrong["OIDC_TOKEN"]})
    assert run.code == 3 and "invalid_target" in run.output and "help:" in run.output, run.output
