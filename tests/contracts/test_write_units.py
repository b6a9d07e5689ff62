"""What one delivered message costs the main table, by DynamoDB's published formulas over the items that are written."""

import pytest

from scripts.bench_write_units import WAYS, Meter, item_bytes, measure

STEPS = {"request": 4, "decide": 8, "claim": 6, "settle": 6, "delivery report": 6}
"""Write units a step: ``docs/data-model.md`` says what each of them is."""

INDEX = {"request": 1, "decide": 2, "claim": 2, "settle": 1, "delivery report": 0}


@pytest.mark.parametrize("way", WAYS)
def test_a_delivered_message_costs_thirty_write_units_and_a_long_one_two_more(way: str) -> None:
    channel, meter = WAYS[way][2], measure([way])[way]
    units = {name: cost.units for name, cost in meter.steps.items()}
    # The event of a ruling holds the rendered text, so that of a long one may pass two kilobytes.
    assert units.pop("decide") <= STEPS["decide"] + (0 if channel == "sms" else 2)
    assert units == {name: most for name, most in STEPS.items() if name != "decide"}
    assert {name: cost.index for name, cost in meter.steps.items()} == INDEX
    assert sum(STEPS.values()) == 30


def test_an_item_is_measured_by_names_and_values() -> None:
    assert item_bytes({"pk": {"S": "T#l"}, "v": {"N": "12"}, "b": {"B": "AAAA"}}) == 2 + 3 + 1 + 3 + 1 + 3
    with pytest.raises(ValueError, match="no formula"):
        item_bytes({"m": {"M": {}}})


def test_a_transaction_counts_twice_and_the_larger_of_before_and_after() -> None:
    meter = Meter("records")
    key = {"pk": {"S": "T#l#MSG#1"}, "sk": {"S": "MSG"}}
    due = {"due_shard": {"S": "0"}, "due_at": {"S": "now"}}
    meter.step = "large"
    put = {"TableName": "records", "Item": {**key, **due, "d": {"S": "x" * 1_024}}}
    meter.take("TransactWriteItems", {"TransactItems": [{"Put": put}]})
    meter.step = "small again"
    meter.take("PutItem", {"TableName": "records", "Item": key})
    meter.step = "check"
    meter.take("TransactWriteItems", {"TransactItems": [{"ConditionCheck": {"TableName": "records", "Key": key}}]})
    assert [(cost.units, cost.index) for cost in meter.steps.values()] == [(4, 1), (2, 1), (2, 0)]
