"""(b) The binary on the double: the table of all clouds, and what only Google has."""

import json
import re

import pytest

from conftest import TOKEN, client
from doubles import double
from everywhere import *  # noqa: F403: pytest runs what is imported
from everywhere import play_or_skip, write_at_once
from scenarios import Case
from store import PARENT, GcpStore
from test_double import key

TWO = ('{"A":"fake-old"}', '{"A":"fake-new"}')

# The rows name what is the double's.
OF_THE_DOUBLE = {"live": "the project has another name and number"}

GCP_CASES = [
    Case("pull by full name", "pull", seeds=TWO, inputs={"SECRET": PARENT + "/secrets/{secret}"}, written="A=fake-new\n", not_on=OF_THE_DOUBLE),
    Case("pull by the project's number", "pull", seeds=TWO, inputs={"SECRET": "projects/123456789012/secrets/{secret}"}, written="A=fake-new\n", not_on=OF_THE_DOUBLE),
    Case("pull of a version by full name", "pull", seeds=TWO, inputs={"SECRET": PARENT + "/secrets/{secret}/versions/1"}, written="A=fake-old\n", not_on=OF_THE_DOUBLE),
    Case("pull of a version", "pull", seeds=TWO, inputs={"SECRET": "{secret}?version={secret_v0}"}, written="A=fake-old\n"),
    Case("pull of another project", "pull", seeds=TWO, inputs={"SECRET": "projects/another-project/secrets/{secret}"}, code=4, says=("another-project", "help:"), not_on=OF_THE_DOUBLE),
    Case("pull of a secret without a version", "pull", state="empty", code=5, says=("help:",)),
    Case(
        "push to a secret without a version",
        "push",
        state="empty",
        file="A=fake-one\nB=fake-two\n",
        stored=[("A", "fake-one"), ("B", "fake-two")],
        new_versions=1,
    ),
]


@pytest.mark.parametrize("case", GCP_CASES, ids=lambda case: case.name)
def test_scenario_of_google(case, store, workspace):
    play_or_skip(case, store, workspace)


@pytest.mark.parametrize("verb", ["disable", "destroy"])
def test_a_newest_version_that_is_off_gives_way_to_the_newest_enabled_one(store, workspace, verb):
    name = store.make()
    for n in range(4):
        store.seed(name, json.dumps({"A": f"fake-{n}", "B": "fake-b"}))
    store.set_state(name, 4, verb)
    store.set_state(name, 3, "disable")
    run = workspace.run(store, "pull", name)
    assert run.code == 0, run.output
    assert workspace.text() == "A=fake-1\nB=fake-b\n"
    warnings = [line for line in run.output.splitlines() if "warning" in line.lower()]
    assert any(re.search(r"\b4\b", line) and re.search(r"\b2\b", line) for line in warnings), run.output
    workspace.file.write_text("A=fake-pushed\n")
    run = workspace.run(store, "push", name, hidden={"fake-b"})
    assert run.code == 0, run.output
    assert (store.current(name), json.loads(store.read(name))) == ("5", {"A": "fake-pushed", "B": "fake-b"})


@pytest.mark.parametrize("verb", ["disable", "destroy"])
def test_a_version_that_is_off_is_said_to_be(store, workspace, verb):
    name = store.make()
    for payload in TWO:
        store.seed(name, payload)
    store.set_state(name, 1, verb)
    run = workspace.run(store, "pull", f"{name}?version=1")
    assert run.code == 5, run.output
    assert f"{verb.removesuffix('e')}" in run.output.lower() and "help:" in run.output
    assert workspace.text() is None


