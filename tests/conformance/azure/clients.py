"""Microsoft's own clients, pointed at a double: its vault, its authority, and the certificate that both have."""

import contextlib
import dataclasses
import pathlib

from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

import doubles

TENANT = "11111111-1111-4111-8111-111111111111"
CLIENT_ID = "22222222-2222-4222-8222-222222222222"
DENIED_CLIENT_ID = "33333333-3333-4333-8333-333333333333"
CLIENT_SECRET = "fake-client-secret~for.tests"
ACCESS_TOKEN = "fake-access-token-for-tests"

# They never try twice, so that every answer is seen as it came.
ONCE = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 20}


@dataclasses.dataclass(frozen=True)
class Where:
    vault: str
    authority: str
    ca_file: str


@contextlib.contextmanager
def double(scratch, busy_milliseconds=0):
    """A double of its own; another write within the time after one is answered with 409."""
    ca_file = str(pathlib.Path(scratch) / "ca.pem")
    with doubles.double("azure", scratch, ca_file, str(busy_milliseconds), lines=3) as (said, _):
        yield Where(*said)


def credential(where, tenant=TENANT, client_id=CLIENT_ID, client_secret=CLIENT_SECRET):
    return ClientSecretCredential(
        tenant,
        client_id,
        client_secret,
        authority=where.authority,
        # Otherwise it asks Microsoft whether it knows this authority.
        disable_instance_discovery=True,
        connection_verify=where.ca_file,
        **ONCE,
    )


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
