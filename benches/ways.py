"""What benches/ways measures, once the image is built: its directory, that of the binary, the image, the address of this machine
in the container's network, and the arguments of benches/ways."""

import argparse
import asyncio
import gzip
import hashlib
import http.server
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tarfile
import threading

sys.dont_write_bytecode = True
import figures  # noqa: E402
import stores  # noqa: E402
from links import pump  # noqa: E402
from rows import lines_of, run  # noqa: E402

VARIABLES = 50
CONTAINER, BINARY = "container action", "binary"


def forward(url, address):
    """The double listens on loopback alone, which a container cannot reach: its URL at the address."""
    port = int(url.rsplit(":", 1)[1])
    loop, opened = asyncio.new_event_loop(), threading.Event()

    async def serve(reader, writer):
        inner = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner[1], 0.0, 0.0), pump(inner[0], writer, 0.0, 0.0))

    def start():
        forward.server = loop.run_until_complete(asyncio.start_server(serve, address, 0))
        opened.set()
        loop.run_forever()

    threading.Thread(target=start, daemon=True).start()
    opened.wait()
    return f"http://{address}:{forward.server.sockets[0].getsockname()[1]}"


class Site(http.server.ThreadingHTTPServer):
    """Serves what is in `pages`, path → type and bytes: the files of a release, and the image as a registry has it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Page)
        self.pages = {"/v2/": ("application/json", b"{}")}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, content = self.server.pages.get(self.path, (None, b""))
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Docker-Content-Digest", digest_of(content))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def saved(image, work):
    """The image's configuration and its layers, unpacked."""
    subprocess.run(["docker", "save", "--output", work / "image.tar", image], check=True)
    with tarfile.open(work / "image.tar") as tar:
        parts = json.load(tar.extractfile("manifest.json"))[0]
        layers = [tar.extractfile(name).read() for name in parts["Layers"]]
        config = json.load(tar.extractfile(parts["Config"]))
    return config, [gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer for layer in layers]


