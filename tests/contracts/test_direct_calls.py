"""The table models' direct calls answer and refuse as the double does over HTTP, and leave the same tables and streams."""

import random
from typing import Any

import pytest
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from pynamodb.connection.base import Connection
from pynamodb.exceptions import VerboseClientError

from tests.conftest import ACCOUNT, REGION
from tests.direct_calls import ACTIONS, direct, whole_way

UNLIKE = ("ApproximateCreationDateTime", "SizeBytes")
"""What two records of one change differ in: the time, and the size with the time in it."""

TABLE = {
    "TableName": "ranged",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "due")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "due",
            "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}


def a_key(chance: random.Random) -> dict[str, Any]:
    return {"pk": {"S": chance.choice("abc")}, "sk": {"S": chance.choice("xyz")}}


def an_item(chance: random.Random) -> dict[str, Any]:
    item = {**a_key(chance), "n": {"N": str(chance.randrange(9))}, "b": {"B": chance.randbytes(9)}}
    item |= {
        "d": {"S": chance.choice(("plain", "鸢鸑", 'with "quotes"'))},
        "none": {"NULL": True},
        "no": {"BOOL": False},
    }
    item |= {"map": {"M": {"list": {"L": [{"N": "1.5"}, {"B": b"\x00\xff"}]}}}, "set": {"SS": ["q", "p"]}}
    return item | ({"due": {"S": chance.choice("de")}} if chance.random() < 0.5 else {})


def a_condition(chance: random.Random) -> dict[str, Any]:
    condition = chance.choice(("", "attribute_exists(#k)", "attribute_not_exists(#k)", "n < :five", "unknown(n)"))
    told: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
    told |= {"ExpressionAttributeNames": {"#k": "pk"}} if "#k" in condition else {}
    return told | ({"ExpressionAttributeValues": {":five": {"N": "5"}}} if ":five" in condition else {})


def a_call(chance: random.Random, operation: str) -> dict[str, Any]:
    """Return the arguments of a call, some of which the double refuses."""
    of = {"TableName": chance.choice(["ranged"] * 9 + ["unknown"])}
    total = {"ReturnConsumedCapacity": "TOTAL"}
    keys = [a_key(chance) for _ in range(chance.randrange(1, 4))]
    update = {"UpdateExpression": "SET due = :d", "ExpressionAttributeValues": {":d": {"S": "d"}}}
    changes: list[dict[str, Any]] = [
        {"Put": {**of, "Item": an_item(chance), **a_condition(chance)}},
        {"Delete": {**of, "Key": a_key(chance), **a_condition(chance)}},
        {"ConditionCheck": {**of, "Key": a_key(chance), "ConditionExpression": "attribute_exists(pk)"}},
        {"Update": {**of, "Key": a_key(chance), **update}},
    ]
    match operation:
        case "GetItem":
            wished = chance.choice(({}, {"ProjectionExpression": "n, b"}, {"ConsistentRead": True}))
            return {**of, "Key": a_key(chance), **wished, **total}
        case "PutItem":
            return {**of, "Item": an_item(chance), "ReturnValues": "ALL_OLD", **a_condition(chance), **total}
        case "DeleteItem":
            return {**of, "Key": a_key(chance), "ReturnValues": "ALL_OLD", **a_condition(chance), **total}
        case "UpdateItem":
            return {**of, "Key": a_key(chance), "ReturnValues": chance.choice(("NONE", "ALL_NEW")), **update, **total}
        case "BatchGetItem":
            return {"RequestItems": {of["TableName"]: {"Keys": keys, "ConsistentRead": True}}, **total}
        case "BatchWriteItem":
            return {
                "RequestItems": {of["TableName"]: [{"PutRequest": {"Item": an_item(chance)}} for _ in keys]},
                **total,
            }
        case "TransactGetItems":
            return {"TransactItems": [{"Get": {**of, "Key": key}} for key in keys]}
        case "TransactWriteItems":
            return {"TransactItems": chance.sample(changes, chance.randrange(1, 4))}
        case "Scan":
            return {**of, **chance.choice(({}, {"Limit": 2})), **total}
    index = chance.random() < 0.3
    asked = {"KeyConditionExpression": "#k = :v", "ExpressionAttributeNames": {"#k": "due" if index else "pk"}}
    asked |= {"ExpressionAttributeValues": {":v": {"S": chance.choice("abcde")}}}  # type: ignore[dict-item]
    asked |= chance.choice(({}, {"Limit": 1}, {"ScanIndexForward": False}, {"Select": "COUNT"}))
    return {**of, **asked, **({"IndexName": "due"} if index else {}), **total}


def history(seed: int) -> list[Any]:
    """Return what came of each of many calls, and what is in the table and its stream at the end."""
    chance, seen = random.Random(seed), list[Any]()
    with mock_aws():
        connection = Connection(region=REGION)
        connection._make_api_call("CreateTable", TABLE)
        for _ in range(200):
            operation = chance.choice(sorted(ACTIONS))
            told = a_call(chance, operation)
            try:
                answer = dict(connection._make_api_call(operation, told))
                answer.pop("ResponseMetadata", None)
                seen.append((operation, answer))
            except VerboseClientError as refused:
                reasons = [reason and (reason.code, reason.message) for reason in refused.cancellation_reasons]
                seen.append((operation, refused.response["Error"], reasons))
        table = dynamodb_backends[ACCOUNT][REGION].tables["ranged"]
        records = [{**each.record["dynamodb"], "name": each.record["eventName"]} for each in table.stream_shard.items]
        seen.append([{name: value for name, value in each.items() if name not in UNLIKE} for each in records])
        seen.append(connection._make_api_call("Scan", {"TableName": "ranged"})["Items"])
    return seen


@pytest.mark.parametrize("seed", range(3))
def test_they_answer_refuse_and_leave_what_calls_over_http_do(seed: int, environment: None) -> None:
    with whole_way():
        theirs = history(seed)
    with direct():
        ours = history(seed)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one == other
    assert {name for name, *_ in ours[:-2]} == set(ACTIONS)
    assert {"ConditionalCheckFailedException", "TransactionCanceledException", "ResourceNotFoundException"} <= {
        each[1]["Code"] for each in ours[:-2] if len(each) == 3
    }


def test_an_answer_is_the_callers_own(environment: None) -> None:
    with mock_aws(), direct():
        connection = Connection(region=REGION)
        connection._make_api_call("CreateTable", TABLE)
        item = {"pk": {"S": "a"}, "sk": {"S": "x"}, "map": {"M": {"n": {"N": "1"}}}}
        asked = {"TableName": "ranged", "Key": {"pk": {"S": "a"}, "sk": {"S": "x"}}}
        connection._make_api_call("PutItem", {"TableName": "ranged", "Item": item})
        item["map"]["M"]["n"]["N"] = "2"
        connection._make_api_call("GetItem", asked)["Item"]["map"]["M"].clear()
        assert connection._make_api_call("GetItem", asked)["Item"]["map"] == {"M": {"n": {"N": "1"}}}


def test_every_test_calls_directly() -> None:
    assert Connection._make_api_call.__module__ == "tests.direct_calls"
