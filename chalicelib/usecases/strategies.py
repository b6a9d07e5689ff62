"""Strategies: one person drafts a version, another approves it, it is looked at over recorded traffic, activated, ended.

Every command writes its state and its event in one transaction; a version's content is never changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import FieldError, InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import from_text, to_text
from chalicelib.domain.strategies.book import (
    MOST_STRATEGIES,
    MOST_VERSIONS,
    StrategyBook,
    StrategyVersion,
    VersionState,
)
from chalicelib.domain.strategies.checks import KnownTemplate, strategy_faults
from chalicelib.domain.strategies.plan import Enrolment
from chalicelib.domain.strategies.strategy import Strategy, canonical_text
from chalicelib.domain.strategies.supposing import supposed
from chalicelib.domain.whatif.simulation import Simulation, SimulationState
from chalicelib.usecases import simulations
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.ports import Scope, Store


class Strategies(Protocol):
    """Strategies and their versions. See ``chalicelib.store.strategy_repository``."""

    def books(self, scope: Scope) -> list[StrategyBook]:
        """Return every strategy of the lender by rank, then id."""
        ...

    def book(self, scope: Scope, strategy: str) -> StrategyBook | None:
        """Return a strategy, or None."""
        ...

    def content(self, scope: Scope, strategy: str, life: StrategyVersion) -> Strategy | None:
        """Return the content of a version, or None."""
        ...

    def book_record(self, scope: Scope, book: StrategyBook) -> Any:
        """Return the record of a strategy."""

    def content_record(self, scope: Scope, strategy: Strategy, number: int) -> Any:
        """Return the record of a version's content."""


class Enrolments(Protocol):
    """The walks that hand plans out. See ``chalicelib.usecases.plans``."""

    def enrolment_record(self, scope: Scope, walk: Enrolment) -> Any:
        """Return the record of a walk."""


@dataclass(frozen=True, slots=True)
class StrategyPorts:
    """What strategies need."""

    store: Store
    strategies: Strategies
    plans: Enrolments


@dataclass(frozen=True, slots=True)
class Versioned:
    """A version with its life and its content."""

    book: StrategyBook
    life: StrategyVersion
    content: Strategy


def draft_strategy(
    ports: StrategyPorts, scope: Scope, content: Strategy, caller: Caller, context: Context, *, rank: int | None
) -> Versioned:
    """Write down a draft: version 1 of a new strategy, or the next version of one that exists; ``rank`` moves it.

    Raises InvalidInput with the pointer of each fault, StateConflict for one strategy or version too many.
    """
    _refuse_faults(ports, scope, content, context.now)

    def once() -> Versioned:
        known = ports.strategies.book(scope, content.id)
        if known is None and len(ports.strategies.books(scope)) >= MOST_STRATEGIES:
            raise StateConflict("too_many_strategies", f"a lender has at most {MOST_STRATEGIES} strategies")
        book = known or StrategyBook(id=content.id)
        if len(book.versions) >= MOST_VERSIONS:
            raise StateConflict("too_many_versions", f"a strategy has at most {MOST_VERSIONS} versions")
        life = StrategyVersion(
            number=len(book.versions) + 1,
            sha256=content.sha256,
            author=caller.actor.id,
            drafted_at=to_text(context.now),
        )
        ranked = book if rank is None else book.model_copy(update={"rank": rank})
        after = ranked.with_version(life)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.strategies.book_record(scope, after), expected=book.version)
        unit.create(ports.strategies.content_record(scope, content, life.number))
        data = {**_data(content.id, life), "paths": len(content.paths)}
        unit.emit(keys.strategy_pk(scope.tenant, content.id), EventType.STRATEGY_DRAFTED, data)
        unit.commit()
        return Versioned(after, life, content)

    return retrying(once)


