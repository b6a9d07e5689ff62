"""House rules over HTTP: a lender's own rules, stricter than the law, drafted by one person and approved by another."""

from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.house import HouseSet, HouseVersion
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import caller_of, context_of
from chalicelib.edge.http import Answer, Page, Request, route
from chalicelib.usecases import house_rules

bp = Blueprint(__name__)

HouseId = Annotated[str, Field(pattern=r"^HOUSE-[A-Z0-9]{2,20}$", description="The set's id; its rules' ids begin so.")]
RuleId = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9-]{1,63}$")]
Zone = Annotated[str, Field(pattern=r"^[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}$", max_length=60)]
Text = Annotated[str, Field(min_length=3, max_length=2_000)]
HOUSE_PATTERN = {"house_id": r"HOUSE-[A-Z0-9]{2,20}", "number": r"[1-9][0-9]{0,5}"}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HouseDraft(_Model):
    """A version of a set. ``rules`` are in the authored form of packs; ``enforce`` names watched rules that shall bind.

    Without ``zone`` clocks are read in every zone in which the borrower may be. A version without rules and without
    enforced ones ends the set once it is approved.
    """

    house: HouseId
    name: Annotated[str, Field(min_length=1, max_length=200)]
    rules: Annotated[tuple[dict[str, Any], ...], Field(max_length=100)] = ()
    enforce: Annotated[tuple[RuleId, ...], Field(max_length=100)] = ()
    zone: Zone | None = None


class HouseDecision(_Model):
    """A compliance officer's decision on a draft; approved, it binds from ``effective_from`` (default: now) on."""

    decision: Literal["approve", "reject"]
    reason: Text
    effective_from: AwareDatetime | None = None


class HouseComment(_Model):
    """What somebody has to say about a version."""

    text: Text


class CommentView(_Model):
    """A comment, and whose."""

    by: str
    at: str
    text: str


class HouseVersionView(_Model):
    """A version of a set. ``standing`` says whether it binds; ``sha256`` is the digest that rulings name."""

    house: str
    number: int
    name: str
    standing: Literal["draft", "rejected", "scheduled", "in_force", "superseded"]
    rules: list[dict[str, Any]]
    enforce: list[str]
    zone: str | None
    sha256: str
    author: str
    drafted_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    effective_from: str | None
    effective_until: str | None
    comments: list[CommentView]
    version: int


class InForce(_Model):
    """A version that binds at present."""

    number: int
    sha256: str
    since: str


class HouseSetView(_Model):
    """A set of house rules: how many versions were drafted, and which one binds."""

    id: str
    name: str
    drafted: int
    in_force: InForce | None


class HouseSetList(_Model):
    """Every set of the lender, by id."""

    items: list[HouseSetView]


class HouseVersionList(_Model):
    """A page of a set's versions, by number."""

    items: list[HouseVersionView]
    next_cursor: str | None


def _view(version: HouseVersion) -> HouseVersionView:
    body = version.model_dump(mode="json", exclude={"state"})
    return HouseVersionView(**body, standing=version.standing(wiring.now()))


def _set_view(scope: TenantScope, each: HouseSet) -> HouseSetView:
    now = wiring.now()
    index = wiring.store().house_index(scope)
    ref = next((ref for ref in index.in_force(scope.tenant, now) if ref.house == each.id), None)
    since = next((window.begins for window in index.windows if ref is not None and window.sha256 == ref.sha256), "")
    bound = InForce(number=ref.number, sha256=ref.sha256, since=since) if ref is not None else None
    return HouseSetView(id=each.id, name=each.name, drafted=each.drafted, in_force=bound)


def _place(request: Request[Any, Any]) -> str:
    return f"/v1/compliance/house-rules/{request.path['house_id']}/versions/{request.path['number']}"


@route(
    bp,
    "POST",
    "/v1/compliance/house-rules",
    scope="rules:write",
    body=HouseDraft,
    response=HouseVersionView,
    status=201,
    errors=[StateConflict],
    max_bytes=128 * 1024,
    summary="Draft a version of a set of house rules; it binds nobody until somebody else approves it",
)
def draft_house_rules(principal: Principal, request: Request[HouseDraft, None]) -> Answer:
    """Each fault of the rules is told with its pointer. A rule may only hold back; what would loosen has no form here."""
    body = request.body
    version = house_rules.draft(
        wiring.house_ports(),
        scope_of(principal),
        house_rules.Draft(body.house, body.name, body.rules, body.enforce, body.zone),
        caller_of(principal),
        context_of(request),
    )
    place = f"/v1/compliance/house-rules/{version.house}/versions/{version.number}"
    return Answer(_view(version), version=version.version, location=place)


