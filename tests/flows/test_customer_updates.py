"""Customer updates by file through the whole edge: each row is a single update, once, in the sender's name, or a coded rejection."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.events import EventType
from chalicelib.domain.intake.portfolio import Portfolio, PortfolioState
from chalicelib.domain.intake.rejections import UPDATE_CODES
from chalicelib.domain.people.person import Person
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store
from chalicelib.store.tables import Record
from chalicelib.usecases import customer_updates, persons, portfolios, projections
from tests.builders import LENDER, NOW, PERSON, Scope, a_case, a_person, stored
from tests.conftest import NAMES
from tests.flows.test_cases_api import Api, api, body_of
from tests.test_house_privacy import SeenQueues

__all__ = ["api"]

SCOPE = Scope(LENDER)
ROUTE = "/v1/customer-updates"
TODAY = "2026-11-23"
PHONE, NAME = "13900000002", "张小明"

ADD = {"action": "add_point", "kind": "phone", "value": PHONE, "source": "contract", "reason": "lender_record"}
PREFER = {"action": "set_preferences", "channel": "email", "how": "lender_record"}
CONFIRM = {"action": "confirm_data", "group": "identity", "how": "document", "birth_date": "1988-04-13"}


@pytest.fixture(autouse=True)
def known(api: Api, store: Store, buckets: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let what the edge reads and what the test reads go through the same keys, and the person be found by their rows."""
    for ports in (wiring.person_ports, wiring.portfolio_ports):
        ports.cache_clear()
    monkeypatch.setattr(wiring, "store", lambda: store)
    monkeypatch.setattr(wiring, "worker_scope", Scope)
    index = PortfolioRepository(store)
    index.write_points(SCOPE, [a_person()])
    index.write_parties(SCOPE, [(PERSON, f"case_{number}") for number in range(3)])
    yield
    for ports in (wiring.person_ports, wiring.portfolio_ports):
        ports.cache_clear()


def row(number: int, what: dict[str, Any], **changes: Any) -> dict[str, Any]:
    told = {"update_id": f"upd-{number:04d}", "person": PERSON, **what, **changes}
    return {name: value for name, value in told.items() if value is not None}


def sent(api: Api, rows: list[dict[str, Any]], token: str = "lender", **wish: Any) -> dict[str, Any]:
    """Hand rows over, let the workers take them, and return how the file stands."""
    answer = api.post(token, ROUTE, {"rows_inline": rows, **wish})
    assert answer.status_code == 202, answer.body
    identity = body_of(answer)["id"]
    worked(identity)
    return read(api, identity, token)


def worked(identity: str) -> None:
    ports = wiring.portfolio_ports()
    upload = portfolios.get_portfolio(ports, SCOPE, identity)
    portfolios.start_portfolio(ports, SCOPE, identity, key=upload.key, version=None, now=NOW, req="req_2")
    for number in range(portfolios.get_portfolio(ports, SCOPE, identity).chunks):
        portfolios.load_chunk(ports, chunk_of(identity, number), now=NOW, req="req_3")


def chunk_of(identity: str, number: int = 0) -> dict[str, Any]:
    return {"tenant": LENDER, "portfolio": identity, "chunk": number}


def read(api: Api, identity: str, token: str = "lender") -> dict[str, Any]:
    found: dict[str, Any] = body_of(api.get(token, f"{ROUTE}/{identity}"))
    return found


def refused(api: Api, identity: str, token: str = "lender") -> list[tuple[int, str, str]]:
    items = body_of(api.get(token, f"{ROUTE}/{identity}/rejections"))["items"]
    return [(each["row"], each["field"], each["code"]) for each in items]


def counts(found: dict[str, Any]) -> tuple[int, int, int]:
    return found["accepted"], found["unchanged"], found["rejected"]


def person(store: Store) -> Person:
    found = store.person(SCOPE, PERSON)
    assert found is not None
    return found


def events(store: Store, identity: str = PERSON) -> list[Any]:
    return list(store.events(SCOPE, keys.person_pk(LENDER, identity)))


# Rows are single updates


def test_each_row_is_the_single_update_that_it_stands_for(api: Api, store: Store) -> None:
    rows = [
        row(1, ADD, how="lender_record", verified_on="2026-11-20", consent_medium="sms", consent_state="granted"),
        row(2, PREFER, hours_from="18:00", hours_to="20:00"),
        row(3, CONFIRM, person=None, case="case_0", verified_on=TODAY),
        row(4, {"action": "verify_point", "kind": "phone", "value": PHONE, "result": "ok", "how": "lender_record"}),
        row(5, {"action": "retire_point", "kind": "phone", "value": PHONE, "reason": "moved"}),
    ]
    found = sent(api, rows)
    assert (found["state"], found["rows"], found["progress"], counts(found)) == ("loaded", 5, 1.0, (5, 0, 0))
    made = [event for event in events(store) if event.req == found["id"]]
    assert [event.type for event in made] == [
        EventType.PERSON_POINT_ADDED,
        EventType.PERSON_POINT_VERIFIED,
        EventType.CONSENT_CHANGED,
        EventType.PERSON_PREFERENCES_SET,
        EventType.PERSON_DATA_CONFIRMED,
        EventType.PERSON_POINT_VERIFIED,
        EventType.PERSON_POINT_RETIRED,
    ]
    assert {(event.actor.kind, event.actor.id, event.actor.auth) for event in made} == {("lender", "user-1", "tok-1")}
    assert [event.data["verified_on"] for event in made if "verified_on" in event.data] == [
        "2026-11-20", TODAY, TODAY, TODAY,
    ]  # fmt: skip
    after = person(store)
    assert after.birth_date is not None and after.birth_date.isoformat() == "1988-04-13"
    assert after.preferences is not None and after.preferences.channel == "email"
    point = next(each for each in after.points if each.value == f"+86{PHONE}")
    assert (point.status, point.source, point.verified_how) == ("ok", "contract", "lender_record")
    assert point.retired_because == "moved" and [each.medium for each in store.ledger(SCOPE, PERSON).consents] == [
        "sms"
    ]
    assert NAME not in json.dumps([event.data for event in made]) and PHONE not in json.dumps([e.data for e in made])


def test_a_case_is_named_by_the_lenders_own_account(api: Api, store: Store) -> None:
    identity = store.case_id(SCOPE, account="AC00000001", placement_stage=2)
    stored(store, a_case(id=identity, agency=None))
    by_account = {"person": None, "lender_account_id": "AC00000001"}
    rows = [row(1, PREFER, **by_account, placement_stage=2), row(2, PREFER, **by_account, placement_stage=1)]
    found = sent(api, rows)
    assert counts(found) == (1, 0, 1)
    assert refused(api, found["id"]) == [(2, "lender_account_id", "person_unknown")]


def test_a_bad_row_stops_no_good_one_and_is_told_in_json_and_csv(api: Api, store: Store) -> None:
    rows = [
        row(1, ADD, value="12"),
        row(2, ADD, value="999 12"),
        row(3, PREFER),
        row(4, {"action": "verify_point", "point": "pt_none", "result": "ok", "how": "lender_record"}),
        row(5, CONFIRM, how="contact", contact="msg_none"),
        row(6, CONFIRM, group="employment", birth_date=None, how="lender_record"),
        row(7, CONFIRM, national_id="310101198804121233"),
        row(8, CONFIRM, verified_on="2026-11-24"),
        row(9, CONFIRM, name=NAME, contact="msg_none"),
        row(10, {"action": "verify_point", "kind": "phone", "value": PHONE, "result": "ok", "how": "inbound"}),
        {"update_id": "upd-0011", "action": "dance", "person": PERSON},
    ]
    found = sent(api, rows)
    assert (found["state"], counts(found)) == ("loaded", (1, 0, 10))
    assert refused(api, found["id"]) == [
        (1, "value", "text_invalid"),
        (2, "value", "phone_invalid"),
        (4, "point", "contact_point_unknown"),
        (5, "contact", "contact_unproven"),
        (6, "how", "proves_nothing"),
        (7, "national_id", "national_id_invalid"),
        (8, "verified_on", "verified_on_future"),
        (9, "contact", "contact_not_wanted"),
        (10, "value", "contact_point_unknown"),
        (11, "action", "value_not_listed"),
    ]
    path = f"{ROUTE}/{found['id']}/rejections"
    first = body_of(api.get("lender", path))["items"][1]
    assert (first["update"], first["value"], first["line"]) == ("***002", "999 99", 2) and first["zh"] and first["en"]
    page = body_of(api.get("lender", f"{path}?limit=2"))
    assert len(page["items"]) == 2 and page["next_cursor"] and page["complete"]
    answer = api.get("lender", f"{path}?format=csv")
    table = list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert [each["code"] for each in table] == [code for _, _, code in refused(api, found["id"])]
    for text in (answer.body.decode(), api.get("lender", path).body.decode()):
        assert NAME not in text and "310101" not in text and "999 12" not in text and "upd-0" not in text
    assert person(store).birth_date == a_person().birth_date


