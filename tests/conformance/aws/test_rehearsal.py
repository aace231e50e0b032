"""What a live run does beside the scenarios, on the double on which `test_live` rehearsed."""

import pytest

from rehearsal import (  # noqa: F401: pytest runs what is imported
    test_an_answer_that_is_old_is_waited_for_and_a_wrong_one_is_not_taken,
    test_everything_is_removed_and_nothing_else,
    test_the_workflow_hands_over_what_a_cloud_needs,
    test_what_is_missing_is_said,
)


@pytest.fixture
def cloud():
    return "aws"


def test_the_vendors_client_renews_its_login(rehearsed):
    before = rehearsed.store.login.times
    rehearsed.store.settle([])
    assert rehearsed.store.login.times > before
