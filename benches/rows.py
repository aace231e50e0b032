"""The rows of the table: what is run, on which store, how often; and one run of a row."""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import typing

import stores


def lines_of(count, changed=(), value="made-up"):
    values = ("changed" if number in changed else value for number in range(count))
    return "".join(f'VARIABLE_{number}="{value} value {number} 0123456789"\n' for number, value in enumerate(values))


# Each scenario prepares, yields what is to be measured (mode, secret, file, and what that run has to say), and goes on with
# what the next round needs.


def pull(row, count, secret="bench"):
    row.write("given.env", lines_of(count))
    row.run("push", secret, "given.env")
    while True:
        (row.directory / "pulled.env").unlink(missing_ok=True)
        yield "pull", secret, "pulled.env", f"{count} to add"


def push_new(row, count):
    row.write("given.env", lines_of(count))
    for number in itertools.count():
        yield "push", f"bench-{number}", "given.env", f"{count} to add"


def push_changed(row, count):
    # A secret of its own each time: the number of its versions would else grow with the rounds.
    for number in itertools.count():
        row.write("given.env", lines_of(count))
        row.run("push", f"bench-{number}", "given.env")
        row.write("given.env", lines_of(count, changed=[0]))
        yield "push", f"bench-{number}", "given.env", "1 to update"


def push_pattern(row, count):
    while True:
        row.renew()
        row.write("given.env", lines_of(count))
        row.run("push", "bench-*", "given.env")
        row.write("given.env", lines_of(count, changed=range(count)))
        yield "push", "bench-*", "given.env", f"{count} to update"


def unchanged(row, count, mode, says):
    row.write("given.env", lines_of(count))
    row.run("push", "bench", "given.env")
    while True:
        yield mode, "bench", "given.env", f"{count} {says}"


def sync(row, count, in_file, in_secret):
    """Both sides were in step, and then each has changed some variables."""
    for number in itertools.count():
        secret = f"bench-{number}"
        row.write("both.env", lines_of(count))
        row.run("push", secret, "both.env")
        row.run("sync", secret, "both.env")
        base = (row.directory / "both.env").read_text().split("\n")[0]
        row.write("other.env", lines_of(count, changed=in_secret))
        row.run("push", secret, "other.env")
        row.write("both.env", f"{base}\n{lines_of(count, changed=in_file)}")
        yield "sync", secret, "both.env", f"{len(in_file) + len(in_secret)} to update"


class Ran(typing.NamedTuple):
    """Milliseconds of a run, and what it printed."""

    wall: float
    cpu: float
    said: str


class Row:
    def __init__(self, what, store, scenario, *arguments, rounds):
        self.what, self.store, self.rounds = what, store, rounds
        self.scenario = lambda: scenario(self, *arguments)
        self.double = None

    def begin(self, programs, scratch, links=None):
        """Starts the store; with links, the run finds it under the cloud's own names."""
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        self.programs, self.links = programs, links
        self.renew()
        self.steps = self.scenario()

    def renew(self):
        """An empty store, in place of one that has been used: what is in it must not grow with the rounds."""
        if self.double:
            self.double.stop()
        shutil.rmtree(self.directory / ".envsync", ignore_errors=True)
        self.double = self.store.start(self.programs, self.directory)
        said = self.double.said if self.double else []
        if self.links:
            self.inputs, self.links.doubles = stores.named(self.store, said)
            self.inputs |= {"ENVSYNC_CA_FILE": str(self.links.authority)}
        else:
            self.inputs = self.store.inputs(said) | self.store.direct(said)

    def end(self):
        if self.double:
            self.double.stop()
        shutil.rmtree(self.directory)

    def prepare(self):
        self.next = next(self.steps)

    def measure(self, *before):
        """One run of what was prepared."""
        *given, says = self.next
        ran = self.run(*given, before=before)
        if says not in ran.said:
            sys.exit(f"{self.what} on {self.store.name} should say '{says}', and said:\n{ran.said}")
        return ran

    def write(self, name, text):
        (self.directory / name).write_text(text)

    def run(self, mode, secret, file, before=()):
        env = {
            "PATH": os.defpath,
            # As in the image: one bundle, and not a folder of certificates beside it.
            "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
            "ENVSYNC_MODE": mode,
            "ENVSYNC_SECRET": secret,
            "ENVSYNC_ENV_FILE": file,
            "PWD": str(self.directory),
            **self.inputs,
        }
        return run([*before, self.programs.envsync], env, self.directory)


def run(command, env, directory):
    """Runs a command that has to end well: its time on the clock, and on the processors as the system counts it."""
    with (directory / "said").open("w+") as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, env=env, cwd=directory, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{text}")
    return Ran(wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3, text)


def rows(rounds):
    """All of them; what takes long is run less often."""
    some, few = max(rounds // 4, 5), max(rounds // 10, 5)
    for store in [stores.LOCAL, *stores.CLOUDS]:
        yield Row("pull of 50 variables", store, pull, 50, rounds=rounds)
        yield Row("push, one of 50 changed", store, push_changed, 50, rounds=rounds)
        yield Row("push, nothing changed", store, unchanged, 50, "push", "unchanged", rounds=rounds)
        yield Row("sync, one of 50 changed on each side", store, sync, 50, [0], [1], rounds=rounds)
        yield Row("check of 50 variables", store, unchanged, 50, "check", "the same", rounds=rounds)
        yield Row("pull of 100 secrets by a pattern", store, pull, 100, "bench-*", rounds=some)
        yield Row("pull of 1,000 secrets by a pattern", store, pull, 1000, "bench-*", rounds=few)
        yield Row("push to 100 secrets by a pattern, all changed", store, push_pattern, 100, rounds=few)
    for job, logins in stores.LOGINS.items():
        for store in logins:
            yield Row(f"pull with the token of a {job} job", store, pull, 50, rounds=rounds)
    for count, times in ((1000, some), (10_000, few), (100_000, 3)):
        yield Row(f"push of {count:,} new variables", stores.LOCAL, push_new, count, rounds=times)
        yield Row(f"pull of {count:,} variables", stores.LOCAL, pull, count, rounds=times)
        halves = range(0, count, 2), range(1, count, 2)
        yield Row(f"sync of {count:,} variables, all changed", stores.LOCAL, sync, count, *halves, rounds=times)
