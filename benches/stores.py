"""Where the measured runs read and write: the doubles of this repository, and the directory of the local store."""

import json
import os
import pathlib
import platform
import subprocess
import typing
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
GITHUB = "run-actions-1.actions.githubusercontent.com"
STS, SECRETS_MANAGER = "sts.eu-central-1.amazonaws.com", "secretsmanager.eu-central-1.amazonaws.com"
GOOGLE = ["sts.googleapis.com", "iamcredentials.googleapis.com", "secretmanager.googleapis.com"]
ENTRA, VAULT = "login.microsoftonline.com", "fake-vault.vault.azure.net"
HOSTS = [GITHUB, STS, SECRETS_MANAGER, *GOOGLE, ENTRA, VAULT]


class Programs(typing.NamedTuple):
    """The binary of a release, as it is packed, and the doubles."""

    envsync: pathlib.Path
    packed: pathlib.Path
    doubles: pathlib.Path


def build(directory):
    """Builds them, or takes what an earlier call has left in the directory."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    if not (directory / "envsync").exists():
        quiet = {"cwd": ROOT, "check": True, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        subprocess.run([".ci/binary", directory], **quiet)
        subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--package", "envsync-doubles"], **quiet)
    return Programs(directory / "envsync", next(directory.glob("*.tar.gz")), target / "release/envsync-doubles")


class Double:
    """A running double; what it said is where it listens and how to log in."""

    def __init__(self, program, arguments, lines):
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = [self.process.stdout.readline().strip() for _ in range(lines)]

    def calls(self):
        """How many there were so far; a connection that is opened ahead of need is none."""
        self.process.stdin.write("calls\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Store(typing.NamedTuple):
    """A provider and a login. The functions take what the double has said."""

    name: str
    inputs: typing.Callable
    cloud: str = ""
    lines: int = 0
    # The further inputs that lead to the double itself.
    direct: typing.Callable = lambda said: {}
    # Host of the cloud → the double's address, for a run that is given none.
    hosts: typing.Callable = lambda said: {}

    def start(self, programs, scratch):
        arguments = [self.cloud, scratch / "vault.pem"] if self.cloud == "azure" else [self.cloud]
        return Double(programs.doubles, arguments, self.lines) if self.cloud else None


def named(store, said):
    """Inputs of a run under the clouds' own names, and which host stands for which address."""
    inputs, hosts = store.inputs(said), store.hosts(said)
    if url := inputs.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        parts = urllib.parse.urlsplit(url)
        hosts |= {GITHUB: f"{parts.scheme}://{parts.netloc}"}
        inputs |= {"ACTIONS_ID_TOKEN_REQUEST_URL": parts._replace(scheme="https", netloc=GITHUB).geturl()}
    return inputs, hosts


def on_github(url, bearer):
    return {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer}


def ask(url, bearer, audience):
    """The identity token as a job of GitLab has it: made before the run."""
    request = urllib.request.Request(f"{url}&audience={urllib.parse.quote(audience, safe='')}")
    request.add_header("Authorization", f"Bearer {bearer}")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["value"]


AWS = {"ENVSYNC_PROVIDER": "aws", "ENVSYNC_AWS_REGION": "eu-central-1"}
AWS_KEYS = {"ENVSYNC_AWS_ACCESS_KEY_ID": "AKIAFAKE", "ENVSYNC_AWS_SECRET_ACCESS_KEY": "made-up-secret-key"}
GCP = {"ENVSYNC_PROVIDER": "gcp", "ENVSYNC_GCP_PROJECT": "fake-project"}
AZURE = {
    "ENVSYNC_PROVIDER": "azure",
    "ENVSYNC_AZURE_VAULT": "fake-vault",
    "ENVSYNC_AZURE_TENANT_ID": "11111111-1111-4111-8111-111111111111",
    "ENVSYNC_AZURE_CLIENT_ID": "22222222-2222-4222-8222-222222222222",
}


def gcp_provider(said):
    return GCP | {"ENVSYNC_GCP_WORKLOAD_IDENTITY_PROVIDER": said[3]}


def gcp_account(said):
    return {"ENVSYNC_GCP_SERVICE_ACCOUNT": said[4]}


def gcp_token(said):
    return {"GCP_ID_TOKEN": ask(said[1], said[2], f"https://iam.googleapis.com/{said[3]}")}


def azure_vault(said):
    # Not a known vault's host: the run checks the challenge first, which is one call more.
    return {"ENVSYNC_AZURE_VAULT": said[0], "ENVSYNC_AZURE_AUTHORITY_HOST": said[1], "ENVSYNC_CA_FILE": said[2]}


LOCAL = Store("local", lambda said: {"ENVSYNC_PROVIDER": "local"})
# With a key, a token, and a login by a client secret.
CLOUDS = [
    Store(
        "AWS",
        lambda said: AWS | AWS_KEYS,
        *("aws", 1),
        direct=lambda said: {"ENVSYNC_AWS_ENDPOINT_URL": said[0]},
        hosts=lambda said: {SECRETS_MANAGER: said[0]},
    ),
    Store(
        "Google",
        lambda said: GCP | {"ENVSYNC_GCP_ACCESS_TOKEN": "made-up-token"},
        *("gcp", 1),
        direct=lambda said: {"ENVSYNC_GCP_ENDPOINT": said[0]},
        hosts=lambda said: {GOOGLE[2]: said[0]},
    ),
    Store(
        "Azure",
        lambda said: AZURE | {"ENVSYNC_AZURE_CLIENT_SECRET": "fake-client-secret~for.tests"},
        *("azure", 5),
        direct=azure_vault,
        hosts=lambda said: {ENTRA: said[1], VAULT: said[0]},
    ),
]


def logins(of_aws, of_gcp, of_azure):
    """The three clouds with a login by the job's identity token; Google's as an account of its own too."""
    aws = {
        "cloud": "aws-login",
        "lines": 11,
        "direct": lambda said: {"ENVSYNC_AWS_ENDPOINT_URL": said[0], "ENVSYNC_AWS_STS_ENDPOINT_URL": said[1]},
        "hosts": lambda said: {SECRETS_MANAGER: said[0], STS: said[1]},
    }
    gcp = {
        "cloud": "gcp-login",
        "lines": 5,
        "direct": lambda said: {f"ENVSYNC_GCP_{name}ENDPOINT": said[0] for name in ("", "STS_", "IAM_")},
        "hosts": lambda said: dict.fromkeys(GOOGLE, said[0]),
    }
    azure = {"cloud": "azure", "lines": 5, "direct": azure_vault, "hosts": CLOUDS[2].hosts}
    return [
        Store("AWS", lambda said: AWS | {"ENVSYNC_AWS_ROLE_ARN": said[2]} | of_aws(said), **aws),
        Store("Google", lambda said: gcp_provider(said) | of_gcp(said), **gcp),
        Store("Google, as a service account", lambda said: gcp_provider(said) | gcp_account(said) | of_gcp(said), **gcp),
        Store("Azure", lambda said: AZURE | of_azure(said), **azure),
    ]


LOGINS = {
    "GitHub": logins(
        lambda said: on_github(*said[9:11]),
        lambda said: on_github(*said[1:3]),
        lambda said: on_github(*said[3:5]),
    ),
    "GitLab": logins(
        lambda said: {"AWS_ID_TOKEN": said[4]},
        gcp_token,
        lambda said: {"AZURE_ID_TOKEN": ask(said[3], said[4], "api://AzureADTokenExchange")},
    ),
}


def machine():
    """What kind of machine this is, so that figures of another one are not taken for its own."""
    models = []
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }
