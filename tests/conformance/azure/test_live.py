"""The table on Key Vault itself where `ENVSYNC_LIVE=true`; elsewhere a rehearsal of that on the double."""

import pytest

from everywhere import play_or_skip
from live_table import *  # noqa: F403: pytest runs what is imported
from test_scenarios import AZURE_CASES


@pytest.mark.parametrize("case", AZURE_CASES, ids=lambda case: case.name)
def test_scenario_of_azure(case, store, workspace):
    play_or_skip(case, store, workspace)
