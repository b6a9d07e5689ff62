"""Customer updates: each row of a file is the single update that it stands for, in the name of who sent the file.

A row's change and the mark that it was taken are one transaction, so that a chunk that is loaded again, a file that is sent again,
and two workers at one chunk change nothing twice. Rows of one chunk are taken in the order of the file; chunks are loaded in any
order.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain.concurrency import Conflict
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor
from chalicelib.domain.intake.customer_update import EMPLOYMENT, RESIDENCE, CustomerUpdate, TakenUpdate, canonical
from chalicelib.domain.intake.placement import Identities
from chalicelib.domain.intake.portfolio import LoadedChunk, Portfolio, UpdateMark
from chalicelib.domain.intake.rejections import Problem, Rejection, rejection, shape
from chalicelib.domain.intake.values import is_cn_id
from chalicelib.domain.people.person import Employment, Residence
from chalicelib.usecases import persons
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.persons import PersonPorts
from chalicelib.usecases.ports import Scope

_ROWS_AT_ONCE = 100
"""Rows whose marks are read together, and that are in memory at the same time."""

ROLES: Mapping[str, frozenset[str]] = {
    "co_borrower": frozenset({"co_borrower"}),
    "guarantor": frozenset({"guarantor_joint", "guarantor_general"}),
    "spouse": frozenset({"spouse"}),
    "contact": frozenset({"emergency_contact"}),
}
"""What a row calls a party that is not the borrower -> the roles of parties of a case."""


class Marks(Protocol):
    """Marks of rows that were taken. See ``chalicelib.store.portfolio_repository``."""

    def identities(self, scope: Scope) -> Identities:
        """Return ids under the lender's index key."""
        ...

    def update_key(self, scope: Scope, sender: str, update_id: str) -> str:
        """Return what a sender's row is found by."""
        ...

    def update_digest(self, scope: Scope, said: str) -> str:
        """Return the keyed digest of what a row says."""
        ...

    def update_marks(self, scope: Scope, wanted: Iterable[str]) -> dict[str, UpdateMark]:
        """Return the marks of those rows that were taken, by key."""
        ...

    def update_mark_record(self, scope: Scope, key: str, mark: UpdateMark) -> Any:
        """Return the record of a mark."""


@dataclass(frozen=True, slots=True)
class UpdatePorts:
    """What the rows of customer updates need: the single updates' own ports, and the marks."""

    people: PersonPorts
    marks: Marks


@dataclass(frozen=True, slots=True)
class _Waiting:
    taken: TakenUpdate
    key: str
    mark: UpdateMark


class UpdateLoader:
    """Takes the rows of one chunk in order and makes each the update that it says, or a rejection."""

    def __init__(self, ports: UpdatePorts, scope: Scope, upload: Portfolio, *, now: datetime) -> None:
        """Start with no rows. Raises ValueError for an upload that nobody announced."""
        if upload.by is None:
            raise ValueError("customer updates are made in somebody's name")
        self._ports = ports
        self._scope = scope
        self._upload = upload
        self._caller = Caller(Actor(upload.by.kind, upload.by.id, upload.by.auth), upload.by.org)
        # The upload's id stands as the request in every event of its rows, so that an auditor finds them by it.
        self._context = Context(now, upload.id)
        self._ids = ports.marks.identities(scope)
        self._waiting: list[_Waiting] = []
        self._accepted = 0
        self._unchanged = 0
        self._rejections: list[Rejection] = []

    def take(self, outcome: TakenUpdate | Rejection) -> None:
        """Take the next row; rows are made when enough wait."""
        if isinstance(outcome, Rejection):
            self._rejections.append(outcome)
            return
        marks, record = self._ports.marks, outcome.record
        key = marks.update_key(self._scope, self._caller.org or self._scope.tenant, record.update_id)
        digest = marks.update_digest(self._scope, canonical(record))
        self._waiting.append(_Waiting(outcome, key, UpdateMark(digest=digest, upload=self._upload.id, row=outcome.row)))
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._flush()

    def result(self, number: int) -> LoadedChunk:
        """Make what waits and return the chunk's result."""
        self._flush()
        return LoadedChunk.of(number, self._rejections, accepted=self._accepted, unchanged=self._unchanged)

    def _flush(self) -> None:
        known = self._ports.marks.update_marks(self._scope, {each.key for each in self._waiting})
        for waiting in self._waiting:
            before = known.get(waiting.key)
            if before is not None:
                self._seen(waiting, before)
            elif self._make(waiting):
                known[waiting.key] = waiting.mark
        self._waiting = []

    def _seen(self, waiting: _Waiting, before: UpdateMark) -> None:
        """Count a row whose ``update_id`` was taken before: by this very row, with the same content, or with other."""
        mine = waiting.mark
        if (before.upload, before.row) == (mine.upload, mine.row):
            self._accepted += 1
        elif before.digest == mine.digest:
            self._unchanged += 1
        else:
            self._refuse(waiting.taken, "update_conflict", "update_id")

    def _make(self, waiting: _Waiting) -> bool:
        """Make one row's update with its mark; tell whether it was made here."""
        mark = self._ports.marks.update_mark_record(self._scope, waiting.key, waiting.mark)
        ports = dataclasses.replace(self._ports.people, mark=mark)
        record = waiting.taken.record
        try:
            person = self._person(record)
            _COMMANDS[record.action](ports, self._scope, person, record, self._caller, self._context)
        except Conflict:
            # Another worker, or another chunk with the same update_id, may have been faster; what else it is comes again.
            before = self._ports.marks.update_marks(self._scope, [waiting.key]).get(waiting.key)
            if before is None:
                raise
            self._seen(waiting, before)
            return False
        except InvalidInput as refused:
            for error in refused.errors:
                self._refuse(waiting.taken, error.code, _FIELDS.get(error.where, error.where.lstrip("/")))
            return False
        except StateConflict as refused:
            self._refuse(
                waiting.taken, refused.reason, _reference(record) if refused.reason == "person_locked" else _at(record)
            )
            return False
        except NotFound as unknown:
            is_point = unknown.kind == "contact point"
            code = "contact_point_unknown" if is_point else "person_unknown"
            self._refuse(waiting.taken, code, _at(record) if is_point else _reference(record))
            return False
        self._accepted += 1
        return True

    def _person(self, record: CustomerUpdate) -> str:
        """Return the person whom a row names. Raises NotFound, for a foreign case or person as for an unknown one."""
        if record.person is not None:
            return record.person
        case_id = record.case
        if record.lender_account_id is not None and record.placement_stage is not None:
            case_id = self._ids.case_id(record.lender_account_id, record.placement_stage)
        case = find_case(self._ports.people.store, self._scope, case_id or "", org=self._caller.org)
        if record.party in (None, "borrower"):
            return case.debtor
        found = [party.person for party in case.parties if party.role in ROLES[str(record.party)]]
        if len(found) != 1:
            # Two guarantors are named by their own ids; which of them is meant is not guessed.
            raise NotFound("person", "")
        return found[0]

    def _refuse(self, taken: TakenUpdate, code: str, field: str) -> None:
        masked = shape(getattr(taken.record, field, None) or "")
        problem = Problem(code, taken.name((field,)), masked)
        self._rejections.append(rejection(taken.row, taken.line, [problem], taken.record.update_id))


