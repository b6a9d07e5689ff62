"""Two hundred calls wanted at once to one borrower: the version of the contact ledger lets three through.

Real concurrency, on the emulator: threads that share nothing but the tables rule on the requests, without the queue
that hands over one request of a borrower after the other. What keeps the cap is the ledger's version condition alone.
"""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chalicelib import settings as settings_module
from chalicelib import wiring
from chalicelib.domain.concurrency import Conflict, retrying
from chalicelib.domain.events import Actor
from chalicelib.domain.outreach.approval import ApprovalSigner
from chalicelib.domain.outreach.attempt import AttemptState
from chalicelib.gateways.region_keys import KmsDataKeys
from chalicelib.store import tables
from chalicelib.store.repository import Store
from chalicelib.store.sealing import Sealer
from chalicelib.store.unit import Unit
from chalicelib.usecases import compliance, messages
from chalicelib.usecases.messages import Wish
from chalicelib.usecases.ports import Scope as AnyScope
from tests.builders import (
    AGENCY,
    COLLECTOR,
    LENDER,
    NOW,
    PERSON,
    TEST_ACTOR,
    Scope,
    a_case,
    a_collector,
    a_lender,
    a_person,
    an_agency,
    approved,
    stored,
)
from tests.conftest import NAMES
from tests.contracts.emulated import EMULATOR_PYTHON, Emulator

pytestmark = pytest.mark.skipif(not EMULATOR_PYTHON.exists(), reason="the emulator's environment is not installed")

THREADS = 16
CASES = 20
"""The borrower's loans; more than threads, so that no case's stream of events keeps the first rulings apart."""

CAP = 3
"""Connected calls a day to one person (CN-FREQ-1); a call that was cleared counts until its outcome is known."""

ROOT = ec.generate_private_key(ec.SECP256R1())


class UnitWithoutLedgerCondition(Unit):
    """A unit of work with the fault that these tests are there to find: a ledger is replaced whoever wrote it last."""

    def replace(self, record: tables.Record, *, expected: int) -> None:
        if record.sk == "LEDGER":
            self._puts.append((record, None))
        else:
            super().replace(record, expected=expected)


class StoreWithoutLedgerCondition(Store):
    """A store whose units forget the ledger's version."""

    def unit(self, scope: AnyScope, *, actor: Actor, req: str, now: datetime) -> Unit:
        return UnitWithoutLedgerCondition(
            scope.tenant, sealer=self.sealer, actor=actor, req=req, now=now, audit_domain=self.audit_domain
        )


class EngineAtOnce:
    """The real engine; the first ruling of every thread waits until all of them have read what they rule on."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self._engine = wiring.engine()
        self._all_have_read = threading.Barrier(THREADS, timeout=60)
        self._thread = threading.local()
        self._lock = threading.Lock()

    def rule(self, dossier: Mapping[str, Any], house: Sequence[Any] = ()) -> dict[str, Any]:
        if not hasattr(self._thread, "began"):
            self._thread.began = True
            self._all_have_read.wait()
        ruling = self._engine.rule(dossier, house)
        with self._lock:
            self.verdicts[ruling["verdict"]] += 1
        return ruling

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._engine.rule_set(ruling)


class Rivals:
    """Threads that each have a store and a signer of their own, as function instances have."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self.engine = EngineAtOnce()
        self._make, self._own = store, threading.local()

    def ask(self, wanted: int) -> list[str]:
        """Request that many clearances, spread over the borrower's cases."""
        with ThreadPoolExecutor(THREADS, initializer=self._equip) as threads:
            return list(threads.map(self._ask, (f"msg_{n}" for n in range(wanted)), itertools.cycle(range(CASES))))

    def rule_on(self, contacts: list[str]) -> None:
        """Rule on all of them at once, each again and again as a queue would deliver it, until it is decided."""
        with ThreadPoolExecutor(THREADS, initializer=self._equip) as threads:
            list(threads.map(self._rule_on, contacts))

    def _equip(self) -> None:
        self._own.store = self._make()
        self._own.signer = ApprovalSigner(
            lambda message: ROOT.sign(message, ec.ECDSA(hashes.SHA256())), root_key_id="root"
        )

    def _ask(self, contact: str, case: int) -> str:
        wish = Wish("call", "cn-call-demand", {}, None, None, None, None, recorded=True)
        asked = retrying(
            lambda: messages.request_message(
                self._own.store,
                Scope(LENDER),
                f"case_{case}",
                wish,
                message_id=contact,
                org=AGENCY,
                collector=COLLECTOR,
                human=True,
                actor=TEST_ACTOR,
                now=NOW,
                req="req_1",
            ),
            attempts=50,
        )
        return asked.id

    def _rule_on(self, contact: str) -> None:
        for _delivery in range(20):
            try:
                compliance.check(
                    self._own.store,
                    self.engine,
                    self._own.signer,
                    Scope(LENDER),
                    contact,
                    clock=lambda: NOW,
                    refresh=messages.refresh_content,
                    req="req_2",
                )
            except Conflict:
                continue
            return
        raise AssertionError(f"rivals won every time against {contact}")


