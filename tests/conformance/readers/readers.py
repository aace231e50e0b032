"""The programs and libraries that read .env files, each as a function: paths in, one map (or None) a file out."""

import ctypes
import functools
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# What the readers themselves find in their environment: nothing that a value could be replaced with.
BARE = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}
TIMEOUT_SECONDS = 120


class Reader:
    """`missing`: why it cannot be had here. `slow`: takes a process a file, so that it reads only whole sets."""

    def __init__(self, name, dialect, read, missing="", slow=False):
        self.name, self.dialect, self.read, self.missing, self.slow = name, dialect, read, missing, slow

    def __repr__(self):
        return self.name.replace(" ", "-")


def told(command, paths, env=BARE, cwd=HERE):
    """What a program that takes paths on stdin prints."""
    run = subprocess.run(
        command, input="".join(f"{path}\n" for path in paths), env=env, cwd=cwd, capture_output=True, text=True,
        encoding="utf-8", timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert run.returncode == 0, f"{command}: {run.stderr}"
    return run.stdout


def lines(command, env=BARE):
    return lambda paths: [json.loads(line) for line in told(command, paths, env).split("\n") if line]


def npm(name):
    return lines(["node", str(HERE / "node.mjs"), name])


def env_file(paths):
    """The real thing: a process a file."""
    script = "console.log(JSON.stringify(process.env))"
    run = functools.partial(subprocess.run, capture_output=True, text=True, encoding="utf-8", env=BARE)
    runs = [run(["node", f"--env-file={path}", "-e", script], timeout=TIMEOUT_SECONDS) for path in paths]
    return [json.loads(run.stdout) if run.returncode == 0 else None for run in runs]


def pairs(text):
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def shell(*words):
    def read(paths):
        told(["sh", str(HERE / "shell.sh"), *words], paths)
        found = [pathlib.Path(f"{path}.read") for path in paths]
        return [pairs(file.read_bytes().decode("utf-8", "replace")) if file.exists() else None for file in found]

    return read


PYTHON = """
import io, json, logging, sys
logging.disable()
from dotenv import dotenv_values
for path in sys.stdin.read().splitlines():
    print(json.dumps(dict(dotenv_values(path))))
"""

PYDANTIC = """
import json, logging, sys
logging.disable()
from pydantic_settings import DotEnvSettingsSource, BaseSettings, SettingsConfigDict
for path in sys.stdin.read().splitlines():
    class Settings(BaseSettings):
        model_config = SettingsConfigDict(case_sensitive=True)
    source = DotEnvSettingsSource(Settings, env_file=path, case_sensitive=True)
    print(json.dumps(dict(source.env_vars)))
"""

ENVIRONS = """
import json, logging, sys
logging.disable()
from dotenv import dotenv_values
from environs import Env
for path in sys.stdin.read().splitlines():
    env = Env()
    env.read_env(path, recurse=False)
    print(json.dumps({name: env.str(name, None) for name in dotenv_values(path)}))
"""


def python(script, folder=None):
    path = {"PYTHONPATH": str(folder)} if folder else {}
    return lines([sys.executable, "-B", "-c", script], {**BARE, **path})


@functools.cache
def systemd_library():
    """Beside the other libraries, or in a folder of systemd's own."""
    places = ("/lib", "/usr/lib", "/lib/*", "/usr/lib/*", "/usr/lib64")
    found = [file for place in places for file in glob.glob(f"{place}/systemd/libsystemd-shared-*.so")]
    return found[0] if found else None


def systemd(paths):
    """What `EnvironmentFile=` does: the parser and the filter of systemd's own library."""
    library = ctypes.CDLL(systemd_library())
    library.env_assignment_is_valid.restype = ctypes.c_bool

    def read(path):
        out = ctypes.POINTER(ctypes.c_char_p)()
        if library.load_env_file(None, os.fsencode(path), ctypes.byref(out)) < 0:
            return None
        entries = []
        while out and out[len(entries)] is not None:
            entries.append(out[len(entries)])
        valid = [entry.decode() for entry in entries if library.env_assignment_is_valid(entry)]
        return dict(entry.split("=", 1) for entry in valid)

    return [read(path) for path in paths]


def go(name):
    return lines([str(HERE / "go" / "readers"), name])


def lacks(*programs):
    gone = [program for program in programs if not shutil.which(program)]
    return f"{', '.join(gone)} is not installed" if gone else ""


def unbuilt():
    return "" if (HERE / "go" / "readers").exists() else "go is not installed"


READERS = [
    Reader("docker", "docker", go("docker"), unbuilt()),
    Reader("podman", "docker", None, "its module cannot be had"),
    Reader("kubectl", "docker", None, "not installed: its module brings all of Kubernetes' client"),
    Reader("bash", "shell", shell("bash"), lacks("bash")),
    Reader("bash posix", "shell", shell("bash", "--posix"), lacks("bash")),
    Reader("dash", "shell", shell("dash"), lacks("dash")),
    Reader("busybox sh", "shell", shell("busybox", "sh"), lacks("busybox")),
    Reader("zsh", "shell", shell("zsh", "-f"), lacks("zsh")),
    Reader("systemd", "shell", systemd, "" if systemd_library() else "libsystemd-shared is not installed"),
    Reader("compose", "compose", go("compose"), unbuilt()),
    Reader("python-dotenv", "python", python(PYTHON)),
    Reader("python-dotenv 0.21", "python", python(PYTHON, HERE / ".old")),
    Reader("pydantic-settings", "python", python(PYDANTIC)),
    Reader("environs", "python", python(ENVIRONS)),
    Reader("npm dotenv 16", "node", npm("npm dotenv 16")),
    Reader("npm dotenv 17", "node", npm("npm dotenv 17")),
    Reader("npm dotenv 18", "node", npm("npm dotenv 18")),
    Reader("node parseEnv", "node", npm("node parseEnv")),
    Reader("node --env-file", "node", env_file, slow=True),
    Reader("deno", "node", None, "not installed: its package holds a binary of 40 MB"),
    Reader("dotenv-expand 12", "next", npm("dotenv-expand 12")),
    Reader("dotenv-expand 1000", "next", npm("dotenv-expand 1000")),
    Reader("next", "next", npm("next")),
    Reader("vite", "next", None, "not installed: it brings a bundler; it reads with dotenv and dotenv-expand"),
]
