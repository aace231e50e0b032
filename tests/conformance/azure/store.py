"""Key Vault as the scenarios see it: a store that is seeded and read with Microsoft's client."""

import time
import uuid

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

import clients
from scenarios import Prompt


class AzureStore(Prompt):
    name = "double"
    missing_version = "0" * 32
    writers = 16
    polling_seconds = 0.01
    unlocked = ""

    def __init__(self, where, client):
        self.where, self.client = where, client

    def inputs(self):
        return {
            "PROVIDER": "azure",
            "AZURE_VAULT": self.where.vault,
            "AZURE_TENANT_ID": clients.TENANT,
            "AZURE_CLIENT_ID": clients.CLIENT_ID,
            "AZURE_CLIENT_SECRET": clients.CLIENT_SECRET,
            "AZURE_AUTHORITY_HOST": self.where.authority,
            "CA_FILE": self.where.ca_file,
        }

    def base(self, name):
        return f"azure {self.where.vault.rstrip('/')}/secrets/{name.lower()}"

    def make(self):
        return f"conformance-{uuid.uuid4()}"

    @staticmethod
    def secret(base, variable):
        return base + variable.replace("_", "-")

    def seed(self, name, payload, **properties):
        """`properties` are those of `set_secret`: content_type, tags, enabled, not_before, expires_on."""
        try:
            text = payload.decode() if isinstance(payload, bytes) else payload
        except UnicodeDecodeError:
            pytest.skip("a value of Key Vault is a text")
        end = time.monotonic() + 10
        while True:
            try:
                return self.client.set_secret(name, text, **properties).properties.version
            except ResourceExistsError:
                # 409: the secret is still busy with the write before.
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def schedule_deletion(self, name):
        self.client.begin_delete_secret(name, _polling_interval=self.polling_seconds).wait()

    def is_deleted(self, name):
        try:
            return self.client.get_deleted_secret(name).recovery_id is not None
        except ResourceNotFoundError:
            return False

    def read(self, name):
        try:
            return self.client.get_secret(name).value
        except ResourceNotFoundError:
            return None

    def properties(self, name, version=None):
        return self.client.get_secret(name, version).properties

    def versions(self, name):
        return [version.version for version in self.client.list_properties_of_secret_versions(name)]

    def current(self, name):
        """The id of the version that is current, None where there is none."""
        try:
            return self.client.get_secret(name).properties.version
        except ResourceNotFoundError:
            return None

    def check_clean(self, name, raced=False):
        """No version has anything beside its value: we add nothing to what the version before had, and the seeds have
        nothing."""
        for version in self.client.list_properties_of_secret_versions(name):
            assert not version.tags and version.content_type is None and version.enabled, version