@route(
    bp,
    "GET",
    "/v1/compliance/house-rules",
    scope="rules:read",
    response=HouseSetList,
    content_tag=True,
    summary="List the lender's sets of house rules, and which version of each binds",
)
def list_house_rules(principal: Principal, request: Request[None, None]) -> HouseSetList:
    """The lender's side only: an agency sees house rules where they speak, in its rulings."""
    scope = scope_of(principal)
    return HouseSetList(items=[_set_view(scope, each) for each in wiring.house_ports().houses.sets(scope)])


@route(
    bp,
    "GET",
    "/v1/compliance/house-rules/{house_id}",
    scope="rules:read",
    response=HouseSetView,
    content_tag=True,
    path_patterns={"house_id": HOUSE_PATTERN["house_id"]},
    summary="Read a set of house rules",
)
def read_house_rules(principal: Principal, request: Request[None, None]) -> HouseSetView:
    """Its versions are a list of their own."""
    scope = scope_of(principal)
    return _set_view(scope, house_rules.get_set(wiring.house_ports(), scope, request.path["house_id"]))


@route(
    bp,
    "GET",
    "/v1/compliance/house-rules/{house_id}/versions",
    scope="rules:read",
    query=Page,
    response=HouseVersionList,
    path_patterns={"house_id": HOUSE_PATTERN["house_id"]},
    summary="List every version of a set, by number: none is ever changed or lost",
)
def list_house_versions(principal: Principal, request: Request[None, Page]) -> HouseVersionList:
    """With who drafted, who decided, when and why, and when it was in force."""
    scope, last = scope_of(principal), request.after()
    ports, house = wiring.house_ports(), request.path["house_id"]
    house_rules.get_set(ports, scope, house)
    after, limit = 0 if last is None else int(last["number"]), min(request.query.limit, 20)
    found = ports.houses.versions(scope, house, after=after, limit=limit)
    following = found[-1].number if len(found) == limit else None
    return HouseVersionList(
        items=[_view(version) for version in found],
        next_cursor=None if following is None else request.cursor({"number": following}),
    )


@route(
    bp,
    "GET",
    "/v1/compliance/house-rules/{house_id}/versions/{number}",
    scope="rules:read",
    response=HouseVersionView,
    path_patterns=HOUSE_PATTERN,
    summary="Read a version of a set of house rules",
)
def read_house_version(principal: Principal, request: Request[None, None]) -> HouseVersionView:
    """``standing`` depends on the present instant."""
    house, number = request.path["house_id"], int(request.path["number"])
    return _view(house_rules.get_version(wiring.house_ports(), scope_of(principal), house, number))


@route(
    bp,
    "POST",
    "/v1/compliance/house-rules/{house_id}/versions/{number}/approvals",
    scope="rules:approve",
    body=HouseDecision,
    response=HouseVersionView,
    status=201,
    errors=[StateConflict, NotFound],
    path_patterns=HOUSE_PATTERN,
    summary="Approve or reject a draft, as compliance officer and never as its author",
)
def decide_house_rules(principal: Principal, request: Request[HouseDecision, None]) -> Answer:
    """Approved, it takes the place of what bound before, from its instant on, for every ruling that begins then."""
    body = request.body
    version = house_rules.decide(
        wiring.house_ports(),
        scope_of(principal),
        request.path["house_id"],
        int(request.path["number"]),
        caller_of(principal),
        context_of(request),
        approve=body.decision == "approve",
        reason=body.reason,
        effective_from=body.effective_from,
    )
    return Answer(_view(version), version=version.version, location=_place(request))


@route(
    bp,
    "POST",
    "/v1/compliance/house-rules/{house_id}/versions/{number}/comments",
    scope="rules:comment",
    body=HouseComment,
    response=HouseVersionView,
    status=201,
    errors=[StateConflict, NotFound],
    path_patterns=HOUSE_PATTERN,
    summary="Comment on a version of a set of house rules",
)
def comment_house_rules(principal: Principal, request: Request[HouseComment, None]) -> Answer:
    """A comment decides nothing and stays with the version."""
    version = house_rules.comment(
        wiring.house_ports(),
        scope_of(principal),
        request.path["house_id"],
        int(request.path["number"]),
        caller_of(principal),
        context_of(request),
        text=request.body.text,
    )
    return Answer(_view(version), version=version.version, location=_place(request))
