"""AWS as the scenarios see it: a store that is seeded and read with boto3, on whichever server."""

import uuid

import botocore.exceptions

import servers
from scenarios import Prompt


class AwsStore(Prompt):
    region = servers.REGION
    missing_version = "00000000-0000-4000-8000-000000000000"
    writers = 32

    def __init__(self, name, url, client, keys, pid):
        self.name, self.url, self.client, self.keys, self.pid = name, url, client, keys, pid

    @property
    def unlocked(self):
        if self.name != "moto":
            return ""
        return "moto answers several requests at once without a lock: two moves of AWSCURRENT may both succeed"

    def inputs(self):
        return {
            "PROVIDER": "aws",
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.url,
            **{key.upper(): value for key, value in self.keys.items()},
        }

    def base(self, name):
        return f"aws {self.region}:{name}"

    def make(self):
        return f"conformance/{uuid.uuid4()}"

    @staticmethod
    def secret(base, variable):
        return base + variable

    def seed(self, name, payload):
        value = {"SecretBinary" if isinstance(payload, bytes) else "SecretString": payload}
        try:
            return self.client.put_secret_value(SecretId=name, **value)["VersionId"]
        except self.client.exceptions.ResourceNotFoundException:
            return self.client.create_secret(Name=name, **value)["VersionId"]

    def empty(self, name):
        self.client.create_secret(Name=name)

    def schedule_deletion(self, name):
        self.client.delete_secret(SecretId=name, RecoveryWindowInDays=7)

    def is_deleted(self, name):
        return "DeletedDate" in self.client.describe_secret(SecretId=name)

    def read(self, name, stage="AWSCURRENT"):
        # The stage is always given: after UpdateSecretVersionStage, moto's plain GetSecretValue still returns the version
        # that was current before (AWS: the one that has AWSCURRENT now).
        try:
            value = self.client.get_secret_value(SecretId=name, VersionStage=stage)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"):
                return None
            raise
        return value.get("SecretString", value.get("SecretBinary"))

    def labels(self, name):
        """Version id to its labels, unlabelled versions too (ministack drops those; AWS keeps them for a day and more)."""
        found, more = {}, {}
        try:
            while more is not None:
                page = self.client.list_secret_version_ids(SecretId=name, IncludeDeprecated=True, **more)
                found.update({v["VersionId"]: list(v.get("VersionStages", ())) for v in page["Versions"]})
                more = {"NextToken": page["NextToken"]} if page.get("NextToken") else None
        except botocore.exceptions.ClientError:
            # moto answers a missing secret with an error of another code here.
            return {}
        return found

    def versions(self, name):
        return list(self.labels(name))

    def current(self, name):
        """The id of the version that has AWSCURRENT: one, or none."""
        holders = [version for version, labels in self.labels(name).items() if "AWSCURRENT" in labels]
        assert len(holders) <= 1, self.labels(name)
        return holders[0] if holders else None

    def check_clean(self, name, raced=False):
        """AWSCURRENT is on one version, and no label but AWS's own is left on any."""
        self.current(name)
        if raced and self.name == "ministack":
            # A put with a custom label leaves the label on the version that had it, and a removal then looks at the first
            # holder only. On AWS a label is on one version: the put moves it, and the last writer takes it off.
            return
        left = {label for labels in self.labels(name).values() for label in labels} - {"AWSCURRENT", "AWSPREVIOUS"}
        assert not left, left
