"""Every value that envsync writes comes back exactly in every reader of its dialect, and every refusal is a documented one.

The real binary writes: a push into the embedded store, then a pull in each dialect.
"""

import functools
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from readers import READERS
from values import RANDOM, VALUES

SETS = {"awkward": VALUES, "random": RANDOM}
DIALECTS = ["docker", "shell", "compose", "python", "node", "next"]
COMBINATIONS = [
    "portable,docker", "portable,shell", "portable,node", "shell,node", "node,shell", "shell,compose", "compose,python",
    "docker,compose", "docker,node", "docker,python", "node,next", "next,shell", "python,node", "shell,python,node,compose",
    "shell,docker", "compose,next", "docker,next,python",
]  # fmt: skip

# How many of the awkward and of the random values a dialect carries: fewer would be a refusal too many, more a promise that nobody measured.
CARRIED = {
    "portable": (148, 1346),
    "docker": (149, 1120),
    "shell": (174, 1858),
    "compose": (176, 2000),
    "python": (168, 1831),
    "node": (166, 1710),
    "next": (162, 1594),
    "portable,docker": (27, 93),
    "portable,shell": (146, 1250),
    "portable,node": (148, 1346),
    "shell,node": (146, 1250),
    "node,shell": (146, 1250),
    "shell,compose": (166, 1216),
    "compose,python": (163, 1375),
    "docker,compose": (88, 402),
    "docker,node": (106, 638),
    "docker,python": (107, 614),
    "node,next": (146, 1053),
    "next,shell": (141, 947),
    "python,node": (156, 1386),
    "shell,python,node,compose": (124, 717),
    "shell,docker": (20, 83),
    "compose,next": (156, 1059),
    "docker,next,python": (87, 392),
}

# The variables of `values.AWKWARD` that a dialect refuses.
REFUSED = {
    "portable": """
        backslash backslash_last backslash_last_blank backslash_last_hash backslash_last_lines backslash_n_quotes
        backslash_single backslash_two both_quotes connection_string cr cr_first cr_injects cr_last cr_only crlf
        crlf_last dollar_single hash_quotes html json json_lines newline_quotes pem_crlf single_backtick sql
        three_quotes yaml
    """.split(),
    "docker": """
        backslash_last_lines backslash_newline cr_last cr_only crlf crlf_last heredoc json_lines long long_lines
        newline newline_blank newline_blank_ends newline_dollar newline_exports newline_first newline_hash
        newline_hash_last newline_injects newline_last newline_only newline_quotes newline_single_end pem pem_crlf
        pem_newline yaml
    """.split(),
    "shell": """
        last_code_point noncharacter
    """.split(),
    "compose": [],
    "python": """
        backslash_last_hash backslash_last_lines dollar_brace dollar_brace_inside dollar_closed_later dollar_colon
        dollar_default dollar_empty_brace
    """.split(),
    "node": """
        backslash_last_hash backslash_last_lines cr cr_first cr_injects cr_last cr_only crlf crlf_last pem_crlf
    """.split(),
    "next": """
        backslash_last_hash backslash_last_lines cr cr_first cr_injects cr_last cr_only crlf crlf_last
        dollar_arithmetic dollar_command dollar_command_inside escaped_command pem_crlf
    """.split(),
}


def is_noncharacter(c):
    return ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF


# What docs/dotenv.md says that each dialect cannot carry.
DOCUMENTED = {
    "portable": lambda v: "\r" in v or ("'" in v and re.search(r'["\\$`]', v)) or v.endswith("\\"),
    "docker": lambda v: "\n" in v or v.endswith("\r") or len(v.encode()) > 65_000,
    "shell": lambda v: any(map(is_noncharacter, v)),
    "compose": lambda v: False,
    "python": lambda v: re.search(r"\$\{.*\}", v, re.S) or v.endswith("\\"),
    "node": lambda v: "\r" in v or v.endswith("\\") or all(q in v for q in "'`\"") or ("'" in v and "`" in v and re.search(r"\\[nr]", v)),
}
DOCUMENTED["next"] = lambda v: "$(" in v or DOCUMENTED["node"](v)


