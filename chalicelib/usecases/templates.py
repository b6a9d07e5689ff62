"""A lender's templates: one person drafts a version, legal counsel or compliance decides, each change is an event."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from chalicelib.domain import keys
from chalicelib.domain.concurrency import retrying
from chalicelib.domain.errors import FieldError, InvalidInput, NotFound, NotPermitted, StateConflict
from chalicelib.domain.events import EventType
from chalicelib.domain.instants import local_date, to_text
from chalicelib.domain.outreach.template_book import MOST_VERSIONS, TemplateBook, TemplateVersion, VersionState
from chalicelib.domain.outreach.template_samples import asked_values, masked, sample_values
from chalicelib.domain.outreach.templates import (
    Rendered,
    Template,
    TemplateRefused,
    faults_of,
    load_templates,
    render,
    values_for,
)
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import Caller, Context
from chalicelib.usecases.ports import Scope, Store


@dataclass(frozen=True, slots=True)
class Versioned:
    """A version with its life and its content."""

    book: TemplateBook
    life: TemplateVersion
    content: Template


def draft_template(
    store: Store, scope: Scope, content: Mapping[str, Any], caller: Caller, context: Context, *, library: str | None
) -> Versioned:
    """Write down a draft: version 1 of a new template, or the next version of one that exists.

    ``content`` are the fields of ``Template`` without ``version``; ``library`` names the shipped text that it was taken
    from. Raises InvalidInput with every fault of the text, StateConflict when the template has another channel or as
    many versions as it may have.
    """

    def once() -> Versioned:
        book = store.template_book(scope, content["id"]) or TemplateBook(id=content["id"], channel=content["channel"])
        if book.channel != content["channel"]:
            raise StateConflict("other_channel", f"the template is for {book.channel}; a new id is needed")
        if len(book.versions) >= MOST_VERSIONS:
            raise StateConflict("too_many_versions", f"a template has at most {MOST_VERSIONS} versions")
        template = _checked({**content, "version": len(book.versions) + 1})
        life = TemplateVersion(
            number=template.version,
            sha256=template.sha256,
            purpose=template.purpose,
            language=template.language,
            jurisdictions=template.jurisdictions,
            library=library,
            author=caller.actor.id,
            drafted_at=to_text(context.now),
        )
        after = book.with_version(life)
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(store.template_book_record(scope, after), expected=book.version)
        unit.create(store.template_record(scope, template))
        unit.emit(
            keys.template_pk(scope.tenant, book.id),
            EventType.TEMPLATE_DRAFTED,
            {
                "template": template.reference,
                "template_sha256": template.sha256,
                "channel": template.channel,
                "purpose": template.purpose,
                "language": template.language,
                "jurisdictions": list(template.jurisdictions),
                "library": library,
            },
            fresh=not book.versions,
        )
        unit.commit()
        return Versioned(after, life, template)

    return retrying(once)


def _checked(content: Mapping[str, Any]) -> Template:
    try:
        template = Template(**content)
    except ValidationError as error:
        # The edge has checked the form already; what is left is said without the values.
        raise InvalidInput("", "invalid", "the template is not acceptable") from error
    faults = faults_of(template)
    if faults:
        raise InvalidInput.of([FieldError(fault.pointer, fault.code, fault.detail) for fault in faults])
    return template


def adopted(reference: str) -> dict[str, Any]:
    """Return the content of a shipped text (``id@version``, or the id for its newest), to draft from.

    Raises InvalidInput when the library does not hold it.
    """
    name, _, number = reference.partition("@")
    versions = load_templates().get(name, ())
    found = [each for each in versions if number in ("", str(each.version))]
    if not found:
        raise InvalidInput("/library", "unknown_library_text", "the library holds no such text")
    return found[-1].model_dump(exclude={"version"})


def decide_template(
    store: Store,
    scope: Scope,
    name: str,
    number: int,
    caller: Caller,
    context: Context,
    *,
    approve: bool,
    reason: str,
    effective_from: datetime | None = None,
    effective_until: datetime | None = None,
    forbidden: tuple[str, ...] = (),
) -> Versioned:
    """Approve or reject a draft. Its author never can: two persons stand behind each text that leaves.

    An approval takes effect at ``effective_from`` (closed, now when None) and ends at ``effective_until`` (open).
    ``forbidden`` are words in the text that no fact excuses: such a text is not approved. Raises NotFound, NotPermitted
    for the author, StateConflict for what is no draft or holds forbidden words, InvalidInput for a period that begins
    in the past or ends before it begins.
    """
    begin = effective_from or context.now
    if approve and begin < context.now:
        raise InvalidInput("/effective_from", "in_the_past", "a text that was not approved then was not in force then")
    if approve and effective_until is not None and effective_until <= begin:
        raise InvalidInput("/effective_until", "before_effective_from", "the period ends before it begins")

    def once() -> Versioned:
        known = get_version(store, scope, name, number)
        if known.life.author == caller.actor.id:
            raise NotPermitted("nobody decides on a text of their own", code="own_work")
        if known.life.state is not VersionState.DRAFT:
            raise StateConflict("not_a_draft", f"the version is {known.life.state}")
        if approve and forbidden:
            raise StateConflict("forbidden_words", "the text holds " + "; ".join(forbidden))
        changes: dict[str, Any] = {
            "state": VersionState.APPROVED if approve else VersionState.REJECTED,
            "decided_by": caller.actor.id,
            "decided_at": to_text(context.now),
            "reason": reason,
        }
        if approve:
            changes["effective_from"] = to_text(begin)
            changes["effective_until"] = None if effective_until is None else to_text(effective_until)
        life = known.life.model_copy(update=changes)
        after = known.book.with_version(life)
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(store.template_book_record(scope, after), expected=known.book.version)
        data = {
            "template": known.content.reference,
            "template_sha256": life.sha256,
            "author": life.author,
            "reason_sha256": _digest(reason),
        }
        if approve:
            unit.emit(
                keys.template_pk(scope.tenant, name),
                EventType.TEMPLATE_APPROVED,
                {**data, "effective_from": life.effective_from, "effective_until": life.effective_until},
            )
        else:
            unit.emit(keys.template_pk(scope.tenant, name), EventType.TEMPLATE_REJECTED, data)
        unit.commit()
        return Versioned(after, life, known.content)

    return retrying(once)


def retire_template(
    store: Store, scope: Scope, name: str, number: int, caller: Caller, context: Context, *, reason: str
) -> Versioned:
    """End a draft or an approved version for good; what was approved with it and has not left is ruled on anew.

    Anybody who may write templates can: stopping needs no second person. Raises NotFound, StateConflict.
    """

    def once() -> Versioned:
        known = get_version(store, scope, name, number)
        if known.life.state not in (VersionState.DRAFT, VersionState.APPROVED):
            raise StateConflict("not_in_use", f"the version is {known.life.state}")
        life = known.life.model_copy(
            update={
                "state": VersionState.RETIRED,
                "retired_by": caller.actor.id,
                "retired_at": to_text(context.now),
                "retirement_reason": reason,
            }
        )
        after = known.book.with_version(life)
        unit = store.unit(scope, actor=caller.actor, req=context.req, now=context.now)
        unit.replace(store.template_book_record(scope, after), expected=known.book.version)
        unit.emit(
            keys.template_pk(scope.tenant, name),
            EventType.TEMPLATE_RETIRED,
            {
                "template": known.content.reference,
                "template_sha256": life.sha256,
                "from": known.life.state.value,
                "reason_sha256": _digest(reason),
            },
        )
        unit.commit()
        return Versioned(after, life, known.content)

    return retrying(once)


def _digest(text: str) -> str:
    # Somebody's own words stand in no open datum; the digest ties the record to them.
    return hashlib.sha256(text.encode()).hexdigest()


def get_book(store: Store, scope: Scope, name: str) -> TemplateBook:
    """Return the template with the lives of its versions. Raises NotFound."""
    book = store.template_book(scope, name)
    if book is None:
        raise NotFound("template", name)
    return book


def get_version(store: Store, scope: Scope, name: str, number: int) -> Versioned:
    """Return one version with its content. Raises NotFound."""
    book = get_book(store, scope, name)
    life = book.numbered(number)
    content = store.template(scope, name, number) if life is not None else None
    if life is None or content is None:
        raise NotFound("template", f"{name}@{number}")
    return Versioned(book, life, content)


def preview(
    store: Store,
    scope: Scope,
    template: Template,
    *,
    case: str | None,
    person: str | None,
    org: str | None,
    now: datetime,
) -> Rendered | TemplateRefused:
    """Return the template filled in: with invented values, or with a real case's, the person's name masked.

    ``org`` is the agency that asks, None for the lender's side. Raises NotFound for a case or person that is not the
    caller's.
    """
    if case is None:
        return render(template, sample_values(template), asked_values(template))
    found = find_case(store, scope, case, org=org)
    lender, addressee = store.lender(scope), store.person(scope, person or found.debtor)
    if lender is None or addressee is None or found.role_of(addressee.id) is None:
        raise NotFound("person", person or found.debtor)
    values = values_for(
        found,
        addressee,
        lender,
        store.agency(scope, found.agency) if found.agency is not None else None,
        None,
        today=local_date(now, lender.zone),
        language=template.language,
    )
    known = {"collector": sample_values(template)["collector"], **masked(values)}
    return render(template, known, asked_values(template))