_FIELDS = {"/residence": "country", "/employment": "employer"}
"""Fields of a single update that a row has under other names."""


def _reference(record: CustomerUpdate) -> str:
    return next(name for name in ("person", "case", "lender_account_id") if getattr(record, name) is not None)


def _at(record: CustomerUpdate) -> str:
    return "point" if record.point is not None else "value"


def _proof(record: CustomerUpdate) -> persons.Proof:
    return persons.Proof(record.how or "", record.contact, record.verified_on)


_Command = Callable[[PersonPorts, Scope, str, CustomerUpdate, Caller, Context], Any]


def _add(
    ports: PersonPorts, scope: Scope, person: str, record: CustomerUpdate, caller: Caller, context: Context
) -> None:
    wish = persons.NewPoint(
        kind=record.kind or "",
        value=record.value or "",
        source=record.source or "",
        reason=record.reason or "",
        place=record.place,
        consent=record.consent_state,
        medium=record.consent_medium,
        proof=None if record.how is None else _proof(record),
    )
    persons.add_point(ports, scope, person, wish, caller, context)


def _point(
    ports: PersonPorts, scope: Scope, person: str, record: CustomerUpdate, caller: Caller, context: Context
) -> str:
    if record.point is not None:
        return record.point
    return persons.point_named(ports, scope, person, record.kind or "", record.value or "", caller, context)


def _verify(
    ports: PersonPorts, scope: Scope, person: str, record: CustomerUpdate, caller: Caller, context: Context
) -> None:
    point = _point(ports, scope, person, record, caller, context)
    persons.verify_point(ports, scope, person, point, record.result or "", _proof(record), caller, context)


def _retire(
    ports: PersonPorts, scope: Scope, person: str, record: CustomerUpdate, caller: Caller, context: Context
) -> None:
    point = _point(ports, scope, person, record, caller, context)
    persons.retire_point(ports, scope, person, point, record.reason or "", caller, context)


def _prefer(
    ports: PersonPorts, scope: Scope, person: str, record: CustomerUpdate, caller: Caller, context: Context
) -> None:
    hours = (record.hours_from, record.hours_to)
    wishes = persons.Wishes(record.language, record.channel, hours, bool(record.clear))
    persons.set_preferences(ports, scope, person, wishes, _proof(record), caller, context)


def _confirm(
    ports: PersonPorts, scope: Scope, person: str, record: CustomerUpdate, caller: Caller, context: Context
) -> None:
    residence = record.model_dump(include=set(RESIDENCE), exclude_none=True)
    employment = record.model_dump(include=set(EMPLOYMENT), exclude_none=True)
    corrections = persons.Corrections(
        name=record.name,
        birth_date=record.birth_date,
        national_id=persons.document(record.national_id, is_cn_id),
        residence=Residence(**residence) if residence else None,
        employment=Employment(**employment) if employment else None,
    )
    persons.confirm_data(ports, scope, person, record.group or "", corrections, _proof(record), caller, context)


_COMMANDS: Mapping[str, _Command] = {
    "add_point": _add,
    "verify_point": _verify,
    "retire_point": _retire,
    "set_preferences": _prefer,
    "confirm_data": _confirm,
}
