"""A simulation from the request over HTTP through its queue to its result, over decisions of the real engine."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.events import EventType
from chalicelib.domain.whatif import simulation as job
from chalicelib.store.repository import Store, event_of
from chalicelib.store.sealing import PURPOSES
from chalicelib.store.tables import Record, View
from chalicelib.usecases import projections, simulations
from tests.builders import CASE, LENDER, NOW, PERSON, TEST_ACTOR, Scope, a_case, stored
from tests.conftest import NAMES
from tests.flows.test_cases_api import SECRETS, TOKENS, Api, a_token, api, body_of
from tests.flows.test_house_rules import NOBODY_BEFORE_NOON, decided, drafted
from tests.flows.test_ruling_on_real_cases import a_wish_for, ask, rule_on

__all__ = ["api"]

PATH = "/v1/compliance/simulations"
SCOPE = Scope(LENDER)
EVENING = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)
EARLY = {
    "id": "OWN-EARLY-CLOSE", "shape": "hours", "params": {"windows": [{"open": [["09:00", "18:00"]]}]},
    "citation": "collection policy 3.2", "source": "lender", "grade": "house", "confidence": "source",
    "status": "enforced", "checked": "2026-11-28", "note": {"en": "Nobody is reached after six.", "zh": "六点后不联系。"},
}  # fmt: skip
WISH = {"from": "2026-11-23", "to": "2026-11-24", "house": {"rules": [EARLY]}}


class Cloud:
    """The stream and the queue, played by hand."""

    def __init__(self, store: Store) -> None:
        self.store, self.ports, self.seen = store, wiring.simulation_ports(), set[str]()
        self.sqs, self.url = boto3.client("sqs"), NAMES.queue_url_prefix + "simulations"

    def stream(self, *, twice: bool = False) -> None:
        """Deliver the events that were not delivered yet."""
        items = [item for item in Record.scan() if item.e is not None]
        events = [event_of(item.e, tenant=keys.tenant_of(item.pk)) for item in items]
        fresh = [event for event in sorted(events, key=lambda each: each.at) if event.id not in self.seen]
        self.seen |= {event.id for event in fresh}
        for _ in range(2 if twice else 1):
            assert simulations.project(self.ports.simulations, fresh) == []
            assert projections.route_to_queues(fresh, self.ports.queues) == []

    def messages(self) -> list[dict[str, Any]]:
        """Take every message off the queue."""
        found: list[dict[str, Any]] = []
        while taken := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in taken:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def work(self, body: dict[str, Any], seconds: float = 100.0) -> None:
        simulations.work(self.ports, body, clock=lambda: NOW, seconds_left=lambda: seconds, req="req_w")

    def run(self) -> None:
        """Let stream and workers do everything there is to do, each message twice."""
        for _ in range(4):
            self.stream(twice=True)
            for body in self.messages():
                self.work(body)
                self.work(body)


@pytest.fixture
def cloud(api: Api, store: Store) -> Iterator[Cloud]:
    stored(store, a_case())
    yield Cloud(store)


def decide(store: Store, *instants: datetime) -> None:
    for at in instants:
        rule_on(store, ask(store, a_wish_for(), now=at), now=at)


def test_a_simulation_is_asked_for_worked_and_read(api: Api, cloud: Cloud, store: Store) -> None:
    decide(store, NOW, EVENING, NIGHT)
    asked = api.post("officer", PATH, WISH)
    assert asked.status_code == 202
    told = body_of(asked)
    assert asked.headers["Location"] == f"{PATH}/{told['id']}"
    assert (told["state"], told["progress"], told["parts"], told["result"]) == ("queued", 0.0, ["house"], None)
    cloud.run()
    told = body_of(api.get("lender", asked.headers["Location"]))
    assert (told["state"], told["progress"], told["decisions"]) == ("succeeded", 1.0, 3)
    counts = told["result"]["counts"]
    assert (counts["decisions"], counts["newly_deferred"], counts["newly_allowed"], counts["drifted"]) == (3, 1, 0, 0)
    assert told["result"]["by"]["rule"] == {"OWN-EARLY-CLOSE": {"newly_deferred": 1}}
    assert told["result"]["delays"]["median_minutes"] == 14 * 60
    assert told["result"]["examples"]["newly_deferred"][0]["case"] == CASE
    assert len(told["result"]["method"]) >= 5
    events = store.events(SCOPE, keys.simulation_pk(LENDER, told["id"]))
    assert [event.type for event in events] == [
        EventType.SIMULATION_REQUESTED, EventType.SIMULATION_PLANNED, EventType.SIMULATION_FINISHED,
    ]  # fmt: skip
    text = json.dumps(told, ensure_ascii=False)
    assert not any(secret in text for secret in SECRETS) and PERSON not in text


def test_the_lenders_house_rules_belong_to_today_and_a_draft_takes_their_place(
    api: Api, cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOKENS, "officer-2", a_token("compliance", LENDER, subject="user-2", tenant=LENDER))
    decide(store, NOW)
    assert drafted(api).status_code == decided(api).status_code == 201
    monkeypatch.setattr(wiring, "now", lambda: NOW + timedelta(minutes=1))
    wishes = {
        "as it is": {"shadow": ["IN-RBI-2026-PARTIES"]},
        "without": {"house": {}},
        "from ten": {
            "house": {"rules": [{**NOBODY_BEFORE_NOON, "params": {"windows": [{"open": [["10:00", "18:00"]]}]}}]}
        },
    }
    found = {}
    for name, wish in wishes.items():
        identity = body_of(api.post("officer", PATH, {"from": "2026-11-23", "to": "2026-11-23", **wish}))["id"]
        cloud.run()
        found[name] = body_of(api.get("officer", f"{PATH}/{identity}"))["result"]
    # At ten in the morning: allowed on the day, held back by the lender's rules of today.
    assert [told["counts"]["drifted"] for told in found.values()] == [1, 1, 1]
    assert found["as it is"]["verdicts"] == {"defer>defer": 1}
    assert found["without"]["verdicts"] == found["from ten"]["verdicts"] == {"defer>allow": 1}
    assert found["without"]["by"]["rule"] == {"HOUSE-NOON-HOURS": {"newly_allowed": 1}}
    assert "HOUSE-NOON" in [pack[0] for pack in found["without"]["compared_with"]["packs"]]


def test_nothing_but_the_job_itself_is_written(api: Api, cloud: Cloud, store: Store) -> None:
    decide(store, NOW)
    # The first request of a day is recorded, whatever it asks for.
    api.get("lender", PATH)
    cloud.stream()
    before = {(item.pk, item.sk): item.v for item in Record.scan()}
    asked = body_of(api.post("lender", PATH, WISH))
    cloud.run()
    own = keys.simulation_pk(LENDER, asked["id"])
    after = {(item.pk, item.sk): item.v for item in Record.scan() if item.pk != own}
    assert after == before


def test_the_same_request_again_is_the_same_simulation(api: Api, cloud: Cloud) -> None:
    first = api.post("officer", PATH, WISH, Idempotency_Key="what-if-1")
    again = api.post("officer", PATH, WISH, Idempotency_Key="what-if-1")
    assert body_of(first)["id"] == body_of(again)["id"]
    assert api.post("officer", PATH, {**WISH, "shadow": "all"}, Idempotency_Key="what-if-1").status_code == 422


def test_a_fault_in_a_draft_is_told_by_its_pointer(api: Api, cloud: Cloud) -> None:
    broken = {
        **WISH,
        "drafts": [{"pack": "CN", "amend": [{**EARLY, "params": {"windows": [{"open": [["9", "18"]]}]}}]}],
    }
    refused = api.post("officer", PATH, broken)
    assert refused.status_code == 422
    (told,) = body_of(refused)["errors"]
    assert (told["pointer"], told["code"]) == ("/drafts/0/amend/0/params/windows/0/open/0", "malformed")
    assert api.post("officer", PATH, {"from": "2026-11-23", "to": "2026-11-24"}).status_code == 422
    assert body_of(api.get("officer", PATH))["items"] == []


def test_roles_without_the_scope_and_other_lenders_reach_nothing(api: Api, cloud: Cloud) -> None:
    asked = body_of(api.post("lender", PATH, WISH))
    cloud.stream()
    for token in ("agency", "collector"):
        assert api.post(token, PATH, WISH).status_code == 403
        assert api.get(token, PATH).status_code == 403
    unknown = api.get("other-officer", f"{PATH}/sim_unknown")
    foreign = api.get("other-officer", f"{PATH}/{asked['id']}")
    assert foreign.status_code == unknown.status_code == 404
    assert api.call("other-officer", "DELETE", f"{PATH}/{asked['id']}").status_code == 404
    assert body_of(api.get("other-officer", PATH))["items"] == []


def test_a_list_goes_from_the_newest_to_the_oldest(api: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    for minute in range(3):
        monkeypatch.setattr(wiring, "now", lambda at=NOW + timedelta(minutes=minute): at)
        asked.append(body_of(api.post("officer", PATH, WISH))["id"])
    cloud.stream()
    page = body_of(api.get("officer", f"{PATH}?limit=2"))
    rest = body_of(api.get("officer", f"{PATH}?limit=2&cursor={page['next_cursor']}"))
    assert [item["id"] for item in page["items"] + rest["items"]] == asked[::-1]
    assert rest["next_cursor"] is None


def test_a_cancelled_simulation_is_worked_no_more(api: Api, cloud: Cloud, store: Store) -> None:
    decide(store, NOW)
    asked = body_of(api.post("officer", PATH, WISH))
    path = f"{PATH}/{asked['id']}"
    assert body_of(api.call("officer", "DELETE", path))["state"] == "cancelled"
    assert body_of(api.call("officer", "DELETE", path))["state"] == "cancelled"
    cloud.run()
    told = body_of(api.get("officer", path))
    assert (told["state"], told["decisions"], told["result"]) == ("cancelled", None, None)
    done = body_of(api.post("officer", PATH, WISH))
    cloud.run()
    assert api.call("officer", "DELETE", f"{PATH}/{done['id']}").status_code == 409


def test_an_erased_person_is_counted_and_nothing_more(api: Api, cloud: Cloud, store: Store) -> None:
    decide(store, NOW, EVENING)
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_3", now=NOW)
    unit.destroy_keys(PERSON, PURPOSES)
    unit.commit()
    asked = body_of(api.post("officer", PATH, WISH))
    cloud.run()
    counts = body_of(api.get("officer", f"{PATH}/{asked['id']}"))["result"]["counts"]
    assert (counts["erased"], counts["decisions"]) == (2, 0)


def test_a_period_without_decisions_has_an_empty_result(api: Api, cloud: Cloud, store: Store) -> None:
    decide(store, NOW)
    asked = body_of(api.post("officer", PATH, {**WISH, "from": "2026-10-01", "to": "2026-10-31"}))
    cloud.run()
    told = body_of(api.get("officer", f"{PATH}/{asked['id']}"))
    assert (told["state"], told["decisions"], told["result"]["counts"]["decisions"]) == ("succeeded", 0, 0)


def test_a_period_with_too_much_fails_with_its_reason(
    api: Api, cloud: Cloud, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulations, "MOST_DECISIONS", 1)
    decide(store, NOW, EVENING)
    asked = body_of(api.post("officer", PATH, WISH))
    cloud.run()
    told = body_of(api.get("officer", f"{PATH}/{asked['id']}"))
    assert (told["state"], told["problem"]["code"], told["result"]) == ("failed", "too_many_decisions", None)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulations, "CHUNK", 2)
    monkeypatch.setattr(simulations, "_SLICE", 1)


def planned(api: Api, cloud: Cloud, store: Store) -> tuple[str, list[dict[str, Any]]]:
    """Ask for a simulation over five decisions and let it be planned; return its id and the messages of its chunks."""
    decide(store, *(NOW + timedelta(minutes=20 * n) for n in range(4)), NIGHT)
    identity = body_of(api.post("officer", PATH, WISH))["id"]
    cloud.stream()
    for body in cloud.messages():
        cloud.work(body)
    cloud.stream()
    return identity, sorted(cloud.messages(), key=lambda body: body["chunk"])


def test_chunks_are_worked_in_any_order_and_count_once(api: Api, cloud: Cloud, store: Store, small_parts: None) -> None:
    identity, bodies = planned(api, cloud, store)
    assert [body["chunk"] for body in bodies] == [0, 1, 2]
    for number, body in enumerate(bodies[::-1], start=1):
        cloud.work(body)
        cloud.work(body)
        told = body_of(api.get("officer", f"{PATH}/{identity}"))
        assert told["progress"] == round(number / 3, 4)
    assert (told["state"], told["result"]["counts"]["decisions"]) == ("succeeded", 5)


def test_a_worker_that_runs_out_of_time_leaves_what_it_has_and_is_called_again(
    api: Api, cloud: Cloud, store: Store, small_parts: None
) -> None:
    identity, bodies = planned(api, cloud, store)
    left = iter([100.0])
    simulations.work(cloud.ports, bodies[0], clock=lambda: NOW, seconds_left=lambda: next(left, 5.0), req="req_w")
    chunk = cloud.ports.simulations.chunk(SCOPE, identity, 0)
    assert chunk is not None and (chunk.taken, chunk.done) == (1, False)
    assert cloud.messages() == [bodies[0]]
    for body in bodies:
        cloud.work(body)
    told = body_of(api.get("officer", f"{PATH}/{identity}"))
    assert (told["state"], told["result"]["counts"]["decisions"]) == ("succeeded", 5)


def test_of_two_workers_on_one_chunk_only_one_counts(api: Api, cloud: Cloud, store: Store, small_parts: None) -> None:
    identity, bodies = planned(api, cloud, store)
    rivals = iter([bodies[0]])

    def overtaken() -> float:
        """Let another worker do the whole chunk while this one is about to."""
        for body in rivals:
            cloud.work(body)
        return 100.0

    simulations.work(cloud.ports, bodies[0], clock=lambda: NOW, seconds_left=overtaken, req="req_w")
    known = cloud.ports.simulations.simulation(SCOPE, identity)
    assert known is not None and known.chunks_done == 1
    for body in bodies[1:]:
        cloud.work(body)
    assert body_of(api.get("officer", f"{PATH}/{identity}"))["result"]["counts"]["decisions"] == 5


def test_a_lost_message_is_sent_again_by_the_clock_and_a_dead_simulation_is_given_up(
    api: Api, cloud: Cloud, store: Store, small_parts: None
) -> None:
    identity, bodies = planned(api, cloud, store)
    cloud.work(bodies[1])
    at = NOW + simulations.STALLED_AFTER
    assert wiring.due_handlers()["SIM"](SCOPE, identity, at - timedelta(seconds=1)) is None
    assert wiring.due_handlers()["SIM"](SCOPE, identity, at) == "resumed"
    assert sorted(body["chunk"] for body in cloud.messages()) == [0, 2]
    for _ in range(simulations.MOST_STALLS - 1):
        at += simulations.STALLED_AFTER
        assert simulations.resume(cloud.ports, SCOPE, identity, now=at) == "resumed"
    at += simulations.STALLED_AFTER
    assert simulations.resume(cloud.ports, SCOPE, identity, now=at) == "failed"
    assert body_of(api.get("officer", f"{PATH}/{identity}"))["problem"]["code"] == "stalled"
    assert simulations.resume(cloud.ports, SCOPE, identity, now=at + timedelta(days=1)) is None


def test_a_chunk_that_is_being_worked_when_the_simulation_is_cancelled_counts_nothing(
    api: Api, cloud: Cloud, store: Store, small_parts: None
) -> None:
    identity, bodies = planned(api, cloud, store)

    def cancelling() -> float:
        api.call("officer", "DELETE", f"{PATH}/{identity}")
        return 100.0

    simulations.work(cloud.ports, bodies[0], clock=lambda: NOW, seconds_left=cancelling, req="req_w")
    assert cloud.ports.simulations.chunk(SCOPE, identity, 0) is None
    assert cloud.messages() == []


def test_the_index_holds_a_row_a_decision_and_no_more_however_often_the_stream_delivers(
    api: Api, cloud: Cloud, store: Store
) -> None:
    decide(store, NOW, EVENING)
    cloud.stream(twice=True)
    rows = [row for row in View.scan() if "#DECIDED#" in row.pk]
    assert len(rows) == 2 and all(row.d is None and row.b is None and row.ttl for row in rows)
    assert {row.pk for row in rows} == {keys.decided_pk(LENDER, "2026-11-23")}


def test_a_wish_that_fits_into_no_item_is_refused(api: Api, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.store.simulation_repository.MOST_ITEM_BYTES", 100)
    refused = api.post("officer", PATH, WISH)
    assert (refused.status_code, body_of(refused)["errors"][0]["code"]) == (422, "too_large")


def test_the_largest_plan_fits_into_one_item(cloud: Cloud) -> None:
    def row(number: int) -> str:
        case = hashlib.sha256(str(number).encode()).hexdigest()[:26]
        return keys.decided_sk(
            f"2026-11-23T{number % 24:02d}:{number % 60:02d}:07.{number % 1000:03d}Z", f"case_{case}", number
        )

    chunks = -(-job.MOST_DECISIONS // job.CHUNK) + 92
    plan = [job.Planned(day="2026-11-23", first=row(n), last=row(n + 10_000), count=400) for n in range(chunks)]
    assert len(cloud.ports.simulations.plan_record(SCOPE, "sim_1", plan).b) < 350_000
