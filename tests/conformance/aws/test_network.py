"""(c) TLS with an authority of our own, and proxies: a TLS front and a CONNECT proxy before the double, both on loopback."""

import base64
import contextlib
import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import threading
import urllib.parse

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import servers
from conftest import KEYS, client
from scenarios import Workspace
from store import AwsStore

# No such host: only a proxy that is told where it lies can reach it.
HOST = "secretsmanager.example.test"
PAYLOAD = '{"A":"fake-one"}'
DAY = datetime.timedelta(days=1)


class Authority:
    """A CA, made when the tests run, whose certificates are good for loopback and for HOST unless told otherwise."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake authority")])
        self.file = directory / "ca.pem"
        limits = x509.BasicConstraints(ca=True, path_length=0)
        self.file.write_bytes(self.pem(self.build(self.name, self.key, -DAY, DAY).add_extension(limits, critical=True)))

    def build(self, subject, key, since, until):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(issuer_name=self.name, subject_name=subject, public_key=key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(now + since).not_valid_after(now + until)

    def pem(self, builder):
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def context(self, label, *, hosts=(HOST, "127.0.0.1", "localhost"), until=DAY):
        """What a server needs that shows a certificate of ours."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(h)) if h[0].isdigit() else x509.DNSName(h) for h in hosts]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake server")])
        built = self.build(subject, key, -3 * DAY, until)
        chain, secret = self.directory / f"{label}.pem", self.directory / f"{label}.key"
        chain.write_bytes(self.pem(built.add_extension(x509.SubjectAlternativeName(names), critical=False)))
        encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        secret.write_bytes(key.private_bytes(*encoding))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, secret)
        return context


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def join(one, other):
    """Carries bytes both ways until both are done."""
    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()