class Room:
    """A workspace whose store holds the sets, each in one secret."""

    def __init__(self, path):
        self.path = path
        for name, values in SETS.items():
            for part in parts(values):
                run = self.run("push", name, CONTENT=json.dumps(part, ensure_ascii=False))
                assert run.returncode == 0, run.stdout

    def run(self, mode, secret, **inputs):
        """One run in a cleared environment. Never a value in what it says."""
        variables = {"MODE": mode, "PROVIDER": "local", "SECRET": secret, **inputs}
        run = subprocess.run(
            [os.environ["ENVSYNC_BIN"]], env={f"ENVSYNC_{name}": value for name, value in variables.items()},
            cwd=self.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        )  # fmt: skip
        run.stdout = run.stdout.decode()
        assert not re.search(r"fake(?!-value)", run.stdout), run.stdout
        return run

    @functools.cache
    def pull(self, dialect, name):
        """The file with all values of a set that the dialect carries, and what was said of each other one."""
        file = f"{dialect.replace(',', '-')}-{name}.env"
        inputs = {"ENV_FILE": file, "DIALECT": dialect}
        run, refused = self.run("pull", name, **inputs), {}
        if run.returncode != 0:
            assert run.returncode == 2, run.stdout
            assert not (self.path / file).exists(), "refused, and written all the same"
            refused = refusals(run.stdout)
            assert refused, run.stdout
            inputs["EXCLUDE"] = ",".join(refused)
            run = self.run("pull", name, **inputs)
        assert run.returncode == 0, run.stdout
        again = self.run("check", name, **inputs)
        assert again.returncode == 0, f"drift right after a pull: {again.stdout}"
        return self.path / file, refused

    @functools.cache
    def singles(self, dialect):
        """A file for each awkward value that the dialect carries."""
        _, refused = self.pull(dialect, "awkward")

        def single(name):
            file = f"one-{dialect}-{name}.env"
            run = self.run("pull", "awkward", ENV_FILE=file, DIALECT=dialect, INCLUDE=name)
            assert run.returncode == 0, run.stdout
            return name, self.path / file

        with ThreadPoolExecutor(4) as pool:
            return dict(pool.map(single, VALUES.keys() - refused.keys()))


def parts(values, most=60_000):
    """In pieces that an environment variable can hold."""
    part, size = {}, 0
    for name, value in values.items():
        weight = len(json.dumps(value).encode()) + len(name) + 8
        if part and size + weight > most:
            yield part
            part, size = {}, 0
        part[name] = value
        size += weight
    yield part


def refusals(output):
    """By variable: what was said. A refusal names the dialects that carry the value, or says what else can be done."""
    found, lines = {}, output.splitlines()
    for line, after in zip(lines, lines[1:]):
        if (name := re.search(r"\b[VR]_\w+", line)) and after.lstrip().startswith("help: "):
            found[name[0]] = (line, after)
    return found


@pytest.fixture(scope="session")
def room(tmp_path_factory):
    return Room(tmp_path_factory.mktemp("readers"))


def compare(reader, path, expected):
    (read,) = reader.read([path])
    assert read is not None, f"{reader} cannot read the file"
    wrong = [name for name, value in expected.items() if read.get(name) != value]
    assert not wrong, f"{reader} misreads {len(wrong)}: " + "; ".join(
        f"{name}: {expected[name][:80]!r} as {(read.get(name) or '')[:80]!r}" for name in wrong[:10]
    )
    injected = [name for name in read if name == "INJECTED" or name == "A"]
    assert not injected, f"{reader} found {injected}, which no secret has"


@pytest.mark.parametrize("reader", READERS, ids=repr)
def test_every_value_comes_back(room, reader):
    if reader.missing:
        pytest.skip(f"{reader}: {reader.missing}")
    for name, values in SETS.items():
        path, refused = room.pull(reader.dialect, name)
        compare(reader, path, {name: value for name, value in values.items() if name not in refused})
    if reader.slow:
        return
    files = room.singles(reader.dialect)
    for (name, path), read in zip(files.items(), reader.read(list(files.values())), strict=True):
        assert read is not None and read.get(name) == VALUES[name], f"{reader}: {name} alone in {path.read_text()[:80]!r}"
        assert "INJECTED" not in read, name


@pytest.mark.parametrize("dialect", ["portable", *DIALECTS])
def test_only_what_is_documented_is_refused(room, dialect):
    carried = []
    for name, values in SETS.items():
        _, refused = room.pull(dialect, name)
        wrong = [key for key in refused if not DOCUMENTED[dialect](values[key])]
        assert not wrong, [(key, values[key], refused[key]) for key in wrong]
        carried.append(len(values) - len(refused))
        for key, (_, help) in refused.items():
            others = re.findall(r"\b(portable|docker|shell|compose|python|node|next)\b", help)
            assert dialect not in others
            assert "compose" in others or dialect == "compose", (key, help)
    _, refused = room.pull(dialect, "awkward")
    assert sorted(name.removeprefix("V_") for name in refused) == REFUSED[dialect], dialect
    assert tuple(carried) == CARRIED[dialect]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_a_combination_is_read_by_all_of_its_readers(room, combination):
    carried = []
    readers = [r for r in READERS if r.dialect in combination.split(",") and not r.missing]
    for name, values in SETS.items():
        path, refused = room.pull(combination, name)
        for reader in readers:
            compare(reader, path, {key: value for key, value in values.items() if key not in refused})
        carried.append(len(values) - len(refused))
        alone = [room.pull(dialect, name)[1] for dialect in combination.split(",")]
        assert all(one.keys() <= refused.keys() for one in alone), "more is carried than by one of them alone"
    assert tuple(carried) == CARRIED[combination]


