"""Microsoft's own clients, pointed at a double: its vault, its authority, and the certificate that both have."""

import contextlib
import dataclasses
import json
import pathlib
import urllib.parse
import urllib.request

from azure.identity import ClientAssertionCredential, ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential
from azure.keyvault.secrets import SecretClient

import doubles

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT_ID = "22222222-2222-4222-8222-222222222222"
DENIED_CLIENT_ID = "33333333-3333-4333-8333-333333333333"
# Identities of the machine; as applications they trust a subject in other letters, and another issuer.
MANAGED_CLIENT_ID = "66666666-6666-4666-8666-666666666666"
SYSTEM_CLIENT_ID = "77777777-7777-4777-8777-777777777777"
IDENTITY_HEADER = "fake-identity-header-for-tests"
AUDIENCE = "api://AzureADTokenExchange"
CLIENT_SECRET = "fake-client-secret~for.tests"
ACCESS_TOKEN = "fake-access-token-for-tests"

# They never try twice, so that every answer is seen as it came.
ONCE = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 20}


@dataclasses.dataclass(frozen=True)
class Where:
    vault: str
    authority: str
    ca_file: str
    # GitHub's endpoint for identity tokens.
    token_url: str
    token_bearer: str

    def identity_token(self, audience=AUDIENCE):
        url = f"{self.token_url}&{urllib.parse.urlencode({'audience': audience})}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.token_bearer}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["value"]


@contextlib.contextmanager
def double(scratch, busy_milliseconds=0, purge=False):
    """A double of its own; another write within the time after one is answered with 409. Unless told otherwise, it has purge
    protection."""
    ca_file = str(pathlib.Path(scratch) / "ca.pem")
    with doubles.double("azure", scratch, ca_file, str(busy_milliseconds), *["purge"] * purge, lines=5) as (said, _):
        yield Where(*said)


def credential(where, tenant=TENANT, client_id=CLIENT_ID, client_secret=CLIENT_SECRET):
    return ClientSecretCredential(
        tenant,
        client_id,
        client_secret,
        **login_options(where),
    )


def login_options(where):
    return {
        "authority": where.authority,
        # Otherwise it asks Microsoft whether it knows this authority.
        "disable_instance_discovery": True,
        "connection_verify": where.ca_file,
        **ONCE,
    }


def federated(where, client_id=CLIENT_ID, audience=AUDIENCE):
    """Each exchange takes an identity token of its own."""
    return ClientAssertionCredential(TENANT, client_id, lambda: where.identity_token(audience), **login_options(where))


def workload(where, token_file):
    """As in a pod: the token lies in a file."""
    return WorkloadIdentityCredential(
        tenant_id=TENANT, client_id=CLIENT_ID, token_file_path=str(token_file), **login_options(where)
    )


def managed(where, client_id=None):
    """Where it asks, it takes from the environment."""
    return ManagedIdentityCredential(client_id=client_id, connection_verify=where.ca_file, **ONCE)


def client(where, login=None, **more):
    return SecretClient(
        where.vault,
        login or credential(where),
        # The vault's host is not under vault.azure.net.
        verify_challenge_resource=False,
        **{"connection_verify": where.ca_file, **ONCE, **more},
    )


def refusal(error):
    """Status, code and inner code of an answer, None where there is none; from the body, because the client takes only
    some of its errors apart."""
    body = error.response.json()["error"]
    return error.status_code, body["code"], body.get("innererror", {}).get("code")
