"""What functions log and count: listed fields only, faults by type and place, never an event."""

import json
from types import SimpleNamespace

import pytest

from chalicelib.edge.observed import LOG_FIELDS, location, logger, observed

EVENT = SimpleNamespace(context=SimpleNamespace(aws_request_id="aws-1"), body="王伟 13800138000")


@observed
def settle_things(event):
    """Settle them."""
    if event.fault is not None:
        raise event.fault
    logger().info("settled", extra={"count": 3, "phone": "13800138000", "case": "case_1"})
    return {"settled": 3}


def run(fault=None):
    return settle_things(SimpleNamespace(context=EVENT.context, body=EVENT.body, fault=fault))


def lines(capsys):
    out = capsys.readouterr().out
    assert "13800138000" not in out and "王伟" not in out
    return [json.loads(line) for line in out.splitlines()]


def test_handler_keeps_its_name_and_text_so_that_it_is_deployed_as_itself():
    assert (settle_things.__name__, settle_things.__doc__) == ("settle_things", "Settle them.")
    assert settle_things.__module__ == __name__


def test_invocation_is_logged_at_its_end_with_listed_fields_and_counted(capsys):
    assert run() == {"settled": 3}
    settled, done, metric = lines(capsys)
    assert (settled["count"], settled["case"], settled["function"], settled["request_id"]) == (
        3,
        "case_1",
        "settle_things",
        "aws-1",
    )
    assert (done["message"], done["function"]) == ("done", "settle_things")
    assert done["milliseconds"] >= 0
    assert set(settled) | set(done) <= LOG_FIELDS
    assert (metric["function"], metric["Invocations"]) == ("settle_things", [1.0])


def test_fault_is_logged_by_type_and_place_counted_and_raised_again(capsys):
    fault = ValueError("王伟 13800138000")
    with pytest.raises(ValueError) as raised:
        run(fault)
    assert raised.value is fault
    failed, metric = lines(capsys)
    assert (failed["level"], failed["error"]) == ("ERROR", "ValueError")
    assert failed["at"].startswith("test_http_observed.py:")
    assert metric["Failures"] == [1.0]
    assert "Invocations" not in metric


def test_metrics_of_one_invocation_do_not_reach_the_next(capsys):
    run()
    run()
    metrics = [line for line in lines(capsys) if "_aws" in line]
    assert [metric["Invocations"] for metric in metrics] == [[1.0], [1.0]]


def test_only_plain_and_short_values_are_written(capsys):
    logger().info(
        "x" * 1_000, extra={"key": "k" * 1_000, "code": {"phone": "13800138000"}, "rule": ["13800138000"], "count": 1.5}
    )
    (line,) = lines(capsys)
    assert len(line["message"]) == len(line["key"]) == 200
    assert (line["code"], line["rule"], line["count"]) == ("<dict>", "<list>", 1.5)


def test_no_character_of_a_value_can_end_a_line_or_forge_one(capsys):
    forged = '{"level":"ERROR"}'
    for end in ("\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x1c"):
        logger().info(f"one{end}{forged}", extra={"key": f"a{end}b"})
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line)["level"] == "INFO"


def test_message_that_is_json_itself_shows_no_fields(capsys):
    logger().info('{"phone": "13800138000"}')
    (line,) = lines(capsys)
    assert line["message"] == "<dict>"


def test_place_of_a_fault_that_was_never_raised_is_unknown():
    assert location(ValueError("x")) == "?"
