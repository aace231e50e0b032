"""Fixtures: one double for the whole run, the vendor's client on it, and a fresh workspace for each test."""

import os

import pytest

# Before they are imported, so that a failed assertion in them shows what it compared.
pytest.register_assert_rewrite("everywhere", "scenarios", "store")

import google.auth.credentials
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service import transports

from doubles import double
from everywhere import workspace  # noqa: F401: a fixture
from store import GcpStore

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
