"""What every cloud must do, as one table: what lies in the store and in the file, one run of the binary, and what then.

A cloud adds itself with a store, which is any object with
    name                          of the server, to leave a row out where that server answers wrongly
    inputs()                      the ENVSYNC_* variables that reach it, the provider included
    make()                        a name that no secret has yet
    seed(name, payload) -> id     writes a new current version (bytes: a binary secret), by the vendor's own client
    empty(name)                   makes a secret without a value
    schedule_deletion(name)       soft-deletes it, where the cloud does that
    is_deleted(name)              whether it is soft-deleted
    read(name)                    its current payload, None where there is none
    versions(name)                the ids of all its versions
    current(name)                 the id of its current version
    check_clean(name, raced)      fails where we left something of ours behind; `raced`: after several wrote at once
    missing_version               an id that no version has
    secret(base, variable)        the name of a variable's own secret by the pattern `base*`
    base(name)                    provider and whole name, as a base line has them
    writers                       how many may write one secret at once, and all succeed
    unlocked                      why this server cannot judge writers at once; empty where it can
and what a `Prompt` has, unless the server's answers may be old:
    settle(names)                 returns when a list has these secrets
    eventually(check)             gives what `check` gives once it does not fail
    runner                        variables that a run of the binary gets as they are

Every secret value in the table contains `fake-`: no run may show any of them.
"""

import dataclasses
import json
import os
import re
import stat
import subprocess

TIMEOUT_SECONDS = 150
# Of every credential that a store logs in with.
KEYS = ("fake-secret-access-key", "fake-access-token", "fake-client-secret")
VALUE = re.compile(r"fake-[^\s\"'\\,{}]+")


class Prompt:
    """A store on a server on this machine: an answer has all that was written before."""

    runner = {}

    def settle(self, names):
        pass

    def eventually(self, check):
        return check()


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    mode: str
    # Payloads of the secret, put one after another; none: the secret does not exist.
    seeds: tuple = ()
    # "deleted": soft-deleted after the seeds. "empty": made without a value.
    state: str = ""
    # More secrets by label; the inputs name them with {label}, their versions with {label_v0} and so on.
    others: dict = dataclasses.field(default_factory=dict)
    # The file before the run; None: there is none.
    file: str | None = None
    inputs: dict = dataclasses.field(default_factory=dict)
    code: int = 0
    # The payload afterwards: exact text, or a list of pairs for a JSON object whose layout is ours. None: as before.
    stored: str | bytes | list | None = None
    # The file afterwards. None: as before.
    written: str | None = None
    new_versions: int = 0
    # Words that the run must say, on whichever stream.
    says: tuple = ()
    # Servers that answer this wrongly, with what they do and what the cloud does.
    not_on: dict = dataclasses.field(default_factory=dict)


A_B = '{"A":"fake-one","B":"fake-two"}'
A_B_FILE = "A=fake-one\nB=fake-two\n"
TYPED = '{ "N": 1.10,\n  "BIG": 12345678901234567890, "NEST": {"B": [1,2], "A": 1e400}, "T": true, "Z": null, "S": "fake-old" }'
HARD = {"U": "fake-é漢字🦀", "M": "fake-line1\nfake-line2", "Q": 'fake-"q" \\ back $x', "E": ""}
HARD_FILE = 'U=fake-é漢字🦀\nM="fake-line1\nfake-line2"\nQ=\'fake-"q" \\ back $x\'\nE=\n'

