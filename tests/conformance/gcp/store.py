"""Google as the scenarios see it: a store that is seeded and read with Google's own client."""

import uuid

from google.api_core import exceptions

from scenarios import Prompt

PROJECT = "fake-project"
PARENT = f"projects/{PROJECT}"


class GcpStore(Prompt):
    project = PROJECT
    missing_version = "99"
    writers = 16
    unlocked = ""

    def __init__(self, name, url, client, token):
        self.name, self.url, self.client, self.token = name, url, client, token

    def inputs(self):
        return {
            "PROVIDER": "gcp",
            "GCP_PROJECT": self.project,
            "GCP_ENDPOINT": self.url,
            "GCP_ACCESS_TOKEN": self.token,
        }

    def base(self, name):
        return f"gcp {self.path(name)}"

    def make(self):
        return f"conformance-{uuid.uuid4()}"

    @property
    def parent(self):
        return f"projects/{self.project}"

    def path(self, name):
        return f"{self.parent}/secrets/{name}"

    @staticmethod
    def secret(base, variable):
        return base + variable

    def seed(self, name, payload):
        data = payload if isinstance(payload, bytes) else payload.encode()
        adding = {"parent": self.path(name), "payload": {"data": data}}
        try:
            version = self.client.add_secret_version(request=adding)
        except exceptions.NotFound:
            self.empty(name)
            version = self.client.add_secret_version(request=adding)
        return number(version)

    def empty(self, name, **more):
        secret = {"replication": {"automatic": {}}, **more}
        self.client.create_secret(request={"parent": self.parent, "secret_id": name, "secret": secret})

    def read(self, name, version="latest"):
        try:
            answer = self.client.access_secret_version(request={"name": f"{self.path(name)}/versions/{version}"}, retry=None)
        except (exceptions.NotFound, exceptions.BadRequest):
            return None
        try:
            return answer.payload.data.decode()
        except UnicodeDecodeError:
            return answer.payload.data

    def states(self, name):
        """The number of each version and its state, oldest first."""
        try:
            listed = list(self.client.list_secret_versions(request={"parent": self.path(name)}))
        except exceptions.NotFound:
            return {}
        return {number(version): version.state.name for version in reversed(listed)}

    def versions(self, name):
        return list(self.states(name))

    def current(self, name):
        return self.versions(name)[-1]

    def describe(self, name):
        """The secret without its payloads; None where there is none."""
        try:
            return self.client.get_secret(request={"name": self.path(name)})
        except exceptions.NotFound:
            return None

    def set_state(self, name, version, verb):
        call = getattr(self.client, f"{verb}_secret_version")
        call(request={"name": f"{self.path(name)}/versions/{version}"})

    def check_clean(self, name, raced=False):
        """No version was disabled or destroyed, and nothing was written beside the payloads."""
        assert set(self.states(name).values()) <= {"ENABLED"}, self.states(name)
        secret = self.describe(name)
        assert secret is None or not (secret.labels or secret.annotations or secret.version_aliases), secret


def number(version):
    return version.name.rpartition("/")[2]