def publish(site, name, config, layers):
    """Puts the image into the registry; the bytes that a pull of it brings."""
    layers_type, config_type = "application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.docker.container.image.v1+json"
    manifest_type = "application/vnd.docker.distribution.manifest.v2+json"
    config = config | {"rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}
    blobs = [(config_type, json.dumps(config).encode())]
    blobs += [(layers_type, gzip.compress(layer, 9, mtime=0)) for layer in layers]
    for _, blob in blobs:
        site.pages[f"/v2/{name}/blobs/{digest_of(blob)}"] = ("application/octet-stream", blob)
    first, *rest = ({"mediaType": kind, "size": len(blob), "digest": digest_of(blob)} for kind, blob in blobs)
    manifest = {"schemaVersion": 2, "mediaType": manifest_type, "config": first, "layers": rest}
    content = json.dumps(manifest).encode()
    for tag in ("latest", digest_of(content)):
        site.pages[f"/v2/{name}/manifests/{tag}"] = (manifest_type, content)
    return sum(len(blob) for _, blob in blobs)


class Job:
    """A job of GitHub's runner: its directories, its variables, and the three things that are measured."""

    def __init__(self, work, built, url):
        self.work, self.built = work, built
        self.workspace, self.temp, self.commands = (work / name for name in ("workspace", "temp", "commands"))
        for directory in (self.workspace, self.temp, self.commands):
            directory.mkdir(exist_ok=True)
        files = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY", "GITHUB_STATE", "GITHUB_PATH")
        self.env = {name: str(self.commands / name) for name in files} | {
            "PATH": f"{built}:{os.environ['PATH']}",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
        }
        self.inputs = stores.CLOUDS[0].inputs([]) | {"ENVSYNC_AWS_ENDPOINT_URL": url, "ENVSYNC_SECRET": "bench"}
        (work / "step.sh").write_text("envsync\n")
        (self.workspace / "given.env").write_text(lines_of(VARIABLES))
        self.fresh()
        push = self.env | self.inputs | {"ENVSYNC_MODE": "push", "ENVSYNC_ENV_FILE": "given.env"}
        run([built / "envsync"], push, self.workspace)

    def fresh(self):
        for file in (".env", "said"):
            (self.workspace / file).unlink(missing_ok=True)
        for name in self.env:
            if name.startswith("GITHUB_") and name not in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE"):
                pathlib.Path(self.env[name]).write_text("")

    def pulls(self, command, env):
        self.fresh()
        ran = run(command, self.env | env, self.workspace)
        if f"{VARIABLES} to add" not in ran.said or not (self.workspace / ".env").exists():
            sys.exit(f"{command} did not pull:\n{ran.said}")
        return ran.wall

    def container(self):
        # The runner hands over every input of action.yml, those that are not given too.
        names = re.findall(r"^  (\w+):$", (stores.ROOT / "action.yml").read_text().split("\noutputs:")[0], re.MULTILINE)
        inputs = {f"INPUT_{name.upper()}": "" for name in names}
        given = {name.replace("ENVSYNC_", "INPUT_", 1): value for name, value in self.inputs.items()}
        return self.pulls([self.work / "starter", "envsync"], inputs | given)

    def binary(self):
        # As the runner starts `run: envsync`.
        return self.pulls(["bash", "-e", self.work / "step.sh"], self.inputs)

    def install(self, site):
        """setup/install.sh from a release on this machine."""
        self.fresh()
        version = "v" + figures.version().split()[0]
        packed = next(self.built.glob("*.tar.gz"))
        release = f"/owner/envsync/releases/download/{version}"
        content = packed.read_bytes()
        site.pages[f"{release}/{packed.name}"] = ("application/gzip", content)
        sums = f"{hashlib.sha256(content).hexdigest()}  {packed.name}\n"
        site.pages[f"{release}/SHA256SUMS"] = ("text/plain", sums.encode())
        inputs = {
            "VERSION": version,
            "REPOSITORY": "owner/envsync",
            "SERVER": f"http://127.0.0.1:{site.server_port}",
            "TOKEN": "made-up-token",
            "SYSTEM": "Linux",
            "MACHINE": "X64" if platform.machine() == "x86_64" else "ARM64",
        }
        env = self.env | {f"ENVSYNC_SETUP_{name}": value for name, value in inputs.items()}
        subprocess.run(["rm", "-rf", self.temp / f"envsync-{version}"], check=True)
        return run([stores.ROOT / "setup/install.sh"], env, self.workspace).wall


def measured(job, image, site, rounds):
    """Milliseconds of each round of each way, and what a job downloads."""
    config, layers = saved(image, job.work)
    walls = {(what, way): [] for what in ("step", "first") for way in (CONTAINER, BINARY)}
    docker = {"PATH": os.environ["PATH"], "DOCKER_HOST": os.environ.get("DOCKER_HOST", "")}
    for number in range(rounds):
        # Zeros at the end of an archive change its digest and nothing else: a layer that the engine has not seen.
        padded = [layer + bytes(512 * (number + 1)) for layer in layers]
        size = publish(site, "envsync", config, padded)
        name = f"127.0.0.1:{site.server_port}/envsync:latest"
        walls["first", CONTAINER].append(run(["docker", "pull", name], docker, job.work).wall)
        run(["docker", "image", "rm", name], docker, job.work)
        walls["first", BINARY].append(job.install(site))
        walls["step", CONTAINER].append(job.container())
        walls["step", BINARY].append(job.binary())
    sizes = {CONTAINER: size, BINARY: next(job.built.glob("*.tar.gz")).stat().st_size}
    for (what, way), times in walls.items():
        names = {"step": f"a step that pulls {VARIABLES} variables", "first": "first use in a job: download and unpack"}
        found = {"wall": round(statistics.median(times), 2), "least": round(min(times), 2)}
        yield f"{names[what]} | {way}", found | ({"size": sizes[way]} if what == "first" else {})


def main():
    work, built, image, address = sys.argv[1:5]
    parser = argparse.ArgumentParser(prog="benches/ways")
    parser.add_argument("rounds", nargs="?", type=int, default=21)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args(sys.argv[5:])
    before = figures.load()
    doubles = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", stores.ROOT / "target")).resolve() / "release/envsync-doubles"
    double = stores.Double(doubles, ["aws"], 1)
    job = Job(pathlib.Path(work), pathlib.Path(built), forward(double.said[0], address))
    table = dict(measured(job, image, Site(), given.rounds))
    double.stop()

    old, said = figures.against("ways")
    figures.head(before, given.rounds, said)
    figures.table(table, old, heading="way", columns=("wall", "least", "size"))
    if given.save:
        figures.save("ways", given.rounds, before, table)


main()