def test_what_is_newer_stands(api: Api, store: Store) -> None:
    days = ("2026-11-20", "2026-11-19", "2026-11-20", TODAY)
    found = sent(api, [row(number, CONFIRM, verified_on=day) for number, day in enumerate(days)])
    assert refused(api, found["id"]) == [(2, "verified_on", "verified_on_older")]
    assert person(store).confirmed["identity"].on.isoformat() == TODAY


# Once


def test_the_same_file_again_changes_nothing_row_by_row(api: Api, store: Store) -> None:
    rows = [row(1, ADD), row(2, PREFER), row(3, CONFIRM), row(3, CONFIRM)]
    first = sent(api, rows)
    assert counts(first) == (3, 1, 0)
    before = (person(store), events(store))
    assert counts(sent(api, rows)) == (0, 4, 0)
    assert (person(store), events(store)) == before


def test_the_same_update_id_with_other_content_is_a_conflict_and_changes_nothing(api: Api, store: Store) -> None:
    sent(api, [row(1, PREFER)])
    before = (person(store), events(store))
    found = sent(api, [row(1, PREFER, channel="sms"), row(1, PREFER)])
    assert counts(found) == (0, 1, 1) and found["codes"] == {"update_conflict": 1}
    assert refused(api, found["id"]) == [(1, "update_id", "update_conflict")]
    assert (person(store), events(store)) == before


def test_the_same_request_again_is_the_same_upload_and_another_body_a_conflict(api: Api) -> None:
    wish = {"rows_inline": [row(1, PREFER)]}
    one, same = (api.post("lender", ROUTE, wish, Idempotency_Key="key-same") for _ in range(2))
    assert body_of(one)["id"] == body_of(same)["id"]
    other = api.post("lender", ROUTE, {"rows_inline": [row(2, PREFER)]}, Idempotency_Key="key-same")
    assert other.status_code in (409, 422)


def test_a_chunk_that_broke_off_in_its_middle_is_taken_up_and_makes_nothing_twice(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(1, ADD), row(2, PREFER), row(3, CONFIRM), row(4, ADD, value="999")]
    identity = body_of(api.post("lender", ROUTE, {"rows_inline": rows}))["id"]
    ports = wiring.portfolio_ports()
    upload = portfolios.get_portfolio(ports, SCOPE, identity)
    portfolios.start_portfolio(ports, SCOPE, identity, key=upload.key, version=None, now=NOW, req="req_2")

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the worker died")

    with monkeypatch.context() as patch:
        patch.setattr(persons, "confirm_data", broken)
        with pytest.raises(RuntimeError):
            portfolios.load_chunk(ports, chunk_of(identity), now=NOW, req="req_3")
    assert [event.type for event in events(store)] == [EventType.PERSON_POINT_ADDED, EventType.PERSON_PREFERENCES_SET]
    for _ in range(2):
        portfolios.load_chunk(ports, chunk_of(identity), now=NOW, req="req_4")
    found = read(api, identity)
    assert (found["state"], counts(found)) == ("loaded", (3, 0, 1))
    assert [event.type for event in events(store)] == [
        EventType.PERSON_POINT_ADDED,
        EventType.PERSON_PREFERENCES_SET,
        EventType.PERSON_DATA_CONFIRMED,
    ]


