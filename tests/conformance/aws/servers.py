"""Starts the three servers on free loopback ports, each a child that is ended by its own process id."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time

import doubles

REGION = "eu-central-1"
START_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def bare_environment(scratch, **more):
    """What a Python server needs and nothing of the caller's: no credentials, no proxies, no settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(scratch), "TMPDIR": str(scratch), **more}


@contextlib.contextmanager
def child(command, port, scratch, **environment):
    """Runs a server until the block ends; gives its address and process id once it accepts connections."""
    log = pathlib.Path(scratch) / f"server-{port}.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, env=bare_environment(scratch, **environment), cwd=scratch, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    try:
        wait_until_open(server, port, log)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_open(server, port, log):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{log.name}: the server did not start\n{log.read_text(errors='replace')[-3000:]}")


def moto(scratch):
    port = free_port()
    return child([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port, scratch)


def ministack(scratch):
    port = free_port()
    # Unless told otherwise it listens on every interface, opens a second port for MQTT, and removes the containers that
    # another ministack started on the same Docker daemon.
    return child(
        [sys.executable, "-m", "ministack"],
        port,
        scratch,
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        SERVICES="secretsmanager,sts,iam",
        MINISTACK_REGION=REGION,
        LOG_LEVEL="WARNING",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        DOCKER_HOST=f"unix://{scratch}/no-docker.sock",
    )


@contextlib.contextmanager
def double(scratch):
    """Our own."""
    with doubles.double("aws", scratch) as ((url,), pid):
        yield url, pid


def listening(pid):
    """The local addresses on which a process waits for connections, as Linux writes them: 0100007F is 127.0.0.1."""
    inodes = set()
    for handle in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(handle))
    found = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.append(fields[1])
    return found


SERVERS = {"moto": moto, "ministack": ministack, "double": double}
