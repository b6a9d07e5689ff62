"""A tenth of all persons is erased: nothing of theirs opens or is found, and nothing else has changed.

What they left stays where it is, so the archive still verifies, and figures stay what they were. The suite erases 3 of 30;
``make campaign-erasure`` erases 1,000 of 10,000, in lots with tables of their own.
"""

import base64
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.cases.lifecycle import CaseState
from chalicelib.domain.errors import PersonErased
from chalicelib.domain.events import Event, EventType
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.domain.people.erasure import Outcome
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store, event_of
from chalicelib.store.sealing import EVIDENCE, OPS, Sealer
from chalicelib.store.tables import Record, View
from chalicelib.usecases import archive, erasure, projections
from scripts import verify_archive
from tests.builders import (
    LENDER,
    NOW,
    TEST_ACTOR,
    Scope,
    a_case,
    a_ledger,
    a_lender,
    a_point,
    an_agency,
    an_attempt,
    stored,
)
from tests.builders import a_person as person_of
from tests.conftest import ENVIRONMENT, NAMES

PERSONS = int(os.environ.get("PERSONS", "30"))
LOT = 250
SCOPE = Scope(LENDER)
WISH = erasure.Wish("purpose_met", "person", "file-1")


@pytest.fixture
def fresh(store: Store, queues: list[str], buckets: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(wiring, "store", lambda: store)
    monkeypatch.setattr(wiring, "now", lambda: NOW)
    # As if every duty to keep the evidence had run out: the year, and with it the log, is the same one.
    monkeypatch.setattr(erasure, "kept", lambda ended, today: ())
    stored(store, a_lender(), an_agency())
    yield store


def settle_in(store: Store, number: int) -> None:
    """Store a person with a settled case, a message, an inbound reply, and the events of all that."""
    who = f"per_{number}"
    point = a_point(value=f"+86138{number:08d}")
    person = person_of(id=who, points=(point,), national_id=f"31010119880412{number:04d}")
    case = a_case(
        id=f"case_{number}",
        account=f"acct-{number}",
        state=CaseState.SETTLED,
        amount_due_minor=0,
        parties=(CaseParty(person=who, role="debtor"),),
    )
    message = an_attempt(id=f"msg_{number}", case=case.id, person=who, state=AttemptState.SENT, body="给您的信息")
    stored(store, person, a_ledger(person=who), case, message)
    repository = PortfolioRepository(store)
    repository.write_points(SCOPE, [person])
    repository.write_parties(SCOPE, [(who, case.id)])
    unit = store.unit(SCOPE, actor=TEST_ACTOR, req="req_1", now=NOW)
    pk = keys.case_pk(LENDER, case.id)
    placed = {"placed_minor": 100, "currency": "CNY", "country": "CN", "region": "CN-SH", "stage": "M1"}
    placed |= {"portfolio": "pf_1", "account": "ab" * 16, "days_past_due": 3, "placement_stage": 1}
    unit.emit(pk, EventType.CASE_PLACED, {**placed, "business_date": "2026-11-23"}, fresh=True)
    said = {"person": who, "channel": "sms", "keyword": None}
    told = {"text": "我周五付款", "inbound": f"in_{number}"}
    unit.emit(keys.person_pk(LENDER, who), EventType.INBOUND_RECEIVED, said, fresh=True, subject=who, secret=told)
    unit.commit()


def all_events() -> list[Event]:
    """Return every event there is, stream by stream."""
    found = list(Record.scan(Record.sk.startswith("EV#")))
    found.sort(key=lambda item: (item.pk, item.sk))
    return [event_of(item.e, tenant=LENDER) for item in found]


def failed(name: str, error: Exception) -> None:
    """Fail the test with the projection that failed."""
    raise AssertionError(name) from error


def counters() -> dict[tuple[str, str], Any]:
    """Return every counter that figures are made from."""
    return {
        (item.pk, item.sk): item.d or item.attribute_values
        for item in View.scan()
        if item.pk.split("#")[2:3] == ["KPI"]
    }


def faults_of_the_archive(folder: Path) -> list[Any]:
    """Return what the offline verifier finds in the archive as downloaded, with the public key from elsewhere."""
    s3, bucket = boto3.client("s3"), NAMES.archive_bucket
    for told in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        file = folder / "archive" / told["Key"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(s3.get_object(Bucket=bucket, Key=told["Key"])["Body"].read())
    der = boto3.client("kms").get_public_key(KeyId=NAMES.archive_key_p256)["PublicKey"]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = serialization.load_der_public_key(der).public_bytes(serialization.Encoding.PEM, form)
    (folder / "p256.pem").write_bytes(pem)
    asked = verify_archive.Asked([verify_archive.Key(str(folder / "p256.pem"))], heartbeat=timedelta(days=4_000))
    report = verify_archive.verify(folder / "archive", asked)
    assert report.counts["entries"] > 0
    return report.faults


def sealed_payloads() -> dict[str, list[tuple[str, bytes, bytes]]]:
    """Return by person every sealed payload in the tables: (purpose, what binds it to its place, bytes)."""
    found: dict[str, list[tuple[str, bytes, bytes]]] = {}
    for item in Record.scan():
        if item.b is not None and item.k is not None:
            purpose = EVIDENCE if item.sk in ("MSG", "LEDGER") else OPS
            found.setdefault(item.k, []).append((purpose, f"{item.pk}|{item.sk}".encode(), item.b))
    for event in all_events():
        if event.sealed is not None and event.key is not None:
            log = keys.origin(ENVIRONMENT["FORBEAR_AUDIT_DOMAIN"], LENDER, event.at[:4])
            raw = base64.urlsafe_b64decode(event.sealed + "=" * (-len(event.sealed) % 4))
            bound = keys.event_aad(log, event.id, event.type.value)
            found.setdefault(event.key, []).append((EVIDENCE, bound, raw))
    return found


def opened(sealer: Sealer, person: str, payloads: list[tuple[str, bytes, bytes]]) -> int:
    """Return how many of a person's payloads can be read."""
    count = 0
    for purpose, bound, raw in payloads:
        try:
            sealer.open(LENDER, person, purpose, raw, aad=bound)
        except PersonErased:
            continue
        count += 1
    return count


@pytest.mark.parametrize("lot", range(-(-PERSONS // LOT)))
def test_nothing_of_the_erased_opens_or_is_found_and_nothing_else_has_changed(
    fresh: Store, tmp_path: Path, record_property: Callable[[str, object], None], lot: int
) -> None:
    size = min(LOT, PERSONS - lot * LOT)
    numbers = range(lot * LOT, lot * LOT + size)
    erased = {f"per_{number}" for number in numbers if number % 10 == 0}
    for number in numbers:
        settle_in(fresh, number)
    assert projections.project(all_events(), wiring.projections_by_name(), on_failure=failed) == set()
    archive.run_archive(wiring.archive_ports(), now=NOW)
    before, payloads = counters(), sealed_payloads()
    assert len(before) > 0
    assert {len(each) for each in payloads.values()} == {5}, "person, ledger, case, message, event"
    later = NOW + timedelta(hours=1)
    for person in sorted(erased):
        told: dict[str, Any] = {"actor": TEST_ACTOR, "now": later, "req": "req_2"}
        done = erasure.request_erasure(fresh, SCOPE, person, WISH, erasure_id=f"era_{person}", **told)
        assert done.outcome is Outcome.ERASED
    fresh_sealer = Sealer(KmsDataKeys(NAMES.data_key))
    readable = {person: opened(fresh_sealer, person, each) for person, each in payloads.items()}
    assert {readable[person] for person in erased} == {0}
    assert {count for person, count in readable.items() if person not in erased} == {5}
    for number in numbers:
        index = fresh.blind_index(SCOPE, label="mobile", value=f"+86138{number:08d}")
        known = [] if f"per_{number}" in erased else [(f"per_{number}", "pt_1")]
        assert fresh.persons_at_point(SCOPE, index) == known
        assert fresh.cases_of(SCOPE, f"per_{number}") == [case.replace("per", "case") for case, _ in known]
    assert projections.project(all_events(), wiring.projections_by_name(), on_failure=failed) == set()
    archive.run_archive(wiring.archive_ports(), now=later)
    # What counts streams and persons for figures names opaque ids and stays; no other row leads to an erased person.
    named = {item.pk for item in View.scan() if erased & set(f"{item.pk}#{item.sk}".split("#"))}
    assert {pk for pk in named if not pk.startswith("M#kpi#") and "#KPIP#" not in pk} == set()
    lists = {item.sk for item in View.scan() if item.pk == f"T#{LENDER}#CASES"}
    assert not lists & {person.replace("per", "case") for person in erased}
    assert counters() == before
    assert faults_of_the_archive(tmp_path) == []
    shut = sum(len(payloads[person]) for person in erased)
    record_property("campaign", {"persons": size, "erased": len(erased), "sealed payloads that open no more": shut})