# Lines as people write them. What envsync reads of one without a word, every reader of the dialect reads alike.
WRITTEN = [
    "A=x", "A=", "A= ", "A=''", 'A=""', "A=``", "A='x y'", 'A="x y"', "A=`x y`", "A=x y", "A=x # c", "A=x\t# c", "A=x#c",
    "A=#c", "A= # c", "A= #c", "A = x", "A= x", "A =x", " A=x", "export A=x", "export A='x y' # c", "A='x' # c", 'A="x"# c',
    "A='x'y", "A=x'y'", "A='x' 'y'", "A='x'\"y\"", "A='it'\"'\"'s'", "A='it'\\''s'", "A='it\\'s'", 'A="say \\"hi\\""',
    'A="a\\nb"', "A='a\\nb'", "A=`a\\nb`", 'A="a\\tb"', 'A="a\\rb"', 'A="a\\\\b"', "A='a\\\\b'", "A=a\\b", "A=a\\\\b",
    'A="a\\$b"', "A='a\\$b'", "A=a\\$b", "A=$HOME", "A='$HOME'", 'A="$HOME"', "A=${HOME}", "A='${HOME}'", 'A="a$"', "A=a$",
    "A=a$$b", 'A="a$$b"', "A='a$$b'", "A=$(echo x)", "A='$(echo x)'", "A=`echo x`", 'A="`echo x`"', "A='a`b'", "A=a;b",
    "A=a&b", "A=a|b", "A=(a)", "A=<a>", "A=~/x", "A='~/x'", "A=a:~/b", "A=*", "A=a=b", "A='a\nb'", 'A="a\nb"', "A=`a\nb`",
    'A="a\\\nb"', "A='a\\'", 'A="a\\\\"', "A=a\\", "A=it's", 'A=say "hi"', "A='x", 'A="x', "A=x\r", "A='x'\r", "A='a\r\nb'",
    'A="a\rb"', "A=a\rb", "\ufeffA=x", "A=\u00a0x", "A=x\u2028y", "A: x", "A:x", "A", "A=x\nA=y", "# c\nA=x", "A=x ", "A=x\t",
    'A="\\0101"', 'A="a\\qb"', "A='a\\qb'", "A=\\u0041", 'A="\\u0041"', "A='a'#b", "A=x\x0b", "A=\x0bx", "A='x'  ", "A='x';",
    "A=!x", 'A="a!b"', "A={a,b}", "A=a,b", "UID=5", "__proto__=x", "A=é", "A='é'", "A=\ue000", "A=\ufffe", "A='a # b'",
]  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_read_in_silence_every_reader_reads_alike(room, tmp_path, dialect):
    files, read, silent = [], [], 0
    for n, text in enumerate(WRITTEN):
        file = room.path / f"written-{dialect}-{n}.env"
        file.write_bytes((text + "\n").encode())
        run = room.run("push", f"written-{dialect}-{n}", ENV_FILE=file.name, DIALECT=dialect, FORMAT="json")
        assert run.returncode in (0, 2), (text, run.stdout)
        files.append(file)
        store = room.path / ".envsync" / f"written-{dialect}-{n}" / "1.json"
        quiet = run.returncode == 0 and "not every reader" not in run.stdout
        read.append(json.loads(store.read_bytes()) if quiet else None)
        silent += quiet
    # The law is worth something only while much is read.
    assert silent >= 25, silent
    for reader in READERS:
        if reader.dialect != dialect or reader.missing or reader.slow:
            continue
        wrong = []
        for text, ours, theirs in zip(WRITTEN, read, reader.read(files), strict=True):
            got = None if theirs is None else {name: theirs[name] for name in theirs if name in ("A", "UID", "__proto__")}
            if ours is not None and got != ours and not (got or {}).keys() - ours.keys() == {"UID"}:
                wrong.append((text, ours, got))
        assert not wrong, f"{reader}: {wrong}"
