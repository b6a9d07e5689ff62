"""The law over HTTP: what the rules would say about a wish, and the rule book itself."""

from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chalicelib import wiring
from chalicelib.domain.errors import NotFound, NotPermitted, StateConflict
from chalicelib.domain.outreach.templates import Channel, Purpose
from chalicelib.domain.principals import Principal
from chalicelib.edge.callers import org_of, scope_of_case
from chalicelib.edge.http import Request, route
from chalicelib.edge.messages_api import Reasons, VisitPlan
from chalicelib.usecases import explaining
from chalicelib.usecases.explaining import Question
from chalicelib.usecases.messages import Wish

bp = Blueprint(__name__)

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]
SHIPPED = "private, max-age=300"
"""How long a caller may keep a page of the rule book: it changes with the package only, and has a strong tag."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bilingual(_Model):
    """A text in Chinese and English."""

    zh: str
    en: str


class Lines(_Model):
    """Lines of text in Chinese and English."""

    zh: list[str]
    en: list[str]


class RulingRequest(_Model):
    """What is asked: an act on a case. ``to``, ``point`` and ``org`` default as for a message; ``at`` to now.

    A message is judged by a ``template`` or by a ``text`` of one's own, which nobody can send. ``org`` is on whose behalf
    the act would be: for the lender's side the agency that holds the case, unless it says otherwise.
    """

    case: Id
    channel: Channel
    purpose: Purpose | None = None
    to: Id | None = None
    point: Id | None = None
    template: Id | None = None
    parameters: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=200)]] = {}
    text: Annotated[str, Field(min_length=1, max_length=4_000)] | None = None
    org: Id | None = None
    collector: Id | None = None
    dialler: Literal["manual", "auto", "prerecorded", "ai_voice"] = "manual"
    recorded: bool = False
    visit: VisitPlan | None = None
    reply_to: Id | None = None
    at: AwareDatetime | None = None


class FiredRule(_Model):
    """A rule that spoke: what it saw, its limit, until when it holds, and how well it is founded."""

    id: str
    effect: str
    citation: str
    grade: str
    confidence: str
    observed: Any
    limit: Any
    until: str | None
    because: str
    note: Bilingual


class RulingView(_Model):
    """A ruling that nobody can act on. ``shadow`` are findings of rules that are watched and decide nothing."""

    case: str
    at: str
    verdict: Literal["allow", "defer", "review", "deny"]
    next_allowed_at: str | None
    not_after: str | None
    rules: list[FiredRule]
    reasons: Reasons
    shadow: list[FiredRule]
    missing: list[str]
    obligations: list[dict[str, Any]]
    packs: list[dict[str, Any]]
    zone_data: str


class PackSummary(_Model):
    """A pack of law; ``rules`` counts parts, of which several may share an id."""

    id: str
    version: str
    name: str
    sha256: str
    countries: list[str]
    currencies: list[str]
    zone: str | None
    zone_data: str
    rules: int
    shadow: int
    vectors: int


class PackList(_Model):
    """Every pack that is shipped, by id."""

    items: list[PackSummary]


class RulePart(_Model):
    """One part of a rule: a dated version, or one test of several. ``doubt`` says what is not certain about it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    shape: str
    citation: str
    source: str
    grade: str
    confidence: str
    confidence_words: Bilingual
    status: Literal["enforced", "shadow"]
    from_: Annotated[str | None, Field(alias="from")]
    to: str | None
    published: str | None
    checked: str
    note: Bilingual
    params: dict[str, Any]
    when: dict[str, list[str]]
    params_words: Lines
    when_words: Lines
    provisional: bool
    doubt: Bilingual | None


class PackRule(_Model):
    """A rule in a pack: its parts, and how many test vectors it has."""

    id: str
    parts: list[RulePart]
    vectors: int


class PackView(PackSummary):
    """A pack with every rule."""

    items: list[PackRule]


