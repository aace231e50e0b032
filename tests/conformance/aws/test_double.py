"""(a) The vendor's client drives our double through every operation that a scenario uses, and gets what AWS documents.

Only then may the double judge the binary. Sources: the API reference of AWS Secrets Manager, and the texts of errors that
users of terraform and others report from the real service.
"""

import datetime
import uuid

import botocore.exceptions
import pytest

from conftest import client


@pytest.fixture
def aws(double_url):
    return client(double_url)


@pytest.fixture
def name():
    return f"double/{uuid.uuid4()}"


def token():
    return str(uuid.uuid4())


def code_of(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return caught.value.response["Error"]["Code"]


def labels(aws, name):
    listed = aws.list_secret_version_ids(SecretId=name, IncludeDeprecated=True)
    return {v["VersionId"]: sorted(v["VersionStages"]) for v in listed["Versions"]}


def test_a_secret_is_created_read_and_described(aws, name):
    made = aws.create_secret(Name=name, SecretString="fake-value", Description="for tests", Tags=[{"Key": "a", "Value": "b"}])
    for secret_id in (name, made["ARN"], made["ARN"].rpartition("-")[0]):
        read = aws.get_secret_value(SecretId=secret_id, VersionStage="AWSCURRENT")
        assert (read["SecretString"], read["VersionId"]) == ("fake-value", made["VersionId"])
        assert read["VersionStages"] == ["AWSCURRENT"]
    assert isinstance(read["CreatedDate"], datetime.datetime)
    described = aws.describe_secret(SecretId=name)
    assert described["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
    assert (described["Description"], described["Tags"]) == ("for tests", [{"Key": "a", "Value": "b"}])
    assert "DeletedDate" not in described and "RotationEnabled" not in described
    assert code_of(aws.create_secret, Name=name, SecretString="other") == "ResourceExistsException"
    assert code_of(aws.create_secret, Name="no spaces", SecretString="x") == "ValidationException"


def test_a_missing_secret_and_one_without_a_value(aws, name):
    with pytest.raises(aws.exceptions.ResourceNotFoundException):
        aws.get_secret_value(SecretId=name)
    assert code_of(aws.put_secret_value, SecretId=name, SecretString="x") == "ResourceNotFoundException"
    assert "VersionId" not in aws.create_secret(Name=name)
    with pytest.raises(aws.exceptions.ResourceNotFoundException, match="staging label: AWSCURRENT"):
        aws.get_secret_value(SecretId=name)
    assert "VersionIdsToStages" not in aws.describe_secret(SecretId=name)
    # The first version is current, whatever was asked.
    put = aws.put_secret_value(SecretId=name, SecretString="x", VersionStages=["ENVSYNC_PENDING"])
    assert sorted(put["VersionStages"]) == ["AWSCURRENT", "ENVSYNC_PENDING"]


def test_compare_and_swap_by_staging_labels(aws, name):
    one = aws.create_secret(Name=name, SecretString="one")["VersionId"]
    two, foreign = token(), token()
    aws.put_secret_value(SecretId=name, ClientRequestToken=two, SecretString="two", VersionStages=["ENVSYNC_PENDING"])
    assert aws.get_secret_value(SecretId=name)["SecretString"] == "one"
    aws.put_secret_value(SecretId=name, ClientRequestToken=foreign, SecretString="foreign")
    move = {"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": two}
    with pytest.raises(aws.exceptions.InvalidParameterException, match="can't be empty"):
        aws.update_secret_version_stage(**move)
    with pytest.raises(aws.exceptions.InvalidParameterException):
        aws.update_secret_version_stage(**move, RemoveFromVersionId=one)
    assert aws.get_secret_value(SecretId=name)["SecretString"] == "foreign"
    aws.update_secret_version_stage(**move, RemoveFromVersionId=foreign)
    assert aws.get_secret_value(SecretId=name)["SecretString"] == "two"
    assert labels(aws, name) == {one: [], two: ["AWSCURRENT", "ENVSYNC_PENDING"], foreign: ["AWSPREVIOUS"]}
    aws.update_secret_version_stage(SecretId=name, VersionStage="ENVSYNC_PENDING", RemoveFromVersionId=two)
    assert labels(aws, name)[two] == ["AWSCURRENT"]
    never = {"SecretId": name, "VersionStage": "AWSCURRENT", "RemoveFromVersionId": two}
    assert code_of(aws.update_secret_version_stage, **never) == "InvalidParameterException"


def test_a_label_that_is_put_leaves_its_old_version(aws, name):
    aws.create_secret(Name=name, SecretString="one")
    first, second = token(), token()
    for version in (first, second):
        aws.put_secret_value(SecretId=name, ClientRequestToken=version, SecretString=version, VersionStages=["ENVSYNC_PENDING"])
    assert (labels(aws, name)[first], labels(aws, name)[second]) == ([], ["ENVSYNC_PENDING"])
    assert first not in aws.describe_secret(SecretId=name)["VersionIdsToStages"]


def test_a_token_stands_for_one_value(aws, name):
    aws.create_secret(Name=name, SecretString="one")
    same = {"SecretId": name, "ClientRequestToken": token()}
    aws.put_secret_value(**same, SecretString="two")
    aws.put_secret_value(**same, SecretString="two")
    assert len(labels(aws, name)) == 2
    assert code_of(aws.put_secret_value, **same, SecretString="three") == "ResourceExistsException"


def test_versions_are_read_by_id_and_by_stage(aws, name):
    one = aws.create_secret(Name=name, SecretString="one")["VersionId"]
    two = aws.put_secret_value(SecretId=name, SecretString="two")["VersionId"]
    read = lambda **which: aws.get_secret_value(SecretId=name, **which)["SecretString"]
    assert (read(VersionId=one), read(VersionId=two), read(VersionStage="AWSPREVIOUS")) == ("one", "two", "one")
    both = {"SecretId": name, "VersionId": one, "VersionStage": "AWSCURRENT"}
    assert code_of(aws.get_secret_value, **both) == "InvalidRequestException"
    assert code_of(aws.get_secret_value, SecretId=name, VersionId=token()) == "ResourceNotFoundException"


def test_binary_values_and_sizes(aws, name):
    aws.create_secret(Name=name, SecretBinary=b"\x00\xff")
    read = aws.get_secret_value(SecretId=name)
    assert read["SecretBinary"] == b"\x00\xff" and "SecretString" not in read
    aws.put_secret_value(SecretId=name, SecretString="é" * 32768)
    assert code_of(aws.put_secret_value, SecretId=name, SecretString="é" * 32769) == "ValidationException"


def test_scheduled_deletion(aws, name):
    aws.create_secret(Name=name, SecretString="one")
    gone = aws.delete_secret(SecretId=name, RecoveryWindowInDays=7)["DeletionDate"]
    assert aws.describe_secret(SecretId=name)["DeletedDate"] == gone
    assert gone > datetime.datetime.now(datetime.timezone.utc)
    for call, more in ((aws.get_secret_value, {}), (aws.put_secret_value, {"SecretString": "x"}), (aws.delete_secret, {})):
        with pytest.raises(aws.exceptions.InvalidRequestException, match="marked for deletion"):
            call(SecretId=name, **more)
    with pytest.raises(aws.exceptions.InvalidRequestException, match="already scheduled for deletion"):
        aws.create_secret(Name=name, SecretString="x")
    aws.restore_secret(SecretId=name)
    assert aws.get_secret_value(SecretId=name)["SecretString"] == "one"


def test_lists_and_batches(aws):
    prefix = f"many/{uuid.uuid4()}/"
    names = [f"{prefix}{n:02}" for n in range(22)]
    for n in names:
        aws.create_secret(Name=n, SecretString=f"value of {n}")
    aws.delete_secret(SecretId=names[0])
    pages = list(
        aws.get_paginator("list_secrets").paginate(
            Filters=[{"Key": "name", "Values": [prefix]}], PaginationConfig={"PageSize": 5}
        )
    )
    assert [s["Name"] for page in pages for s in page["SecretList"]] == names[1:] and len(pages) == 5
    batch = aws.batch_get_secret_value(SecretIdList=[names[0], names[1], prefix + "none"])
    assert [v["SecretString"] for v in batch["SecretValues"]] == [f"value of {names[1]}"]
    errors = {e["SecretId"]: e["ErrorCode"] for e in batch["Errors"]}
    assert errors == {names[0]: "InvalidRequestException", prefix + "none": "ResourceNotFoundException"}
    assert code_of(aws.batch_get_secret_value, SecretIdList=names[:21]) == "ValidationException"


def test_a_secret_belongs_to_its_region(aws, double_url, name):
    arn = aws.create_secret(Name=name, SecretString="x")["ARN"]
    elsewhere = client(double_url, region_name="us-east-1")
    for secret_id in (name, arn):
        assert code_of(elsewhere.get_secret_value, SecretId=secret_id) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_access_key_id": "AKIADENIEDFAKEFAKE00"}, "AccessDeniedException"),
        ({"aws_access_key_id": "AKIAUNKNOWNFAKEFAKE0"}, "UnrecognizedClientException"),
        ({"aws_session_token": "EXPIRED-fake-token"}, "ExpiredTokenException"),
    ],
)
def test_credentials_are_judged(double_url, name, keys, code):
    assert code_of(client(double_url, **keys).get_secret_value, SecretId=name) == code