@pytest.fixture
def emulated(environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """Point the process at an emulator that holds the three tables and the data key."""
    cloud = Emulator(tmp_path / "home")
    cloud.home.mkdir()
    cloud.start()
    try:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{cloud.port}")
        tables.connect(settings_module.names())
        for model in (tables.Record, tables.View, tables.SubjectKey):
            model._connection = None
            model.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
        kms = boto3.client("kms")
        kms.create_alias(AliasName=NAMES.data_key, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        yield
    finally:
        cloud.kill()


def rivals(kind: type[Store]) -> tuple[Rivals, Store]:
    """Put one borrower with many loans on file, and return the rivals for them with a store to look at the outcome."""

    def make() -> Store:
        return kind(Sealer(KmsDataKeys(NAMES.data_key)), audit_domain="forbear.test")

    store = make()
    cases = [a_case(id=f"case_{n}", account=f"acct-{n:04}") for n in range(CASES)]
    stored(store, a_lender(), an_agency(), a_collector(), a_person(), *cases, *approved("cn-call-demand"))
    return Rivals(make), store


def test_of_two_hundred_calls_wanted_at_once_three_are_cleared(emulated: None) -> None:
    house, store = rivals(Store)
    contacts = house.ask(200)
    assert len(set(contacts)) == 200
    house.rule_on(contacts)
    decided = [store.attempt(Scope(LENDER), contact) for contact in contacts]
    assert Counter(attempt.state for attempt in decided if attempt) == {
        AttemptState.APPROVED: CAP,
        AttemptState.DEFERRED: 200 - CAP,
    }
    refusals = [
        store.ruling(Scope(LENDER), attempt)
        for attempt in decided
        if attempt and attempt.state is AttemptState.DEFERRED
    ]
    assert all("CN-FREQ-1" in {rule["id"] for rule in (ruling or {})["rules"]} for ruling in refusals)
    cleared = {attempt.id for attempt in decided if attempt and attempt.state is AttemptState.APPROVED}
    reservations = store.ledger(Scope(LENDER), PERSON).history
    assert [entry.outcome for entry in reservations] == ["pending"] * CAP
    assert {entry.id for entry in reservations} == cleared
    # Every thread's first ruling said yes, on an empty ledger: the condition took back what the rulings could not know.
    assert house.engine.verdicts["allow"] >= THREADS


def test_without_the_ledgers_condition_more_than_three_would_be_cleared(emulated: None) -> None:
    house, store = rivals(StoreWithoutLedgerCondition)
    contacts = house.ask(2 * THREADS)
    house.rule_on(contacts)
    decided = [store.attempt(Scope(LENDER), contact) for contact in contacts]
    cleared = [attempt for attempt in decided if attempt and attempt.state is AttemptState.APPROVED]
    assert len(cleared) > CAP
