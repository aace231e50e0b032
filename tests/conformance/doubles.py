"""Starts a double of our own: it says where it listens, and serves until its standard input ends."""

import contextlib
import os
import subprocess


@contextlib.contextmanager
def double(cloud, scratch, *arguments, lines=1):
    """Gives the lines that the double prints when it is ready, and its process id."""
    server = subprocess.Popen(
        [os.environ["ENVSYNC_DOUBLES"], cloud, *arguments],
        env={},
        cwd=scratch,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = [server.stdout.readline().strip() for _ in range(lines)]
        if not all(said):
            raise RuntimeError(f"the double did not start: exit code {server.wait()}")
        yield said, server.pid
    finally:
        server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()
