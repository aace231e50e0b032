"""Fixtures: a double for the whole run, a store on it, and a fresh workspace for each test."""

import os

import pytest

# Before they are imported, so that a failed assertion in them shows what it compared.
pytest.register_assert_rewrite("everywhere", "scenarios", "store")

import clients
from everywhere import workspace  # noqa: F401: a fixture
from store import AzureStore

# Microsoft's clients read the caller's settings and proxies; here only what a test gives may count.
for name in list(os.environ):
    if name.startswith("AZURE_") or name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        del os.environ[name]

# As long as a write keeps its secret busy for others: writers at once do meet conflicts.
BUSY_MILLISECONDS = 5


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    with clients.double(tmp_path_factory.mktemp("double"), BUSY_MILLISECONDS) as where:
        yield AzureStore(where, clients.client(where))


@pytest.fixture(scope="session")
def where(tmp_path_factory):
    """A double of its own for the tests that judge it."""
    with clients.double(tmp_path_factory.mktemp("double-alone")) as where:
        yield where
