"""Shapes that single jurisdictions need."""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from typing import Any

from chalicelib.domain.compliance.gates import subjects
from chalicelib.domain.compliance.hours import hours
from chalicelib.domain.compliance.scene import Answer, Check, Finding, Scene, missing, since, touches
from chalicelib.domain.compliance.timeline import NEVER, Calendar, YearMissing, date_text, day_of, weekday_of


def work_request(params: Mapping[str, Any]) -> Check:
    """Compile ``work_request``: an oral request not to be called at work holds ``days`` dates after its own.

    In writing, or confirmed in writing within ``confirm_days``, it holds without end.
    """
    days: int = params["days"]
    confirm: int = params["confirm_days"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        until = -NEVER
        for consent in case.consents:
            at = since(consent)
            if at > instant:
                break
            if consent["event"] != "inconvenient_place" or consent["party"] != case.recipient_id:
                continue
            if consent.get("place", "work") != "work" or consent.get("medium", "all") not in ("call", "all"):
                continue
            if "written" not in consent:
                return missing("consents.written")
            if consent["written"]:
                return Finding(
                    "deny", observed=consent["at"], limit=confirm, because="asked in writing not to be called at work"
                )
            until = max(until, *(zone.midnight(zone.day(at) + days + 1) for zone in scene.zones))
        if instant < until:
            return Finding("defer", until, limit=days, because="asked not to be called at work")
        return NEVER

    return check


def written_only(params: Mapping[str, Any]) -> Check:
    """Compile ``written_only``: a written request to be reached in writing only holds for some months."""
    months: int = params["months"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        until = -NEVER
        for consent in case.consents:
            at = since(consent)
            if at > instant:
                break
            if consent["event"] != "stop_medium" or consent["party"] != case.recipient_id:
                continue
            if consent.get("medium", "all") not in (case.channel, "call", "all"):
                continue
            if "written" not in consent:
                return missing("consents.written")
            if consent["written"]:
                until = max(until, *(zone.midnight(_months_on(zone.day(at), months) + 1) for zone in scene.zones))
        if instant < until:
            return Finding("defer", until, limit=months, because="asked in writing to be reached in writing only")
        return NEVER

    return check


def _months_on(day: int, months: int) -> int:
    """Return the same day of the month some months on, the month's last day where it has none."""
    then = date.fromisoformat(date_text(day))
    year, index = divmod(then.year * 12 + then.month - 1 + months, 12)
    month = index + 1
    return day_of(date(year, month, min(then.day, monthrange(year, month)[1])).isoformat())


def hours_by_age(params: Mapping[str, Any]) -> Check:
    """Compile ``hours_by_age``: hours that fall away for older debts.

    Past due more than ``free_after`` days the hours no longer bind, more than ``review_after`` a person decides.
    """
    inner = hours({"windows": params["windows"], "agreed": True})
    review: int = params["review_after"]
    free: int = params["free_after"]

    def check(scene: Scene, instant: int) -> Answer:
        answer = inner(scene, instant)
        if not isinstance(answer, Finding):
            return answer
        ages = subjects("debt.days_past_due", scene.case)
        lacking = [name for name, age in ages if age is None]
        if lacking:
            return missing(*lacking)
        youngest = min(age for _, age in ages)
        if youngest > free:
            return answer.until
        if youngest > review:
            return Finding("review", answer.until, youngest, free, f"outside the hours, {youngest} days past due")
        return answer

    return check


def minor(params: Mapping[str, Any]) -> Check:
    """Compile ``minor``: nobody under ``years`` is contacted about another's debt."""
    years: int = params["years"]

    def check(scene: Scene, instant: int) -> Answer:
        born = scene.case.recipient.get("birth_date")
        if born is None:
            return missing(f"parties.{scene.case.recipient_id}.birth_date")
        today = date_text(min(zone.day(instant) for zone in scene.zones))
        age = int(today[:4]) - int(born[:4]) - (today[5:] < born[5:])
        return Finding("deny", observed=age, limit=years, because="a minor") if age < years else NEVER

    return check


def visit_notice(params: Mapping[str, Any]) -> Check:
    """Compile ``visit_notice``: a letter announced the visit at least so many working days before.

    Working days are Monday to Friday save the ``holidays`` of a calendar; a year without dates is a review.
    """
    wanted: int = params["working_days"]
    calendar: str | None = params.get("holidays")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        own = frozenset(case.debt_ids)
        closed = frozenset[int]() if calendar is None else scene.calendars[calendar]
        best: int | None = None
        for event in case.history:
            if event.at > instant or event.inbound or event.channel != "letter" or event.purpose != "required_notice":
                continue
            if event.party != case.recipient_id or event.outcome == "bounced" or not touches(event, own):
                continue
            try:
                free = max(zone.midnight(_working_days_on(zone.day(event.at), wanted, closed)) for zone in scene.zones)
            except YearMissing as gap:
                return missing(f"calendar.{gap.calendar}.{gap.year}")
            best = free if best is None else min(best, free)
        if best is None:
            return Finding("deny", limit=wanted, because="no letter announced the visit")
        return (
            Finding("defer", best, limit=wanted, because="the visit was announced too recently")
            if best > instant
            else NEVER
        )

    return check


def _working_days_on(day: int, count: int, closed: Calendar | frozenset[int]) -> int:
    """Return the day after ``count`` full working days that follow a day. Raises YearMissing."""
    left = count
    while left:
        day += 1
        left -= weekday_of(day) < 6 and day not in closed
    return day + 1


def duty(params: Mapping[str, Any]) -> Check:
    """Compile ``duty``: the act creates a duty that falls due so many days after it."""
    days: int = params["due_days"]
    what: list[str] = params["what"]

    def check(scene: Scene, instant: int) -> Answer:
        due = max(zone.midnight(zone.day(instant) + days + 1) for zone in scene.zones)
        return Finding("oblige", because=", ".join(what), duty={"due": due, "what": what})

    return check


def owing(params: Mapping[str, Any]) -> Check:
    """Compile ``owing``: enough must be owed, more than a sum or more than a share of the credit, the lesser."""
    amount: int = params["amount_minor"]
    share: float = params["share"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.act.get("vehicle", {}).get("court_order"):
            return NEVER
        for ident in case.debt_ids:
            debt = case.other_debts[ident]
            due, paid = debt.get("amount_due_minor"), debt.get("share_paid")
            if (due is not None and due > amount) or (paid is not None and 1 - paid > share):
                continue
            if due is None or paid is None:
                return missing(f"debts.{ident}.amount_due_minor" if due is None else f"debts.{ident}.share_paid")
            return Finding("deny", observed=[due, 1 - paid], limit=[amount, share], because="too little is owed")
        return NEVER

    return check
