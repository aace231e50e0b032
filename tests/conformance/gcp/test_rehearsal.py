"""What a live run does beside the scenarios, on the double on which `test_live` rehearsed."""

import pytest
from google.auth.transport.requests import AuthorizedSession

from rehearsal import (  # noqa: F401: pytest runs what is imported
    test_an_answer_that_is_old_is_waited_for_and_a_wrong_one_is_not_taken,
    test_everything_is_removed_and_nothing_else,
    test_the_workflow_hands_over_what_a_cloud_needs,
    test_what_is_missing_is_said,
)


@pytest.fixture
def cloud():
    return "gcp"


def test_both_sides_log_in_as_a_service_account_too(rehearsed, workspace):
    store = rehearsed.as_account
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    run = workspace.run(store, "pull", name)
    assert run.code == 0 and store.site["GCP_SERVICE_ACCOUNT"] in run.output, run.output


def test_a_call_of_the_vendors_client_that_is_throttled_is_made_again(rehearsed, monkeypatch):
    store, statuses, request = rehearsed.store, [429, 429], AuthorizedSession.request

    def throttled(*arguments, **more):
        answer = request(*arguments, **more)
        answer.status_code = statuses.pop() if statuses else answer.status_code
        return answer

    name = store.make()
    store.seed(name, "fake-value")
    monkeypatch.setattr(AuthorizedSession, "request", throttled)
    assert store.read(name) == "fake-value" and not statuses
