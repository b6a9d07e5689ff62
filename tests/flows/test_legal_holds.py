"""Legal holds over the edge: on a log of the lender, and on a person's evidence when the profile is long gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain import keys
from chalicelib.domain.audit.keeping import RETENTION
from chalicelib.domain.audit.log import LogName
from chalicelib.domain.duties.duty import Duty
from chalicelib.store.duty_repository import DutyRepository
from chalicelib.store.keep_repository import KeepRepository
from chalicelib.store.repository import Store
from chalicelib.usecases.keeping import KeepPorts, keep_archive
from tests.archive_fakes import MemoryLocks
from tests.builders import LENDER, NOW, PERSON, Scope
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_erasure import GUARANTOR, Clock, api, ask, clock, placed, tick, types

__all__ = ["api", "clock"]

SCOPE = Scope(LENDER)
WHY = {"reason": "litigation", "matter": "case-2026-17"}
PERSON_ROUTE, LOG_ROUTE = f"/v1/persons/{PERSON}/legal-holds", "/v1/audit/2026/legal-hold"


def told(store: Store) -> list[tuple[str, Any]]:
    return [(e.type.value, dict(e.data)) for e in store.events(SCOPE, keys.org_pk(LENDER, LENDER))]


# On a person


def test_a_hold_on_evidence_whose_profile_is_gone_keeps_it_until_it_is_released(
    api: Api, store: Store, clock: Clock
) -> None:
    placed(store)
    assert ask(api)["outcome"] == "held"
    response = api.post("counsel", PERSON_ROUTE, WHY)
    assert response.status_code == 201, response.body
    hold = body_of(response)
    clock.now = datetime(2034, 1, 1, tzinfo=UTC)
    assert tick(store, clock) == {"erasure_held": 1}
    assert store.sealer.standing(LENDER, PERSON) == {"evidence"}
    released = api.post("officer", f"{PERSON_ROUTE}/{hold['id']}/release", None)
    assert body_of(released)["released_at"].startswith("2034-01-01")
    clock.now += timedelta(days=7)
    assert tick(store, clock) == {"erasure_erased": 1}
    assert [kind for kind in types(store) if "hold" in kind] == ["person.hold_placed", "person.hold_released"]
    # Nothing is left that could be held.
    gone = api.post("counsel", PERSON_ROUTE, WHY)
    assert (gone.status_code, body_of(gone)["code"]) == (409, "evidence_destroyed")


def test_a_hold_is_asked_for_once_by_whom_it_concerns_and_with_a_reference(api: Api, store: Store) -> None:
    placed(store)
    first = api.post("counsel", PERSON_ROUTE, WHY, Idempotency_Key="same")
    assert body_of(api.post("counsel", PERSON_ROUTE, WHY, Idempotency_Key="same")) == body_of(first)
    assert len(store.ledger(SCOPE, PERSON).holds) == 1
    assert api.post("counsel", "/v1/persons/per_nobody/legal-holds", WHY).status_code == 404
    assert api.post("counsel", f"{PERSON_ROUTE}/hold_x/release", None).status_code == 404
    for wrong in ({**WHY, "reason": "because"}, {**WHY, "matter": "two words"}, {"reason": "audit"}):
        assert api.post("counsel", PERSON_ROUTE, wrong).status_code == 422
    for role in ("lender", "agency"):
        assert api.post(role, PERSON_ROUTE, WHY).status_code == 403
        assert api.post(role, LOG_ROUTE, WHY).status_code == 403


# On a log


def test_a_log_under_hold_keeps_the_evidence_of_everybody_it_tells_of(api: Api, store: Store, clock: Clock) -> None:
    placed(store)
    view = body_of(api.post("counsel", LOG_ROUTE, WHY))
    assert (view["on"], view["matter"], view["released_at"]) == (True, "case-2026-17", None)
    told_outcome = ask(api)
    assert (told_outcome["outcome"], [reason["code"] for reason in told_outcome["reasons"]]) == (
        "locked",
        ["legal_hold"],
    )
    assert store.sealer.standing(LENDER, PERSON) == {"ops", "evidence"}
    assert body_of(api.post("officer", f"{LOG_ROUTE}/release", None))["on"] is False
    clock.now += timedelta(days=7)
    assert tick(store, clock) == {"erasure_held": 1}
    # And again, now that only the evidence is left.
    api.post("counsel", LOG_ROUTE, WHY)
    clock.now = datetime(2034, 1, 1, tzinfo=UTC)
    assert tick(store, clock) == {"erasure_held": 1}
    api.post("counsel", f"{LOG_ROUTE}/release", None)
    clock.now += timedelta(days=7)
    assert tick(store, clock) == {"erasure_erased": 1}
    assert [kind for kind, _ in told(store)] == ["archive.hold_placed", "archive.hold_released"] * 2


def test_the_log_of_another_year_keeps_nobody(api: Api, store: Store) -> None:
    placed(store)
    api.post("counsel", "/v1/audit/2024/legal-hold", WHY)
    assert ask(api)["outcome"] == "held"
    assert api.post("counsel", "/v1/audit/2020/legal-hold/release", None).status_code == 404


def test_the_keeper_puts_the_hold_on_every_version_and_takes_off_only_its_own(
    api: Api, store: Store, clock: Clock
) -> None:
    bucket, until = MemoryLocks(), NOW + RETENTION
    places = [bucket.put(f"{LENDER}/2026/tile/{number}", NOW, until=until) for number in range(4)]
    other = bucket.put(f"{LENDER}/2025/tile/0", NOW, until=until)
    foreign = bucket.put(f"{LENDER}/2025/tile/1", NOW, until=until)
    bucket.hold(*foreign, on=True)
    logs = [LogName(LENDER, "2025"), LogName(LENDER, "2026")]
    ports = KeepPorts(store, KeepRepository(), bucket, lambda: logs, Scope)

    def held() -> list[bool]:
        return [bucket.locks[place].held for place in (*places, other, foreign)]

    def keep() -> int:
        for _ in range(9):
            report = keep_archive(ports, now=clock.now, most_steps=5)
            if report.finished:
                break
        assert report.finished
        return report.failed

    keep()
    assert held() == [False] * 5 + [True]
    api.post("counsel", LOG_ROUTE, WHY)
    # The same day: a hold waits for no tomorrow.
    keep()
    assert held() == [True] * 4 + [False, True]
    clock.now += timedelta(days=1)
    late = bucket.put(f"{LENDER}/2026/tile/9", clock.now, until=until)
    bucket.refusing = {places[0][0]}
    keep()
    assert bucket.locks[late].held
    api.post("counsel", f"{LOG_ROUTE}/release", None)
    assert keep() >= 0 and held() == [True] + [False] * 4 + [True]
    bucket.refusing = set()
    clock.now += timedelta(days=1)
    keep()
    assert held() == [False] * 5 + [True]
    applied = [data for kind, data in told(store) if kind == "archive.hold_applied"]
    assert [(data["on"], data["versions"], data["failed"]) for data in applied] == [
        (True, 4, 0),
        (True, 1, 0),
        (False, 4, 1),
        (False, 1, 0),
    ]


# A duty that is still to be done


@pytest.mark.parametrize("about", ["case", "person"])
def test_an_open_duty_postpones_and_one_that_is_done_or_overdue_does_not(
    about: str, api: Api, store: Store, clock: Clock
) -> None:
    placed(store)
    (case,) = store.cases_of(SCOPE, PERSON)
    duty = Duty(
        id="duty_1",
        tenant=LENDER,
        rule="CN-CMP-1",
        kind="complaint_answer",
        case=case if about == "case" else None,
        person=GUARANTOR if about == "case" else PERSON,
        subject="cmp_1",
        opened_by="evt_1",
        opened_at="2026-11-23T00:00:00Z",
        due_at="2026-12-03T00:00:00Z",
        owner=LENDER,
        agency=None,
        severity="high",
    )
    DutyRepository().record(duty).save()
    DutyRepository().index(duty, was_due=None)
    answer = ask(api)
    assert (answer["outcome"], [each["code"] for each in answer["reasons"]]) == ("postponed", ["open_duty"])
    assert answer["reasons"][0]["until"] == "2026-12-03"
    done = duty.model_copy(update={"state": "lapsed", "version": 2})
    DutyRepository().record(Duty.model_validate(done.model_dump())).save()
    clock.now += timedelta(days=1)
    assert tick(store, clock) == {"erasure_held": 1}