def test_a_rival_at_the_same_row_is_found_at_the_commit(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that both saw no mark: the mark's own condition decides, and the loser counts the row as it was taken."""
    sent(api, [row(1, PREFER)])
    before = (person(store), events(store))
    marks, asked = wiring.portfolio_ports().updates.marks, []

    def blind(scope: Any, wanted: Any) -> dict[str, Any]:
        asked.append(list(wanted))
        found: dict[str, Any] = {} if len(asked) == 1 else PortfolioRepository.update_marks(marks, scope, asked[-1])
        return found

    monkeypatch.setattr(marks, "update_marks", blind)
    assert counts(sent(api, [row(1, PREFER)])) == (0, 1, 0)
    assert (person(store), events(store)) == before and len(asked) == 2


def test_a_conflict_that_no_mark_explains_comes_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def beaten(*_: Any, **__: Any) -> None:
        raise Conflict

    monkeypatch.setattr(persons, "set_preferences", beaten)
    with pytest.raises(Conflict):
        sent(api, [row(1, PREFER)])


# Whose


def test_an_agency_updates_persons_of_cases_that_it_holds_and_no_others(api: Api, store: Store) -> None:
    stored(store, a_person(id="per_foreign", national_id=None, points=()), a_case(id="case_9", agency="agency-b"))
    rows = [
        row(1, ADD),
        row(2, ADD, person="per_foreign"),
        row(3, ADD, person="per_nobody"),
        row(4, PREFER, person=None, case="case_9"),
        row(5, PREFER, person=None, case="case_nothing"),
        row(6, PREFER),
        row(7, PREFER, person=None, case="case_0", party="guarantor"),
    ]
    found = sent(api, rows, "agency", lender=LENDER)
    assert (found["agency"], found["lender"], counts(found)) == ("agency-a", LENDER, (1, 0, 6))
    items = body_of(api.get("agency", f"{ROUTE}/{found['id']}/rejections"))["items"]
    told = [{name: item[name] for name in ("field", "code", "en", "zh")} for item in items]
    assert told[0] == told[1] and told[2] == told[3]
    assert [each["code"] for each in told] == ["person_unknown"] * 4 + ["not_the_lenders", "person_unknown"]
    [event] = events(store)
    assert (event.actor.kind, event.data["org"]) == ("agency", "agency-a")
    assert events(store, "per_foreign") == []


def test_a_sender_names_the_updates_for_themselves_alone(api: Api) -> None:
    assert counts(sent(api, [row(1, ADD)], "agency")) == (1, 0, 0)
    assert counts(sent(api, [row(1, PREFER)])) == (1, 0, 0)


def test_a_foreign_upload_is_an_unknown_one_and_a_foreign_lender_too(api: Api) -> None:
    mine, theirs = sent(api, [row(1, PREFER)])["id"], sent(api, [row(1, ADD)], "agency")["id"]
    for token, identity in (
        ("agency", mine),
        ("other-agency", theirs),
        ("other-lender", theirs),
        ("lender", "pf_none"),
    ):
        for path in (f"{ROUTE}/{identity}", f"{ROUTE}/{identity}/rejections"):
            answer, unknown = api.get(token, path), api.get(token, f"{ROUTE}/pf_nothing")
            assert (answer.status_code, unknown.status_code) == (404, 404)
    assert api.get("lender", f"{ROUTE}/{theirs}").status_code == 200
    assert api.get("lender", f"/v1/portfolios/{mine}").status_code == 404
    assert api.get("lender", f"/v1/portfolios/{mine}/rejections").status_code == 404
    portfolio = body_of(api.post("lender", "/v1/portfolios", {}))["id"]
    assert api.get("lender", f"{ROUTE}/{portfolio}").status_code == 404
    for lender in ("bank-b", "bank-none"):
        assert api.post("agency", ROUTE, {"lender": lender}).status_code == 404
        assert api.post("lender", ROUTE, {"lender": lender}).status_code == 404


# The file


def uploaded(found: dict[str, Any], data: bytes) -> dict[str, Any]:
    key = found["upload"]["fields"]["key"]
    boto3.client("s3").put_object(Bucket=NAMES.uploads_bucket, Key=key, Body=data)
    return {"Records": [{"s3": {"bucket": {"name": NAMES.uploads_bucket}, "object": {"key": key}}}]}


FILE = "更新编号,更新类型,人员编号,联系方式类型,联系方式,来源,原因\r\n" + "".join(
    f"u-{number},新增联系方式,{PERSON},电话,139{number:08d},合同,委托方记录\r\n" for number in range(1, 253)
)


def test_a_file_goes_from_its_form_through_the_bucket_the_stream_and_the_queue_to_its_persons(
    api: Api, store: Store
) -> None:
    from hashlib import sha256

    data = FILE.encode("gb18030")
    wish = {"rows": 252, "size": len(data), "sha256": sha256(data).hexdigest()}
    found = body_of(api.post("lender", ROUTE, wish))
    ports = wiring.portfolio_ports()
    portfolios.start_uploads(ports, uploaded(found, data), now=NOW, req="req_2")
    started = portfolios.get_portfolio(ports, SCOPE, found["id"])
    assert (started.state, started.encoding, started.chunks) == (PortfolioState.LOADING, "gb18030", 2)
    queues = SeenQueues()
    stream = list(store.events(SCOPE, keys.portfolio_pk(LENDER, found["id"])))
    assert projections.route_to_queues(stream, queues) == []
    bodies = [body for _, body in queues.seen]
    assert bodies == [chunk_of(found["id"], number) for number in range(2)]
    # The second chunk comes first, and one of them twice.
    for body in (bodies[1], bodies[0], bodies[1]):
        portfolios.load_chunk(ports, body, now=NOW, req="req_3")
    assert counts(read(api, found["id"])) == (252, 0, 0) and read(api, found["id"])["encoding"] == "gb18030"
    assert len(person(store).points) == len(a_person().points) + 252
    told = [event.data for event in store.events(SCOPE, keys.portfolio_pk(LENDER, found["id"]))]
    assert {each["kind"] for each in told} == {"customer_updates"} and "139" not in json.dumps(told)


def test_a_file_that_is_not_what_was_announced_is_refused_before_anything_changes(api: Api, store: Store) -> None:
    found = body_of(api.post("lender", ROUTE, {"rows": 251}))
    portfolios.start_uploads(wiring.portfolio_ports(), uploaded(found, FILE.encode()), now=NOW, req="req_2")
    after = read(api, found["id"])
    assert (after["state"], after["refusal"]["code"]) == ("refused", "rows_differ") and events(store) == []


def test_a_stalled_file_is_taken_up_by_the_clock(api: Api) -> None:
    identity = body_of(api.post("lender", ROUTE, {"rows_inline": [row(1, PREFER)]}))["id"]
    ports = wiring.portfolio_ports()
    upload = portfolios.get_portfolio(ports, SCOPE, identity)
    portfolios.start_portfolio(ports, SCOPE, identity, key=upload.key, version=None, now=NOW, req="req_2")
    handler = wiring.due_handlers()["PF"]
    assert handler(SCOPE, identity, NOW + timedelta(minutes=10)) == "resumed"
    url = NAMES.queue_url_prefix + "portfolio-chunks"
    [message] = boto3.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == chunk_of(identity)


# Privacy


def test_no_personal_data_stands_open_in_a_mark_an_upload_or_a_log(
    api: Api, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(1, ADD), row(2, CONFIRM, name=NAME), row(3, ADD, value="999 12")]
    found = sent(api, rows)
    printed = capsys.readouterr()
    marks = [item for item in Record.scan() if item.sk == "MARK"]
    assert len(marks) == 2
    for text in (printed.out, printed.err, *(f"{item.pk}{item.d}" for item in marks)):
        assert NAME not in text and PHONE not in text and "999 12" not in text and "upd-" not in text
    kept: Portfolio | None = PortfolioRepository(store).portfolio(SCOPE, found["id"])
    assert kept is not None and PHONE not in kept.model_dump_json()


def test_every_code_of_an_update_is_one_that_a_command_or_a_row_can_leave() -> None:
    """A code that nothing leaves is a line of the page that lies."""
    from pathlib import Path

    sources = [
        Path(str(module.__file__)).read_text(encoding="utf-8")
        for module in (
            customer_updates,
            persons,
            __import__("chalicelib.domain.intake.customer_update", fromlist=["x"]),
        )
    ]
    for code in UPDATE_CODES:
        assert any(f'"{code}"' in source for source in sources), code
