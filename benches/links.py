"""The way from a run to the doubles under the clouds' own names, each host behind TLS 1.3 and a link on which every round trip
takes the same time. Names and ports are those of a network namespace, which reaches nothing outside."""

import asyncio
import fcntl
import socket
import ssl
import struct
import subprocess
import threading
import urllib.parse

from stores import HOSTS


def prepare(scratch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # SIOCSIFFLAGS with IFF_UP | IFF_RUNNING
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
    lines = [f"127.0.1.{number} {host}\n" for number, host in enumerate(HOSTS, 1)]
    (scratch / "hosts").write_text("".join(lines))
    subprocess.run(["mount", "--bind", scratch / "hosts", "/etc/hosts"], check=True)

    def openssl(name, *more):
        made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
        command = ["openssl", "req", "-x509", "-days", "2", "-subj", f"/CN=EnvSync test {name}", *made, *more]
        subprocess.run(command, cwd=scratch, check=True, capture_output=True)

    openssl("authority")
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    extensions = ["-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE"]
    openssl("server", "-CA", "authority.pem", "-CAkey", "authority.key", *extensions)


class Links:
    """The way to every host: raw bytes with a delay, then the end of TLS, then the double."""

    def __init__(self, scratch):
        prepare(scratch)
        # Seconds of a round trip, and the address of the double for each host: to be set before a run.
        self.rtt = 0.0
        self.doubles = {}
        self.authority = scratch / "authority.pem"
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_3
        self.tls.load_cert_chain(scratch / "server.pem", scratch / "server.key")
        loop, opened = asyncio.new_event_loop(), threading.Event()

        def serve():
            # Connections that are cut off by the end are nobody's loss.
            loop.set_exception_handler(lambda *_: None)
            loop.run_until_complete(self.open())
            opened.set()
            loop.run_forever()

        threading.Thread(target=serve, daemon=True).start()
        opened.wait()

    async def open(self):
        for number, host in enumerate(HOSTS, 1):
            end = await asyncio.start_server(self.terminator(host), "127.0.0.1", 0, ssl=self.tls)
            port = end.sockets[0].getsockname()[1]
            await asyncio.start_server(self.link(port), f"127.0.1.{number}", 443)

    def terminator(self, host):
        async def serve(reader, writer):
            url = urllib.parse.urlsplit(self.doubles[host])
            # The double of a vault speaks TLS of its own, with an authority that only its test needs to know.
            trusting = ssl._create_unverified_context() if url.scheme == "https" else None
            inner = await asyncio.open_connection(url.hostname, url.port, ssl=trusting)
            await asyncio.gather(pump(reader, inner[1], 0.0, 0.0), pump(inner[0], writer, 0.0, 0.0))

        return serve

    def link(self, port):
        async def serve(reader, writer):
            rtt, begun = self.rtt, asyncio.get_running_loop().time()
            far = await asyncio.open_connection("127.0.0.1", port)
            # The handshake of TCP is over at once here: what is sent first pays for it.
            await asyncio.gather(pump(reader, far[1], rtt / 2, begun + rtt * 1.5), pump(far[0], writer, rtt / 2, 0.0))

        return serve


async def pump(reader, writer, delay, earliest):
    """Hands bytes on, each `delay` after it came and the first not before `earliest`."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    async def send():
        while True:
            due, data = await queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()

    async def receive():
        first, data = earliest, b"any"
        while data:
            data = await reader.read(65536)
            # A delay of nothing keeps the order all the same.
            await queue.put((max(loop.time() + delay if delay else 0.0, first), data))
            first = 0.0

    try:
        await asyncio.gather(send(), receive())
    except OSError:
        pass
    writer.close()