def decide_strategy(
    ports: StrategyPorts,
    scope: Scope,
    strategy: str,
    number: int,
    caller: Caller,
    context: Context,
    *,
    approve: bool,
    reason: str,
) -> Versioned:
    """Approve or reject a draft, as somebody else than its author. Approved, it may be tried or activated.

    Raises NotFound, NotPermitted for the author, StateConflict for what is no draft.
    """

    def once() -> Versioned:
        known = get_version(ports, scope, strategy, number)
        if known.life.author == caller.actor.id:
            raise NotPermitted("whoever wrote a version does not decide on it", code="own_draft")
        if known.life.state is not VersionState.DRAFT:
            raise StateConflict("already_decided", f"the version is {known.life.state}")
        life = known.life.model_copy(
            update={
                "state": VersionState.APPROVED if approve else VersionState.REJECTED,
                "decided_by": caller.actor.id,
                "decided_at": to_text(context.now),
                "decision_reason": reason,
            }
        )
        after = known.book.with_version(life)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.strategies.book_record(scope, after), expected=known.book.version)
        event = EventType.STRATEGY_APPROVED if approve else EventType.STRATEGY_REJECTED
        unit.emit(keys.strategy_pk(scope.tenant, strategy), event, _data(strategy, life))
        unit.commit()
        return Versioned(after, life, known.content)

    return retrying(once)


def activate_strategy(
    ports: StrategyPorts,
    simulation_ports: simulations.SimulationPorts,
    scope: Scope,
    strategy: str,
    number: int,
    caller: Caller,
    context: Context,
    *,
    active_from: datetime | None,
    simulation: str | None,
    reason: str | None,
) -> Versioned:
    """Let cases follow an approved version from an instant on (default: now), in the place of the one before it.

    Either ``simulation`` names a what-if of this version that succeeded, or ``reason`` says why there is none; both are
    recorded. Raises NotFound, InvalidInput for an instant in the past or a simulation of something else, StateConflict
    for what is not approved, or is no longer sound (a template of it was retired).
    """
    begins = active_from or context.now
    if begins < context.now:
        raise InvalidInput("/active_from", "in_the_past", "cases follow a version from now on or later, never before")
    if (simulation is None) == (reason is None):
        raise InvalidInput("", "one_of_two", "name a simulation of the version, or say why there is none")
    known = get_version(ports, scope, strategy, number)
    if simulation is not None and not _is_of(simulation_ports, scope, simulation, known):
        raise InvalidInput(
            "/simulation", "not_of_this_version", "no simulation of this version has succeeded under that id"
        )

    def once() -> Versioned:
        known = get_version(ports, scope, strategy, number)
        if known.life.state is not VersionState.APPROVED:
            raise StateConflict("not_approved", f"the version is {known.life.state}")
        if strategy_faults(known.content, templates_in_force(ports.store, scope, context.now)):
            raise StateConflict("no_longer_sound", "a template that the version names is no longer in force")
        life = known.life.model_copy(
            update={
                "state": VersionState.ACTIVATED,
                "activated_by": caller.actor.id,
                "activated_at": to_text(context.now),
                "activation_reason": reason,
                "simulation": simulation,
                "active_from": to_text(begins),
            }
        )
        after = _superseding(known.book, life)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.strategies.book_record(scope, after), expected=known.book.version)
        walk = Enrolment(strategy=strategy, number=number, due_at=life.active_from)
        unit.create(ports.plans.enrolment_record(scope, walk))
        data = {**_data(strategy, life), "active_from": life.active_from, "simulation": simulation}
        unit.emit(keys.strategy_pk(scope.tenant, strategy), EventType.STRATEGY_ACTIVATED, data)
        unit.commit()
        return Versioned(after, life, known.content)

    return retrying(once)


def _superseding(book: StrategyBook, life: StrategyVersion) -> StrategyBook:
    """Return the book with the version activated, and every other end at its beginning that would have gone on after it."""
    begins = from_text(life.active_from or "")
    versions = []
    for each in book.versions:
        if each.number == life.number:
            versions.append(life)
        elif each.active_from is not None and (each.active_until is None or from_text(each.active_until) > begins):
            until = max(from_text(each.active_from), begins)
            versions.append(each.model_copy(update={"active_until": to_text(until)}))
        else:
            versions.append(each)
    return book.model_copy(update={"versions": tuple(versions), "version": book.version + 1})


