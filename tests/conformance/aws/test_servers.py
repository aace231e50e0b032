"""All three servers start, listen on loopback only, and answer the vendor's client."""

import pathlib

import pytest

import servers


def test_a_value_comes_back(store):
    name = store.make()
    store.seed(name, '{"A":"fake-one"}')
    assert store.read(name) == '{"A":"fake-one"}'
    version = store.seed(name, '{"A":"fake-two"}')
    assert (store.read(name), store.read(name, "AWSPREVIOUS")) == ('{"A":"fake-two"}', '{"A":"fake-one"}')
    assert store.current(name) == version


@pytest.mark.skipif(not pathlib.Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_only_loopback_can_reach_the_server(store):
    addresses = servers.listening(store.pid)
    assert addresses and all(address.startswith("0100007F:") for address in addresses), addresses


def test_current_moves_only_away_from_where_it_is(store):
    """The lost race that the write protocol rests on; all three servers answer it as AWS does."""
    name, aws = store.make(), store.client
    one = store.seed(name, "fake-one")
    two = aws.put_secret_value(SecretId=name, SecretString="fake-two", VersionStages=["ENVSYNC_PENDING"])["VersionId"]
    foreign = store.seed(name, "fake-foreign")
    move = {"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": two}
    for more in ({}, {"RemoveFromVersionId": one}):
        with pytest.raises(aws.exceptions.InvalidParameterException):
            aws.update_secret_version_stage(**move, **more)
    assert store.read(name) == "fake-foreign"
    aws.update_secret_version_stage(**move, RemoveFromVersionId=foreign)
    assert (store.read(name), store.read(name, "AWSPREVIOUS")) == ("fake-two", "fake-foreign")


# What AWS documents first, then who answers otherwise. The scenarios leave these out or work around them.
WRONG = {
    "a label that is put leaves its old version": {"ministack"},
    "a plain get reads AWSCURRENT after it was moved": {"moto"},
    "a secret made without a value has no version": {"ministack"},
    "a name that is scheduled for deletion is an InvalidRequestException": {"moto", "ministack"},
    "a secret that is scheduled for deletion takes no value": {"moto"},
    "an error is HTTP 400": {"moto"},
}


def test_who_answers_otherwise_than_aws(store):
    """So that a newer version of a server that is right, and a double that is wrong, are both noticed."""
    name, aws = store.make(), store.client

    def refusal(call, **arguments):
        with pytest.raises(aws.exceptions.ClientError) as caught:
            call(**arguments)
        response = caught.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]

    one = store.seed(name, "fake-one")
    pending = {"SecretId": name, "VersionStages": ["ENVSYNC_PENDING"]}
    dead = aws.put_secret_value(**pending, SecretString="fake-dead")["VersionId"]
    two = aws.put_secret_value(**pending, SecretString="fake-two")["VersionId"]
    leaves = "ENVSYNC_PENDING" not in store.labels(name).get(dead, [])
    move = {"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": two, "RemoveFromVersionId": one}
    aws.update_secret_version_stage(**move)
    plain = aws.get_secret_value(SecretId=name)["SecretString"]
    empty = store.make()
    store.empty(empty)
    store.schedule_deletion(name)
    created = refusal(aws.create_secret, Name=name, SecretString="fake-three")[0]
    try:
        aws.put_secret_value(SecretId=name, SecretString="fake-four")
        refused = False
    except aws.exceptions.InvalidRequestException:
        refused = True
    right = [
        leaves,
        plain == "fake-two",
        not store.versions(empty),
        created == "InvalidRequestException",
        refused,
        refusal(aws.get_secret_value, SecretId=store.make())[1] == 400,
    ]
    wrong = {what for what, is_right in zip(WRONG, right, strict=True) if not is_right}
    assert wrong == {what for what, who in WRONG.items() if store.name in who}
