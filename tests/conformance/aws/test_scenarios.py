"""(b) The binary on moto, ministack and the double: the table of all clouds, and what only AWS has."""

import json

import pytest

from everywhere import *  # noqa: F403: pytest runs what is imported
from everywhere import play_or_skip
from scenarios import Case

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


@pytest.mark.parametrize("case", AWS_CASES, ids=lambda case: case.name)
def test_scenario_of_aws(case, store, workspace):
    play_or_skip(case, store, workspace)


def test_the_version_before_a_push_stays_as_awsprevious(store, workspace):
    name = store.make()
    before = store.seed(name, '{"A":"fake-old"}')
    workspace.file.write_text("A=fake-new\n")
    assert workspace.run(store, "push", name).code == 0
    assert store.labels(name)[before] == ["AWSPREVIOUS"]
    assert store.read(name, "AWSPREVIOUS") == '{"A":"fake-old"}'


def test_a_pattern_after_a_push_reads_what_was_pushed(store, workspace):
    if store.name == "moto":
        pytest.skip("after a move of AWSCURRENT its BatchGetSecretValue still gives the version before (AWS: the current one)")
    base = f"{store.make()}/"
    store.seed(f"{base}A", "fake-old")
    workspace.file.write_text("A=fake-new\n")
    assert workspace.run(store, "push", f"{base}*").code == 0
    assert workspace.run(store, "check", f"{base}*").code == 0
    store.check_clean(f"{base}A")


def test_a_secret_scheduled_for_deletion_is_not_in_a_pattern(store, workspace):
    base = f"{store.make()}/"
    for name in ("A", "B", "sub/C"):
        store.seed(base + name, f"fake-{name}")
    store.schedule_deletion(f"{base}B")
    run = workspace.run(store, "pull", f"{base}*")
    assert run.code == 0, run.output
    assert workspace.text() == "A=fake-A\n"
    workspace.file.write_text("B=fake-new\n")
    run = workspace.run(store, "push", f"{base}*")
    assert run.code == 5 and "recover_deleted" in run.output, run.output
    assert workspace.run(store, "push", f"{base}*", RECOVER_DELETED="true").code == 0
    assert store.read(f"{base}B") == "fake-new"


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
