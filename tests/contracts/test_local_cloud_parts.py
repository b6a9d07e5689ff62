"""The small parts of the local cloud: journal, ticks, and what the front door makes of the gateway's own answers."""

import base64
import http.client
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.cloud import front, outbox, schedules
from scripts.cloud import views as cloud_views
from scripts.cloud.journal import Journal, read
from scripts.cloud.processes import free_port

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_journal_is_read_in_the_order_of_writing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([["a", 1], ["b", "您"]])
    journal.append([["c", None]])
    assert list(read(tmp_path / "j")) == [[["a", 1], ["b", "您"]], [["c", None]]]


def test_a_line_that_was_cut_off_is_left_out_and_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal(path).append([["whole"]])
    with path.open("ab") as file:
        file.write(b'[["torn"')
    assert list(read(path)) == [[["whole"]]]
    Journal(path).append([["next"]])
    assert list(read(path)) == [[["whole"]], [["next"]]]


def test_a_journal_that_was_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'[["whole"]]\n[["dam\n[["whole"]]\n')
    with pytest.raises(ValueError):
        list(read(tmp_path / "j"))


def test_lines_of_many_threads_stay_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")

    def write(number: int) -> None:
        for turn in range(50):
            journal.append([["item", number, turn, "x" * 5_000]])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(read(tmp_path / "j"))) == 400


def test_a_journal_can_be_replaced_and_written_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append([["old"]])
    journal.replace([[["new"]]])
    journal.append([["later"]])
    assert list(read(tmp_path / "j")) == [[["new"]], [["later"]]]


def test_an_acceptance_without_its_end_was_never_answered_for(tmp_path: Path) -> None:
    path = tmp_path / "o"
    outbox.accept(path, carrier="sns", channel="sms", provider_id="1", to="+1", body="text", contact="msg_1")
    with path.open("ab") as file:
        file.write(b'{"carrier": "sn')
    (line,) = outbox.accepted(path)
    assert (line["contact"], line["body"]) == ("msg_1", "text")
    assert line["content_sha256"] == "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"


def test_each_schedule_is_due_when_its_period_is_over() -> None:
    ticks = schedules.Ticks(now=NOON)
    assert ticks.due(now=NOON + timedelta(seconds=59)) == []
    assert ticks.due(now=NOON + timedelta(seconds=60)) == ["release_due"]
    assert ticks.due(now=NOON + timedelta(minutes=5)) == ["release_due", "archive_events"]


def test_a_clock_that_leaps_runs_each_schedule_once() -> None:
    ticks = schedules.Ticks(now=NOON)
    assert sorted(ticks.due(now=NOON + timedelta(days=3))) == sorted(schedules.EVERY)
    assert ticks.due(now=NOON + timedelta(days=3)) == []


def test_only_scheduled_functions_can_be_run_by_hand() -> None:
    with pytest.raises(schedules.NoSuchSchedule):
        schedules.run("dispatch_messages", "http://127.0.0.1:9", stage="local", at=NOON)


REFUSALS = json.loads((Path(__file__).parents[2] / "infra/template.json").read_text())["Resources"]["RestAPI"][
    "Properties"
]["GatewayResponses"]


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (401, "UnauthorizedException", 401),
        (403, "MissingAuthenticationTokenException", 404),
        (403, "AccessDeniedException", 403),
        (429, "TooManyRequestsException", 429),
        (400, "SomethingNewException", 400),
        (500, "InternalServerErrorException", 500),
        (504, "SomethingNewException", 500),
    ],
)
def test_a_refusal_of_the_gateway_becomes_the_templates_problem(status: int, error: str, expected: int) -> None:
    told = front.refused(status, error, REFUSALS)
    assert told is not None
    code, headers, body = told
    assert (code, json.loads(body)["status"]) == (expected, expected)
    assert headers["Content-Type"] == "application/problem+json"
    assert "$" not in json.loads(body)["request_id"]


def test_without_a_template_a_refusal_stays_as_it_is() -> None:
    assert front.refused(401, "UnauthorizedException", {}) is None


def test_binary_answers_are_unpacked_and_others_stay_as_they_are() -> None:
    packed = base64.b64encode(b"%PDF-1.7")
    assert front.unpacked(packed, "application/pdf") == b"%PDF-1.7"
    assert front.unpacked(packed, "application/json") == packed
    assert front.unpacked(b"%PDF-1.7", "application/pdf") == b"%PDF-1.7"


def test_the_front_door_shows_the_law_and_passes_on_what_the_page_asks_for() -> None:
    asked: list[str] = []

    def law(path: str) -> dict[str, Any] | None:
        asked.append(path)
        return {"items": []} if path == "packs" else None

    nothing: Any = None
    views = front.Views(
        status=nothing,
        outbox=nothing,
        ruling=nothing,
        letter=nothing,
        law=law,
        scoreboard=nothing,
        pack=nothing,
        run=nothing,
    )
    door = front.serve("http://127.0.0.1:1", views, port=free_port())
    try:
        line = http.client.HTTPConnection("127.0.0.1", door.server_port, timeout=30)
        seen = []
        for path in ("/rules", "/_local/law/packs", "/_local/law/packs/XX"):
            line.request("GET", path)
            answer = line.getresponse()
            seen.append((answer.status, answer.getheader("Content-Type"), answer.read()))
    finally:
        door.shutdown()
        door.server_close()
    page, packs, none = seen
    assert page[:2] == (200, "text/html; charset=utf-8") and "规则 Rules".encode() in page[2]
    assert (packs[0], json.loads(packs[2])) == (200, {"items": []})
    assert none[0] == 404 and asked == ["packs", "packs/XX"]


@pytest.mark.parametrize(
    ("path", "is_law"),
    [
        ("packs", True),
        ("packs/CN", True),
        ("packs/CN/rules/CN-HOURS-1", True),
        ("duty-rules", True),
        ("house-rules", True),
        ("house-rules/HOUSE-VISITS/versions", True),
        ("rulings", False),
        ("packs/../../cases", False),
        ("house-rules/HOUSE-VISITS/versions/1/approvals", False),
    ],
)
def test_the_page_of_rules_asks_the_api_for_law_and_for_nothing_else(path: str, is_law: bool) -> None:
    assert bool(cloud_views._LAW.fullmatch(path)) is is_law
