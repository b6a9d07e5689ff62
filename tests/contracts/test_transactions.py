"""The double's transactions leave the same tables, streams and refusals with and without the copies of whole tables."""

import random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends

from tests.conftest import ACCOUNT, REGION
from tests.transactions import swift, whole_transactions

UNLIKE = ("ApproximateCreationDateTime", "SizeBytes")
"""What two records of one change differ in: the time, and the size with the time in it."""

TABLES = {"ranged": ("pk", "sk"), "plain": ("pk",)}


def an_operation(chance: random.Random) -> dict[str, Any]:
    """Return an operation on one of few items, whose condition may fail and whose value may be refused."""
    table = chance.choice(sorted(TABLES))
    key = {name: {"S": chance.choice("abc")} for name in TABLES[table]}
    told: dict[str, Any] = {"TableName": table}
    condition = chance.choice(("", "attribute_exists(pk)", "attribute_not_exists(pk)", "n < :five"))
    values: dict[str, Any] = {":five": {"N": "5"}} if ":five" in condition else {}
    if condition:
        told["ConditionExpression"] = condition
    kind = chance.choice(("Put", "Update", "Delete", "ConditionCheck"))
    if kind == "ConditionCheck" and not condition:
        told["ConditionExpression"] = "attribute_exists(pk)"
    if kind == "Put":
        told["Item"] = {**key, "n": {"N": str(chance.randrange(9))}, "list": {"L": [{"S": "x"}]}}
    else:
        told["Key"] = key
    if kind == "Update":
        told["UpdateExpression"] = chance.choice(("SET n = :n", "ADD n :n", "SET pk = :n", "REMOVE n"))
        values |= {} if told["UpdateExpression"] == "REMOVE n" else {":n": {"N": str(chance.randrange(9))}}
    if values:
        told["ExpressionAttributeValues"] = values
    return {kind: told}


def history(seed: int) -> list[Any]:
    """Return what came of each of many transactions, and all that is in tables and streams after each."""
    chance, seen = random.Random(seed), list[Any]()
    with mock_aws():
        db = boto3.client("dynamodb", region_name=REGION)
        for table, names in TABLES.items():
            db.create_table(
                TableName=table,
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind}
                    for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
                BillingMode="PAY_PER_REQUEST",
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            )
        for _ in range(60):
            try:
                db.transact_write_items(TransactItems=[an_operation(chance) for _ in range(chance.randrange(1, 5))])
                seen.append("done")
            except ClientError as refused:
                seen.append((refused.response["Error"]["Code"], refused.response.get("CancellationReasons")))
            for table in sorted(TABLES):
                items = db.scan(TableName=table)["Items"]
                shard = dynamodb_backends[ACCOUNT][REGION].tables[table].stream_shard
                told = [
                    {name: value for name, value in each.record["dynamodb"].items() if name not in UNLIKE}
                    for each in shard.items
                ]
                seen.append((sorted(items, key=str), [each.record["eventName"] for each in shard.items], told))
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_they_leave_what_the_doubles_own_would_have_left(seed: int, environment: None) -> None:
    with swift():
        ours = history(seed)
    with whole_transactions():
        theirs = history(seed)
    assert ours == theirs
    outcomes = [each if isinstance(each, str) else each[0] for each in ours[::3]]
    assert {"done", "TransactionCanceledException"} <= set(outcomes)


def test_every_test_runs_on_them() -> None:
    assert DynamoDBBackend.transact_write_items.__module__ == "tests.transactions"


def answers(seed: int) -> list[Any]:
    """Return what many queries answer, page by page, of a table that many partitions lie in."""
    chance, found = random.Random(seed), list[Any]()
    with mock_aws():
        db = boto3.client("dynamodb", region_name=REGION)
        db.create_table(
            TableName="ranged",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "due")],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "due",
                    "KeySchema": [
                        {"AttributeName": "due", "KeyType": "HASH"},
                        {"AttributeName": "sk", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        for _ in range(60):
            names = {name: {"S": chance.choice("abcde") + chance.choice("xyz")} for name in ("pk", "sk", "due")}
            db.put_item(TableName="ranged", Item={**names, "n": {"N": str(chance.randrange(9))}})
        for _ in range(60):
            key, value = chance.choice(("pk", "pk", "due")), chance.choice("abcdef") + chance.choice("xyz")
            asked: dict[str, Any] = {"TableName": "ranged", "ScanIndexForward": chance.random() < 0.5}
            asked |= {"IndexName": "due"} if key == "due" else {}
            asked["KeyConditionExpression"] = chance.choice((f"{key} = :v", f"{key} = :v AND sk >= :s"))
            asked["ExpressionAttributeValues"] = {":v": {"S": value}}
            if ":s" in asked["KeyConditionExpression"]:
                asked["ExpressionAttributeValues"][":s"] = {"S": chance.choice("abcde")}
            if chance.random() < 0.5:
                asked["Limit"] = chance.randrange(1, 4)
            for _page in range(10):
                answer = db.query(**asked)
                found.append((answer["Items"], answer["ScannedCount"], answer.get("LastEvaluatedKey")))
                if "LastEvaluatedKey" not in answer:
                    break
                asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_queries_answer_the_same_whether_a_table_is_sorted_as_a_whole_or_not(seed: int) -> None:
    with whole_transactions():
        whole = answers(seed)
    with swift():
        assert answers(seed) == whole
    assert sum(bool(items) for items, _, _ in whole) > 20
