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
