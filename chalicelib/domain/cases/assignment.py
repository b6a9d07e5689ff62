"""Which agency gets a case: weighted rendezvous hashing over the agencies that may have it.

The answer is a function of the case's id and the list of agencies alone. When an agency joins or leaves, only the
cases that it wins or held move; shares are met on average, and nobody can steer a case to a friend.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.organisations import Agency, Collector

RULE = "weighted-rendezvous-1"
NOT_PAST_DUE = "not_past_due"
"""Why a case on which nothing is past due has no agency: its lender reminds by itself."""

INSPECTION_DAYS = 365
"""An agency must have been inspected at most this many days ago (closed)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An agency as it stands at the moment of assignment: its collectors, and how many cases it holds."""

    agency: Agency
    collectors: tuple[Collector, ...]
    load: int


class LaterOffer(BaseModel):
    """When the clock offers a placed case, on which nothing is past due, to agencies again; ``due_at`` None when it does not.

    It stands beside the case and is no part of it: nothing happens to the case by it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str
    due_at: str | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Assigned:
    """The case goes to this agency."""

    case: str
    agency: str
    rule: str = RULE


@dataclass(frozen=True, slots=True)
class Unassigned:
    """The case stays placed: ``reason`` is a stable code, ``reasons`` says for each agency why not."""

    case: str
    reason: str
    reasons: Mapping[str, str]


def ineligible(agency: Agency, case: Case, *, today: date) -> str | None:
    """Return why the agency may not have the case on the lender's date ``today``, or None when it may."""
    if agency.listed_from is None or today < agency.listed_from:
        return "not_listed"
    if agency.listed_to is not None and today > agency.listed_to:
        return "listing_ended"
    if agency.suspended:
        return "suspended"
    if not agency.licensed:
        return "not_licensed"
    if agency.inspected_on is None or today > agency.inspected_on + timedelta(days=INSPECTION_DAYS):
        return "not_inspected"
    if agency.share <= 0 or agency.result_weight <= 0:
        return "no_share"
    stage = case.bucket(today)
    if agency.stages and stage not in agency.stages and str(case.placement_stage) not in agency.stages:
        return "other_stage"
    if agency.countries and case.country not in agency.countries:
        return "other_country"
    if agency.regions and case.region not in agency.regions:
        return "other_region"
    return None


def is_certified(collector: Collector, *, country: str, today: date) -> bool:
    """Tell whether the collector may work cases of the country today; the certificate's last day counts."""
    last = collector.certified.get(country)
    return not collector.left and last is not None and today <= last


def has_certified(standing: Standing, *, country: str, today: date) -> bool:
    """Tell whether any of the agency's collectors may work cases of the country today."""
    return any(is_certified(collector, country=country, today=today) for collector in standing.collectors)


def capacity(standing: Standing, *, country: str, today: date) -> int:
    """Return how many more cases of a country the agency can take: certified collectors x cases each - cases held."""
    certified = sum(is_certified(collector, country=country, today=today) for collector in standing.collectors)
    return certified * standing.agency.cases_per_collector - standing.load


def score(case_id: str, agency: Agency) -> float:
    """Return the agency's bid for the case: above 0, and the greatest bid wins.

    ``-w / ln(u)`` with u uniform in (0, 1) gives each agency its weight's share of the cases.
    """
    digest = hashlib.sha256(f"{case_id}|{agency.id}".encode()).digest()
    uniform = ((int.from_bytes(digest[:8], "big") >> 11) + 0.5) / (1 << 53)
    return -(agency.share * agency.result_weight) / math.log(uniform)


def past_due_from(case: Case, *, today: date) -> date | None:
    """Return the day on which a case that is not past due will be, as far as is known; None when nothing is unpaid.

    While a freeze keeps it from being past due that is asked again on the next day.
    """
    due = case.ledger.standing(today).oldest_unpaid_due_on
    return None if due is None else max(due, today) + timedelta(days=1)


def assign(cases: Iterable[Case], standings: Iterable[Standing], *, today: date) -> list[Assigned | Unassigned]:
    """Return an answer for each case, in their order; each assignment uses up one place of its agency.

    What is not past due on the lender's date ``today`` is the lender's own, and no agency's.
    """
    agencies = {standing.agency.id: standing for standing in standings}
    taken = dict.fromkeys(agencies, 0)
    room: dict[tuple[str, str], int] = {}
    answers: list[Assigned | Unassigned] = []
    for case in cases:
        if case.days_past_due(today) == 0:
            answers.append(Unassigned(case.id, NOT_PAST_DUE, {}))
            continue
        refusals: dict[str, str] = {}
        best: tuple[float, str] | None = None
        for org, standing in agencies.items():
            reason = ineligible(standing.agency, case, today=today)
            if reason is None:
                known = room.get((org, case.country))
                if known is None:
                    known = room[(org, case.country)] = capacity(standing, country=case.country, today=today)
                if known - taken[org] <= 0:
                    reason = "full" if has_certified(standing, country=case.country, today=today) else "not_certified"
            if reason is not None:
                refusals[org] = reason
                continue
            bid = (score(case.id, standing.agency), org)
            best = bid if best is None or bid > best else best
        if best is None:
            full = any(reason == "full" for reason in refusals.values())
            answers.append(Unassigned(case.id, "agencies_full" if full else "no_eligible_agency", refusals))
            continue
        taken[best[1]] += 1
        answers.append(Assigned(case.id, best[1]))
    return answers
