"""The customer database over HTTP: a person as a whole, their contact points and wishes, and records of one person merged."""

from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.intake.values import is_cn_id
from chalicelib.domain.people.person import Employment, Residence
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import caller_of, context_of, org_of, scopes_for
from chalicelib.edge.entity_tags import entity_tag
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import duplicates, persons, upkeep

bp = Blueprint(__name__)

Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
Words = Annotated[str, Field(min_length=1, max_length=100)]
Note = Annotated[str, Field(min_length=10, max_length=500)]
Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
How = Literal["contact", "inbound", "document", "lender_record"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PersonView(BaseModel):
    """A person as the caller may see them; what the caller's role may not see is left out or masked."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    lender: str
    version: int
    asked_for: str
    locked: bool
    points: list[dict[str, Any]]
    preferences: list[dict[str, Any]]
    employment: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    consents: list[dict[str, Any]]
    holds: list[dict[str, Any]]
    cases: list[dict[str, Any]]
    promises: list[dict[str, Any]]
    disputes: list[dict[str, Any]]
    contacts: list[dict[str, Any]]


class Consent(_Model):
    """What the person said about a medium at a contact point."""

    medium: Literal["call", "sms", "email", "wechat", "letter", "all"]
    state: Literal["granted", "withdrawn"]


class ContactPointWish(_Model):
    """A way to reach the person. A telephone is as dialled in the person's country, or E.164."""

    kind: Literal["phone", "email", "wechat", "address"]
    value: Annotated[str, Field(min_length=3, max_length=200)]
    source: Literal[
        "contract", "left_by_debtor", "authorised", "public", "told_by_contact", "bureau", "creditor", "inbound"
    ]
    reason: Literal[
        "person_gave_it", "lender_record", "returned_mail", "number_changed", "found_by_search", "correction"
    ]
    place: Literal["home", "work", "other"] | None = None
    consent: Consent | None = None


class Verification(_Model):
    """What was found out, and by what: a contact that the gate let out, the person's own words, a document, or records.

    ``verified_on`` is the lender's local day on which it was found out, here as in other updates; without it, today.
    """

    result: Literal["ok", "vacant", "suspended", "wrong_person"]
    how: How
    contact: Reference | None = None
    verified_on: date | None = None


class Retirement(_Model):
    """Why nobody may use the contact point any more."""

    reason: Literal["wrong_person", "out_of_service", "person_asked", "moved", "entered_in_error", "source_unlawful"]


class PreferencesWish(_Model):
    """How the person wishes to be reached; hours are local, from (closed), to (open). ``clear`` takes earlier wishes back."""

    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    channel: Literal["sms", "email", "wechat", "call", "letter", "visit"] | None = None
    hours_from: Clock | None = None
    hours_to: Clock | None = None
    clear: bool = False
    how: How
    contact: Reference | None = None
    verified_on: date | None = None


class Place(_Model):
    """Where the person lives: ISO 3166-1 country, ISO 3166-2 region."""

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    region: Annotated[str, Field(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$")] | None = None
    city: Words | None = None
    postal_code: Annotated[str, Field(pattern=r"^[A-Za-z0-9 -]{3,10}$")] | None = None


class Work(_Model):
    """Where the person works and how much they earn, in the lender's own bands."""

    employer: Words | None = None
    job: Words | None = None
    income_band: Words | None = None


class ConfirmationWish(_Model):
    """That a group of data is right, as found out today; what is given beside it is corrected."""

    group: Literal["identity", "address", "employment", "consent"]
    how: How
    contact: Reference | None = None
    verified_on: date | None = None
    name: Words | None = None
    birth_date: date | None = None
    national_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{6,20}$")] | None = None
    residence: Place | None = None
    employment: Work | None = None


class PersonChanged(_Model):
    """The record that was changed, its version, and the contact point when it was about one."""

    person: str
    version: int
    point: str | None = None


class DuplicateView(_Model):
    """Two records that may be one person's; ``reasons`` are what they have in common, the strongest first."""

    records: list[str]
    reasons: list[Literal["document", "name_and_birth_date", "phone"]]
    found_at: str


class DuplicateList(_Model):
    """Candidates that wait for a person's decision, by id."""

    items: list[DuplicateView]
    next_cursor: str | None


class UpdateTask(_Model):
    """A group of data that is not up to date since a day: who keeps it, the means that prove it, whether it counts."""

    group: str
    since: date
    keeper: Literal["agency", "lender"]
    how: list[How]
    counts: bool


class UpdateTasks(_Model):
    """What is to be brought up to date of one customer; ``agency`` holds a case of theirs."""

    person: str
    lender: str
    agency: str | None
    tasks: list[UpdateTask]


class TaskList(_Model):
    """Customers whose data are not up to date, by id."""

    items: list[UpdateTasks]
    next_cursor: str | None


class GroupCoverage(_Model):
    """The share of customers with whom a group of data is complete and was verified within its time."""

    group: str
    zh: str
    en: str
    max_age_days: int
    counts: bool
    keeper: str
    numerator: int
    denominator: int
    value: str | None
    interval: list[str] | None


class CoverageView(_Model):
    """The share of a lender's or (``agency``) an agency's customers with whom every group that counts is up to date."""

    lender: str
    agency: str | None
    numerator: int
    denominator: int
    value: str | None
    interval: list[str] | None
    groups: list[GroupCoverage]


class CoverageList(_Model):
    """The plan's target, and how far it is met."""

    target: str
    items: list[CoverageView]


class MergeWish(_Model):
    """Which record is the person's too, and why. ``despite_documents`` says that one of two different documents is wrong."""

    other: Reference
    reason: Literal["same_document", "same_name_and_birth_date", "person_says_so", "lender_record"]
    note: Note
    despite_documents: bool = False


class MergeView(_Model):
    """A merge: ``absorbed`` is answered for by ``person`` from now on."""

    id: str
    person: str
    absorbed: str
    at: str


class SplitWish(_Model):
    """Why a merge is taken back."""

    reason: Literal["merged_in_error", "different_document", "person_says_so"]
    note: Note


class SplitView(_Model):
    """The two records as they are again, each with every restriction that was in force for either."""

    merge: str
    person: str
    freed: str


class NotSame(_Model):
    """Why two records are two persons'."""

    reason: Literal["different_document", "different_birth_date", "person_says_so", "family_member", "lender_record"]
    note: Note


class PairView(_Model):
    """A pair that is not offered again."""

    records: list[str]


def _scope(principal: Principal, person: str) -> TenantScope:
    """Return the scope in which the caller knows the person. Raises NotFound."""
    if not principal.is_agency_side:
        return scope_of(principal)
    for scope in scopes_for(principal):
        if persons.is_worked_by(wiring.store(), scope, person, org=principal.org, now=wiring.now()):
            return scope
    raise NotFound("person", person)


def _changed(changed: persons.Changed, *, location: str | None = None) -> Answer:
    view = PersonChanged(person=changed.person.id, version=changed.person.version, point=changed.point)
    return Answer(view, version=changed.person.version, location=location)


@route(
    bp,
    "GET",
    "/v1/persons/duplicates",
    scope="persons:merge",
    query=Page,
    response=DuplicateList,
    summary="List records that may be one person's and wait for a decision",
)
def list_duplicates(principal: Principal, request: Request[None, Page]) -> DuplicateList:
    """Candidates are found when a case is placed and when data change, under the lender's index key; a person decides."""
    after = request.after()
    found, following = duplicates.list_duplicates(
        wiring.duplicate_ports(),
        scope_of(principal),
        after=None if after is None else str(after["place"]),
        limit=request.query.limit,
    )
    items = [
        DuplicateView(records=each["records"], reasons=each["reasons"], found_at=each["found_at"]) for each in found
    ]
    return DuplicateList(items=items, next_cursor=None if following is None else request.cursor({"place": following}))


@route(
    bp,
    "GET",
    "/v1/persons/update-tasks",
    scope="persons:read",
    query=Page,
    response=TaskList,
    summary="List customers whose data are not up to date, with what is to be verified, by whom and by what means",
)
def list_update_tasks(principal: Principal, request: Request[None, Page]) -> TaskList:
    """An agency is given what it is to verify at customers whose cases it holds; the lender's side sees everything.

    Tasks open and close by themselves. To verify by a contact is a contact: it passes the gate like every other.
    """
    after = request.after()
    found, following = upkeep.list_tasks(
        wiring.upkeep_ports(),
        tenant=principal.tenant,
        org=org_of(principal),
        after=None if after is None else str(after["place"]),
        limit=request.query.limit,
    )
    items = [UpdateTasks(**each) for each in found]
    return TaskList(items=items, next_cursor=None if following is None else request.cursor({"place": following}))


@route(
    bp,
    "GET",
    "/v1/persons/coverage",
    scope="persons:read",
    response=CoverageList,
    summary="Read the share of customers whose data are complete and verified within their time",
)
def read_coverage(principal: Principal, request: Request[None, None]) -> CoverageList:
    """Of the lender and each of its agencies; an agency reads its own. A customer is a borrower with an open case."""
    found = [
        each
        for scope in scopes_for(principal)
        for each in upkeep.coverages(wiring.upkeep_ports(), scope, org_of(principal))
    ]
    return CoverageList(target="0.95", items=[CoverageView(**each) for each in found])


@route(
    bp,
    "GET",
    "/v1/persons/{person_id}",
    scope="persons:read",
    response=PersonView,
    summary="Read a person as a whole: identity, contact points, wishes, consents, cases, promises, disputes, contacts",
)
def read_person(principal: Principal, request: Request[None, None]) -> Answer:
    """Any record of the person may be asked for; ``id`` is the one that answers for all. An agency sees its own cases only."""
    person_id = request.path["person_id"]
    shown = persons.read_person(
        wiring.store(),
        _scope(principal, person_id),
        person_id,
        org=org_of(principal),
        role=principal.role.value,
        now=wiring.now(),
    )
    view = PersonView(**shown)
    return Answer(view, tag=entity_tag(view.version, view.model_dump_json(by_alias=True)))


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/contact-points",
    scope="persons:write",
    body=ContactPointWish,
    response=PersonChanged,
    status=201,
    errors=[StateConflict],
    summary="Add a way to reach a person, with its source",
)
def add_contact_point(principal: Principal, request: Request[ContactPointWish, None]) -> Answer:
    """It is unverified until somebody verifies it; what is sent to it passes the gate like everything else."""
    wish, person_id = request.body, request.path["person_id"]
    changed = persons.add_point(
        wiring.person_ports(),
        _scope(principal, person_id),
        person_id,
        persons.NewPoint(
            kind=wish.kind,
            value=wish.value,
            source=wish.source,
            reason=wish.reason,
            place=wish.place,
            consent=None if wish.consent is None else wish.consent.state,
            medium=None if wish.consent is None else wish.consent.medium,
        ),
        caller_of(principal),
        context_of(request),
    )
    return _changed(changed, location=f"/v1/persons/{changed.person.id}")


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/contact-points/{point_id}/verification",
    scope="persons:write",
    body=Verification,
    response=PersonChanged,
    errors=[StateConflict],
    summary="Record what was found out about a contact point",
)
def verify_contact_point(principal: Principal, request: Request[Verification, None]) -> Answer:
    """To find out by a contact is a contact: it needs the message or clearance that the gate let out."""
    wish, person_id = request.body, request.path["person_id"]
    changed = persons.verify_point(
        wiring.person_ports(),
        _scope(principal, person_id),
        person_id,
        request.path["point_id"],
        wish.result,
        persons.Proof(wish.how, wish.contact, wish.verified_on),
        caller_of(principal),
        context_of(request),
    )
    return _changed(changed)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/contact-points/{point_id}/retirement",
    scope="persons:write",
    body=Retirement,
    response=PersonChanged,
    errors=[StateConflict],
    summary="Take a contact point out of use",
)
def retire_contact_point(principal: Principal, request: Request[Retirement, None]) -> Answer:
    """What was approved for it and has not left does not leave. It stays on record: something may still come in from it."""
    person_id = request.path["person_id"]
    changed = persons.retire_point(
        wiring.person_ports(),
        _scope(principal, person_id),
        person_id,
        request.path["point_id"],
        request.body.reason,
        caller_of(principal),
        context_of(request),
    )
    return _changed(changed)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/preferences",
    scope="persons:write",
    body=PreferencesWish,
    response=PersonChanged,
    errors=[StateConflict],
    summary="Record how a person wishes to be reached: language, channel, time of day",
)
def set_preferences(principal: Principal, request: Request[PreferencesWish, None]) -> Answer:
    """A wish narrows what is planned; it opens nothing that the law closes. Both hours are given, or none."""
    wish, person_id = request.body, request.path["person_id"]
    hours = (wish.hours_from, wish.hours_to)
    changed = persons.set_preferences(
        wiring.person_ports(),
        _scope(principal, person_id),
        person_id,
        persons.Wishes(wish.language, wish.channel, hours, wish.clear),
        persons.Proof(wish.how, wish.contact, wish.verified_on),
        caller_of(principal),
        context_of(request),
    )
    return _changed(changed)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/confirmations",
    scope="persons:write",
    body=ConfirmationWish,
    response=PersonChanged,
    errors=[StateConflict],
    summary="Record that a group of a person's data is right, or correct it",
)
def confirm_data(principal: Principal, request: Request[ConfirmationWish, None]) -> Answer:
    """What a field said before stays in the log, sealed under the person's key."""
    wish, person_id = request.body, request.path["person_id"]
    changed = persons.confirm_data(
        wiring.person_ports(),
        _scope(principal, person_id),
        person_id,
        wish.group,
        persons.Corrections(
            name=wish.name,
            birth_date=wish.birth_date,
            national_id=persons.document(wish.national_id, is_cn_id),
            residence=None if wish.residence is None else Residence(**wish.residence.model_dump()),
            employment=None if wish.employment is None else Employment(**wish.employment.model_dump()),
        ),
        persons.Proof(wish.how, wish.contact, wish.verified_on),
        caller_of(principal),
        context_of(request),
    )
    return _changed(changed)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/merges",
    scope="persons:merge",
    body=MergeWish,
    response=MergeView,
    status=201,
    errors=[StateConflict],
    summary="Say that another record is this person's too",
)
def merge_persons(principal: Principal, request: Request[MergeWish, None]) -> Answer:
    """From now on both count as one: caps over the contacts of both, a stop of one is a stop of both, the stricter wins.

    Nothing is moved: both ids keep answering, and a split restores both records.
    """
    wish, person_id = request.body, request.path["person_id"]
    merge = duplicates.merge_persons(
        wiring.duplicate_ports(),
        scope_of(principal),
        person_id,
        wish.other,
        duplicates.Why(wish.reason, wish.note, wish.despite_documents),
        caller_of(principal),
        context_of(request),
        merge_id=request.derived_id("mrg"),
    )
    view = MergeView(id=merge.id, person=person_id, absorbed=merge.person, at=merge.at)
    return Answer(view, location=f"/v1/persons/{person_id}")


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/merges/{merge_id}/split",
    scope="persons:merge",
    body=SplitWish,
    response=SplitView,
    errors=[StateConflict],
    summary="Take a merge back",
)
def split_person(principal: Principal, request: Request[SplitWish, None]) -> SplitView:
    """Each record is as it was, and keeps every restriction that was in force for either. The pair is not offered again."""
    person_id, merge_id = request.path["person_id"], request.path["merge_id"]
    kept, freed = duplicates.split_person(
        wiring.duplicate_ports(),
        scope_of(principal),
        person_id,
        merge_id,
        duplicates.Why(request.body.reason, request.body.note),
        caller_of(principal),
        context_of(request),
    )
    return SplitView(merge=merge_id, person=kept, freed=freed)


@route(
    bp,
    "POST",
    "/v1/persons/{person_id}/duplicates/{other_id}/dismissal",
    scope="persons:merge",
    body=NotSame,
    response=PairView,
    errors=[StateConflict],
    summary="Say that two records are of two persons",
)
def dismiss_duplicate(principal: Principal, request: Request[NotSame, None]) -> PairView:
    """The pair is not offered again."""
    person_id, other_id = request.path["person_id"], request.path["other_id"]
    duplicates.dismiss(
        wiring.duplicate_ports(),
        scope_of(principal),
        person_id,
        other_id,
        duplicates.Why(request.body.reason, request.body.note),
        caller_of(principal),
        context_of(request),
    )
    return PairView(records=sorted((person_id, other_id)))
