"""The emulator is killed without warning and started again: nothing that it acknowledged may be gone."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.cloud import outbox
from tests.contracts.emulated import EMULATOR_PYTHON, ROOT, Emulator

pytestmark = pytest.mark.skipif(not EMULATOR_PYTHON.exists(), reason="the emulator's environment is not installed")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Give one running emulator to the whole module."""
    cloud = Emulator(tmp_path_factory.mktemp("cloud") / "home")
    cloud.home.mkdir()
    cloud.start()
    yield cloud
    cloud.kill()


def table(cloud: Emulator, name: str) -> Any:
    """Make a table like the service's own: string keys, an index, a stream."""
    cloud.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk", "due_shard", "at")],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_shard", "KeyType": "HASH"},
                    {"AttributeName": "at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return cloud.client("dynamodb")


def text(**attributes: str) -> dict[str, Any]:
    """Return an item of strings."""
    return {name: {"S": value} for name, value in attributes.items()}


def test_acknowledged_writes_survive_a_kill(cloud: Emulator) -> None:
    db = table(cloud, "kept")
    for number in range(50):
        db.put_item(
            TableName="kept", Item={**text(pk="a", sk=f"{number:03}", due_shard="0", at="x"), "b": {"B": b"\x00"}}
        )
    db.delete_item(TableName="kept", Key=text(pk="a", sk="000"))
    db.update_item(
        TableName="kept",
        Key=text(pk="a", sk="001"),
        UpdateExpression="SET v = :v REMOVE due_shard",
        ExpressionAttributeValues={":v": {"N": "7"}},
    )
    db.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "kept", "Item": text(pk="b", sk="1")}},
            {"Delete": {"TableName": "kept", "Key": text(pk="a", sk="002")}},
        ]
    )
    cloud.kill()
    cloud.start()
    items = db.query(TableName="kept", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "a"}})[
        "Items"
    ]
    assert [item["sk"]["S"] for item in items] == ["001", *(f"{number:03}" for number in range(3, 50))]
    assert items[0]["v"] == {"N": "7"}
    assert items[1]["b"] == {"B": b"\x00"}
    assert "Item" in db.get_item(TableName="kept", Key=text(pk="b", sk="1"))
    due = db.query(
        TableName="kept",
        IndexName="due",
        KeyConditionExpression="due_shard = :s",
        ExpressionAttributeValues={":s": {"S": "0"}},
    )
    assert due["Count"] == 47


def test_conditions_hold_against_what_was_written_before_the_kill(cloud: Emulator) -> None:
    db = table(cloud, "conditional")
    db.put_item(TableName="conditional", Item=text(pk="a", sk="1"), ConditionExpression="attribute_not_exists(pk)")
    cloud.kill()
    cloud.start()
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        db.put_item(TableName="conditional", Item=text(pk="a", sk="1"), ConditionExpression="attribute_not_exists(pk)")


