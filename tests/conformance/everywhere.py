"""The tests that hold on every cloud: the table of `scenarios`, and what needs more than one run.

`from everywhere import *` takes all of them, and nothing else; pytest runs them there on the fixture `store` of that place.
"""

import json

import pytest

from scenarios import CASES, PATTERNS, Workspace, play, play_pattern


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scenario(case, store, workspace):
    play_or_skip(case, store, workspace)


def play_or_skip(case, store, workspace):
    if store.name in case.not_on:
        pytest.skip(f"{store.name}: {case.not_on[store.name]}")
    play(case, store, workspace)


@pytest.mark.parametrize("case", PATTERNS, ids=lambda case: case.name)
def test_pattern(case, store, workspace):
    if store.name in case.not_on:
        pytest.skip(f"{store.name}: {case.not_on[store.name]}")
    play_pattern(case, store, workspace)


def test_120_secrets_by_a_pattern_on_more_than_one_page(store, workspace):
    base = f"{store.make()}-"
    workspace.file.write_text("".join(f"N{n:03}=fake-{n:03}-value\n" for n in range(120)))
    text = workspace.text()
    run = workspace.run(store, "push", f"{base}*")
    assert run.code == 0, run.output
    store.settle([store.secret(base, f"N{n:03}") for n in range(120)])
    assert store.read(store.secret(base, "N119")) == "fake-119-value"
    workspace.file.unlink()
    run = workspace.run(store, "pull", f"{base}*")
    assert run.code == 0, run.output
    assert workspace.text() == text
    assert workspace.run(store, "check", f"{base}*").code == 0
    run = workspace.run(store, "push", f"{base}*")
    assert run.code == 0 and "120 unchanged" in run.output, run.output


def test_the_version_output_is_the_one_that_is_current(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-old"}')
    outputs = workspace.path / "outputs.env"
    workspace.file.write_text("A=fake-new\n")
    for mode in ("push", "pull"):
        assert workspace.run(store, mode, name, OUTPUTS_FILE=outputs.name).code == 0
        lines = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        outputs.unlink()

        def compare():
            assert lines["ENVSYNC_SECRET_VERSION"] == store.current(name)

        store.eventually(compare)


def test_both_ways_again_and_again(store, workspace):
    """What envsync wrote the vendor's client reads and changes, and what that wrote envsync reads and changes."""
    name = store.make()
    workspace.file.write_text("A=fake-0\n")
    for n in range(3):
        assert workspace.run(store, "push", name).code == 0

        def compare():
            assert json.loads(store.read(name))["A"] == f"fake-{n}"

        store.eventually(compare)
        store.seed(name, json.dumps({"A": f"fake-{n + 1}", "FROM": "fake-vendor"}))
        assert workspace.run(store, "check", name).code == 6
        assert workspace.run(store, "pull", name).code == 0
        assert workspace.text() == f"A=fake-{n + 1}\nFROM=fake-vendor\n"
        assert workspace.run(store, "check", name).code == 0
    store.eventually(lambda: store.check_clean(name))


def write_at_once(store, tmp_path, name, count, mode="push"):
    """As many processes at once as there are keys, each with one key of its own."""
    processes = []
    for n in range(count):
        workspace = Workspace(tmp_path / f"writer-{n}")
        workspace.path.mkdir()
        workspace.file.write_text(f"KEY_{n}=fake-{n}-value\n")
        processes.append(workspace.start(store, mode, name))
    # Every one is waited for, also where an early one fails.
    runs = [Workspace.finish(process, {f"fake-{n}-value"}) for n, process in enumerate(processes)]
    failed = [run for run in runs if run.code != 0]
    assert not failed, f"{len(failed)} of {count} failed, the first with {failed[0].code}: {failed[0].output}"
    return {f"KEY_{n}": f"fake-{n}-value" for n in range(count)}


def compare_raced(store, name, wanted):
    def compare():
        assert json.loads(store.read(name)) == wanted
        store.check_clean(name, raced=True)

    store.eventually(compare)


def skip_without_locks(store):
    if store.unlocked:
        pytest.skip(store.unlocked)


@pytest.mark.parametrize("mode", ["push", "sync"])
def test_many_processes_write_one_secret_at_once_and_nothing_is_lost(mode, store, tmp_path):
    skip_without_locks(store)
    name = store.make()
    store.seed(name, '{"BASE":"fake-base"}')
    wanted = write_at_once(store, tmp_path, name, store.writers, mode)
    compare_raced(store, name, {"BASE": "fake-base", **wanted})


def test_8_processes_create_one_secret_at_once_and_nothing_is_lost(store, tmp_path):
    skip_without_locks(store)
    name = store.make()
    wanted = write_at_once(store, tmp_path, name, 8)
    compare_raced(store, name, wanted)


__all__ = [name for name in globals() if name.startswith("test_")]