CASES = [
    # Creating and writing.
    Case("create by push", "push", file=A_B_FILE, stored=[("A", "fake-one"), ("B", "fake-two")], new_versions=1),
    Case("create as dotenv", "push", file=A_B_FILE, inputs={"FORMAT": "dotenv"}, stored=A_B_FILE, new_versions=1),
    Case("create is off", "push", file=A_B_FILE, inputs={"CREATE": "false"}, code=5),
    Case("push without change", "push", seeds=(A_B,), file=A_B_FILE, says=("unchanged",)),
    Case("push without change, other layout", "push", seeds=('{\n "B" : "fake-two",\n "A" : "fake-one"\n}\n',), file=A_B_FILE, says=("unchanged",)),
    Case("push with a change", "push", seeds=(A_B,), file="A=fake-new\n", stored='{"A":"fake-new","B":"fake-two"}', new_versions=1),
    Case("push keeps untouched bytes", "push", seeds=(TYPED,), file="S=fake-new\n", stored=TYPED.replace("fake-old", "fake-new"), new_versions=1),
    Case("push keeps a number a number", "push", seeds=(TYPED,), file="N=2.50\n", stored=TYPED.replace("1.10", "2.50"), new_versions=1),
    Case("push into a nested member", "push", seeds=(TYPED,), file="NEST_A=7\n", stored=TYPED.replace("1e400", "7"), new_versions=1),
    Case("push of all typed members unchanged", "push", seeds=(TYPED,), file="N=1.10\nBIG=12345678901234567890\nNEST_B=[1,2]\nNEST_A=1e400\nT=true\nZ=\nS=fake-old\n", says=("unchanged",)),
    Case("push adds at the end", "push", seeds=(A_B,), file="C=fake-three\n", stored=[("A", "fake-one"), ("B", "fake-two"), ("C", "fake-three")], new_versions=1),
    Case("push into dotenv text", "push", seeds=("# head\nA=fake-old # why\nB='fake-two'\n",), file="A=fake-new\n", stored="# head\nA=fake-new # why\nB='fake-two'\n", new_versions=1),
    Case("push of hard values", "push", file=HARD_FILE, stored=list(HARD.items()), new_versions=1),
    Case("push is dry", "push", seeds=(A_B,), file="A=fake-new\n", inputs={"DRY_RUN": "true"}, says=("A",)),
    Case("push as one plain write", "push", seeds=(A_B,), file="A=fake-new\n", inputs={"CONCURRENCY": "none"}, stored='{"A":"fake-new","B":"fake-two"}', new_versions=1),
    Case("push without a file", "push", seeds=(A_B,), code=5, says=(".env", "help:")),
    Case("push of too much", "push", seeds=(A_B,), file="A=fake-" + "x" * 70_000 + "\n", code=2, says=("help:",)),
    Case("push into what is no document", "push", seeds=("fake-plain text",), file=A_B_FILE, code=2, says=("help:",)),
    # Removing.
    Case("delete removes what the file lacks", "push", seeds=(A_B,), file="A=fake-one\n", inputs={"DELETE": "true"}, stored=[("A", "fake-one")], new_versions=1),
    Case("without delete nothing goes", "push", seeds=(A_B,), file="A=fake-one\n", says=("unchanged",)),
    Case("delete with an empty file is refused", "push", seeds=(A_B,), file="", inputs={"DELETE": "true"}, code=6, says=("help:",)),
    Case("delete of too many is refused", "push", seeds=(A_B,), file="C=fake-c\n", inputs={"DELETE": "true", "MAX_DELETES": "1"}, code=6, says=("help:",)),
    Case("pull deletes in the file", "pull", seeds=('{"A":"fake-one"}',), file=A_B_FILE, inputs={"DELETE": "true"}, written="A=fake-one\n"),
    # Both ways. `{base}` in a file is the base line of the last seed, `{line}` the one of the version that counts afterwards.
    Case("sync of equal sides", "sync", seeds=(A_B,), file=A_B_FILE, written="{line}" + A_B_FILE, says=("unchanged",)),
    Case(
        "sync creates the secret",
        "sync",
        file=A_B_FILE,
        stored=[("A", "fake-one"), ("B", "fake-two")],
        written="{line}" + A_B_FILE,
        new_versions=1,
    ),
    Case("sync creates the file", "sync", seeds=(A_B,), written="{line}" + A_B_FILE),
    Case("sync without a base unites", "sync", seeds=('{"A":"fake-one"}',), file="B=fake-two\n", inputs={"DELETE": "true"}, stored=[("A", "fake-one"), ("B", "fake-two")], written="{line}B=fake-two\nA=fake-one\n", new_versions=1, says=("no base",)),
    Case("sync of a change in the file", "sync", seeds=(A_B,), file="{base}A=fake-new\nB=fake-two\n", stored='{"A":"fake-new","B":"fake-two"}', written="{line}A=fake-new\nB=fake-two\n", new_versions=1),
    Case("sync of changes on both sides", "sync", seeds=(A_B, '{"A":"fake-one","B":"fake-new"}'), file="{first}A=fake-file\nB=fake-two\n", stored='{"A":"fake-file","B":"fake-new"}', written="{line}A=fake-file\nB=fake-new\n", new_versions=1),
    Case("sync of a conflict", "sync", seeds=(A_B, '{"A":"fake-new","B":"fake-two"}'), file="{first}A=fake-file\nB=fake-two\n", code=6, says=("A", "changed in the file, changed in the secret", "help:")),
    Case("sync that prefers the file", "sync", seeds=(A_B, '{"A":"fake-new","B":"fake-two"}'), file="{first}A=fake-file\nB=fake-two\n", inputs={"PREFER": "file"}, stored='{"A":"fake-file","B":"fake-two"}', written="{line}A=fake-file\nB=fake-two\n", new_versions=1),
    Case("sync that prefers the secret", "sync", seeds=(A_B, '{"A":"fake-new","B":"fake-two"}'), file="{first}A=fake-file\nB=fake-two\n", inputs={"PREFER": "secret"}, written="{line}A=fake-new\nB=fake-two\n"),
    Case("sync of a deletion that may not travel", "sync", seeds=(A_B,), file="{base}A=fake-one\n", written="{base}" + A_B_FILE, says=("B",)),
    Case("sync of a deletion", "sync", seeds=(A_B,), file="{base}A=fake-one\n", inputs={"DELETE": "true"}, stored=[("A", "fake-one")], written="{line}A=fake-one\n", new_versions=1),
    Case("sync of a base that is gone", "sync", seeds=(A_B,), file="{gone}A=fake-one\n", inputs={"DELETE": "true"}, written="{line}" + A_B_FILE, says=("no base",)),
    Case("sync without a change", "sync", seeds=(A_B,), file="{base}" + A_B_FILE, says=("unchanged",)),
    # Reading.
    Case("pull", "pull", seeds=(A_B,), written=A_B_FILE),
    Case("pull into a file that is there", "pull", seeds=(A_B,), file="# mine\nX=fake-x\nA='fake-old' # c\n", written="# mine\nX=fake-x\nA='fake-one' # c\nB=fake-two\n"),
    Case("pull of the newest version", "pull", seeds=('{"A":"fake-old"}', '{"A":"fake-new"}'), written="A=fake-new\n"),
    Case("pull of typed members", "pull", seeds=(TYPED,), written="N=1.10\nBIG=12345678901234567890\nNEST_B=[1,2]\nNEST_A=1e400\nT=true\nZ=\nS=fake-old\n"),
    Case("pull of hard values", "pull", seeds=(json.dumps(HARD),), written=HARD_FILE),
    Case("pull of dotenv text", "pull", seeds=("# head\nexport A='fake-one'\nB=fake-two\n",), written=A_B_FILE),
    Case("pull of a text that arrives as bytes", "pull", seeds=(A_B.encode(),), written=A_B_FILE),
    Case("pull of bytes with a name", "pull", seeds=(b"\x00\xfffake-",), inputs={"SECRET": "BLOB = {secret}"}, written="BLOB=AP9mYWtlLQ==\n"),
    Case("pull of bytes without a name", "pull", seeds=(b"\x00\xff",), code=2, says=("help:",)),
    Case("pull of a plain secret with a name", "pull", seeds=("fake-plain",), inputs={"SECRET": "TOKEN={secret}"}, written="TOKEN=fake-plain\n"),
    Case("pull of a plain secret without a name", "pull", seeds=("fake-plain text",), code=2, says=("help:",)),
    Case(
        "pull of several",
        "pull",
        seeds=('{"A":"fake-a"}',),
        others={"plain": ("fake-first", "fake-second"), "nested": ('{"db":{"password":"fake-pw"}}',)},
        inputs={"SECRET": "{secret}\nTOKEN = {plain}\nOLD = {plain}?version={plain_v0}\nPASS={nested}#db.password\n"},
        written="A=fake-a\nTOKEN=fake-second\nOLD=fake-first\nPASS=fake-pw\n",
    ),
    Case(
        "pull of several that collide",
        "pull",
        seeds=('{"A":"fake-a"}',),
        others={"more": ('{"A":"fake-b"}',)},
        inputs={"SECRET": "{secret}\n{more}"},
        code=2,
        says=("A", "help:"),
    ),
    Case("pull of a missing secret", "pull", code=5, says=("help:",)),
    Case("pull of a missing version", "pull", seeds=(A_B,), inputs={"SECRET": "{secret}?version={missing_version}"}, code=5, says=("help:",)),
    # Comparing.
    Case("check of equal sides", "check", seeds=(A_B,), file=A_B_FILE, says=("the same",)),
    Case("check of a drift", "check", seeds=(A_B,), file="A=fake-other\nB=fake-two\n", code=6, says=("A",)),
    Case("check of a name on one side", "check", seeds=(A_B,), file="A=fake-one\n", code=6, says=("B",)),
    Case("check that may drift", "check", seeds=(A_B,), file="A=fake-other\n", inputs={"FAIL_ON_DRIFT": "false"}, says=("A",)),
    Case("check of a missing secret", "check", file=A_B_FILE, code=5, says=("help:",)),
    Case("check of a missing file", "check", seeds=(A_B,), code=5, says=(".env", "help:")),
]


