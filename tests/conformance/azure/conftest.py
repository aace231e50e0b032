"""Fixtures: a double for the whole run, a store on it, and a fresh workspace for each test."""

import os
import types

import pytest

# Before they are imported, so that a failed assertion in them shows what it compared.
pytest.register_assert_rewrite("everywhere", "live_table", "rehearsal", "scenarios", "store")

import clients
import live
import live_store
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


def live_variables(where):
    return {
        "LIVE_HURRIED": "true",
        "LIVE_AZURE_VAULT": where.vault,
        "LIVE_AZURE_TENANT_ID": clients.TENANT,
        "LIVE_AZURE_CLIENT_ID": clients.CLIENT_ID,
        "LIVE_AZURE_AUTHORITY_HOST": where.authority,
        "LIVE_CA_FILE": where.ca_file,
        live.REQUEST_URL: where.token_url,
        live.REQUEST_TOKEN: where.token_bearer,
    }


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory):
    """The live store, on a double with its authority and GitHub's endpoint, and the variables that led it there."""
    with clients.double(tmp_path_factory.mktemp("live"), BUSY_MILLISECONDS, purge=True) as where:
        variables = live_variables(where)
        yield types.SimpleNamespace(variables=variables, store=live_store.connect(live.Site(variables)))