class RuleView(_Model):
    """A rule with its test vectors: what a change to a compliant act (``base``) makes of it."""

    id: str
    pack: str
    version: str
    sha256: str
    parts: list[RulePart]
    vectors: list[dict[str, Any]]


@route(
    bp,
    "POST",
    "/v1/compliance/rulings",
    scope="rulings:read",
    body=RulingRequest,
    response=RulingView,
    errors=[StateConflict, NotFound],
    idempotent=False,
    summary="Ask what the rules would say about a contact, and why; nothing is approved, reserved or written",
)
def explain_ruling(principal: Principal, request: Request[RulingRequest, None]) -> RulingView:
    """The dossier is built as for a real contact. An agency asks about its own cases and itself only."""
    asked, now = request.body, wiring.now()
    if principal.collector is not None and asked.collector not in (None, principal.collector):
        raise NotPermitted("a collector asks for themselves", code="own_only")
    at = asked.at or now
    question = Question(
        case=asked.case,
        wish=Wish(
            channel=asked.channel,
            template=asked.template,
            parameters=asked.parameters,
            purpose=asked.purpose,
            to=asked.to,
            point=asked.point,
            reply_to=asked.reply_to,
            dialler=asked.dialler,
            recorded=asked.recorded,
            visit=asked.visit.model_dump(exclude_none=True) if asked.visit is not None else None,
        ),
        org=asked.org,
        collector=asked.collector or principal.collector,
        at=at,
        text=asked.text,
    )
    scope = scope_of_case(principal, asked.case)
    explanation = explaining.explain(
        wiring.store(),
        wiring.explained,
        scope,
        question,
        caller_org=org_of(principal),
        now=now,
    )
    told, ruling = explanation.told, explanation.told["ruling"]
    return RulingView(
        case=asked.case,
        at=at.isoformat().replace("+00:00", "Z"),
        rules=[FiredRule(**rule) for rule in told["rules"]],
        shadow=[FiredRule(**rule) for rule in told["shadow"]],
        reasons=Reasons(
            zh=wiring.explain(ruling, "zh", tenant=scope.tenant), en=wiring.explain(ruling, "en", tenant=scope.tenant)
        ),
        **{name: ruling[name] for name in _AS_RULED},
    )


_AS_RULED = ("verdict", "next_allowed_at", "not_after", "missing", "obligations", "packs", "zone_data")


@route(
    bp,
    "GET",
    "/v1/compliance/packs",
    scope="rules:read",
    response=PackList,
    content_tag=True,
    cache=SHIPPED,
    summary="List the packs of law that rulings are made under",
)
def list_packs(principal: Principal, request: Request[None, None]) -> PackList:
    """The same packs for every lender; what a lender adds is among its house rules."""
    return PackList(items=[PackSummary(**each) for each in wiring.rulebook().listed()])


@route(
    bp,
    "GET",
    "/v1/compliance/packs/{pack_id}",
    scope="rules:read",
    response=PackView,
    content_tag=True,
    cache=SHIPPED,
    summary="Read a pack: every rule with citation, grade, confidence, dates and parameters in words",
)
def read_pack(principal: Principal, request: Request[None, None]) -> PackView:
    """Rules that are only watched (``shadow``) are listed with what is doubtful about them."""
    found = wiring.rulebook().whole(request.path["pack_id"])
    if found is None:
        raise NotFound("pack", request.path["pack_id"])
    return PackView.model_validate(found)


@route(
    bp,
    "GET",
    "/v1/compliance/packs/{pack_id}/rules/{rule_id}",
    scope="rules:read",
    response=RuleView,
    content_tag=True,
    cache=SHIPPED,
    summary="Read a rule with the test vectors that it is held to",
)
def read_rule(principal: Principal, request: Request[None, None]) -> RuleView:
    """A vector names a compliant act and what is changed in it; times like ``@-3d`` are relative to its instant."""
    found = wiring.rulebook().one(request.path["pack_id"], request.path["rule_id"])
    if found is None:
        raise NotFound("rule", request.path["rule_id"])
    return RuleView.model_validate(found)