@dataclasses.dataclass(frozen=True)
class Pattern:
    """As a Case, on the pattern {base}*; the secrets are given by their variables."""

    name: str
    mode: str
    # Payloads by variable, put one after another; a name that begins with `=` is the rest of a secret's name itself.
    seeds: dict = dataclasses.field(default_factory=dict)
    file: str | None = None
    inputs: dict = dataclasses.field(default_factory=dict)
    code: int = 0
    # What secrets hold afterwards, by variable; the others are as before. None: there is no such secret.
    stored: dict = dataclasses.field(default_factory=dict)
    written: str | None = None
    # How many versions were made in all, of the secrets named in `seeds` and `stored`.
    new_versions: int = 0
    says: tuple = ()
    not_on: dict = dataclasses.field(default_factory=dict)


AB = {"A": ("fake-one",), "B_C": ("fake-two",)}
AB_FILE = "A=fake-one\nB_C=fake-two\n"

PATTERNS = [
    Pattern("pull", "pull", seeds=AB, written=AB_FILE),
    Pattern("pull of the newest versions", "pull", seeds={"A": ("fake-old", "fake-new")}, written="A=fake-new\n"),
    Pattern("pull into a file that is there", "pull", seeds=AB, file="# mine\nX=fake-x\nA='fake-old' # c\n", written="# mine\nX=fake-x\nA='fake-one' # c\nB_C=fake-two\n"),
    Pattern("pull of what is no document", "pull", seeds={"J": ('{"K":"fake-k"}',), "M": ("fake-1\nfake-2",)}, written='J=\'{"K":"fake-k"}\'\nM="fake-1\nfake-2"\n'),
    Pattern("pull maps what no variable can be called", "pull", seeds={"=db-url": ("fake-url",)}, written="db_url=fake-url\n"),
    Pattern("pull of a name that is none", "pull", seeds={**AB, "=1st": ("fake-1st",)}, code=2, says=("1st", "help:")),
    Pattern("pull leaves a name out", "pull", seeds={**AB, "=1st": ("fake-1st",)}, inputs={"EXCLUDE": "1*, B*"}, written="A=fake-one\n"),
    Pattern("pull with a shape", "pull", seeds=AB, inputs={"ADD_PREFIX": "P_"}, written="P_A=fake-one\nP_B_C=fake-two\n"),
    Pattern("pull without a match", "pull", code=5, says=("help:",)),
    Pattern("pull of a required name that is not there", "pull", seeds=AB, inputs={"REQUIRED_KEYS": "NOPE"}, code=5, says=("NOPE",)),
    Pattern("push creates", "push", file=AB_FILE, stored={"A": "fake-one", "B_C": "fake-two"}, new_versions=2),
    Pattern("push may not create", "push", seeds={"A": ("fake-one",)}, file=AB_FILE, inputs={"CREATE": "false"}, code=5, stored={"B_C": None}, says=("help:",)),
    Pattern("push writes what changed", "push", seeds=AB, file="A=fake-one\nB_C=fake-new\nD=fake-d\n", stored={"B_C": "fake-new", "D": "fake-d"}, new_versions=2, says=("unchanged",)),
    Pattern("push without a change", "push", seeds=AB, file=AB_FILE, says=("unchanged",)),
    Pattern("push of some", "push", seeds=AB, file="A=fake-new\nB_C=fake-new\n", inputs={"INCLUDE": "A"}, stored={"A": "fake-new"}, new_versions=1),
    Pattern("push is dry", "push", seeds=AB, file="A=fake-new\nD=fake-d\n", inputs={"DRY_RUN": "true"}, stored={"D": None}, says=("A", "D")),
    Pattern("push as plain writes", "push", seeds=AB, file="A=fake-new\nD=fake-d\n", inputs={"CONCURRENCY": "none"}, stored={"A": "fake-new", "D": "fake-d"}, new_versions=2),
    Pattern("push never deletes", "push", seeds=AB, file="A=fake-one\n", inputs={"DELETE": "true"}, code=2, says=("help:",)),
    Pattern("push of too much", "push", seeds=AB, file="A=fake-new\nD=fake-" + "x" * 70_000 + "\n", code=2, stored={"D": None}, says=("D", "help:")),
    Pattern("check of equal sides", "check", seeds=AB, file=AB_FILE, says=("the same",)),
    Pattern("check of a drift", "check", seeds=AB, file="A=fake-other\nB_C=fake-two\n", code=6, says=("A",)),
    Pattern("check without a match", "check", file=AB_FILE, code=5, says=("help:",)),
]


