"""Login by the job's identity token: (a) the vendor's client on our STS, which may judge the binary only then; (b) the binary
on our STS and on those of moto and ministack, which look at no signature and no policy but speak the protocol as others
read it."""

import base64
import json
import types

import boto3
import botocore
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.session
import pytest

import doubles
import servers
from conftest import KEYS, client
from store import AwsStore

EXTERNAL_ID = "fake-external-id"
# What no run may show, whatever server issued it: moto and ministack make up credentials of these forms.
ISSUED = ("fake-temporary-secret", "fake-temporary-session-token", "FQoGZX", "FwoGZX")


@pytest.fixture(scope="module")
def login(tmp_path_factory):
    names = ("url", "sts_url", "role", "next", "good", "audience", "subject", "expired", "forged")
    with doubles.double("aws-login", tmp_path_factory.mktemp("login"), lines=len(names)) as (lines, pid):
        yield types.SimpleNamespace(**dict(zip(names, lines, strict=True)), pid=pid)


def sts(url, **credentials):
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    if not credentials:
        config = config.merge(botocore.config.Config(signature_version=botocore.UNSIGNED))
    return boto3.client("sts", endpoint_url=url, region_name=servers.REGION, config=config, **credentials)


def keys(issued):
    return {
        "aws_access_key_id": issued["AccessKeyId"],
        "aws_secret_access_key": issued["SecretAccessKey"],
        "aws_session_token": issued["SessionToken"],
    }


def by_token(login, token, **more):
    return sts(login.sts_url).assume_role_with_web_identity(
        RoleArn=login.role, RoleSessionName="conformance", WebIdentityToken=token, **more
    )


