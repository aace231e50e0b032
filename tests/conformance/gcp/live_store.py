"""Google itself: the store of the scenarios, logged in by the job's identity token."""

from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth import identity_pool
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1.services.secret_manager_service import transports

import live
from store import GcpStore, number

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# Two versions a second of one secret, and some hundred calls a minute of a project: what is too much is said before
# anything is done, so it may be sent again.
AGAIN = Retry(predicate=if_exception_type(exceptions.TooManyRequests), initial=1, maximum=16, timeout=120)


def credentials(site):
    """Google's own way: its library fetches an identity token where it has to, and renews what it got for it."""
    provider = site["GCP_WORKLOAD_IDENTITY_PROVIDER"]
    about = {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{provider}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{site['GCP_STS_ENDPOINT'] or 'https://sts.googleapis.com'}/v1/token",
        "credential_source": {
            "url": site.token_url(f"https://iam.googleapis.com/{provider}"),
            "headers": {"Authorization": f"Bearer {site.runner[live.REQUEST_TOKEN]}"},
            "format": {"type": "json", "subject_token_field_name": "value"},
        },
    }
    if account := site["GCP_SERVICE_ACCOUNT"]:
        iam = site["GCP_IAM_ENDPOINT"] or "https://iamcredentials.googleapis.com"
        about["service_account_impersonation_url"] = f"{iam}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    return identity_pool.Credentials.from_info(about).with_scopes([SCOPE])


class Patient:
    """The vendor's client, each of whose calls is made again where Google throttles it."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        call = getattr(self.client, name)
        return lambda **arguments: call(**{**arguments, "retry": AGAIN})


class GcpLive(live.Live, GcpStore):
    # A deletion is for good.
    remains = ""

    def __init__(self, site):
        self.site, self.project = site, site["GCP_PROJECT"]
        scheme, _, host = (site["GCP_ENDPOINT"] or "https://secretmanager.googleapis.com").partition("://")
        transport = transports.SecretManagerServiceRestTransport(host=host, url_scheme=scheme, credentials=credentials(site))
        self.client = Patient(secretmanager_v1.SecretManagerServiceClient(transport=transport))

    def inputs(self):
        return {
            "PROVIDER": "gcp",
            "GCP_PROJECT": self.project,
            "GCP_WORKLOAD_IDENTITY_PROVIDER": self.site["GCP_WORKLOAD_IDENTITY_PROVIDER"],
            "GCP_SERVICE_ACCOUNT": self.site["GCP_SERVICE_ACCOUNT"],
            "GCP_ENDPOINT": self.site["GCP_ENDPOINT"],
            "GCP_STS_ENDPOINT": self.site["GCP_STS_ENDPOINT"],
            "GCP_IAM_ENDPOINT": self.site["GCP_IAM_ENDPOINT"],
        }

    def seen(self, name):
        try:
            answer = self.client.access_secret_version(request={"name": f"{self.path(name)}/versions/latest"})
        except exceptions.NotFound:
            return None
        return number(answer)

    # What a reader gets by `latest`, which is what lags the longest.
    current = seen

    def every(self):
        request = {"parent": self.parent, "filter": f"name:{live.BASE}"}
        for secret in self.client.list_secrets(request=request):
            name = secret.name.rpartition("/")[2]
            if name.startswith(live.BASE):
                yield name, secret.create_time, False, lambda name=name: self.remove(name)

    def remove(self, name):
        try:
            self.client.delete_secret(request={"name": self.path(name)})
        except exceptions.NotFound:
            pass


connect = GcpLive