@dataclasses.dataclass
class Run:
    code: int
    output: str


class Workspace:
    """A directory to run in, and the only way in which a test starts the binary."""

    def __init__(self, path):
        self.path = path

    @property
    def file(self):
        return self.path / ".env"

    def text(self):
        return self.file.read_bytes().decode() if self.file.exists() else None

    def start(self, store, mode, secret, **inputs):
        """Starts the binary with a cleared environment; `run` waits for it too."""
        variables = {**store.inputs(), "MODE": mode, "SECRET": secret, **inputs}
        environment = {**store.runner, **{f"ENVSYNC_{name}": value for name, value in variables.items()}}
        return subprocess.Popen(
            [os.environ["ENVSYNC_BIN"]],
            env=environment,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, store, mode, secret, *, hidden=(), **inputs):
        """One run to its end. Nothing in `hidden`, no value of the file and no key of ours may show in what it says."""
        hidden = {*hidden, *VALUE.findall(self.text() or "")}
        hidden.update(value for name, value in store.runner.items() if name.endswith("_TOKEN"))
        process = self.start(store, mode, secret, **inputs)
        return self.finish(process, hidden | set(VALUE.findall(self.text() or "")))

    @staticmethod
    def finish(process, hidden=()):
        try:
            output = process.communicate(timeout=TIMEOUT_SECONDS)[0].decode()
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        shown = [value for value in {*hidden, *KEYS} if value in output]
        assert not shown, f"a value is shown: {output}"
        # Off GitHub no command of GitHub's is ever printed.
        assert not re.search(r"^::", output, re.M), output
        return Run(process.returncode, output)