def test_without_an_enabled_version_nothing_is_found(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    store.set_state(name, 1, "disable")
    for mode in ("pull", "check"):
        workspace.file.write_text("A=fake-mine\n")
        run = workspace.run(store, mode, name)
        assert run.code == 5, run.output
    assert workspace.text() == "A=fake-mine\n"


def test_slow_answers_lose_no_writers_key(tmp_path):
    """Every answer takes 20 ms, so that many writers read before the first one has written."""
    with double("gcp", tmp_path, "20") as ((url,), _):
        slow = GcpStore("double", url, client(url), TOKEN)
        name = slow.make()
        slow.seed(name, '{"BASE":"fake-base"}')
        wanted = write_at_once(slow, tmp_path, name, slow.writers)
        assert json.loads(slow.read(name)) == {"BASE": "fake-base", **wanted}


@pytest.mark.parametrize(("mode", "inputs", "code"), [("pull", {}, 5), ("check", {}, 5), ("push", {"CREATE": "false"}, 5), ("push", {"DRY_RUN": "true"}, 0)])
def test_what_must_not_create_leaves_not_even_an_empty_secret(store, workspace, mode, inputs, code):
    name = store.make()
    workspace.file.write_text("A=fake-mine\n")
    run = workspace.run(store, mode, name, **inputs)
    assert run.code == code, run.output
    assert store.describe(name) is None


def test_a_push_sends_a_checksum_and_leaves_the_labels_alone(store, workspace):
    name = store.make()
    store.empty(name, labels={"env": "test"}, annotations={"who": "us"})
    store.seed(name, '{"A":"fake-old"}')
    before = store.describe(name)
    workspace.file.write_text("A=fake-new\n")
    assert workspace.run(store, "push", name).code == 0
    newest = store.client.get_secret_version(request={"name": f"{store.path(name)}/versions/2"})
    assert newest.client_specified_payload_checksum
    assert store.describe(name) == before


def test_a_new_secret_lies_where_it_is_told_to(store, workspace):
    automatic, managed = store.make(), store.make()
    workspace.file.write_text("A=fake-one\n")
    assert workspace.run(store, "push", automatic).code == 0
    assert "automatic" in store.describe(automatic).replication
    assert workspace.run(store, "push", managed, GCP_LOCATIONS="europe-west3,europe-west4").code == 0
    replicas = store.describe(managed).replication.user_managed.replicas
    assert [r.location for r in replicas] == ["europe-west3", "europe-west4"]


def test_a_regional_secret(store, workspace):
    parent = f"{PARENT}/locations/europe-west3"
    name = store.make()
    full = f"{parent}/secrets/{name}"
    workspace.file.write_text("A=fake-one\n")
    assert workspace.run(store, "push", full).code == 0
    answer = store.client.access_secret_version(request={"name": f"{full}/versions/latest"})
    assert json.loads(answer.payload.data) == {"A": "fake-one"}
    assert not store.client.get_secret(request={"name": full}).replication
    # The one of that name that is not regional is another one.
    assert store.versions(name) == []
    store.client.add_secret_version(request={"parent": full, "payload": {"data": b'{"A":"fake-two"}'}})
    assert workspace.run(store, "pull", full).code == 0
    assert workspace.text() == "A=fake-two\n"


def test_a_service_accounts_key_logs_in(store, workspace):
    robot = key()
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    # A line of the key would be a value shown.
    hidden = {line for line in robot["private_key"].splitlines() if len(line) > 40}
    run = workspace.run(store, "pull", name, hidden=hidden, GCP_ACCESS_TOKEN="", GCP_CREDENTIALS_JSON=json.dumps(robot))
    assert run.code == 0, run.output
    assert workspace.text() == "A=fake-one\n"


def test_a_broken_key_is_no_login(store, workspace):
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    broken = json.dumps({**key(), "private_key": "fake-broken"})
    run = workspace.run(store, "pull", name, hidden={"fake-broken"}, GCP_ACCESS_TOKEN="", GCP_CREDENTIALS_JSON=broken)
    assert run.code == 2, run.output
    assert "help:" in run.output and workspace.text() is None


@pytest.mark.parametrize(
    ("token", "code", "says"),
    [
        ("DENIED-fake-token", 4, "secretmanager.versions.access"),
        ("UNKNOWN-fake-token", 3, "help:"),
        ("EXPIRED-fake-token", 3, "help:"),
    ],
)
def test_refused_credentials(store, workspace, token, code, says):
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    run = workspace.run(store, "pull", name, hidden={token}, GCP_ACCESS_TOKEN=token)
    assert run.code == code, run.output
    assert says in run.output
    assert workspace.text() is None
