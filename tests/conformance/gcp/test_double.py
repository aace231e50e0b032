"""(a) Google's own client drives our double through every operation that a scenario uses, and gets what Google documents.

Only then may the double judge the binary. Sources: the REST reference of Secret Manager, its pages on etags, data integrity
and consistency, and the texts of errors that users report from the real service.
"""

import concurrent.futures
import contextlib
import datetime
import json
import urllib.error
import urllib.request
import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core import exceptions
from google.auth import jwt
from google.cloud.secretmanager_v1.types import SecretVersion
from google.oauth2 import service_account

from conftest import TOKEN, Token, client

PROJECT, NUMBER = "fake-project", "123456789012"
AUTOMATIC = {"replication": {"automatic": {}}}
State = SecretVersion.State


def crc32c(data):
    """CRC-32C, written down a second time: neither the double's nor the product's."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@contextlib.contextmanager
def refused(status, code, match=None):
    """Over REST the client's exceptions are those of the HTTP status; Google's own code is in the body."""
    with pytest.raises(exceptions.GoogleAPICallError, match=match) as caught:
        yield caught
    assert (caught.value.code, caught.value.response.json()["error"]["status"]) == (status, code)


INVALID = (400, "INVALID_ARGUMENT")
PRECONDITION = (400, "FAILED_PRECONDITION")
MISSING = (404, "NOT_FOUND")


class Google:
    """The client with one secret of a test's own."""

    def __init__(self, url, credentials=None, parent=f"projects/{PROJECT}", name=None):
        self.client, self.parent = client(url, credentials), parent
        self.id = name or f"double-{uuid.uuid4()}"
        self.name = f"{parent}/secrets/{self.id}"

    def create(self, secret=AUTOMATIC, name=None):
        return self.client.create_secret(request={"parent": self.parent, "secret_id": name or self.id, "secret": secret})

    def add(self, data, **more):
        return self.client.add_secret_version(request={"parent": self.name, "payload": {"data": data, **more}})

    def access(self, version="latest"):
        # Without `retry=None` the client would try again what this test wants to see.
        return self.client.access_secret_version(request={"name": f"{self.name}/versions/{version}"}, retry=None)

    def get(self, version="latest"):
        return self.client.get_secret_version(request={"name": f"{self.name}/versions/{version}"})

    def change(self, verb, version, etag=""):
        call = getattr(self.client, f"{verb}_secret_version")
        return call(request={"name": f"{self.name}/versions/{version}", "etag": etag})


@pytest.fixture
def google(double_url):
    return Google(double_url)


def full(google, version=None):
    """The name as answers carry it."""
    name = google.name.replace(PROJECT, NUMBER)
    return f"{name}/versions/{version}" if version else name


