"""A lender's message templates over HTTP: draft, look, approve or reject, retire; and the library to start from."""

from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import FieldError, InvalidInput, InvalidQuery, NotFound, StateConflict
from chalicelib.domain.outreach.sms_parts import is_gsm7
from chalicelib.domain.outreach.template_book import TemplateBook, TemplateVersion
from chalicelib.domain.outreach.templates import (
    LANGUAGE,
    TEMPLATE_ID,
    Channel,
    Purpose,
    Template,
    TemplateRefused,
    load_templates,
    required_values,
)
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import caller_of, context_of, org_of, scopes_for
from chalicelib.edge.http import Answer, Request, route
from chalicelib.usecases import templates
from chalicelib.usecases.templates import Versioned

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
TemplateId = Annotated[str, Field(pattern=TEMPLATE_ID)]
Name = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Reason = Annotated[str, Field(min_length=10, max_length=2_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TemplateContent(_Model):
    """What a version says, for whom and where; exactly this is what somebody approves.

    ``disclosures`` must be made by the text, ``claims`` are what it asserts. ``language`` is ``en``, ``zh`` or
    ``zh-Hans``, ``zh-Hant`` and so on; ``jurisdictions`` are the countries of the cases that it may be used on.
    """

    channel: Channel
    purpose: Purpose
    language: Annotated[str, Field(pattern=LANGUAGE)]
    jurisdictions: Annotated[tuple[Country, ...], Field(min_length=1, max_length=60)]
    audience: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]
    variant: Literal["first", "later", "any"] = "any"
    subject: Annotated[str, Field(min_length=1, max_length=400)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    disclosures: Annotated[tuple[Name, ...], Field(max_length=40)] = ()
    claims: Annotated[tuple[Name, ...], Field(max_length=20)] = ()


class TemplateDraft(_Model):
    """A draft: ``content`` of one's own, or the ``library`` text to adopt (``id`` for its newest, or ``id@version``).

    With an ``id`` that the lender has already, this is its next version. ``id`` defaults to the library text's own.
    """

    id: TemplateId | None = None
    content: TemplateContent | None = None
    library: Annotated[str, Field(pattern=r"^[a-z0-9-]{3,60}(@[0-9]{1,4})?$")] | None = None


class TemplateDecision(_Model):
    """Counsel's or compliance's decision on a draft. The period is half-open and begins now when it says nothing."""

    decision: Literal["approve", "reject"]
    reason: Reason
    effective_from: AwareDatetime | None = None
    effective_until: AwareDatetime | None = None


class TemplateRetirement(_Model):
    """The end of a version, for good."""

    reason: Reason


class VersionLife(_Model):
    """What became of a version: who drafted it, who decided, and from (closed) and until (open) when it may be sent."""

    number: int
    state: Literal["draft", "approved", "rejected", "retired"]
    in_force: bool
    sha256: str
    purpose: str
    language: str
    jurisdictions: list[str]
    library: str | None
    author: str
    drafted_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    effective_from: str | None
    effective_until: str | None
    retired_by: str | None
    retired_at: str | None
    retirement_reason: str | None


class TemplateView(_Model):
    """A template of a lender. ``current`` is the version that may be sent now, null when none may."""

    id: str
    lender: str
    channel: str
    current: int | None
    versions: list[VersionLife]


class TemplateList(_Model):
    """The lender's templates by id; for an agency, those of every lender that lists it."""

    items: list[TemplateView]


class VersionView(_Model):
    """One version: its life, its content, and the placeholders that it fills in (``values``)."""

    id: str
    lender: str
    life: VersionLife
    content: TemplateContent
    values: list[str]


class LibraryText(_Model):
    """A text that comes with the service. It is a draft to start from: nothing is sent before a lender approves it."""

    id: str
    version: int
    sha256: str
    content: TemplateContent
    values: list[str]


class Library(_Model):
    """The texts that come with the service, by id, the newest version of each."""

    items: list[LibraryText]


class LenderQuery(_Model):
    """Which lender's template an agency asks for; needed where several lenders list it."""

    lender: Id | None = None


class PreviewQuery(LenderQuery):
    """``case`` and ``person`` (the debtor when absent) fill the text from real records, the name masked."""

    case: Id | None = None
    person: Id | None = None


class FoundWord(_Model):
    """A word that a rule forbids, with its category and place; ``excusable`` where a fact on file would allow it."""

    rule: str
    category: str
    word: str
    at: int
    excusable: bool


class Preview(_Model):
    """The text as it would leave. ``parts`` and ``encoding`` (gsm7, ucs2) are a text message's, null on other channels."""

    subject: str | None
    text: str
    characters: int
    parts: int | None
    encoding: Literal["gsm7", "ucs2"] | None
    disclosures: list[str]
    claims: list[str]
    words: list[FoundWord]


def _life(version: TemplateVersion) -> VersionLife:
    known = version.model_dump(mode="json")
    return VersionLife(**known, in_force=version.in_force(wiring.now()))


def _book_view(book: TemplateBook, lender: str) -> TemplateView:
    current = book.in_force(wiring.now())
    return TemplateView(
        id=book.id,
        lender=lender,
        channel=book.channel,
        current=None if current is None else current.number,
        versions=[_life(version) for version in book.versions],
    )


def _content(template: Template) -> TemplateContent:
    return TemplateContent(**template.model_dump(exclude={"id", "version"}))


def _version_view(found: Versioned, lender: str) -> VersionView:
    return VersionView(
        id=found.book.id,
        lender=lender,
        life=_life(found.life),
        content=_content(found.content),
        values=sorted(required_values(found.content)),
    )


def _answer(found: Versioned, scope: TenantScope, *, status: int = 200) -> Answer:
    location = f"/v1/templates/{found.book.id}/versions/{found.life.number}"
    return Answer(_version_view(found, scope.tenant), version=found.book.version, status=status, location=location)


def _number(request: Request[Any, Any]) -> int:
    text = request.path["number"]
    if not text.isdecimal() or len(text) > 5:
        raise NotFound("template", f"{request.path['template_id']}@{text}")
    return int(text)


def _one_scope(principal: Principal, lender: str | None) -> TenantScope:
    scopes = [scope for scope in scopes_for(principal) if lender in (None, scope.tenant)]
    if not scopes:
        raise NotFound("lender", lender or "")
    if len(scopes) > 1:
        raise InvalidQuery([FieldError("lender", "required", "several lenders list the agency: name one", "query")])
    return scopes[0]


@route(
    bp,
    "GET",
    "/v1/template-library",
    scope="templates:read",
    response=Library,
    content_tag=True,
    summary="List the texts that come with the service, to adopt and approve",
)
def list_library(principal: Principal, request: Request[None, None]) -> Library:
    """``values`` are the placeholders; all but ``visit_on`` and ``ticket`` are filled from the records."""
    return Library(
        items=[
            LibraryText(
                id=name,
                version=versions[-1].version,
                sha256=versions[-1].sha256,
                content=_content(versions[-1]),
                values=sorted(required_values(versions[-1])),
            )
            for name, versions in sorted(load_templates().items())
        ]
    )


@route(
    bp,
    "GET",
    "/v1/templates",
    scope="templates:read",
    response=TemplateList,
    content_tag=True,
    summary="List the lender's templates with the lives of their versions",
)
def list_templates(principal: Principal, request: Request[None, None]) -> TemplateList:
    """An agency sees those of every lender that lists it; only ``current`` ones can be sent."""
    return TemplateList(
        items=[
            _book_view(book, scope.tenant)
            for scope in scopes_for(principal)
            for book in wiring.store().template_books(scope)
        ]
    )


@route(
    bp,
    "POST",
    "/v1/templates",
    scope="templates:write",
    body=TemplateDraft,
    response=VersionView,
    status=201,
    errors=[StateConflict],
    summary="Draft a template or its next version, with a text of one's own or one of the library",
)
def draft_template(principal: Principal, request: Request[TemplateDraft, None]) -> Answer:
    """Every fault of the text is told with its place. A draft is never sent."""
    scope, draft = scope_of(principal), request.body
    if (draft.content is None) == (draft.library is None):
        raise InvalidInput("", "one_of_two", "give either a content or a library text")
    if draft.library is not None:
        content = templates.adopted(draft.library)
        content["id"] = draft.id or content["id"]
    elif draft.content is not None and draft.id is not None:
        content = {"id": draft.id, **draft.content.model_dump()}
    else:
        raise InvalidInput("/id", "required", "a text of one's own needs an id")
    library = draft.library and (draft.library if "@" in draft.library else _newest(draft.library))
    found = templates.draft_template(
        wiring.store(), scope, content, caller_of(principal), context_of(request), library=library
    )
    return _answer(found, scope, status=201)


def _newest(name: str) -> str:
    return load_templates()[name][-1].reference


@route(
    bp,
    "GET",
    "/v1/templates/{template_id}",
    scope="templates:read",
    query=LenderQuery,
    response=TemplateView,
    summary="Read a template with the lives of its versions",
)
def read_template(principal: Principal, request: Request[None, LenderQuery]) -> Answer:
    """``current`` is the version that may be sent now."""
    scope = _one_scope(principal, request.query.lender)
    book = templates.get_book(wiring.store(), scope, request.path["template_id"])
    # What is in force changes with the clock and without a new version of the book, so there is no tag.
    return Answer(_book_view(book, scope.tenant))


@route(
    bp,
    "GET",
    "/v1/templates/{template_id}/versions/{number}",
    scope="templates:read",
    query=LenderQuery,
    response=VersionView,
    summary="Read one version with its text",
)
def read_template_version(principal: Principal, request: Request[None, LenderQuery]) -> Answer:
    """Its content never changes; its life does."""
    scope = _one_scope(principal, request.query.lender)
    found = templates.get_version(wiring.store(), scope, request.path["template_id"], _number(request))
    return Answer(_version_view(found, scope.tenant))


@route(
    bp,
    "GET",
    "/v1/templates/{template_id}/versions/{number}/preview",
    scope="templates:read",
    query=PreviewQuery,
    response=Preview,
    summary="See one version filled in, with the words that rules forbid and the parts of a text message",
)
def preview_template(principal: Principal, request: Request[None, PreviewQuery]) -> Answer:
    """With invented values, or with those of a case that the caller may see; a person's name is masked."""
    query = request.query
    scope = _one_scope(principal, query.lender)
    found = templates.get_version(wiring.store(), scope, request.path["template_id"], _number(request))
    shown = templates.preview(
        wiring.store(),
        scope,
        found.content,
        case=query.case,
        person=query.person,
        org=org_of(principal),
        now=wiring.now(),
    )
    if isinstance(shown, TemplateRefused):
        raise StateConflict("cannot_be_filled", f"{shown.field}: {shown.code}")
    text = shown.body if shown.subject is None else f"{shown.subject}\n{shown.body}"
    return Answer(
        Preview(
            subject=shown.subject,
            text=shown.body,
            characters=len(shown.body),
            parts=shown.sms_parts,
            encoding=None if shown.sms_parts is None else "gsm7" if is_gsm7(shown.body) else "ucs2",
            disclosures=list(shown.disclosures),
            claims=list(shown.claims),
            words=_words(text, found.content),
        )
    )


def _words(text: str, template: Template) -> list[FoundWord]:
    found = wiring.forbidden_words(text, template.jurisdictions, on=wiring.now())
    return [FoundWord(**each._asdict()) for each in found]


@route(
    bp,
    "POST",
    "/v1/templates/{template_id}/versions/{number}/approvals",
    scope="templates:approve",
    body=TemplateDecision,
    response=VersionView,
    status=201,
    errors=[StateConflict],
    summary="Approve or reject a draft, as legal counsel or compliance officer",
)
def decide_template(principal: Principal, request: Request[TemplateDecision, None]) -> Answer:
    """Nobody decides on a draft of their own. A text with forbidden words that no fact excuses is not approved."""
    scope, decision = scope_of(principal), request.body
    name, number = request.path["template_id"], _number(request)
    content = templates.get_version(wiring.store(), scope, name, number).content
    words = _words(f"{content.subject or ''}\n{content.text}", content)
    found = templates.decide_template(
        wiring.store(),
        scope,
        name,
        number,
        caller_of(principal),
        context_of(request),
        approve=decision.decision == "approve",
        reason=decision.reason,
        effective_from=decision.effective_from,
        effective_until=decision.effective_until,
        forbidden=tuple(f"{each.category}: {each.word}" for each in words if not each.excusable),
    )
    return _answer(found, scope, status=201)


@route(
    bp,
    "POST",
    "/v1/templates/{template_id}/versions/{number}/retirement",
    scope="templates:write",
    body=TemplateRetirement,
    response=VersionView,
    errors=[StateConflict],
    summary="End a version for good; what was approved with it and has not left is ruled on anew",
)
def retire_template(principal: Principal, request: Request[TemplateRetirement, None]) -> Answer:
    """A draft is withdrawn by the same call. An earlier version that is still in force is sent from then on."""
    scope = scope_of(principal)
    found = templates.retire_template(
        wiring.store(),
        scope,
        request.path["template_id"],
        _number(request),
        caller_of(principal),
        context_of(request),
        reason=request.body.reason,
    )
    return _answer(found, scope)
