"""Fixtures: one double for the whole run, the vendor's client on it, and a fresh workspace for each test."""

import os
import types

import pytest

# Before they are imported, so that a failed assertion in them shows what it compared.
pytest.register_assert_rewrite("everywhere", "live_table", "rehearsal", "scenarios", "store")

import google.auth.credentials
from google.auth import identity_pool
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service import transports

import live
import live_store
from doubles import double
from everywhere import workspace  # noqa: F401: a fixture
from store import PROJECT, GcpStore

# The client reads the caller's Google settings and proxies; here only what a test gives may count.
for name in list(os.environ):
    if name.startswith(("GOOGLE_", "CLOUDSDK_")) or name.lower().endswith("_proxy"):
        del os.environ[name]

TOKEN = "fake-access-token-for-tests"


class Token(google.auth.credentials.Credentials):
    """An access token that cannot be renewed: what the service says of it comes back as it is."""

    def __init__(self, token):
        super().__init__()
        self.token = token

    @property
    def expired(self):
        return False

    def refresh(self, request):
        pass


def client(url, credentials=None):
    """The vendor's client over plain HTTP."""
    transport = transports.SecretManagerServiceRestTransport(
        host=url.removeprefix("http://"), url_scheme="http", credentials=credentials or Token(TOKEN)
    )
    return secretmanager_v1.SecretManagerServiceClient(transport=transport)


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    with double("gcp", tmp_path_factory.mktemp("double")) as ((url,), _):
        yield GcpStore("double", url, client(url), TOKEN)


@pytest.fixture(scope="session")
def double_url(tmp_path_factory):
    """A double of its own for the tests that judge it."""
    with double("gcp", tmp_path_factory.mktemp("double-alone")) as ((url,), _):
        yield url


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory):
    """The live store, on a double with its STS and GitHub's endpoint, and the variables that led it there."""
    with double("gcp-login", tmp_path_factory.mktemp("live"), lines=5) as (lines, _), pytest.MonkeyPatch.context() as patch:
        # Beside a login the library asks Google's own host where the identity may be used.
        patch.setattr(identity_pool.Credentials, "_maybe_start_regional_access_boundary_refresh", lambda *_: None)
        url, request_url, request_token, provider, account = lines
        variables = {
            "LIVE_HURRIED": "true",
            "LIVE_GCP_PROJECT": PROJECT,
            "LIVE_GCP_WORKLOAD_IDENTITY_PROVIDER": provider,
            **{f"LIVE_GCP_{name}ENDPOINT": url for name in ("", "STS_", "IAM_")},
            live.REQUEST_URL: request_url,
            live.REQUEST_TOKEN: request_token,
        }
        as_account = {**variables, "LIVE_GCP_SERVICE_ACCOUNT": account}
        stores = [live_store.connect(live.Site(each)) for each in (variables, as_account)]
        yield types.SimpleNamespace(variables=variables, store=stores[0], as_account=stores[1])
