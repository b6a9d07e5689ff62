"""What the law would say: a dry run of the compliance check on a real case, which leaves nothing behind.

The dossier is built by the same code from the same reads as the check's own; no ledger is touched, nothing is approved,
and no event is written, so that nobody can send on the strength of an answer (PIPL art. 24: reasons are given on request).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.domain.errors import InvalidInput, NotFound
from chalicelib.domain.house import HouseRef
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.usecases import compliance, messages
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.messages import Wish
from chalicelib.usecases.ports import Scope, Store

HUMAN_CHANNELS = frozenset({"call", "visit"})
DRY_RUN = "dry_run"
"""The id that the dossier and the ruling of a dry run carry: no message has it."""

FURTHEST = timedelta(days=366)
"""How far ahead one may ask (closed): further on, too many facts would not be what they are."""

Explainer = Callable[[Mapping[str, Any], Sequence[HouseRef]], dict[str, Any]]
"""Takes a dossier and the house packs beside the law, and returns the ruling with its rules annotated, see ``domain.compliance.explained``."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a wish on a case, as which organisation and collector, at which instant.

    ``org`` None means the agency that holds the case, or the lender where none does.
    """

    case: str
    wish: Wish
    org: str | None
    collector: str | None
    at: datetime
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The attempt that was judged, and the ruling on it with its rules annotated."""

    attempt: Attempt
    told: dict[str, Any]


def explain(
    store: Store, explainer: Explainer, scope: Scope, question: Question, *, caller_org: str | None, now: datetime
) -> Explanation:
    """Return what the compliance check would rule on the wish at the instant, were the facts what they are now.

    ``caller_org`` is the agency that asks, None for the lender's side; it limits the question to its own cases and to
    itself. Raises NotFound, StateConflict and InvalidInput as the real request does, and InvalidInput for an instant
    in the past or further ahead than FURTHEST.
    """
    if not now <= question.at <= now + FURTHEST:
        raise InvalidInput("/at", "out_of_range", "ask about now or about up to 366 days ahead")
    if question.text is not None and question.wish.template is not None:
        raise InvalidInput("/text", "not_both", "give a template or a text")
    case = find_case(store, scope, question.case, org=caller_org)
    org = question.org or caller_org or case.agency or scope.tenant
    if caller_org is not None and org != caller_org:
        raise NotFound("organisation", org)
    if question.collector is not None and store.collector(scope, org, question.collector) is None:
        raise NotFound("collector", question.collector)
    facts = messages.drafted(
        store,
        scope,
        question.case,
        question.wish,
        message_id=DRY_RUN,
        org=org,
        collector=question.collector,
        human=question.wish.channel in HUMAN_CHANNELS,
        now=question.at,
        text=question.text,
    )
    facts = replace(compliance.gather(store, scope, facts.attempt, now=question.at), attempt=facts.attempt)
    told = explainer(compliance.dossier_of(facts, now=question.at), facts.house_at(question.at))
    return Explanation(facts.attempt, told)
