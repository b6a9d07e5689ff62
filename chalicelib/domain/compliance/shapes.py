"""The closed set of rule shapes: name, accepted parameters and the factory that compiles them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from chalicelib.domain.compliance import counts, elsewhere, federal, gates, hours, irregular
from chalicelib.domain.compliance.scene import Check


class Shape(NamedTuple):
    """One shape: its factory, the parameters it must have and those it may have."""

    build: Callable[[Mapping[str, Any]], Check]
    needs: frozenset[str]
    takes: frozenset[str]


def _shape(build: Callable[[Mapping[str, Any]], Check], needs: str = "", takes: str = "") -> Shape:
    return Shape(build, frozenset(needs.split()), frozenset(takes.split()))


_COUNTED = (
    "channels unit not_outcomes not_purposes purposes outcomes_of who by both_ways same_point point_kinds place replies "
    "days window leave_out consent_days per consent_frees_act"
)

SHAPES: Mapping[str, Shape] = {
    "hours": _shape(
        hours.hours,
        "",
        "windows closed holidays holiday_open agreed agreed_roles direct reply_once mode",
    ),
    "preference": _shape(hours.preference, "", "reply_once media mode"),
    "quiet_dates": _shape(hours.dates, "calendar"),
    "count": _shape(counts.count, "cap", f"{_COUNTED} effect after_first attempts_review unless_granted"),
    "nocount": _shape(counts.nocount, "reasons", _COUNTED),
    "concentration": _shape(counts.concentration, "minutes on_one_date", _COUNTED),
    "episode": _shape(counts.episode, "connected persons"),
    "fact": _shape(
        gates.fact,
        "path",
        "is any_of none_of at_least at_most effect absent only_place if_claims unless_surrendered below",
    ),
    "span": _shape(gates.span, "", "from to before after absent absent_end"),
    "hold": _shape(
        gates.hold,
        "kinds",
        "effect exempt whose ends_by_until days days_after_release written period chapter answered_by one_reply partial due_days debt_status",
    ),
    "notice": _shape(
        gates.notice,
        "kinds",
        "whose wait_days deadline before_first_touch media effect or_earlier_demand unless_surrendered if_claims pending",
    ),
    "require": _shape(
        gates.require,
        "",
        "all one_of if_third_party first limited_free limited_only nothing_but exempt unless_on_record effect due_days",
    ),
    "forbid": _shape(gates.forbid, "because", "effect unless_volunteered unless_granted"),
    "consent": _shape(gates.consent, "", "exempt"),
    "words": _shape(gates.words, "", "claims exposures lexicon patterns unless effect"),
    "stopped": _shape(
        gates.stopped,
        "",
        "media any_medium permanent request withdrawal exempt by_org reply_allowed one_confirmation at_address",
    ),
    "barred": _shape(gates.barred, "", "claims channels disclosure absent any_act after_refusal unless_surrendered"),
    "abroad": _shape(irregular.abroad, "country zones", "regions_apart"),
    "lost_contact": _shape(irregular.lost_contact, "mode"),
    "silent": _shape(irregular.silent, "harmless", "lexicon purposes"),
    "workplace": _shape(irregular.workplace, "harmless neutral_purposes", "lexicon"),
    "wrong_number": _shape(irregular.wrong_number, "", "seen_by_others until_verified"),
    "amount": _shape(irregular.amount, "", "mode fresh_hours"),
    "forbidden_contact": _shape(irregular.forbidden_contact),
    "promise": _shape(irregular.promise, "purposes"),
    "guarantee": _shape(irregular.guarantee, "purposes"),
    "lease": _shape(irregular.lease, "periods share"),
    "self_help": _shape(irregular.self_help),
    "objection": _shape(irregular.objection, "court_opens"),
    "deceased": _shape(irregular.deceased, "roles", "other_purposes proof"),
    "added": _shape(irregular.added, "medium"),
    "own_line": _shape(irregular.own_line),
    "mandate": _shape(irregular.mandate),
    "inspection": _shape(irregular.inspection, "days"),
    "free_text": _shape(irregular.free_text),
    "sms_format": _shape(irregular.sms_format, "longest characters"),
    "work_request": _shape(elsewhere.work_request, "days confirm_days"),
    "written_only": _shape(elsewhere.written_only, "months"),
    "hours_by_age": _shape(elsewhere.hours_by_age, "windows free_after review_after"),
    "minor": _shape(elsewhere.minor, "years"),
    "visit_notice": _shape(elsewhere.visit_notice, "working_days", "holidays"),
    "duty": _shape(elsewhere.duty, "due_days what"),
    "owing": _shape(elsewhere.owing, "amount_minor share"),
    **{name: _shape(*parts) for name, parts in federal.SHAPES.items()},
}

_WOKEN_BY: Mapping[str, frozenset[str]] = {
    "holds": frozenset(("hold", "promise", "service_member")),
    "ledger": frozenset(("preference", "stopped", "place", "work_request", "written_only", "tcpa_revoke")),
    "history": frozenset(("count", "nocount", "concentration", "episode", "bounced", "first_written")),
    "content": frozenset(("words", "sms_format", "free_text")),
}

STIRS = frozenset(_WOKEN_BY)
"""What a case may hold that some shapes have nothing to say without."""


def woken_by(shape: str, params: Mapping[str, Any]) -> str | None:
    """Return what a case must hold for a rule to say anything at all, None when it may always."""
    if params.get("if_claims"):
        return "content"
    return next((stir for stir, shapes in _WOKEN_BY.items() if shape in shapes), None)