def end_strategy(
    ports: StrategyPorts, scope: Scope, strategy: str, number: int, caller: Caller, context: Context, *, reason: str
) -> Versioned:
    """End a draft or an approved version for good; what is in force stops at once, and nothing takes its place.

    Stopping needs no second person. Raises NotFound, StateConflict.
    """

    def once() -> Versioned:
        known = get_version(ports, scope, strategy, number)
        if known.life.state not in (VersionState.DRAFT, VersionState.APPROVED, VersionState.ACTIVATED):
            raise StateConflict("not_in_use", f"the version is {known.life.state}")
        until = known.life.active_until
        if known.life.active_from is not None and (until is None or from_text(until) > context.now):
            until = to_text(max(context.now, from_text(known.life.active_from)))
        life = known.life.model_copy(
            update={
                "state": VersionState.ENDED,
                "ended_by": caller.actor.id,
                "ended_at": to_text(context.now),
                "end_reason": reason,
                "active_until": until,
            }
        )
        after = known.book.with_version(life)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.strategies.book_record(scope, after), expected=known.book.version)
        unit.emit(keys.strategy_pk(scope.tenant, strategy), EventType.STRATEGY_ENDED, _data(strategy, life))
        unit.commit()
        return Versioned(after, life, known.content)

    return retrying(once)


def get_version(ports: StrategyPorts, scope: Scope, strategy: str, number: int) -> Versioned:
    """Return a version with its life and content. Raises NotFound."""
    book = get_book(ports, scope, strategy)
    life = book.numbered(number)
    content = None if life is None else ports.strategies.content(scope, strategy, life)
    if life is None or content is None:
        raise NotFound("strategy", f"{strategy}@{number}")
    return Versioned(book, life, content)


def get_book(ports: StrategyPorts, scope: Scope, strategy: str) -> StrategyBook:
    """Return a strategy. Raises NotFound."""
    book = ports.strategies.book(scope, strategy)
    if book is None:
        raise NotFound("strategy", strategy)
    return book


# What if


@dataclass(frozen=True, slots=True)
class Supposition:
    """A simulation of a version, and the paths of it that recorded traffic cannot tell apart."""

    simulation: Simulation
    left_out: tuple[str, ...]


def simulate_strategy(
    ports: StrategyPorts,
    simulation_ports: simulations.SimulationPorts,
    scope: Scope,
    strategy: str,
    number: int,
    caller: Caller,
    context: Context,
    *,
    simulation: str,
    first_day: date,
    last_day: date,
) -> Supposition:
    """Ask for a what-if of a version over recorded traffic (UTC dates, both included), under the id ``simulation``.

    Raises NotFound, InvalidInput for a span that cannot be, StateConflict when no path of it can be supposed.
    """
    known = get_version(ports, scope, strategy, number)
    found = supposed(known.content, number)
    if found.part is None:
        raise StateConflict(
            "nothing_to_suppose", "recorded traffic does not hold what the segments of the version ask for"
        )
    days = {"from": first_day.isoformat(), "to": last_day.isoformat()}
    asked = simulations.Asked(
        id=simulation,
        first_day=days["from"],
        last_day=days["to"],
        parts=("strategy",),
        wish=canonical_text({**days, "strategy": found.part}),
    )
    made = simulations.request_simulation(
        simulation_ports, scope, asked, actor=caller.actor, now=context.now, req=context.req
    )
    return Supposition(made, found.left_out)


def _is_of(ports: simulations.SimulationPorts, scope: Scope, simulation: str, known: Versioned) -> bool:
    found = ports.simulations.simulation(scope, simulation)
    if found is None or found.state is not SimulationState.SUCCEEDED or found.parts != ("strategy",):
        return False
    days = {"from": found.first_day, "to": found.last_day}
    part = supposed(known.content, known.life.number).part
    return ports.simulations.wish(scope, simulation) == canonical_text({**days, "strategy": part})


# Templates


def templates_in_force(store: Store, scope: Scope, now: datetime) -> Mapping[str, KnownTemplate]:
    """Return the lender's templates that may be sent at the instant, by id."""
    found = {}
    for book in store.template_books(scope):
        life = book.in_force(now)
        if life is not None:
            found[book.id] = KnownTemplate(book.channel, life.purpose)
    return found


def _refuse_faults(ports: StrategyPorts, scope: Scope, content: Strategy, now: datetime) -> None:
    faults = strategy_faults(content, templates_in_force(ports.store, scope, now))
    if faults:
        raise InvalidInput.of([FieldError(f"/content{fault.pointer}", fault.code, fault.message) for fault in faults])


def _data(strategy: str, life: StrategyVersion) -> dict[str, Any]:
    return {"strategy": strategy, "number": life.number, "sha256": life.sha256}