def refusal(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_the_vendors_client_gets_credentials_for_a_token_and_the_secrets_with_them(login):
    answer = by_token(login, login.good, DurationSeconds=900)
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/deploy/conformance"
    assert answer["Audience"] == "sts.amazonaws.com"
    session = keys(answer["Credentials"])
    who = sts(login.sts_url, **session).get_caller_identity()
    assert (who["Account"], who["Arn"]) == ("123456789012", answer["AssumedRoleUser"]["Arn"])
    aws = client(login.url, **session)
    aws.create_secret(Name="login/vendor", SecretString="fake-one")
    assert aws.get_secret_value(SecretId="login/vendor")["SecretString"] == "fake-one"
    stranger = client(login.url)
    assert refusal(stranger.get_secret_value, SecretId="login/vendor") == (400, "UnrecognizedClientException")
    other = client(login.url, **{**session, "aws_session_token": "fake-other"})
    assert refusal(other.get_secret_value, SecretId="login/vendor") == (400, "UnrecognizedClientException")


def test_the_vendors_own_login_by_a_token_file_is_content(login, tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(login.good)
    for name, value in {
        "AWS_ROLE_ARN": login.role,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(file),
        "AWS_ROLE_SESSION_NAME": "vendor",
        "AWS_ENDPOINT_URL_STS": login.sts_url,
        "AWS_DEFAULT_REGION": servers.REGION,
    }.items():
        monkeypatch.setenv(name, value)
    session = botocore.session.Session()
    credentials = session.get_credentials()
    assert credentials.method == "assume-role-with-web-identity"
    who = session.create_client("sts").get_caller_identity()
    assert who["Arn"] == "arn:aws:sts::123456789012:assumed-role/deploy/vendor"


def test_roles_are_chained_with_their_external_id(login):
    first = sts(login.sts_url, **keys(by_token(login, login.good)["Credentials"]))
    asked = {"RoleArn": login.next, "RoleSessionName": "conformance"}
    assert refusal(first.assume_role, **asked) == (403, "AccessDenied")
    assert refusal(first.assume_role, **asked, ExternalId="fake-other") == (403, "AccessDenied")
    long = {**asked, "ExternalId": EXTERNAL_ID, "DurationSeconds": 7200}
    assert refusal(first.assume_role, **long) == (400, "ValidationError")
    second = first.assume_role(**asked, ExternalId=EXTERNAL_ID)
    who = sts(login.sts_url, **keys(second["Credentials"])).get_caller_identity()
    assert who["Arn"] == second["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/next/conformance"


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("audience", 400, "InvalidIdentityToken"),
        ("subject", 403, "AccessDenied"),
        ("expired", 400, "ExpiredTokenException"),
        ("forged", 400, "InvalidIdentityToken"),
    ],
)
def test_a_token_that_does_not_hold_is_refused(login, token, status, code):
    assert refusal(by_token, login=login, token=getattr(login, token)) == (status, code)


def test_credentials_that_nobody_issued_are_refused(login):
    made_up = {**KEYS, "aws_access_key_id": "ASIAFAKEFAKEFAKEFAKE", "aws_session_token": "fake"}
    assert refusal(sts(login.sts_url, **made_up).get_caller_identity) == (403, "InvalidClientTokenId")


def made_up_token():
    """Of the right form; moto and ministack look no further."""
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    claims = {"iss": "https://token.actions.githubusercontent.com", "sub": "repo:octo/app:ref:refs/heads/main"}
    return f"{part({'alg': 'RS256'})}.{part({**claims, 'aud': 'sts.amazonaws.com', 'exp': 4102444800})}.ZmFrZQ"


@pytest.fixture(params=servers.SERVERS)
def federated(request, tmp_path, login):
    """A store on each server, with the token and the roles for it, and a client that sees what the roles see."""
    if request.param == "double":
        session = keys(by_token(login, login.good)["Credentials"])
        store = AwsStore("double", login.url, client(login.url, **session), {}, login.pid)
        yield types.SimpleNamespace(store=store, token=login.good, role=login.role, next=login.next, sts=login.sts_url)
        return
    with servers.SERVERS[request.param](tmp_path) as (url, pid):
        account = sts(url, **KEYS).get_caller_identity()["Account"]
        role = f"arn:aws:iam::{account}:role/"
        store = AwsStore(request.param, url, client(url), {}, pid)
        yield types.SimpleNamespace(store=store, token=made_up_token(), role=f"{role}deploy", next=f"{role}next", sts=url)


def inputs(federated, **more):
    return {
        "AWS_ROLE_ARN": federated.role,
        "AWS_STS_ENDPOINT_URL": federated.sts,
        "AWS_ALLOWED_ACCOUNT_IDS": federated.role.split(":")[4],
        "OIDC_TOKEN": federated.token,
        **more,
    }


def pull_push_pull(federated, workspace, **more):
    store, hidden = federated.store, (federated.token, *ISSUED)
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    run = lambda mode: workspace.run(store, mode, name, hidden=hidden, **more)
    pulled = run("pull")
    assert (pulled.code, workspace.text()) == (0, "A=fake-one\n"), pulled.output
    assert "auth: " in pulled.output
    workspace.file.write_text("A=fake-two\n")
    assert run("push").code == 0
    assert json.loads(store.read(name)) == {"A": "fake-two"}
    assert run("check").code == 0
    store.check_clean(name)


def test_a_pull_and_a_push_with_a_token(federated, workspace):
    pull_push_pull(federated, workspace, **inputs(federated))


def test_a_pull_and_a_push_through_a_chain(federated, workspace):
    chain = {"AWS_ROLE_CHAIN": federated.next, "AWS_EXTERNAL_ID": EXTERNAL_ID}
    pull_push_pull(federated, workspace, **inputs(federated, **chain))


def test_another_account_is_refused(federated, workspace):
    name = federated.store.make()
    more = inputs(federated, AWS_ALLOWED_ACCOUNT_IDS="999999999999", AWS_ROLE_ARN="", OIDC_TOKEN="")
    done = workspace.run(federated.store, "pull", name, **more, **{key.upper(): value for key, value in KEYS.items()})
    assert done.code == 3 and "999999999999" in done.output and federated.role.split(":")[4] in done.output
