"""Fixtures: one server of each kind for the whole run, a store on each, and a fresh workspace for each test."""

import os
import types

import boto3
import botocore.config
import pytest

# Before they are imported, so that a failed assertion in them shows what it compared.
pytest.register_assert_rewrite("everywhere", "live_table", "rehearsal", "scenarios", "store")

import doubles
import live
import live_store
import servers
from everywhere import workspace  # noqa: F401: a fixture
from store import AwsStore

# boto3 reads the caller's AWS settings and proxies; here only what a test gives may count.
for name in list(os.environ):
    if name.startswith("AWS_") or name.lower().endswith("_proxy"):
        del os.environ[name]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

KEYS = {"aws_access_key_id": "AKIAFAKEFAKEFAKEFAKE", "aws_secret_access_key": "fake-secret-access-key-for-tests"}


def client(url, **more):
    """The vendor's client; it never tries twice, so that every answer is seen as it came."""
    config = botocore.config.Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)
    return boto3.client(
        "secretsmanager", **{"endpoint_url": url, "region_name": servers.REGION, "config": config, **KEYS, **more}
    )


@pytest.fixture(scope="session", params=servers.SERVERS)
def store(request, tmp_path_factory):
    """Each of the three servers in turn."""
    scratch = tmp_path_factory.mktemp(request.param)
    with servers.SERVERS[request.param](scratch) as (url, pid):
        yield AwsStore(request.param, url, client(url), KEYS, pid)


@pytest.fixture(scope="session")
def double_url(tmp_path_factory):
    """A double of its own for the tests that judge it."""
    with servers.double(tmp_path_factory.mktemp("double-alone")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory):
    """The live store, on a double with its STS and GitHub's endpoint, and the variables that led it there."""
    with doubles.double("aws-login", tmp_path_factory.mktemp("live"), lines=11) as (lines, _):
        variables = {
            "LIVE_HURRIED": "true",
            "LIVE_AWS_ROLE_ARN": lines[2],
            "LIVE_AWS_REGION": servers.REGION,
            "LIVE_AWS_ENDPOINT_URL": lines[0],
            "LIVE_AWS_STS_ENDPOINT_URL": lines[1],
            # The least that there is, and so short that botocore renews it at every call.
            "LIVE_AWS_SECONDS": "900",
            **dict(zip((live.REQUEST_URL, live.REQUEST_TOKEN), lines[9:], strict=True)),
        }
        yield types.SimpleNamespace(variables=variables, store=live_store.connect(live.Site(variables)))
