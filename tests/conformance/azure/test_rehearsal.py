"""What a live run does beside the scenarios, on the double on which `test_live` rehearsed."""

import pytest

import clients
import live
import live_store
from conftest import live_variables
from rehearsal import (  # noqa: F401: pytest runs what is imported
    test_an_answer_that_is_old_is_waited_for_and_a_wrong_one_is_not_taken,
    test_everything_is_removed_and_nothing_else,
    test_the_workflow_hands_over_what_a_cloud_needs,
    test_what_is_missing_is_said,
)


@pytest.fixture
def cloud():
    return "azure"


def test_what_a_vault_does_not_let_go_of_stays_soft_deleted_and_is_said(tmp_path):
    with clients.double(tmp_path) as where:
        store = live_store.connect(live.Site(live_variables(where)))
        names = {store.make() for _ in range(3)}
        for name in names:
            store.seed(name, "fake-value")
        assert store.clean() == names and "soft-deleted" in store.remains
        # Another process does not count them again.
        again = live_store.connect(live.Site(live_variables(where)))
        assert again.clean() == set() and again.remains
        assert all(store.read(name) is None and store.is_deleted(name) for name in names)
