"""House rules: one person drafts a version, another approves it, and from an instant on it binds beside the law.

Every command writes its state and its event in one transaction. The item that says which versions bind is read by each
ruling, strongly consistent, so an approved version binds every ruling that begins after the approval's commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import FieldError, InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.house import MOST_SETS, Comment, HouseIndex, HouseSet, HouseVersion, VersionState, superseded
from chalicelib.domain.instants import to_text
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.ports import Scope, Store

MOST_COMMENTS = 50
"""Comments that one version may bear."""


class Fault(Protocol):
    """One departure of a set of rules: a pointer into the request, a code, a sentence."""

    @property
    def pointer(self) -> str:
        """Return the RFC 6901 pointer."""
        ...

    @property
    def code(self) -> str:
        """Return the code."""
        ...

    @property
    def message(self) -> str:
        """Return the sentence."""
        ...


class Checks(Protocol):
    """What house rules may say. See ``chalicelib.domain.compliance.house``."""

    def authored(self, rules: Iterable[Mapping[str, Any]], *, today: str) -> list[dict[str, Any]]:
        """Return the rules with what they leave out."""
        ...

    def faults(
        self, house: str, rules: list[dict[str, Any]], enforce: Sequence[str], zone: str | None
    ) -> Sequence[Fault]:
        """Return what keeps them from being house rules."""
        ...

    def compiled(
        self, house: str, number: int, name: str, rules: list[dict[str, Any]], enforce: Sequence[str], zone: str | None
    ) -> tuple[str, str]:
        """Return the compiled pack's text and its SHA-256 (hex)."""
        ...


class Houses(Protocol):
    """Sets of house rules and their versions. See ``chalicelib.store.house_repository``."""

    def sets(self, scope: Scope) -> list[HouseSet]:
        """Return every set of the lender, by id."""
        ...

    def set(self, scope: Scope, house: str) -> HouseSet | None:
        """Return a set, or None."""
        ...

    def version(self, scope: Scope, house: str, number: int) -> HouseVersion | None:
        """Return a version of a set, or None."""
        ...

    def versions(self, scope: Scope, house: str, *, after: int, limit: int) -> list[HouseVersion]:
        """Return a page of a set's versions."""
        ...

    def set_record(self, scope: Scope, each: HouseSet) -> Any:
        """Return the record of a set."""

    def version_record(self, scope: Scope, version: HouseVersion) -> Any:
        """Return the record of a version."""

    def index_record(self, scope: Scope, index: HouseIndex) -> Any:
        """Return the record that says which versions bind."""

    def document_record(self, scope: Scope, sha256: str, text: str) -> Any:
        """Return the record of a compiled pack."""

    def document(self, tenant: str, sha256: str) -> str | None:
        """Return the text of a compiled pack."""
        ...


@dataclass(frozen=True, slots=True)
class HousePorts:
    """What house rules need."""

    store: Store
    houses: Houses
    checks: Checks


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody proposes: a set's id and name, its rules as authored, shadow rules to bind, the zone of its clocks."""

    house: str
    name: str
    rules: tuple[Mapping[str, Any], ...]
    enforce: tuple[str, ...]
    zone: str | None


def draft(ports: HousePorts, scope: Scope, wanted: Draft, caller: Caller, context: Context) -> HouseVersion:
    """Write down a version that binds nobody yet, and return it.

    Raises InvalidInput with a pointer for each fault of the rules, StateConflict for one set too many.
    """
    rules = ports.checks.authored(wanted.rules, today=context.now.date().isoformat())
    faults = ports.checks.faults(wanted.house, rules, wanted.enforce, wanted.zone)
    if faults:
        raise InvalidInput.of(FieldError(fault.pointer, fault.code, fault.message) for fault in faults)

    def once() -> HouseVersion:
        known = ports.houses.set(scope, wanted.house)
        if known is None and len(ports.houses.sets(scope)) >= MOST_SETS:
            raise StateConflict("too_many_sets", f"a lender has at most {MOST_SETS} sets of house rules")
        number = 1 + (known.drafted if known is not None else 0)
        _, sha256 = ports.checks.compiled(wanted.house, number, wanted.name, rules, wanted.enforce, wanted.zone)
        version = HouseVersion(
            house=wanted.house,
            number=number,
            name=wanted.name,
            rules=tuple(rules),
            enforce=tuple(sorted(set(wanted.enforce))),
            zone=wanted.zone,
            sha256=sha256,
            author=caller.actor.id,
            drafted_at=to_text(context.now),
        )
        before = known.version if known is not None else 0
        each = HouseSet(id=wanted.house, name=wanted.name, drafted=number, version=before + 1)
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.houses.set_record(scope, each), expected=before)
        unit.create(ports.houses.version_record(scope, version))
        data = {**_data(version), "rules": len(rules), "enforce": list(version.enforce)}
        unit.emit(keys.house_pk(scope.tenant, version.house), EventType.HOUSE_RULES_DRAFTED, data)
        unit.commit()
        return version

    return retrying(once)


