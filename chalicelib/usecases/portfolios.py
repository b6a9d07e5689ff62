"""Portfolios: announced, uploaded, scanned, refused or cut into chunks, loaded row by row, and looked at afterwards.

Files of customer updates are uploads like them: only what a row is, and what becomes of it, differs (``Kind``).
Nothing of a file becomes a case before the whole file was scanned and its control totals agreed. Every command may be
repeated: a notification that comes twice, a chunk that was half loaded, a row that was placed before.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import unquote_plus

from chalicelib.domain import keys
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Lender
from chalicelib.domain.concurrency import Conflict, retrying
from chalicelib.domain.errors import InvalidInput, NotFound
from chalicelib.domain.events import Actor, EventType
from chalicelib.domain.ids import is_id, new_id, opaque_token
from chalicelib.domain.instants import epoch_ms, from_text, to_text
from chalicelib.domain.intake.customer_update import UPDATES
from chalicelib.domain.intake.judge import Taken
from chalicelib.domain.intake.placement import Identities, Placement, merged_ledger, merged_person, place
from chalicelib.domain.intake.portfolio import (
    CHUNKS_PER_PAGE,
    Found,
    Kind,
    LoadedChunk,
    PlanPage,
    Portfolio,
    PortfolioState,
    UpdatesWish,
    Uploader,
    Wish,
    pages,
)
from chalicelib.domain.intake.rejections import BatchRefusal, Problem, Rejection, rejection
from chalicelib.domain.intake.scan import (
    CSV,
    JSONL,
    MOST_BYTES,
    PORTFOLIO,
    STAGED,
    XLSX,
    Plan,
    Schema,
    TakenRow,
    read_rows,
    scan,
)
from chalicelib.domain.intake.workbook import scan_workbook
from chalicelib.domain.people.person import ContactLedger, Person
from chalicelib.usecases.customer_updates import UpdateLoader, UpdatePorts
from chalicelib.usecases.ports import Queues, Scope, Store

SCHEMAS: Mapping[Kind, Schema[Any]] = {Kind.PORTFOLIO: PORTFOLIO, Kind.CUSTOMER_UPDATES: UPDATES}
"""What the rows of each kind of upload are."""

SCANNER = Actor("system", "start_portfolio", "role")
LOADER = Actor("system", "load_portfolio_chunk", "role")

INCOMING, CONVERTED = "incoming", "converted"
CONTENT_TYPES = {
    CSV: "text/csv",
    JSONL: "application/x-ndjson",
    XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
MOST_INLINE_BYTES = 4 * 1024**2

STALLED_AFTER = timedelta(minutes=10)
"""How long a loading portfolio may go without finishing a chunk before its open chunks are enqueued once more."""

_ROWS_AT_ONCE = 100
"""Rows whose keys and indexes are written together, and that are in memory at the same time."""

_MOST_ACTIONS = 96
"""Writes of one transaction; DynamoDB's limit is 100."""


