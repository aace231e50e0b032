"""What a live run does beside the scenarios, tried where there is no cloud: on the double, by the same code.

A cloud's `test_rehearsal.py` imports these tests by name; its fixture `rehearsed` gives the live store and the variables of
the job, and `cloud` its name.
"""

import datetime
import os
import pathlib
import re
import subprocess
import sys

import pytest

import live

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_workflow_hands_over_what_a_cloud_needs(cloud):
    workflow = (ROOT / ".github/workflows/live.yml").read_text()
    script = (pathlib.Path.cwd() / "live_store.py").read_text()
    may = {f"LIVE_{name}" for name in re.findall(r'site\["(\w+)"\]', script)}
    handed = set(re.findall(r"(LIVE_\w+): \$\{\{ vars\.\1 \}\}", workflow))
    assert set(live.NEEDED[cloud]) <= may & handed
    assert {name for name in handed if name.startswith(f"LIVE_{cloud.upper()}_")} <= may
    # Endpoints are for rehearsals only: no variable may lead a token elsewhere.
    elsewhere = {name for name in re.findall(r"LIVE_\w+", workflow) if re.search("ENDPOINT|AUTHORITY|CA_FILE|HURRIED", name)}
    assert not elsewhere


def test_what_is_missing_is_said(cloud, tmp_path):
    out = tmp_path / "out"

    def switch(*names):
        out.write_text("")
        environment = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(out), **{name: "fake-given" for name in names}}
        command = [ROOT / ".ci/live", cloud, "switch"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout, out.read_text()

    *first, last = live.NEEDED[cloud]
    said, output = switch()
    assert said.startswith("::notice ") and all(name in said for name in (*first, last)) and output == "on=false\n"
    said, output = switch(*first)
    assert last in said and first[0] not in said and output == "on=false\n"
    assert switch(*first, last)[1] == "on=true\n"


def test_an_answer_that_is_old_is_waited_for_and_a_wrong_one_is_not_taken(rehearsed):
    store, looks = rehearsed.store, []

    def late():
        looks.append(1)
        assert len(looks) > 3
        return "good"

    assert store.eventually(late) == "good" and len(looks) == 4
    with pytest.raises(TimeoutError, match="it is not seen after 0.1 s"):
        store.wait(0.1, 0.01, "it", lambda: False)
    flicker = iter([True, False, True, True])
    store.wait(5, 0, "it", lambda: next(flicker))
    assert list(flicker) == []


def test_everything_is_removed_and_nothing_else(rehearsed, tmp_path):
    """What `test_live` made is there too, where it ran before."""
    store, variables = rehearsed.store, rehearsed.variables
    young, foreign = f"{live.BASE}0-1-young", "conformance-of-somebody-else"
    super(live.Live, store).seed(foreign, "fake-foreign")
    super(live.Live, store).seed(young, "fake-young")
    deleted = store.make()
    store.seed(deleted, "fake-deleted")
    # Google has no such thing.
    if hasattr(super(live.Live, store), "schedule_deletion"):
        store.schedule_deletion(deleted)
    made = [name for name, *_ in store.every() if name.startswith(store.site.prefix)]
    assert deleted in made

    command = [sys.executable, "-B", "-m", "live", "clean"]
    environment = {**variables, "PYTHONPATH": os.pathsep.join([str(pathlib.Path.cwd()), str(ROOT / "tests/conformance")])}
    done = subprocess.run(command, env=environment, cwd=pathlib.Path.cwd(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(made)} secrets of {store.site.prefix}* and of runs before are removed\n"
    assert [name for name, *_ in store.every()] == [young]
    # It is a day and more later.
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + live.LEFT_OVER + datetime.timedelta(minutes=1)
    assert store.clean(tomorrow) == {young}
    assert list(store.every()) == [] and store.read(foreign) == "fake-foreign"