def text_of(payload):
    return payload.decode(errors="ignore") if isinstance(payload, bytes) else payload or ""


LINES = re.compile(r"\{(base|first|line|gone)\}")


def with_lines(text, store, name, ids):
    """A file of the table with its base lines."""
    versions = {
        "first": lambda: ids["secret_v0"],
        "base": lambda: list(ids.values())[-1],
        "line": lambda: store.current(name),
        "gone": lambda: store.missing_version,
    }
    return LINES.sub(lambda found: f"# envsync:base {store.base(name)} {versions[found[1]]()}\n", text)


def play(case, store, workspace):
    """Lays the table's row out, runs it, and compares everything that it says with what is there."""
    names, ids = {}, {}
    for label, payloads in {"secret": case.seeds, **case.others}.items():
        names[label] = store.make()
        for n, payload in enumerate(payloads):
            ids[f"{label}_v{n}"] = store.seed(names[label], payload)
    name = names["secret"]
    if case.state == "empty":
        store.empty(name)
    file = case.file
    if file is not None and "{" in file:
        file = with_lines(file, store, name, ids)
    if file is not None:
        workspace.file.write_bytes(file.encode())
    payload_before, versions_before = store.read(name), store.versions(name)
    if case.state == "deleted":
        store.schedule_deletion(name)
    hidden = set(VALUE.findall(case.file or ""))
    for payloads in (case.seeds, *case.others.values()):
        hidden.update(value for payload in payloads for value in VALUE.findall(text_of(payload)))

    inputs = {key: value.format(**names, **ids, missing_version=store.missing_version) for key, value in case.inputs.items()}
    run = workspace.run(store, case.mode, inputs.pop("SECRET", name), hidden=hidden, **inputs)

    assert run.code == case.code, run.output
    for part in case.says:
        assert re.search(rf"(?<!\w){re.escape(part)}(?!\w)", run.output), f"{part} is not in: {run.output}"
    if case.file is None and case.written is not None:
        assert stat.S_IMODE(workspace.file.stat().st_mode) == 0o600
    assert os.listdir(workspace.path) in ([], [".env"]), "a temporary file is left"

    def compare():
        written = case.written
        if written is not None and "{" in written:
            written = with_lines(written, store, name, ids)
        assert workspace.text() == (written if written is not None else file)
        if case.state == "deleted" and case.code != 0:
            assert store.is_deleted(name)
            return
        stored = store.read(name)
        if isinstance(case.stored, list):
            assert json.loads(stored or "null", object_pairs_hook=list) == [tuple(pair) for pair in case.stored]
        else:
            assert stored == (payload_before if case.stored is None else case.stored)
        new = [version for version in store.versions(name) if version not in versions_before]
        assert len(new) == case.new_versions, run.output
        store.check_clean(name)

    store.eventually(compare)