def test_the_stream_still_holds_what_nobody_read(cloud: Emulator) -> None:
    db = table(cloud, "streamed")
    for number in range(3):
        db.put_item(TableName="streamed", Item=text(pk="a", sk=str(number)))
    cloud.kill()
    cloud.start()
    streams = cloud.client("dynamodbstreams")
    arn = streams.list_streams(TableName="streamed")["Streams"][0]["StreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    first = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=first["ShardIterator"])["Records"]
    assert [record["dynamodb"]["NewImage"]["sk"]["S"] for record in records] == ["0", "1", "2"]


def test_a_dropped_table_comes_back_empty(cloud: Emulator) -> None:
    db = table(cloud, "dropped")
    db.put_item(TableName="dropped", Item=text(pk="a", sk="1"))
    db.delete_table(TableName="dropped")
    table(cloud, "dropped")
    cloud.kill()
    cloud.start()
    assert db.scan(TableName="dropped")["Count"] == 0


def test_messages_survive_a_kill_and_deleted_ones_do_not_come_back(cloud: Emulator) -> None:
    queues = cloud.client("sqs")
    url = queues.create_queue(QueueName="kept", Attributes={"VisibilityTimeout": "600"})["QueueUrl"]
    for number in range(3):
        queues.send_message(QueueUrl=url, MessageBody=f"body {number}")
    (taken,) = queues.receive_message(QueueUrl=url)["Messages"]
    queues.delete_message(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"])
    in_flight = queues.receive_message(QueueUrl=url)["Messages"]
    assert len(in_flight) == 1
    cloud.kill()
    cloud.start()
    left = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in left) == ["body 1", "body 2"]


def test_a_locked_version_stays_locked_through_a_kill(cloud: Emulator) -> None:
    objects = cloud.client("s3")
    objects.create_bucket(Bucket="archive", ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    put = objects.put_object(
        Bucket="archive", Key="a/1", Body=b"kept", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    cloud.kill()
    cloud.start()
    for attempt in (
        lambda: objects.delete_object(Bucket="archive", Key="a/1", VersionId=put["VersionId"]),
        lambda: objects.put_object_retention(
            Bucket="archive",
            Key="a/1",
            VersionId=put["VersionId"],
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
        ),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    assert objects.get_object(Bucket="archive", Key="a/1", VersionId=put["VersionId"])["Body"].read() == b"kept"


def test_keys_still_sign_and_decrypt_after_a_kill(cloud: Emulator) -> None:
    keys = cloud.client("kms")
    signing = keys.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    data = keys.create_key()["KeyMetadata"]["KeyId"]
    keys.create_alias(AliasName="alias/data", TargetKeyId=data)
    wrapped = keys.generate_data_key(KeyId="alias/data", KeySpec="AES_256", EncryptionContext={"tenant": "t"})
    before = keys.get_public_key(KeyId=signing)["PublicKey"]
    cloud.kill()
    cloud.start()
    opened = keys.decrypt(
        KeyId="alias/data", CiphertextBlob=wrapped["CiphertextBlob"], EncryptionContext={"tenant": "t"}
    )
    assert opened["Plaintext"] == wrapped["Plaintext"]
    assert keys.get_public_key(KeyId=signing)["PublicKey"] == before


def test_what_a_carrier_took_is_on_record_before_it_answers(cloud: Emulator) -> None:
    sent = cloud.client("sns").publish(
        PhoneNumber="+12025550123",
        Message="您好",
        MessageAttributes={"contact": {"DataType": "String", "StringValue": "msg_1"}},
    )
    mail = cloud.client("sesv2")
    mail.create_email_identity(EmailIdentity="sender@example.com")
    posted = mail.send_email(
        FromEmailAddress="sender@example.com",
        Destination={"ToAddresses": ["a@example.com"]},
        Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "text"}}}},
        EmailTags=[{"Name": "contact", "Value": "msg_2"}],
    )
    cloud.kill()
    taken = list(outbox.accepted(cloud.home / "outbox.jsonl"))
    cloud.start()
    assert [(line["provider_id"], line["contact"], line["to"]) for line in taken] == [
        (sent["MessageId"], "msg_1", "+12025550123"),
        (posted["MessageId"], "msg_2", "a@example.com"),
    ]
    assert taken[0]["body"] == "您好"


def test_everything_is_there_after_many_kills_and_a_new_journal(cloud: Emulator) -> None:
    db = table(cloud, "again")
    for round_ in range(3):
        db.put_item(TableName="again", Item=text(pk="a", sk=str(round_)))
        cloud.kill()
        cloud.start()
    cloud.stop()  # in good order: the journal is written anew
    cloud.start()
    assert db.scan(TableName="again")["Count"] == 3


def test_the_launcher_refuses_a_version_it_does_not_know(tmp_path: Path) -> None:
    code = (
        "import importlib.metadata, sys; importlib.metadata.version = lambda name: '0.0.0';"
        f"sys.argv = ['x', '--port', '1', '--home', {str(tmp_path)!r}];"
        "from scripts.cloud.emulator import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "this launcher knows" in done.stderr