def test_a_secret_is_created_and_described(google):
    made = google.create({**AUTOMATIC, "labels": {"env": "test"}, "annotations": {"who": "us"}})
    assert made.name == full(google)
    assert "automatic" in made.replication and made.etag.startswith('"')
    assert abs(made.create_time - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(minutes=5)
    described = google.client.get_secret(request={"name": google.name})
    assert described == made
    assert (dict(described.labels), dict(described.annotations)) == ({"env": "test"}, {"who": "us"})
    with refused(409, "ALREADY_EXISTS", r"Secret \[.*\] already exists"):
        google.create()
    for name in ("no spaces", "a.b", "x" * 256):
        with refused(*INVALID):
            google.create(name=name)
    with refused(*INVALID):
        google.create({}, name="without-replication")


def test_places_are_chosen_when_it_is_created(google):
    replicas = [{"location": "europe-west3"}, {"location": "europe-west4"}]
    google.create({"replication": {"user_managed": {"replicas": replicas}}})
    described = google.client.get_secret(request={"name": google.name})
    assert [r.location for r in described.replication.user_managed.replicas] == ["europe-west3", "europe-west4"]
    google.add(b"fake-value")
    status = google.get(1).replication_status
    assert [r.location for r in status.user_managed.replicas] == ["europe-west3", "europe-west4"]


def test_versions_count_from_1_and_names_carry_the_project_number(google, double_url):
    google.create()
    assert google.add(b"one").name == full(google, 1)
    assert google.add(b"two").name == full(google, 2)
    by_number = Google(double_url, parent=f"projects/{NUMBER}", name=google.id)
    for which in (google, by_number):
        answer = which.access()
        assert (answer.name, answer.payload.data) == (full(google, 2), b"two")
        assert which.access(1).payload.data == b"one"
    version = google.get()
    assert (version.name, version.state, version.etag[0]) == (full(google, 2), State.ENABLED, '"')
    with refused(*MISSING, r"Secret Version \[.*/versions/3\] not found"):
        google.access(3)


def test_a_missing_secret_and_one_without_a_version(google):
    message = r"Secret \[projects/123456789012/secrets/.*\] not found or has no versions"
    with refused(*MISSING, message):
        google.access()
    with refused(*MISSING):
        google.add(b"x")
    with refused(*MISSING):
        google.client.get_secret(request={"name": google.name})
    with refused(*MISSING):
        list(google.client.list_secret_versions(request={"parent": google.name}))
    google.create()
    with refused(*MISSING, message):
        google.access()
    assert list(google.client.list_secret_versions(request={"parent": google.name})) == []


def test_checksums(google):
    google.create()
    data = b"fake-\x00\xff"
    assert google.add(data, data_crc32c=crc32c(data)).client_specified_payload_checksum
    assert not google.add(data).client_specified_payload_checksum
    for version in (1, 2):
        payload = google.access(version).payload
        assert (payload.data, payload.data_crc32c) == (data, crc32c(data))
    with refused(*INVALID):
        google.add(data, data_crc32c=crc32c(data) ^ 1)
    assert google.get().name == full(google, 2)


def test_sizes(google):
    google.create()
    google.add("é".encode() * 32_768)
    assert len(google.access().payload.data) == 65_536
    for data in (b"", b"x" * 65_537):
        with refused(*INVALID):
            google.add(data)


def test_states_and_latest(google):
    google.create()
    google.add(b"one")
    google.add(b"two")
    assert google.change("disable", 2).state == State.DISABLED
    with refused(*PRECONDITION, r"Secret Version \[.*/versions/2\] is in DISABLED state"):
        google.access()
    assert google.access(1).payload.data == b"one"
    assert google.change("enable", 2).state == State.ENABLED
    assert google.access().payload.data == b"two"
    gone = google.change("destroy", 2)
    assert (gone.state, gone.destroy_time is not None) == (State.DESTROYED, True)
    for version in ("latest", 2):
        with refused(*PRECONDITION, "is in DESTROYED state"):
            google.access(version)
    with refused(*PRECONDITION):
        google.change("enable", 2)
    assert google.get().state == State.DESTROYED
    assert google.add(b"three").name == full(google, 3)


def test_etags(google):
    google.create()
    first = google.add(b"one")
    google.change("enable", 1, first.etag)
    # Even what changes nothing changes the etag.
    with refused(*PRECONDITION):
        google.change("disable", 1, first.etag)
    assert google.get(1).state == State.ENABLED
    secret = google.client.get_secret(request={"name": google.name})
    google.add(b"two")
    assert google.client.get_secret(request={"name": google.name}).etag == secret.etag
    secret.labels["env"] = "test"
    update = {"secret": secret, "update_mask": {"paths": ["labels"]}}
    changed = google.client.update_secret(request=update)
    assert (dict(changed.labels), changed.etag != secret.etag) == ({"env": "test"}, True)
    with refused(*PRECONDITION):
        google.client.update_secret(request=update)
    with refused(*PRECONDITION):
        google.client.delete_secret(request={"name": google.name, "etag": secret.etag})
    google.client.delete_secret(request={"name": google.name, "etag": changed.etag})
    with refused(*MISSING):
        google.client.get_secret(request={"name": google.name})


def test_aliases(google):
    google.create()
    google.add(b"one")
    google.add(b"two")
    set_to = lambda aliases: google.client.update_secret(
        request={
            "secret": {"name": google.name, "version_aliases": aliases},
            "update_mask": {"paths": ["version_aliases"]},
        }
    )
    assert dict(set_to({"live": 1}).version_aliases) == {"live": 1}
    assert google.access("live").name == full(google, 1)
    with refused(*MISSING):
        google.access("none")
    for wrong in ({"latest": 1}, {"live": 9}):
        with refused(*INVALID):
            set_to(wrong)


def test_regional_secrets(google, double_url):
    regional = Google(double_url, parent=f"projects/{PROJECT}/locations/europe-west3", name=google.id)
    google.create()
    assert regional.create({}).name == full(regional)
    assert regional.add(b"there").name == full(regional, 1)
    assert regional.access().payload.data == b"there"
    with refused(*MISSING):
        google.access()
    listed = lambda which: [s.name for s in which.client.list_secrets(request={"parent": which.parent})]
    assert full(regional) in listed(regional) and full(google) not in listed(regional)
    with refused(*INVALID):
        regional.create(AUTOMATIC, name="replicated")


def test_lists_pages_and_filters(google):
    start = f"many-{uuid.uuid4()}"
    names = [f"{start}-{n:02}" for n in range(12)]
    for n, name in enumerate(names):
        google.create({**AUTOMATIC, "labels": {"half": "first" if n < 6 else "second"}}, name)

    def listed(what, size=5):
        return google.client.list_secrets(request={"parent": google.parent, "filter": what, "page_size": size})

    ids = lambda pager: [s.name.rpartition("/")[2] for s in pager]
    # Newest first.
    assert ids(listed(f"name:{start}")) == names[::-1]
    assert [len(page.secrets) for page in listed(f"name:{start}").pages] == [5, 5, 2]
    assert ids(listed(f"name:{start} AND labels.half=first")) == names[5::-1]
    assert ids(listed(f"name:{names[0]} OR name:{names[3]}")) == [names[3], names[0]]
    assert ids(listed(f"name:no-{start}")) == []
    with refused(*INVALID):
        ids(listed("nonsense"))
    google.create()
    for n in range(7):
        google.add(b"x")
    google.change("disable", 6)
    versions = lambda what="": [
        int(v.name.rpartition("/")[2])
        for v in google.client.list_secret_versions(request={"parent": google.name, "filter": what, "page_size": 2})
    ]
    assert (versions(), versions("state:ENABLED")) == ([7, 6, 5, 4, 3, 2, 1], [7, 5, 4, 3, 2, 1])


@pytest.mark.parametrize(
    ("token", "status", "code", "reason"),
    [
        ("EXPIRED-fake-token", 401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"),
        ("UNKNOWN-fake-token", 401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        ("DENIED-fake-token", 403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED"),
    ],
)
def test_tokens_are_judged(google, double_url, token, status, code, reason):
    google.create()
    google.add(b"x")
    other = Google(double_url, Token(token), name=google.id)
    for call in (other.access, other.get, lambda: other.add(b"y")):
        with refused(status, code) as caught:
            call()
        assert caught.value.details[0]["reason"] == reason
    assert google.get().name == full(google, 1)
    if status == 403:
        assert caught.value.details[0]["metadata"]["permission"] == "secretmanager.versions.add"


def test_another_project_is_refused(double_url):
    other = Google(double_url, parent="projects/another-project")
    with refused(403, "PERMISSION_DENIED", "Permission denied on resource project another-project") as caught:
        other.access()
    assert caught.value.details[0]["reason"] == "CONSUMER_INVALID"


def key():
    """A service account's key file, of a key that nobody has."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "fake",
        "private_key": pem.decode(),
        "client_email": f"robot@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        # Nothing listens there: a token is made, not fetched.
        "token_uri": "http://127.0.0.1:9/token",
    }


@pytest.mark.parametrize("scopes", [None, ["https://www.googleapis.com/auth/cloud-platform"]])
def test_a_service_account_signs_its_own_token(google, double_url, scopes):
    google.create()
    google.add(b"fake-value")
    credentials = service_account.Credentials.from_service_account_info(key(), scopes=scopes)
    credentials = credentials.with_always_use_jwt_access(True)
    robot = Google(double_url, credentials, name=google.id)
    assert robot.access().payload.data == b"fake-value"
    claims = jwt.decode(credentials.token, verify=False)
    assert ("scope" in claims, claims.get("aud")) == ((True, None) if scopes else (False, "https://secretmanager.googleapis.com/"))


def test_writers_at_once_get_numbers_without_a_gap(google, double_url):
    """What the repair of lost updates rests on: no number is given twice, and none is left out."""
    google.create()
    writers = [Google(double_url, name=google.id) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(len(writers)) as pool:
        added = list(pool.map(lambda n: (writers[n % 8].add(f"fake-{n}".encode()).name, n), range(40)))
    numbers = {int(name.rpartition("/")[2]): n for name, n in added}
    assert sorted(numbers) == list(range(1, 41))
    # Each number reads what its own writer wrote.
    assert all(google.access(number).payload.data == f"fake-{n}".encode() for number, n in numbers.items())


def test_a_token_is_required(double_url, google):
    request = urllib.request.Request(f"{double_url}/v1/{google.name}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    error = json.load(caught.value)["error"]
    assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 404
