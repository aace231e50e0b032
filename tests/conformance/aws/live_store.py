"""AWS itself: the store of the scenarios, logged in by the job's identity token."""

import boto3
import botocore
import botocore.config
import botocore.exceptions
import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

import live
from store import AwsStore

AUDIENCE = "sts.amazonaws.com"


class Login(CredentialProvider):
    """Renewed by botocore some minutes before it ends, each time with an identity token of its own."""

    METHOD = "envsync-live"

    def __init__(self, site, session):
        self.site, self.times = site, 0
        self.sts = session.create_client(
            "sts",
            region_name=site["AWS_REGION"],
            endpoint_url=site["AWS_STS_ENDPOINT_URL"] or None,
            config=botocore.config.Config(signature_version=botocore.UNSIGNED),
        )

    def load(self):
        return DeferredRefreshableCredentials(self.assume, self.METHOD)

    def assume(self):
        answer = self.sts.assume_role_with_web_identity(
            RoleArn=self.site["AWS_ROLE_ARN"],
            RoleSessionName=self.site.prefix.rstrip("-")[:64],
            WebIdentityToken=self.site.token(AUDIENCE),
            DurationSeconds=int(self.site["AWS_SECONDS"] or 3600),
        )["Credentials"]
        self.times += 1
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }


class AwsLive(live.Live, AwsStore):
    # All that is left is gone with the last `clean`.
    remains = ""

    def __init__(self, site):
        self.site, self.region = site, site["AWS_REGION"]
        session = botocore.session.Session()
        self.login = Login(site, session)
        # In place of all others: nothing of the machine may log in here.
        session.register_component("credential_provider", CredentialResolver([self.login]))
        self.client = boto3.Session(botocore_session=session).client(
            "secretsmanager",
            region_name=self.region,
            endpoint_url=site["AWS_ENDPOINT_URL"] or None,
            config=botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 8}),
        )

    def inputs(self):
        return {
            "PROVIDER": "aws",
            "AWS_REGION": self.region,
            "AWS_ROLE_ARN": self.site["AWS_ROLE_ARN"],
            "AWS_ENDPOINT_URL": self.site["AWS_ENDPOINT_URL"],
            "AWS_STS_ENDPOINT_URL": self.site["AWS_STS_ENDPOINT_URL"],
        }

    def seen(self, name):
        try:
            return self.client.get_secret_value(SecretId=name)["VersionId"]
        except self.client.exceptions.ResourceNotFoundException:
            return None

    def every(self):
        pages = self.client.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [live.BASE]}], IncludePlannedDeletion=True
        )
        for page in pages:
            for secret in page["SecretList"]:
                name = secret["Name"]
                if name.startswith(live.BASE):
                    yield name, secret["CreatedDate"], "DeletedDate" in secret, lambda name=name: self.remove(name)

    def remove(self, name):
        """For good: a secret that is scheduled for deletion keeps its name, although it costs nothing. One that is gone
        already is no error to AWS either, as long as a list still has it."""
        try:
            self.client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
        except self.client.exceptions.ResourceNotFoundException:
            pass


connect = AwsLive