class Uploads(Protocol):
    """The uploads bucket. See ``chalicelib.gateways.uploads``."""

    def form(self, key: str, *, content_type: str, most_bytes: int, sha256: str | None) -> dict[str, Any]:
        """Return a presigned POST form."""
        ...

    def read(self, key: str, *, version: str | None, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield a range of an object."""
        ...

    def newest(self, key: str) -> Found | None:
        """Return the object's newest version, None when there is no such object."""
        ...

    def write(self, key: str, body: bytes, *, content_type: str) -> None:
        """Put an object."""


class Portfolios(Protocol):
    """Portfolio records, and keys and indexes of many persons. See ``chalicelib.store.portfolio_repository``."""

    def identities(self, scope: Scope) -> Identities:
        """Return ids under the lender's index key."""
        ...

    def create_keys(self, scope: Scope, persons: Iterable[str]) -> frozenset[str]:
        """Make the keys of those persons that have none; return those who were erased."""
        ...

    def write_points(self, scope: Scope, persons: Iterable[Person]) -> None:
        """Index the persons' contact points."""

    def write_parties(self, scope: Scope, parties: Iterable[tuple[str, str]]) -> None:
        """Index persons' cases by (person, case)."""

    def portfolio(self, scope: Scope, portfolio: str) -> Portfolio | None:
        """Return the portfolio."""
        ...

    def portfolio_record(self, scope: Scope, portfolio: Portfolio) -> Any:
        """Return its record."""

    def plan_page(self, scope: Scope, portfolio: str, chunk: int) -> PlanPage | None:
        """Return the page of the plan that holds a chunk."""
        ...

    def plan_record(self, scope: Scope, portfolio: str, number: int, page: PlanPage) -> Any:
        """Return the record of a page."""

    def loaded_chunk(self, scope: Scope, portfolio: str, number: int) -> LoadedChunk | None:
        """Return a chunk's result."""
        ...

    def loaded_chunk_record(self, scope: Scope, portfolio: str, chunk: LoadedChunk) -> Any:
        """Return the record of a chunk's result."""

    def loaded_chunks(self, scope: Scope, portfolio: str, *, first: int, limit: int) -> list[LoadedChunk]:
        """Return results in order."""
        ...


class CaseStore(Store, Protocol):
    """The repository with reads of many cases."""

    def cases(self, scope: Scope, cases: Iterable[str]) -> dict[str, Case]:
        """Return those cases that exist."""
        ...


@dataclass(frozen=True, slots=True)
class PortfolioPorts:
    """What the commands here need; ``scope_for`` gives background work the scope of the lender it is told of."""

    store: CaseStore
    portfolios: Portfolios
    uploads: Uploads
    queues: Queues
    scope_for: Callable[[str], Scope]
    updates: UpdatePorts


@dataclass(frozen=True, slots=True)
class Requested:
    """A portfolio that was announced, and the form to upload it with (None when its rows came along)."""

    portfolio: Portfolio
    upload: dict[str, Any] | None


LOOKS = (timedelta(minutes=10), timedelta(hours=1))
"""How long after the request the clock looks for an upload that no notification told of; the form is good for minutes."""


def request_portfolio(
    ports: PortfolioPorts,
    scope: Scope,
    wish: Wish | UpdatesWish,
    *,
    actor: Actor,
    now: datetime,
    req: str,
    org: str | None = None,
) -> Requested:
    """Register an upload and return the form for it; rows that came inline are stored as if they had been uploaded.

    ``org`` is the agency on whose behalf updates are announced, None for the lender's side. Raises NotFound when the lender is not registered, InvalidInput when the inline rows are too large.
    """
    if ports.store.lender(scope) is None:
        raise NotFound("lender", scope.tenant)
    identity = new_id("pf", epoch_ms=epoch_ms(now))
    inline = b"".join(
        json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        for row in wish.rows_inline
    )
    if len(inline) > MOST_INLINE_BYTES:
        raise InvalidInput("/rows_inline", "too_large", f"at most {MOST_INLINE_BYTES} bytes; upload a file instead")
    form = JSONL if inline else wish.format
    key = f"{INCOMING}/{scope.tenant}/{identity}/{opaque_token()}.{form}"
    announced = wish.model_dump(
        mode="json", include={"rows", "totals", "sha256", "size", "encoding"}, exclude_defaults=True
    )
    portfolio = Portfolio(
        id=identity,
        state=PortfolioState.REQUESTED,
        format=form,
        kind=wish.kind,
        by=Uploader(kind=actor.kind, id=actor.id, auth=actor.auth, org=org) if isinstance(wish, UpdatesWish) else None,
        announced=announced,
        columns=wish.columns,
        key=key,
        requested_at=to_text(now),
        due_at=to_text(now + LOOKS[0]),
    )
    unit = ports.store.unit(scope, actor=actor, req=req, now=now)
    unit.create(ports.portfolios.portfolio_record(scope, portfolio))
    data = {**_event_data(portfolio), "format": form, "rows": wish.rows, "totals": wish.totals, "sha256": wish.sha256}
    unit.emit(keys.portfolio_pk(scope.tenant, identity), EventType.PORTFOLIO_REQUESTED, data, fresh=True)
    unit.commit()
    if inline:
        ports.uploads.write(key, inline, content_type=CONTENT_TYPES[JSONL])
        return Requested(portfolio, None)
    upload = ports.uploads.form(
        key,
        content_type=CONTENT_TYPES[form],
        most_bytes=wish.size or MOST_BYTES,
        sha256=wish.sha256,
    )
    return Requested(portfolio, upload)


# Scanning


def start_uploads(ports: PortfolioPorts, body: Mapping[str, Any], *, now: datetime, req: str) -> None:
    """Scan every object that a bucket notification names; what is no portfolio's object is none of our business."""
    if "portfolio" in body:
        _start_found(ports, ports.scope_for(body["tenant"]), body["portfolio"], now=now, req=req)
    for entry in body.get("Records", ()):
        key = unquote_plus(entry["s3"]["object"]["key"])
        folder, _, rest = key.partition("/")
        tenant, _, rest = rest.partition("/")
        portfolio = rest.partition("/")[0]
        if folder == INCOMING and is_id(tenant) and is_id(portfolio):
            version = entry["s3"]["object"].get("versionId")
            start_portfolio(ports, ports.scope_for(tenant), portfolio, key=key, version=version, now=now, req=req)


def _start_found(ports: PortfolioPorts, scope: Scope, identity: str, *, now: datetime, req: str) -> None:
    """Start a portfolio whose file lies in the bucket though nobody said so; without a file there is nothing to do."""
    portfolio = get_portfolio(ports, scope, identity)
    found = ports.uploads.newest(portfolio.key) if portfolio.state is PortfolioState.REQUESTED else None
    if found is not None:
        start_portfolio(ports, scope, identity, key=portfolio.key, version=found.version, now=now, req=req)


def start_portfolio(
    ports: PortfolioPorts, scope: Scope, identity: str, *, key: str, version: str | None, now: datetime, req: str
) -> Portfolio:
    """Scan an uploaded object and accept it (its chunks are then loaded) or refuse it; only the first upload counts.

    Raises NotFound when there is no such portfolio, or the key is not the one it was given.
    """
    portfolio = ports.portfolios.portfolio(scope, identity)
    if portfolio is None or portfolio.key != key:
        raise NotFound("portfolio", identity)
    if portfolio.state is not PortfolioState.REQUESTED:
        return portfolio
    outcome = _scanned(ports, scope, portfolio, version)
    unit = ports.store.unit(scope, actor=SCANNER, req=req, now=now)
    pk = keys.portfolio_pk(scope.tenant, identity)
    if isinstance(outcome, BatchRefusal):
        started = portfolio.model_copy(
            update={
                "state": PortfolioState.REFUSED,
                "object_version": version,
                "started_at": to_text(now),
                "due_at": None,
                "refusal": outcome.as_json(),
                "version": portfolio.version + 1,
            }
        )
        unit.emit(pk, EventType.PORTFOLIO_REFUSED, {**_event_data(started), "code": outcome.code})
    else:
        started = portfolio.model_copy(
            update={
                "state": PortfolioState.LOADING,
                "object_version": version,
                "started_at": to_text(now),
                "encoding": outcome.encoding,
                "delimiter": outcome.delimiter,
                "titles": outcome.titles,
                "size": outcome.size,
                "sha256": outcome.sha256,
                "rows": outcome.rows,
                "totals": outcome.totals,
                "uncounted": outcome.uncounted,
                "chunks": len(outcome.chunks),
                "due_at": to_text(now + STALLED_AFTER),
                "version": portfolio.version + 1,
            }
        )
        for number, page in enumerate(pages(outcome.chunks)):
            unit.create(ports.portfolios.plan_record(scope, identity, number, page))
        unit.emit(pk, EventType.PORTFOLIO_ACCEPTED, {**_event_data(started), "chunks": started.chunks})
    unit.replace(ports.portfolios.portfolio_record(scope, started), expected=portfolio.version)
    try:
        unit.commit()
    except Conflict:
        # The same notification was worked on twice at once; the other run has decided.
        return get_portfolio(ports, scope, identity)
    return started


def _scanned(ports: PortfolioPorts, scope: Scope, portfolio: Portfolio, version: str | None) -> Plan | BatchRefusal:
    pieces = ports.uploads.read(portfolio.key, version=version)
    if portfolio.format != XLSX:
        return scan(
            pieces,
            format=portfolio.format,
            control=portfolio.control,
            mapping=portfolio.columns,
            encoding=portfolio.announced.get("encoding"),
            schema=SCHEMAS[portfolio.kind],
        )

    def write(number: int, blob: bytes) -> str:
        key = f"{CONVERTED}/{scope.tenant}/{portfolio.id}/{number:05d}.jsonl"
        ports.uploads.write(key, blob, content_type=CONTENT_TYPES[JSONL])
        return key

    with tempfile.TemporaryFile() as file:
        for piece in pieces:
            file.write(piece)
        schema = SCHEMAS[portfolio.kind]
        return scan_workbook(file, write=write, control=portfolio.control, mapping=portfolio.columns, schema=schema)


def _event_data(portfolio: Portfolio) -> dict[str, Any]:
    return {
        "portfolio": portfolio.id,
        "kind": portfolio.kind.value,
        "rows": portfolio.rows,
        "accepted": portfolio.accepted,
        "unchanged": portfolio.unchanged,
        "rejected": portfolio.rejected,
        "totals": portfolio.totals,
        "sha256": portfolio.sha256,
    }


# Loading


def load_chunk(ports: PortfolioPorts, body: Mapping[str, Any], *, now: datetime, req: str) -> None:
    """Make of one chunk's rows what they are: ``body`` is ``{tenant, portfolio, chunk}``. Repeating it makes nothing twice.

    Raises NotFound when there is no such portfolio or chunk, or its lender is not registered.
    """
    scope, identity, number = ports.scope_for(body["tenant"]), body["portfolio"], body["chunk"]
    if ports.portfolios.loaded_chunk(scope, identity, number) is not None:
        return
    portfolio = ports.portfolios.portfolio(scope, identity)
    page = ports.portfolios.plan_page(scope, identity, number)
    if portfolio is None or page is None or number % CHUNKS_PER_PAGE >= len(page.chunks):
        raise NotFound("portfolio chunk", f"{identity}/{number}")
    lender = ports.store.lender(scope)
    if lender is None:
        raise NotFound("lender", scope.tenant)
    if portfolio.kind is Kind.CUSTOMER_UPDATES:
        updates = UpdateLoader(ports.updates, scope, portfolio, now=now)
        for update in _rows(ports, scope, portfolio, page, number, UPDATES):
            updates.take(update)
        result = updates.result(number)
    else:
        loader = ChunkLoader(ports, scope, portfolio, lender, now=now, req=req)
        for outcome in _rows(ports, scope, portfolio, page, number, PORTFOLIO):
            loader.take(outcome)
        result = loader.result(number)
    _finish_chunk(ports, scope, identity, result, now=now, req=req)


def _rows(
    ports: PortfolioPorts,
    scope: Scope,
    portfolio: Portfolio,
    page: PlanPage,
    number: int,
    schema: Schema[TakenRow],
) -> Iterator[TakenRow | Rejection]:
    chunk = page.chunk(number)
    if chunk.blob is None:
        pieces = ports.uploads.read(portfolio.key, version=portfolio.object_version, start=chunk.start, end=chunk.end)
    else:
        pieces = ports.uploads.read(chunk.blob, version=None)
    return read_rows(
        pieces,
        schema,
        format=portfolio.format if chunk.blob is None else STAGED,
        encoding=portfolio.encoding or "utf-8",
        delimiter=portfolio.delimiter or ",",
        titles=portfolio.titles,
        mapping=portfolio.columns,
        first_row=chunk.first_row,
        first_line=chunk.first_line,
        lender=scope.tenant,
    )


class ChunkLoader:
    """Takes the rows of one chunk in order and writes them in as few transactions as they fit into.

    A transaction first assumes that everything in it is new, which is so for most files; only when that fails are the
    cases, persons and ledgers read, and rows told apart: placed before, in conflict, or of persons known already.
    """

    def __init__(
        self, ports: PortfolioPorts, scope: Scope, portfolio: Portfolio, lender: Lender, *, now: datetime, req: str
    ) -> None:
        """Start with no rows."""
        self._ports = ports
        self._scope = scope
        self._portfolio = portfolio
        self._lender = lender
        self._now = now
        self._req = req
        self._ids = ports.portfolios.identities(scope)
        self._waiting: dict[str, Placement] = {}
        self._accepted = 0
        self._unchanged = 0
        self._rejections: list[Rejection] = []

    def take(self, outcome: Taken | Rejection) -> None:
        """Take the next row; rows are written when enough wait."""
        if isinstance(outcome, Rejection):
            self._rejections.append(outcome)
            return
        placement = place(
            outcome,
            tenant=self._scope.tenant,
            portfolio=self._portfolio.id,
            lender=self._lender,
            ids=self._ids,
        )
        before = self._waiting.get(placement.case.id)
        if before is not None:
            self._repeated(placement, before.digest)
            return
        self._waiting[placement.case.id] = placement
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._flush()

    def result(self, number: int) -> LoadedChunk:
        """Write what waits and return the chunk's result."""
        self._flush()
        return LoadedChunk.of(number, self._rejections, accepted=self._accepted, unchanged=self._unchanged)

    def _repeated(self, placement: Placement, digest: str | None) -> None:
        if digest == placement.digest:
            self._unchanged += 1
        else:
            problem = Problem("account_conflict", "lender_account_id")
            self._rejections.append(rejection(placement.row, placement.line, [problem], placement.case.account))

    def _refuse(self, cases: Iterable[str]) -> None:
        """Refuse the rows of those cases: a person in them was erased, and nothing is stored of them any more."""
        for case in cases:
            placement = self._waiting.pop(case, None)
            if placement is None:
                continue
            problem = Problem("person_erased", "lender_account_id")
            self._rejections.append(rejection(placement.row, placement.line, [problem], placement.case.account))

    def _flush(self) -> None:
        persons = [person for placement in self._waiting.values() for person in placement.persons]
        if persons:
            erased = self._ports.portfolios.create_keys(self._scope, (person.id for person in persons))
            self._refuse(
                {identity for identity, each in self._waiting.items() if erased & {p.id for p in each.persons}}
            )
            taken = list(self._waiting.values())
            self._ports.portfolios.write_points(self._scope, [person for each in taken for person in each.persons])
            parties = [(party.person, each.case.id) for each in taken for party in each.case.parties]
            self._ports.portfolios.write_parties(self._scope, parties)
        group: list[Placement] = []
        size = 0
        for placement in list(self._waiting.values()):
            actions = 2 + len(placement.persons) + len(placement.ledgers)
            if size + actions > _MOST_ACTIONS:
                self._write(group)
                group, size = [], 0
            group.append(placement)
            size += actions
        self._write(group)
        self._waiting = {}

    def _write(self, group: Sequence[Placement]) -> None:
        if not group:
            return
        try:
            self._commit(group, {}, {})
        except Conflict:
            retrying(lambda: self._write_known(group))
        else:
            self._accepted += len(group)

    def _write_known(self, group: Sequence[Placement]) -> None:
        known = self._ports.store.cases(self._scope, [placement.case.id for placement in group])
        unknown = [placement.case.id for placement in group if placement.case.id not in known]
        erased = self._ports.store.erased_cases(self._scope, unknown)
        self._refuse(erased)
        group = [placement for placement in group if placement.case.id not in erased]
        fresh = [placement for placement in group if placement.case.id not in known]
        named = {person.id for placement in fresh for person in placement.persons}
        persons = self._ports.store.persons(self._scope, named)
        ledgers = self._ports.store.ledgers(self._scope, named) if named else {}
        if fresh:
            self._commit(fresh, persons, ledgers)
        self._accepted += len(fresh)
        for placement in group:
            case = known.get(placement.case.id)
            if case is None:
                continue
            source = case.loan.get("source", {})
            if case.portfolio == self._portfolio.id and source.get("row") == placement.row:
                self._accepted += 1
            else:
                self._repeated(placement, source.get("digest"))

    def _commit(
        self,
        group: Sequence[Placement],
        known_persons: Mapping[str, Person],
        known_ledgers: Mapping[str, ContactLedger],
    ) -> None:
        """Write cases, events, persons and ledgers in one transaction. Raises Conflict when something else is there."""
        store, scope = self._ports.store, self._scope
        unit = store.unit(scope, actor=LOADER, req=self._req, now=self._now)
        persons: dict[str, Person] = {}
        ledgers: dict[str, ContactLedger] = {}
        for placement in group:
            unit.create(store.case_record(scope, placement.case))
            pk = keys.case_pk(scope.tenant, placement.case.id)
            unit.emit(pk, EventType.CASE_PLACED, placement.placed_event, fresh=True)
            for person in placement.persons:
                before = persons.get(person.id) or known_persons.get(person.id)
                persons[person.id] = person if before is None else merged_person(before, person)
            for ledger in placement.ledgers:
                known = ledgers.get(ledger.person) or known_ledgers.get(ledger.person)
                ledgers[ledger.person] = (
                    ledger
                    if known is None or (known.version == 0 and known.person not in ledgers)
                    else merged_ledger(known, ledger)
                )
        for identity, person in persons.items():
            expected = known_persons[identity].version if identity in known_persons else 0
            if person != known_persons.get(identity):
                changed = person.model_copy(update={"version": expected + 1})
                unit.replace(store.person_record(scope, changed), expected=expected)
            else:
                # An erasure at the same moment wins: the case would lie sealed under a key that is gone.
                unit.check_version(keys.person_pk(scope.tenant, identity), "PERSON", expected)
        for identity, ledger in ledgers.items():
            expected = known_ledgers[identity].version if identity in known_ledgers else 0
            if ledger != known_ledgers.get(identity):
                changed_ledger = ledger.model_copy(update={"version": expected + 1})
                unit.replace(store.ledger_record(scope, changed_ledger), expected=expected)
        unit.commit()


def _finish_chunk(
    ports: PortfolioPorts, scope: Scope, identity: str, chunk: LoadedChunk, *, now: datetime, req: str
) -> None:
    """Record a chunk's result and add it to the portfolio's counts, once; the last chunk makes the portfolio loaded."""

    def once() -> None:
        if ports.portfolios.loaded_chunk(scope, identity, chunk.number) is not None:
            return
        portfolio = get_portfolio(ports, scope, identity)
        counted = portfolio.model_copy(
            update={
                "chunks_loaded": portfolio.chunks_loaded + 1,
                "accepted": portfolio.accepted + chunk.accepted,
                "unchanged": portfolio.unchanged + chunk.unchanged,
                "rejected": portfolio.rejected + chunk.rejected,
                "codes": dict(Counter(portfolio.codes) + Counter(chunk.codes)),
                "due_at": to_text(now + STALLED_AFTER),
                "version": portfolio.version + 1,
            }
        )
        unit = ports.store.unit(scope, actor=LOADER, req=req, now=now)
        unit.create(ports.portfolios.loaded_chunk_record(scope, identity, chunk))
        if counted.chunks_loaded == counted.chunks:
            counted = counted.model_copy(
                update={"state": PortfolioState.LOADED, "loaded_at": to_text(now), "due_at": None}
            )
            pk = keys.portfolio_pk(scope.tenant, identity)
            unit.emit(pk, EventType.PORTFOLIO_LOADED, {**_event_data(counted), "codes": counted.codes})
        unit.replace(ports.portfolios.portfolio_record(scope, counted), expected=portfolio.version)
        unit.commit()

    retrying(once, attempts=50)


def resume(ports: PortfolioPorts, scope: Scope, identity: str, *, now: datetime) -> str | None:
    """Enqueue the open chunks of a portfolio that has stalled; returns ``resumed``, or None when there is nothing to do.

    Raises Conflict when a chunk was finished at the same moment.
    """
    portfolio = ports.portfolios.portfolio(scope, identity)
    if portfolio is None or portfolio.due_at is None or portfolio.due_at > to_text(now):
        return None
    if portfolio.state is PortfolioState.REQUESTED:
        return _look_for_upload(ports, scope, portfolio, now=now)
    done: set[int] = set()
    while found := ports.portfolios.loaded_chunks(scope, identity, first=max(done, default=-1) + 1, limit=100):
        done.update(chunk.number for chunk in found)
    unit = ports.store.unit(scope, actor=LOADER, req=identity, now=now)
    later = portfolio.model_copy(update={"due_at": to_text(now + STALLED_AFTER), "version": portfolio.version + 1})
    unit.replace(ports.portfolios.portfolio_record(scope, later), expected=portfolio.version)
    unit.commit()
    bodies = [
        {"tenant": scope.tenant, "portfolio": identity, "chunk": number}
        for number in range(portfolio.chunks)
        if number not in done
    ]
    ports.queues.send("portfolio-chunks", bodies)
    return "resumed"


def _look_for_upload(ports: PortfolioPorts, scope: Scope, portfolio: Portfolio, *, now: datetime) -> str:
    """Let the scanner look whether the file is there: a bucket's notification may be lost, the request is not."""
    requested = from_text(portfolio.requested_at)
    next_look = next((requested + look for look in LOOKS if requested + look > now), None)
    later = {"due_at": None if next_look is None else to_text(next_look), "version": portfolio.version + 1}
    unit = ports.store.unit(scope, actor=LOADER, req=portfolio.id, now=now)
    unit.replace(
        ports.portfolios.portfolio_record(scope, portfolio.model_copy(update=later)), expected=portfolio.version
    )
    unit.commit()
    ports.queues.send("portfolio-uploads", [{"tenant": scope.tenant, "portfolio": portfolio.id}])
    return "looked"


# Looking


def get_portfolio(ports: PortfolioPorts, scope: Scope, identity: str) -> Portfolio:
    """Return the upload of any kind. Raises NotFound."""
    portfolio = ports.portfolios.portfolio(scope, identity)
    if portfolio is None:
        raise NotFound("portfolio", identity)
    return portfolio


def find_upload(ports: PortfolioPorts, scope: Scope, identity: str, *, kind: Kind, org: str | None = None) -> Portfolio:
    """Return the upload of a kind, if it is the caller's: an agency (``org``) finds its own, the lender's side everything.

    Raises NotFound, in the same words for a foreign id and an unknown one.
    """
    upload = get_portfolio(ports, scope, identity)
    sender = None if upload.by is None else upload.by.org
    if upload.kind is not kind or (org is not None and sender != org):
        raise NotFound("portfolio", identity)
    return upload


@dataclass(frozen=True, slots=True)
class RejectionPage:
    """Rejected rows in file order, as far as chunks are loaded; ``next_row`` continues the list, None is its end."""

    rejections: tuple[Rejection, ...]
    next_row: int | None
    is_complete: bool


def list_rejections(
    ports: PortfolioPorts,
    scope: Scope,
    identity: str,
    *,
    kind: Kind = Kind.PORTFOLIO,
    org: str | None = None,
    from_row: int = 1,
    limit: int = 100,
) -> RejectionPage:
    """Return up to ``limit`` rejected rows whose data row is ``from_row`` or later. Raises NotFound as ``find_upload``."""
    portfolio = find_upload(ports, scope, identity, kind=kind, org=org)
    found: list[Rejection] = []
    number = _chunk_at(ports, scope, portfolio, from_row)
    while number is not None and number < portfolio.chunks and len(found) <= limit:
        chunks = ports.portfolios.loaded_chunks(scope, identity, first=number, limit=20)
        if not chunks:
            break
        found += [refused for chunk in chunks for refused in chunk.listed() if refused.row >= from_row]
        number = chunks[-1].number + 1
    following = found[limit].row if len(found) > limit else None
    return RejectionPage(tuple(found[:limit]), following, portfolio.state is PortfolioState.LOADED)


def _chunk_at(ports: PortfolioPorts, scope: Scope, portfolio: Portfolio, row: int) -> int | None:
    """Return the number of the chunk that holds a data row, by bisection over the pages of the plan."""
    low, high = 0, portfolio.chunks if row > 1 else 0
    read: dict[int, PlanPage | None] = {}
    while low < high:
        middle = (low + high) // 2
        if middle // CHUNKS_PER_PAGE not in read:
            read[middle // CHUNKS_PER_PAGE] = ports.portfolios.plan_page(scope, portfolio.id, middle)
        page = read[middle // CHUNKS_PER_PAGE]
        if page is None:
            return None
        chunk = page.chunk(middle)
        if chunk.first_row + chunk.rows <= row:
            low = middle + 1
        else:
            high = middle
    return low if low < portfolio.chunks else None