def decide(
    ports: HousePorts,
    scope: Scope,
    house: str,
    number: int,
    caller: Caller,
    context: Context,
    *,
    approve: bool,
    reason: str,
    effective_from: datetime | None,
) -> HouseVersion:
    """Approve or reject a draft, as somebody else than its author; approved, it binds from the instant on (default: now).

    A version that is approved already with the same answer is returned as it is. Raises NotFound, NotPermitted for the
    author, InvalidInput for an instant in the past, StateConflict for a version that was decided otherwise.
    """
    begins = effective_from or context.now
    if begins < context.now:
        raise InvalidInput("/effective_from", "out_of_range", "rules begin to bind now or later, never before")

    def once() -> HouseVersion:
        version = get_version(ports, scope, house, number)
        if version.author == caller.actor.id:
            raise NotPermitted("whoever wrote a version does not decide on it", code="own_draft")
        if version.state is not VersionState.DRAFT:
            raise StateConflict("already_decided", f"the version is {version.state}")
        decided: dict[str, Any] = {
            "state": VersionState.APPROVED if approve else VersionState.REJECTED,
            "decided_by": caller.actor.id,
            "decided_at": to_text(context.now),
            "reason": reason,
            "version": version.version + 1,
        }
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        if approve:
            decided |= {"effective_from": to_text(begins)}
        after = version.model_copy(update=decided)
        unit.replace(ports.houses.version_record(scope, after), expected=version.version)
        if not approve:
            unit.emit(keys.house_pk(scope.tenant, house), EventType.HOUSE_RULES_REJECTED, _data(after))
        else:
            _bind(ports, scope, unit, after, context)
            data = {**_data(after), "effective_from": after.effective_from}
            event = EventType.HOUSE_RULES_RETIRED if after.is_empty else EventType.HOUSE_RULES_APPROVED
            unit.emit(keys.house_pk(scope.tenant, house), event, data)
        unit.commit()
        return after

    return retrying(once)


def _bind(ports: HousePorts, scope: Scope, unit: Any, version: HouseVersion, context: Context) -> None:
    """Add to the unit what makes an approved version bind: the index, its compiled pack, and the end of the others."""
    index = ports.store.house_index(scope)
    bound = index.with_version(version, now=context.now).model_copy(update={"version": index.version + 1})
    unit.replace(ports.houses.index_record(scope, bound), expected=index.version)
    text, sha256 = ports.checks.compiled(
        version.house,
        version.number,
        version.name,
        [dict(rule) for rule in version.rules],
        version.enforce,
        version.zone,
    )
    if sha256 != version.sha256:
        # The package learned to compile differently since the draft; what was read is not what would bind.
        raise StateConflict("draft_outdated", "the rules compile to another pack than the one that was drafted")
    unit.create(ports.houses.document_record(scope, sha256, text))
    for window in index.windows:
        earlier = ports.houses.version(scope, window.house, window.number) if window.house == version.house else None
        ended = superseded(earlier, version.effective_from or "") if earlier is not None else None
        if earlier is not None and ended is not None:
            written = ended.model_copy(update={"version": earlier.version + 1})
            unit.replace(ports.houses.version_record(scope, written), expected=earlier.version)


def comment(
    ports: HousePorts, scope: Scope, house: str, number: int, caller: Caller, context: Context, *, text: str
) -> HouseVersion:
    """Add a comment to a version, in any state. Raises NotFound, StateConflict for one comment too many."""

    def once() -> HouseVersion:
        version = get_version(ports, scope, house, number)
        if len(version.comments) >= MOST_COMMENTS:
            raise StateConflict("too_many_comments", f"a version bears at most {MOST_COMMENTS} comments")
        said = Comment(by=caller.actor.id, at=to_text(context.now), text=text)
        if any((each.by, each.text) == (said.by, said.text) for each in version.comments):
            return version
        after = version.model_copy(update={"comments": (*version.comments, said), "version": version.version + 1})
        unit = ports.store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(ports.houses.version_record(scope, after), expected=version.version)
        unit.emit(keys.house_pk(scope.tenant, house), EventType.HOUSE_RULES_COMMENTED, _data(after))
        unit.commit()
        return after

    return retrying(once)


def get_version(ports: HousePorts, scope: Scope, house: str, number: int) -> HouseVersion:
    """Return a version. Raises NotFound."""
    version = ports.houses.version(scope, house, number)
    if version is None:
        raise NotFound("version", f"{house}/{number}")
    return version


def get_set(ports: HousePorts, scope: Scope, house: str) -> HouseSet:
    """Return a set. Raises NotFound."""
    found = ports.houses.set(scope, house)
    if found is None:
        raise NotFound("house rules", house)
    return found


def _data(version: HouseVersion) -> dict[str, Any]:
    return {"house": version.house, "number": version.number, "sha256": version.sha256}
