"""Certificates decide who is assigned to and cleared: recorded with evidence, by country, up to their last local day."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.instants import from_text
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.training.certificate import Certificate, CertificateState, trainee_id
from chalicelib.store.repository import Store
from chalicelib.store.training_repository import TrainingRepository
from chalicelib.usecases import certificates, due
from chalicelib.usecases.cases import Caller, Context
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, Scope, a_collector, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_organisations_api import CERTIFICATE, api, register
from tests.flows.test_ruling_on_real_cases import a_wish_for, ask, case_on_file, rule_on, ruling_of

__all__ = ["api", "case_on_file"]

SCOPE = Scope(LENDER)
LENDERS = Caller(Actor("lender", "ops-1", "tok_1"))
CONTEXT = Context(NOW, "req_1")
TODAY = date(2026, 11, 23)


def shown(**deviations: object) -> certificates.Shown:
    usual: dict[str, object] = {
        "country": "CN",
        "issuer": "Training desk",
        "reference": None,
        "evidence": "5" * 64,
        "issued_on": date(2026, 1, 5),
        "valid_to": date(2026, 12, 31),
    }
    return certificates.Shown(**{**usual, **deviations})  # type: ignore[arg-type]


def record(**deviations: object) -> Certificate:
    ports = wiring.certificate_ports()
    return certificates.record_certificate(ports, SCOPE, AGENCY, COLLECTOR, shown(**deviations), LENDERS, CONTEXT)


def told(store: Store) -> list[str]:
    return [event.type.value for event in store.events(SCOPE, keys.trainee_pk(LENDER, trainee_id(AGENCY, COLLECTOR)))]


def uncertify(store: Store, version: int = 2) -> None:
    stored(store, a_collector(certified={}, version=version))


@pytest.mark.parametrize("channel", ["call", "sms"])
def test_who_has_no_certificate_is_denied_and_told_why_in_two_languages(case_on_file: Store, channel: str) -> None:
    uncertify(case_on_file)
    decided = rule_on(case_on_file, ask(case_on_file, a_wish_for(channel)))
    assert decided.state is AttemptState.DENIED
    rules = {rule["id"]: rule for rule in ruling_of(case_on_file, decided)["rules"]}
    assert rules["CN-AGY-1"]["because"] == f"collectors.{COLLECTOR}.certified_to is null: there is none"
    ruling = ruling_of(case_on_file, decided)
    assert "催收人员每年培训考试合格" in json.dumps(wiring.explain(ruling, "zh", tenant=LENDER), ensure_ascii=False)
    assert "certified" in json.dumps(wiring.explain(ruling, "en", tenant=LENDER))


def test_a_certificate_for_another_country_clears_nothing(case_on_file: Store) -> None:
    uncertify(case_on_file)
    record(country="US")
    assert rule_on(case_on_file, ask(case_on_file, a_wish_for("call"))).state is AttemptState.DENIED
    record()
    assert rule_on(case_on_file, ask(case_on_file, a_wish_for("call"))).state is AttemptState.APPROVED


def test_on_the_last_day_a_call_is_cleared_up_to_midnight_and_not_after(case_on_file: Store) -> None:
    uncertify(case_on_file)
    record(valid_to=TODAY)
    midnight = datetime(2026, 11, 23, 16, tzinfo=UTC)
    cleared = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    assert cleared.state is AttemptState.APPROVED and cleared.approved is not None
    assert from_text(cleared.approved.not_after) <= midnight
    next_morning = datetime(2026, 11, 24, 2, tzinfo=UTC)
    late = rule_on(case_on_file, ask(case_on_file, a_wish_for("call"), now=next_morning), now=next_morning)
    assert late.state is AttemptState.DENIED


def test_a_revoked_certificate_clears_nothing_until_it_is_issued_anew(case_on_file: Store) -> None:
    record(valid_to=date(2026, 12, 30))
    ports = wiring.certificate_ports()
    for _ in range(2):
        ended = certificates.revoke_certificate(
            ports, SCOPE, AGENCY, COLLECTOR, "CN", LENDERS, CONTEXT, reason="conduct"
        )
        assert (ended.state, ended.revocation) == (CertificateState.REVOKED, "conduct")
    assert rule_on(case_on_file, ask(case_on_file, a_wish_for("call"))).state is AttemptState.DENIED
    assert record().state is CertificateState.VALID
    assert rule_on(case_on_file, ask(case_on_file, a_wish_for("call"))).state is AttemptState.APPROVED
    assert told(case_on_file) == ["certificate.issued", "certificate.revoked", "certificate.issued"]


def test_recording_the_same_twice_changes_nothing(case_on_file: Store) -> None:
    assert record() == record()
    assert told(case_on_file) == ["certificate.issued"]
    assert record(evidence="6" * 64).version == 2


@pytest.mark.parametrize(
    ("deviation", "pointer", "code"),
    [
        (
            {"issued_on": TODAY + timedelta(days=1), "valid_to": TODAY + timedelta(days=2)},
            "/issued_on",
            "in_the_future",
        ),
        ({"valid_to": date(2026, 1, 4)}, "/valid_to", "before_issued_on"),
        ({"valid_to": date(2027, 1, 6)}, "/valid_to", "too_long"),
    ],
)
def test_days_that_cannot_be_are_refused(
    case_on_file: Store, deviation: dict[str, object], pointer: str, code: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        record(**deviation)
    assert [(each.where, each.code) for each in refused.value.errors] == [(pointer, code)]
    assert record(valid_to=date(2027, 1, 5)).valid_to == date(2027, 1, 5)


def test_nobody_certifies_who_is_unknown_or_left(case_on_file: Store) -> None:
    ports = wiring.certificate_ports()
    with pytest.raises(NotFound):
        certificates.record_certificate(ports, SCOPE, AGENCY, "nobody", shown(), LENDERS, CONTEXT)
    stored(case_on_file, a_collector(left=True, version=2))
    with pytest.raises(StateConflict):
        record()


def test_who_left_is_cleared_for_nothing_whatever_the_certificate_says(case_on_file: Store) -> None:
    stored(case_on_file, a_collector(left=True, version=2))
    decided = rule_on(case_on_file, ask(case_on_file, a_wish_for("call")))
    assert decided.state is AttemptState.DENIED


def test_the_clock_tells_three_times_and_then_of_the_end(case_on_file: Store) -> None:
    record()
    failed: list[str] = []

    def run(at: datetime) -> dict[str, int]:
        found = due.release_due(
            case_on_file, wiring.queues(), wiring.worker_scope, wiring.due_handlers(), now=at, req="req_due",
            on_failure=lambda key, error: failed.append(f"{key} {error!r}"),
        )  # fmt: skip
        return found.moved

    midnight = datetime(2026, 12, 31, 16, tzinfo=UTC)
    for days in (30, 14, 3):
        assert run(midnight - timedelta(days=days, seconds=1)) == {}
        assert run(midnight - timedelta(days=days)) == {"certificate_expiring": 1}
        assert run(midnight - timedelta(days=days)) == {}
    assert run(midnight) == {"certificate_lapsed": 1}
    assert run(midnight + timedelta(days=900)) == {} and failed == []
    events = case_on_file.events(SCOPE, keys.trainee_pk(LENDER, trainee_id(AGENCY, COLLECTOR)))
    assert [event.data.get("days_left") for event in events if event.type is EventType.CERTIFICATE_EXPIRING] == [
        30,
        14,
        3,
    ]
    assert events[-1].type is EventType.CERTIFICATE_LAPSED


class Overtaken(TrainingRepository):
    """Lets a rival write between the first read and its commit."""

    def __init__(self, rival: Callable[[], object]) -> None:
        self.rival: Callable[[], object] | None = rival

    def certificate(self, scope: Any, trainee: str, country: str) -> Certificate | None:
        known = super().certificate(scope, trainee, country)
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()
        return known


@pytest.mark.parametrize("already", [True, False])
def test_who_is_overtaken_runs_again_and_the_collectors_record_agrees(case_on_file: Store, already: bool) -> None:
    if already:
        record()
    ports = certificates.CertificatePorts(
        case_on_file, Overtaken(lambda: record(country="US", evidence="6" * 64, valid_to=date(2026, 12, 1)))
    )
    own = shown(evidence="7" * 64, valid_to=date(2026, 12, 2))
    after = certificates.record_certificate(ports, SCOPE, AGENCY, COLLECTOR, own, LENDERS, CONTEXT)
    collector = case_on_file.collector(SCOPE, AGENCY, COLLECTOR)
    assert collector is not None and collector.certified == {"US": date(2026, 12, 1), "CN": date(2026, 12, 2)}
    assert after.version == 1 + already
    assert told(case_on_file) == ["certificate.issued"] * (2 + already)


def test_the_clock_that_is_overtaken_by_a_new_certificate_tells_of_nothing(case_on_file: Store) -> None:
    record(valid_to=TODAY + timedelta(days=1))
    ports = certificates.CertificatePorts(case_on_file, Overtaken(lambda: record(evidence="7" * 64)))
    assert certificates.finish_due(ports, SCOPE, trainee_id(AGENCY, COLLECTOR), now=NOW) is None
    assert told(case_on_file) == ["certificate.issued", "certificate.issued"]


# Over HTTP


def test_the_agency_sees_the_certificates_of_its_people_and_a_collector_their_own(api: Api) -> None:
    register(api)
    for collector in (COLLECTOR, "collector-2"):
        path = f"/v1/agencies/{AGENCY}/collectors/{collector}"
        assert api.call("agency", "PUT", path, {"staff_no": "A001"}).status_code == 201
        assert api.call("lender", "POST", f"{path}/certificates", CERTIFICATE).status_code == 201
    path = f"/v1/agencies/{AGENCY}/certificates"
    seen = body_of(api.get("agency", path))["items"]
    assert [(each["collector"], each["valid_to"], each["warned"]) for each in seen] == [
        (COLLECTOR, "2026-12-31", []),
        ("collector-2", "2026-12-31", []),
    ]
    assert [each["collector"] for each in body_of(api.get("collector", path))["items"]] == [COLLECTOR]
    assert body_of(api.get("agency", f"{path}?ending_by=2026-12-30"))["items"] == []
    assert api.get("other-agency", path).status_code == 404
    assert api.get("counsel", path).status_code == 403


def test_only_the_lender_records_and_revokes(api: Api) -> None:
    register(api)
    path = f"/v1/agencies/{AGENCY}/collectors/{COLLECTOR}"
    api.call("agency", "PUT", path, {"staff_no": "A001"})
    for who in ("agency", "collector", "officer"):
        assert api.call(who, "POST", f"{path}/certificates", CERTIFICATE).status_code == 403
        assert api.call(who, "POST", f"{path}/certificates/CN/revocations", {"reason": "conduct"}).status_code == 403
    assert api.call("other-lender", "POST", f"{path}/certificates", CERTIFICATE).status_code == 404
    assert api.call("lender", "POST", f"{path}/certificates/CN/revocations", {"reason": "conduct"}).status_code == 404
    api.call("lender", "POST", f"{path}/certificates", CERTIFICATE)
    refused = api.call("lender", "POST", f"{path}/certificates/CN/revocations", {"reason": "whim"})
    assert body_of(refused)["errors"][0]["code"] == "unknown_reason"
    revoked = body_of(api.call("lender", "POST", f"{path}/certificates/CN/revocations", {"reason": "conduct"}))
    assert (revoked["state"], body_of(api.get("lender", path))["certified"]) == ("revoked", {})
