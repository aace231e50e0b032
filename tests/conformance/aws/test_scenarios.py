"""(b) The binary on moto, ministack and the double: the table of all clouds, and what only AWS has."""

import json

import pytest

from scenarios import CASES, Case, play

DELETED = ('{"A":"fake-one"}',)

AWS_CASES = [
    Case("pull of a stage", "pull", seeds=('{"A":"fake-old"}', '{"A":"fake-new"}'), inputs={"SECRET": "{secret}?stage=AWSPREVIOUS"}, written="A=fake-old\n"),
    Case("pull of a missing stage", "pull", seeds=('{"A":"fake-old"}',), inputs={"SECRET": "{secret}?stage=NONE"}, code=5, says=("help:",)),
    Case(
        "pull of a stage beside the current one",
        "pull",
        seeds=("fake-old", "fake-new"),
        inputs={"SECRET": "NOW={secret}\nBEFORE={secret}?stage=AWSPREVIOUS"},
        written="NOW=fake-new\nBEFORE=fake-old\n",
    ),
    Case("pull of a secret scheduled for deletion", "pull", seeds=DELETED, state="deleted", code=5, says=("help:",)),
    Case("check of a secret scheduled for deletion", "check", seeds=DELETED, state="deleted", file="A=fake-one\n", code=5, says=("help:",)),
    Case("push to a secret scheduled for deletion", "push", seeds=DELETED, state="deleted", file="A=fake-two\n", code=5, says=("recover_deleted",)),
    Case(
        "push recovers a secret scheduled for deletion",
        "push",
        seeds=DELETED,
        state="deleted",
        file="A=fake-two\n",
        inputs={"RECOVER_DELETED": "true"},
        stored='{"A":"fake-two"}',
        new_versions=1,
    ),
    Case(
        "pull of a secret without a value",
        "pull",
        state="empty",
        code=5,
        says=("help:",),
        not_on={"ministack": "it makes a version without a value; AWS makes no version, and Get is ResourceNotFoundException"},
    ),
    Case(
        "push to a secret without a value",
        "push",
        state="empty",
        file="A=fake-one\nB=fake-two\n",
        stored=[("A", "fake-one"), ("B", "fake-two")],
        new_versions=1,
        not_on={"ministack": "as above"},
    ),
]


@pytest.mark.parametrize("case", CASES + AWS_CASES, ids=lambda case: case.name)
def test_scenario(case, store, workspace):
    if store.name in case.not_on:
        pytest.skip(f"{store.name}: {case.not_on[store.name]}")
    play(case, store, workspace)


def test_the_version_before_a_push_stays_as_awsprevious(store, workspace):
    name = store.make()
    before = store.seed(name, '{"A":"fake-old"}')
    workspace.file.write_text("A=fake-new\n")
    assert workspace.run(store, "push", name).code == 0
    assert store.labels(name)[before] == ["AWSPREVIOUS"]
    assert store.read(name, "AWSPREVIOUS") == '{"A":"fake-old"}'


def test_the_version_output_is_the_one_that_is_current(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-old"}')
    outputs = workspace.path / "outputs.env"
    workspace.file.write_text("A=fake-new\n")
    for mode in ("push", "pull"):
        assert workspace.run(store, mode, name, OUTPUTS_FILE=outputs.name).code == 0
        lines = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        assert lines["ENVSYNC_SECRET_VERSION"] == store.current(name)
        outputs.unlink()


def test_both_ways_again_and_again(store, workspace):
    """What envsync wrote boto3 reads and changes, and what boto3 wrote envsync reads and changes."""
    name = store.make()
    workspace.file.write_text("A=fake-0\n")
    for n in range(3):
        assert workspace.run(store, "push", name).code == 0
        assert json.loads(store.read(name))["A"] == f"fake-{n}"
        store.seed(name, json.dumps({"A": f"fake-{n + 1}", "FROM": "fake-boto3"}))
        assert workspace.run(store, "check", name).code == 6
        assert workspace.run(store, "pull", name).code == 0
        assert workspace.text() == f"A=fake-{n + 1}\nFROM=fake-boto3\n"
        assert workspace.run(store, "check", name).code == 0
    store.check_clean(name)


def test_an_arn_names_its_own_region(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    arn = store.client.describe_secret(SecretId=name)["ARN"]
    assert workspace.run(store, "pull", arn, AWS_REGION="us-east-1").code == 0
    assert workspace.text() == "A=fake-one\n"


def test_a_writer_that_died_between_put_and_move_disturbs_nobody(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-old"}')
    dead = store.client.put_secret_value(
        SecretId=name, SecretString='{"A":"fake-dead"}', VersionStages=["ENVSYNC_PENDING"]
    )["VersionId"]
    workspace.file.write_text("B=fake-new\n")
    for _ in range(2):  # The second one changes nothing, and is not disturbed either.
        assert workspace.run(store, "push", name).code == 0
    assert json.loads(store.read(name)) == {"A": "fake-old", "B": "fake-new"}
    assert store.current(name) != dead
    store.check_clean(name, raced=True)


def push_at_once(store, tmp_path, name, count):
    """As many processes at once as there are keys, each with one key of its own."""
    from scenarios import Workspace

    processes = []
    for n in range(count):
        workspace = Workspace(tmp_path / f"writer-{n}")
        workspace.path.mkdir()
        workspace.file.write_text(f"KEY_{n}=fake-{n}-value\n")
        processes.append(workspace.start(store, "push", name))
    # Every one is waited for, also where an early one fails.
    runs = [Workspace.finish(process, {f"fake-{n}-value"}) for n, process in enumerate(processes)]
    failed = [run for run in runs if run.code != 0]
    assert not failed, f"{len(failed)} of {count} failed, the first with {failed[0].code}: {failed[0].output}"
    return {f"KEY_{n}": f"fake-{n}-value" for n in range(count)}


def not_on_moto(store):
    if store.name == "moto":
        pytest.skip("moto answers several requests at once without a lock: two moves of AWSCURRENT may both succeed")


def test_32_processes_write_one_secret_at_once_and_nothing_is_lost(store, tmp_path):
    not_on_moto(store)
    name = store.make()
    store.seed(name, '{"BASE":"fake-base"}')
    wanted = push_at_once(store, tmp_path, name, 32)
    assert json.loads(store.read(name)) == {"BASE": "fake-base", **wanted}
    store.check_clean(name, raced=True)


def test_8_processes_create_one_secret_at_once_and_nothing_is_lost(store, tmp_path):
    not_on_moto(store)
    name = store.make()
    wanted = push_at_once(store, tmp_path, name, 8)
    assert json.loads(store.read(name)) == wanted
    store.check_clean(name, raced=True)


@pytest.mark.parametrize(
    ("keys", "code", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIADENIEDFAKEFAKE00"}, 4, "secretsmanager:GetSecretValue"),
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWNFAKEFAKE0"}, 3, "help:"),
        ({"AWS_SESSION_TOKEN": "EXPIRED-fake-token"}, 3, "help:"),
    ],
)
def test_refused_credentials(store, workspace, keys, code, says):
    if store.name != "double":
        pytest.skip(f"{store.name} accepts every key")
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    run = workspace.run(store, "pull", name, **keys)
    assert run.code == code, run.output
    assert says in run.output
    assert workspace.text() is None