def play_pattern(case, store, workspace):
    """As `play`, for a row of the patterns."""
    base = f"{store.make()}-"
    # What a pattern must not match: another name, and one that has the pattern's beginning further on.
    elsewhere = (f"{store.make()}-A", f"{store.make()}-{base}A")
    for name in elsewhere:
        store.seed(name, "fake-elsewhere")

    def secret(variable):
        return base + variable[1:] if variable.startswith("=") else store.secret(base, variable)

    for variable, payloads in case.seeds.items():
        for payload in payloads:
            store.seed(secret(variable), payload)
    if case.file is not None:
        workspace.file.write_bytes(case.file.encode())
    names = {variable: secret(variable) for variable in (*case.seeds, *case.stored)}
    store.settle([*elsewhere, *(names[variable] for variable in case.seeds)])
    before = {variable: (store.read(name), store.versions(name)) for variable, name in names.items()}
    hidden = {value for payloads in case.seeds.values() for payload in payloads for value in VALUE.findall(payload)}
    run = workspace.run(store, case.mode, f"{base}*", hidden=hidden, **case.inputs)

    assert run.code == case.code, run.output
    for part in case.says:
        assert re.search(rf"(?<!\w){re.escape(part)}(?!\w)", run.output), f"{part} is not in: {run.output}"
    assert workspace.text() == (case.written if case.written is not None else case.file)
    assert os.listdir(workspace.path) in ([], [".env"]), "a temporary file is left"

    def compare():
        made = 0
        for variable, name in names.items():
            payload, versions = before[variable]
            assert store.read(name) == case.stored.get(variable, payload), f"{variable}: {run.output}"
            made += len([version for version in store.versions(name) if version not in versions])
        assert made == case.new_versions, run.output

    store.eventually(compare)
