"""The table of all clouds on a live store: a cloud's `test_live.py` takes all of it, and adds what only that cloud has."""

import os

import pytest

import live
from everywhere import *  # noqa: F403: pytest runs what is imported
from live_store import connect


@pytest.fixture(scope="module")
def store(request):
    return connect(live.Site(os.environ)) if live.ON else request.getfixturevalue("rehearsed").store


def test_the_binary_logs_in_by_the_jobs_identity(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    run = workspace.run(store, "pull", name)
    assert run.code == 0 and "auth: OIDC from GitHub" in run.output, run.output