@contextlib.contextmanager
def listen(serve):
    """Serves every connection to a free loopback port in a thread of its own; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def one(connection):
        # A client that goes away, or does not trust us, is judged by what it says itself.
        with contextlib.suppress(OSError), connection:
            serve(connection)

    def accept():
        while True:
            connection, _ = listener.accept()
            if over.is_set():
                connection.close()
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        socket.create_connection(listener.getsockname()).close()
        acceptor.join()
        listener.close()


def tls_front(context, target):
    """Takes TLS off, for what speaks plain HTTP at the target."""

    def serve(connection):
        with context.wrap_socket(connection, server_side=True) as inner, socket.create_connection(target) as outer:
            join(inner, outer)

    return listen(serve)


class Proxy:
    """CONNECT only. Notes every host that it is asked for, and with which credentials; leads all of them to one place."""

    def __init__(self, target, status="200 Connection established"):
        self.target, self.status, self.asked, self.credentials = target, status, [], set()

    def serve(self, connection):
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(4096)
            if not data:
                return
            head += data
        line, *headers = head.decode("latin-1").split("\r\n")
        method, host, _ = line.split(" ")
        self.asked.append((method, host))
        for header in headers:
            name, _, value = header.partition(":")
            if name.lower() == "proxy-authorization":
                self.credentials.add(value.strip())
        connection.sendall(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
        if self.status.startswith("200"):
            with socket.create_connection(self.target) as outer:
                join(connection, outer)


class Network:
    """A double with a secret in it, its TLS front, and runs that reach it in one way or another."""

    def __init__(self, url, authority, workspace, store):
        parts = urllib.parse.urlsplit(url)
        self.target = (parts.hostname, parts.port)
        self.authority, self.workspace, self.store = authority, workspace, store
        self.name = store.make()
        store.seed(self.name, PAYLOAD)

    def front(self, label="server", **certificate):
        return tls_front(self.authority.context(label, **certificate), self.target)

    def pull(self, endpoint, environment=None, hidden=(), **inputs):
        variables = {**self.store.inputs(), "MODE": "pull", "SECRET": self.name, "AWS_ENDPOINT_URL": endpoint}
        variables.update({"TIMEOUT_SECONDS": "60", **inputs})
        process = subprocess.Popen(
            [os.environ["ENVSYNC_BIN"]],
            env={**{f"ENVSYNC_{name}": value for name, value in variables.items()}, **(environment or {})},
            cwd=self.workspace.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        run = Workspace.finish(process, {"fake-one", *hidden})
        assert (self.workspace.text() == "A=fake-one\n") == (run.code == 0), run.output
        return run

    def ca(self):
        return {"CA_FILE": str(self.authority.file)}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def network(double_url, authority, workspace):
    return Network(double_url, authority, workspace, AwsStore("double", double_url, client(double_url), KEYS, 0))


def refused(run, *says):
    """The network failed, and the run says so within its tries."""
    assert run.code == 7, run.output
    assert "took longer" not in run.output
    for part in ("nothing was changed", "help:", *says):
        assert part.lower() in run.output.lower(), f"{part} is not in: {run.output}"


def test_an_authority_in_ca_file_is_trusted(network):
    with network.front() as port:
        run = network.pull(f"https://127.0.0.1:{port}", **network.ca())
    assert run.code == 0, run.output


def test_ca_file_is_relative_to_the_workspace(network):
    (network.workspace.path / "authority.pem").write_bytes(network.authority.file.read_bytes())
    with network.front() as port:
        run = network.pull(f"https://127.0.0.1:{port}", CA_FILE="authority.pem")
    assert run.code == 0, run.output


def test_an_authority_in_ssl_cert_file_is_trusted(network):
    with network.front() as port:
        run = network.pull(f"https://127.0.0.1:{port}", {"SSL_CERT_FILE": str(network.authority.file)})
    assert run.code == 0, run.output


def test_an_unknown_authority_is_refused_with_the_way_out(network):
    with network.front() as port:
        refused(network.pull(f"https://127.0.0.1:{port}"), "certificate", "ca_file")


@pytest.mark.parametrize(
    ("certificate", "says"),
    [({"hosts": ("other.example.test",)}, "not valid for"), ({"until": -DAY}, "expired")],
    ids=["of another host", "expired"],
)
def test_a_bad_certificate_is_named(network, certificate, says):
    with network.front("bad", **certificate) as port:
        refused(network.pull(f"https://127.0.0.1:{port}", **network.ca()), "certificate", says)


def test_a_host_that_speaks_no_tls_is_refused(network):
    refused(network.pull("https://{}:{}".format(*network.target), **network.ca()), "couldn't reach")


BROKEN = "-----BEGIN CERTIFICATE-----\nfake-no-base64!\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", ["", "fake-nothing of the kind\n", BROKEN, None], ids=["empty", "text", "broken", "none"])
def test_a_ca_file_without_a_certificate_is_an_error_of_the_input(network, content):
    path = network.workspace.path / "authority.pem"
    if content is not None:
        path.write_text(content)
    with network.front() as port:
        run = network.pull(f"https://127.0.0.1:{port}", hidden=["fake-no"], CA_FILE="authority.pem")
    assert run.code == (2 if content is not None else 5), run.output
    assert "authority.pem" in run.output and "help:" in run.output


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_used(network, variable):
    with network.front() as port:
        proxy = Proxy(("127.0.0.1", port))
        with listen(proxy.serve) as gate:
            run = network.pull(f"https://{HOST}", {variable: f"http://127.0.0.1:{gate}"}, **network.ca())
    assert run.code == 0, run.output
    assert proxy.asked == [("CONNECT", f"{HOST}:443")]
    assert not proxy.credentials


def test_the_certificate_is_checked_behind_a_proxy_too(network):
    with network.front() as port:
        proxy = Proxy(("127.0.0.1", port))
        with listen(proxy.serve) as gate:
            refused(network.pull(f"https://{HOST}", {"HTTPS_PROXY": f"http://127.0.0.1:{gate}"}), "certificate", "ca_file")


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
# `*` is every name and, for reqwest, no address.
@pytest.mark.parametrize(
    ("host", "hosts"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "example.test,127.0.0.0/8"), ("localhost", "example.test, localhost"), ("localhost", "*")],
)
def test_a_host_without_proxy_is_reached_directly(network, variable, host, hosts):
    proxy = Proxy(network.target)
    with network.front() as port, listen(proxy.serve) as gate:
        environment = {"HTTPS_PROXY": f"http://127.0.0.1:{gate}", variable: hosts}
        run = network.pull(f"https://{host}:{port}", environment, **network.ca())
    assert run.code == 0, run.output
    assert proxy.asked == []


def test_no_proxy_leaves_other_hosts_to_the_proxy(network):
    with network.front() as port:
        proxy = Proxy(("127.0.0.1", port))
        with listen(proxy.serve) as gate:
            environment = {"https_proxy": f"http://127.0.0.1:{gate}", "no_proxy": "other.test,127.0.0.1"}
            run = network.pull(f"https://{HOST}", environment, **network.ca())
    assert run.code == 0, run.output
    assert proxy.asked == [("CONNECT", f"{HOST}:443")]


def test_a_blank_proxy_is_none(network):
    with network.front() as port:
        run = network.pull(f"https://127.0.0.1:{port}", {"HTTPS_PROXY": "", "NO_PROXY": ""}, **network.ca())
    assert run.code == 0, run.output


def test_credentials_of_a_proxy_reach_it_and_nobody_else(network):
    secret = "fake-proxy-password"
    with network.front() as port:
        proxy = Proxy(("127.0.0.1", port))
        with listen(proxy.serve) as gate:
            environment = {"HTTPS_PROXY": f"http://user:{secret}@127.0.0.1:{gate}"}
            run = network.pull(f"https://{HOST}", environment, [secret], **network.ca())
    assert run.code == 0, run.output
    assert proxy.credentials == {"Basic " + base64.b64encode(f"user:{secret}".encode()).decode()}


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_proxy_that_refuses_is_named(network, status):
    secret = "fake-proxy-password"
    proxy = Proxy(network.target, status)
    with listen(proxy.serve) as gate:
        environment = {"HTTPS_PROXY": f"http://user:{secret}@127.0.0.1:{gate}"}
        refused(network.pull(f"https://{HOST}", environment, [secret], **network.ca()), "tunnel", "HTTPS_PROXY")
    # Each try is one request: the proxy was the one that said no.
    assert proxy.asked and set(proxy.asked) == {("CONNECT", f"{HOST}:443")}


def test_a_proxy_that_is_not_there_is_named(network):
    secret = "fake-proxy-password"
    environment = {"HTTPS_PROXY": f"http://user:{secret}@127.0.0.1:{servers.free_port()}"}
    refused(network.pull(f"https://{HOST}", environment, [secret], **network.ca()), "tunnel", "HTTPS_PROXY")


@pytest.mark.parametrize("value", ["http://user:fake-proxy-password@", "::fake-proxy-password::", "socks9://fake-proxy-password"])
def test_a_proxy_that_is_no_address_shows_nothing_of_it(network, value):
    with network.front() as port:
        environment = {"HTTPS_PROXY": value, "NO_PROXY": ""}
        network.pull(f"https://127.0.0.1:{port}", environment, ["fake-proxy-password"], **network.ca())
