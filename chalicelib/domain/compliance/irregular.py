"""Rules whose law fits no common shape, each under its own name; the parameters still come from the packs."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from chalicelib.domain.compliance.case import DEBT_SIDE, Case
from chalicelib.domain.compliance.gates import handed_over, local_day, look, subjects
from chalicelib.domain.compliance.scene import (
    Answer,
    Check,
    Finding,
    Scene,
    concerns,
    covers,
    missing,
    since,
    stops,
    touches,
)
from chalicelib.domain.compliance.timeline import (
    DAY,
    NEVER,
    Zone,
    clock,
    date_text,
    day_of,
    ends_first,
    instant_of,
    starts,
)

PHONES = frozenset(("mobile", "landline"))
DEAD_NUMBERS = frozenset(("vacant", "suspended", "wrong_person"))
_PARTS_OF_DAY = (clock("12:00"), clock("18:00"))
"""When the afternoon and the evening begin."""


def abroad(params: Mapping[str, Any]) -> Check:
    """Compile ``abroad``: a residence or zone on file of debtor or recipient lies outside the pack's country."""
    country: str = params["country"]
    zones = frozenset(params["zones"])
    apart = frozenset(params.get("regions_apart", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        people = {case.recipient_id, *case.debtors}
        places = sorted(case.countries - {country})
        found = set(places)
        found.update(apart & {each.get("region") for each in case.residences})
        for ident in people:
            found.update(set(case.parties[ident].get("zones", ())) - zones)
        for point in case.points.values():
            if point["party"] in people:
                found.update((set(point.get("zones", ())) | set(point.get("area_zones", ()))) - zones)
        if found:
            return Finding(
                "review", observed=sorted(found), limit=country, because="on file also: " + ", ".join(sorted(found))
            )
        return NEVER

    return check


def lost_contact(params: Mapping[str, Any]) -> Check:
    """Compile ``lost_contact``: an unrelated person may be asked only while the debtor cannot be reached.

    ``mode = "gate"`` fires while the state does not stand, ``"reopened"`` when it stood and the debtor was reached since.
    """
    reopened: bool = params["mode"] == "reopened"

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.act.get("third_party_initiated_payment"):
            return NEVER
        if not case.debtors:
            return missing("parties.debtor")
        for ident in case.debtors:
            state = _lost(scene, ident, instant)
            if state == "lost":
                continue
            if state == "unknown":
                return missing(f"parties.{ident}.lost_contact")
            if state == "unknown_since":
                return missing(f"parties.{ident}.lost_contact.since")
            if not reopened:
                return Finding("deny", observed=state, because="the debtor does not count as lost")
            if state == "reached":
                return Finding("deny", observed=state, because="the debtor was reached since contact was lost")
        return NEVER

    return check


def _lost(scene: Scene, debtor: str, instant: int) -> str:
    case = scene.case
    party = case.parties[debtor]
    stated = party.get("lost_contact")
    reached = max(
        (
            event.at
            for event in case.history
            if event.party == debtor
            and event.at <= instant
            and (event.inbound or event.outcome in ("conversation", "visited_met"))
        ),
        default=None,
    )
    phones = [
        point.get("status") for point in case.points.values() if point["party"] == debtor and point["kind"] in PHONES
    ]
    dead = bool(phones) and all(status in DEAD_NUMBERS for status in phones)
    if stated is None and not dead:
        return "unknown"
    stated = stated or {}
    if stated.get("number_vacant") or dead:
        if reached is None:
            return "lost"
        if "since" not in stated:
            return "unknown_since"
        began = starts(stated["since"], scene.zones)
        if began > instant:
            return "in touch"
        if reached <= began:
            return "lost"
    dials = [instant_of(text) for text in stated.get("failed_dials", ()) if instant_of(text) <= instant]
    if _unreached(scene, [dial for dial in dials if reached is None or dial > reached]):
        return "lost"
    if stated.get("number_vacant") or dead or _unreached(scene, dials):
        return "reached"
    if "number_vacant" not in stated and "failed_dials" not in stated:
        return "unknown"
    return "in touch"


def _unreached(scene: Scene, dials: list[int]) -> bool:
    """Tell whether three dials lie on three dates in a row, each in another part of the day, in whichever zone."""
    return all(_unreached_in(zone, dials) for zone in scene.zones)


def _unreached_in(zone: Zone, dials: list[int]) -> bool:
    parts: dict[int, set[int]] = {}
    for dial in dials:
        day, second = divmod(zone.local(dial), DAY)
        parts.setdefault(day, set()).add(bisect_right(_PARTS_OF_DAY, second))
    return any(
        len({one, two, three}) == 3
        for day in parts
        for one in parts[day]
        for two in parts.get(day + 1, ())
        for three in parts.get(day + 2, ())
    )


def silent(params: Mapping[str, Any]) -> Check:
    """Compile ``silent``: what reaches an outsider must not tell of the debt."""
    harmless = frozenset(params["harmless"])
    lexicon: str | None = params.get("lexicon")
    purposes = frozenset(params.get("purposes", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.act.get("third_party_initiated_payment"):
            return NEVER
        if purposes and case.purpose not in purposes:
            return Finding("deny", observed=case.purpose, limit=sorted(purposes), because=f"purpose {case.purpose}")
        telling = tells(scene, harmless, lexicon, instant)
        if isinstance(telling, Finding):
            return telling
        if telling:
            return Finding("deny", observed=telling, because="tells of the debt: " + ", ".join(telling))
        return NEVER

    return check


def tells(scene: Scene, harmless: frozenset[str], lexicon: str | None, instant: int) -> list[str] | Finding:
    """Return what in the content tells of the debt, or what is missing to see that."""
    case = scene.case
    telling = sorted(case.claims)
    if "amount_minor" in case.content:
        telling.append("amount")
    if lexicon is not None:
        telling.extend(scene.words(lexicon, instant).seen)
    if telling:
        return telling
    if case.disclosures is None and case.text and lexicon is not None:
        return []
    seen = look(case)
    if isinstance(seen, Finding):
        return seen
    return sorted(seen - harmless) if seen is not None else []


def workplace(params: Mapping[str, Any]) -> Check:
    """Compile ``workplace``: no word on the debt to a place of work or to an employer."""
    harmless = frozenset(params["harmless"])
    purposes = frozenset(params["neutral_purposes"])
    lexicon: str | None = params.get("lexicon")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        point = case.point or {}
        if case.role != "employer" and point.get("place") != "work" and not point.get("employer_provided"):
            return NEVER
        if case.purpose in purposes:
            telling = tells(scene, harmless, lexicon, instant)
            if isinstance(telling, Finding):
                return telling
            if not telling:
                return NEVER
        return Finding("deny", observed=point.get("place"), because="word on the debt to a place of work")

    return check


def wrong_number(params: Mapping[str, Any]) -> Check:
    """Compile ``wrong_number``: a contact point that proved to be somebody else's rests until it is verified anew."""
    seen_by_others: bool = params.get("seen_by_others", False)
    verified: bool = params.get("until_verified", True)

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        point = case.point
        if point is None:
            return NEVER
        if point.get("status") == "wrong_person":
            return Finding("deny", observed="wrong_person", because="the contact point is somebody else's")
        if seen_by_others and point.get("third_party_seen"):
            return Finding("deny", observed="third_party_seen", because="a third party sees this contact point")
        wrong = [e.at for e in case.strangers if e.point == case.point_id and e.at <= instant]
        if not wrong:
            return NEVER
        last = max(wrong)
        again = any(
            event.point == case.point_id
            and last < event.at <= instant
            and (event.outcome == "conversation" or (event.inbound and event.outcome == "received"))
            for event in case.history
        ) or any(
            consent.get("point") == case.point_id
            and consent["event"] in ("used", "granted")
            and last < since(consent) <= instant
            for consent in case.consents
        )
        if verified and again:
            return NEVER
        return Finding("deny", observed="wrong_person", because="a stranger was reached at this contact point")

    return check


def amount(params: Mapping[str, Any]) -> Check:
    """Compile ``amount``: the amount asked is the ledger's and, with ``fresh_hours``, no older than that.

    ``mode = "over"`` only forbids to ask more than the ledger says.
    """
    over: bool = params.get("mode") == "over"
    fresh: int | None = params.get("fresh_hours")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        asked = case.content.get("amount_minor")
        known = [debt.get("amount_due_minor") for debt in case.debts]
        if over:
            if asked is None or None in known or asked <= sum(known):
                return NEVER
            return Finding("deny", observed=asked, limit=sum(known), because="more is asked than the ledger says")
        seen = look(case)
        if seen is None and asked is None:
            return NEVER
        if asked is None:
            return missing("act.content.amount_minor")
        lacking = [name for name, value in subjects("debt.amount_due_minor", case) if value is None]
        if lacking:
            return missing(*lacking)
        if asked != sum(known):
            return Finding("require", observed=asked, limit=sum(known), because="the amount is not the ledger's")
        if fresh is None:
            return NEVER
        as_of = case.content.get("amount_as_of")
        if as_of is None:
            return missing("act.content.amount_as_of")
        stale = starts(as_of, scene.zones) + fresh * 3600 + 1
        if instant >= stale:
            return Finding("require", observed=as_of, limit=f"{fresh} h", because=f"the amount is of {as_of}")
        return stale

    return check


def forbidden_contact(params: Mapping[str, Any]) -> Check:
    """Compile ``forbidden_contact``: a police order keeps a collector, and the whole organisation, from a person."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        for ident, collector in sorted(case.collectors.items()):
            if case.recipient_id in collector.get("no_contact_with", ()) and (
                ident == case.collector_id or collector["org"] == case.org_id
            ):
                return Finding("deny", observed=ident, because="an order forbids contact with this person")
        return NEVER

    return check


def promise(params: Mapping[str, Any]) -> Check:
    """Compile ``promise``: no demand before the day after a promised date, but one reminder on the day before."""
    demands = frozenset(params["purposes"])

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose not in demands:
            return NEVER
        found: Finding | None = None
        quiet = NEVER
        for each in case.holds:
            if each["kind"] != "promise_alive" or each.get("party") not in (None, case.recipient_id):
                continue
            if not concerns(each, case) or case.purpose in each.get("kinds_exempt", ()):
                continue
            if not case.in_force(each, instant, scene.zones):
                continue
            if "until" not in each:
                return Finding("deny", because="a promise without a date is alive")
            for zone in scene.zones:
                end, ahead = _promised(case, each["until"], zone, instant)
                if end <= instant:
                    quiet = min(quiet, ahead)
                elif found is None or end > found.until:
                    today = date_text(zone.day(instant))
                    found = Finding("defer", end, today, each["until"], f"a promise for {each['until']} is alive")
        return quiet if found is None else found

    return check


def _promised(case: Case, text: str, zone: Zone, instant: int) -> tuple[int, int]:
    """Return until when a promise for a time holds an act back in a zone, and from when it will where it does not."""
    promised = local_day(text, zone)
    today, eve = zone.day(instant), promised - 1
    if today > promised:
        return instant, NEVER
    if case.purpose == "reminder" and today < eve:
        return zone.midnight(eve), NEVER
    if case.purpose == "reminder" and today == eve and not _reminded(case, zone, eve, instant):
        return instant, zone.midnight(promised)
    return zone.midnight(promised + 1), NEVER


def _reminded(case: Case, zone: Zone, day: int, instant: int) -> bool:
    """Tell whether the person was reminded through the act's channel on a date."""
    return any(
        not event.inbound
        and event.channel == case.channel
        and event.purpose == "reminder"
        and event.party == case.recipient_id
        and zone.day(event.at) == day
        and event.at <= instant
        for event in case.history
    )


def guarantee(params: Mapping[str, Any]) -> Check:
    """Compile ``guarantee``: a guarantor who was not asked within the guarantee period is free after it."""
    demands = frozenset(params["purposes"])

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        quiet = NEVER
        lacking: list[str] = []
        for ident in case.debt_ids:
            text = case.other_debts[ident].get("guarantee_until")
            if text is None:
                lacking.append(f"debts.{ident}.guarantee_until")
                continue
            end = ends_first(text, scene.zones)
            if instant < end:
                quiet = min(quiet, end)
                continue
            asked = any(
                not event.inbound
                and event.party == case.recipient_id
                and event.at < end
                and event.purpose in (None, *demands)
                and (
                    event.outcome in ("delivered", "conversation", "visited_met")
                    or (event.channel == "letter" and event.outcome == "sent")
                )
                and (event.debts is None or ident in event.debts)
                for event in case.history
            )
            if not asked:
                return Finding("deny", observed=text, because=f"the guarantee period ended, {text}, without a demand")
        return missing(*lacking) if lacking else quiet

    return check


def lease(params: Mapping[str, Any]) -> Check:
    """Compile ``lease``: rescission of a finance lease without a clear clause needs enough unpaid rent."""
    periods: int = params["periods"]
    share: float = params["share"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if handed_over(case):
            return NEVER
        for ident in case.debt_ids:
            debt = case.other_debts[ident]
            if debt.get("product") != "finance_lease" or debt.get("rescission_clause"):
                continue
            unpaid, part = debt.get("unpaid_periods"), debt.get("unpaid_rent_share")
            if (unpaid is not None and unpaid >= periods) or (part is not None and part >= share):
                continue
            lacking = [
                f"debts.{ident}.{key}" for key in ("unpaid_periods", "unpaid_rent_share") if debt.get(key) is None
            ]
            if lacking:
                return missing(*lacking)
            return Finding("deny", observed=[unpaid, part], limit=[periods, share], because="too little rent is unpaid")
        return NEVER

    return check


def self_help(params: Mapping[str, Any]) -> Check:
    """Compile ``self_help``: a vehicle is not taken without signed surrender or court order."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if handed_over(case):
            return NEVER
        vehicle = case.act.get("vehicle", {})
        lacking = [f"act.vehicle.{key}" for key in ("surrender_signed", "court_order") if key not in vehicle]
        if lacking:
            return missing(*lacking)
        return Finding("deny", because="neither signed surrender nor court order")

    return check


def objection(params: Mapping[str, Any]) -> Check:
    """Compile ``objection``: a vehicle is not taken over an objection, save under a court order where ``court_opens``."""
    court_opens: bool = params["court_opens"]

    def check(scene: Scene, instant: int) -> Answer:
        vehicle = scene.case.act.get("vehicle", {})
        if court_opens and vehicle.get("court_order"):
            return NEVER
        if "over_objection" not in vehicle:
            return missing("act.vehicle.over_objection")
        if vehicle["over_objection"]:
            return Finding("deny", because="over the objection of the person in possession")
        return NEVER

    return check


def deceased(params: Mapping[str, Any]) -> Check:
    """Compile ``deceased``: after a debtor's death only some roles may be spoken to, others for some purposes."""
    roles = frozenset(params["roles"])
    other_purposes = frozenset(params.get("other_purposes", ()))
    proof: bool = params.get("proof", False)

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if (
            proof
            and case.role in ("heir", "executor")
            and not any(each["kind"] == "deceased" and case.in_force(each, instant, scene.zones) for each in case.holds)
        ):
            return missing("holds.deceased")
        for each in case.holds:
            if each["kind"] != "deceased" or not concerns(each, case) or not case.in_force(each, instant, scene.zones):
                continue
            dead = each.get("party")
            if dead is not None and dead not in case.debtors and dead != case.recipient_id:
                continue
            if dead == case.recipient_id or (dead is None and case.role == "debtor"):
                return Finding("deny", observed=case.role, limit=sorted(roles), because="the person is dead")
            if case.role not in roles and case.purpose not in other_purposes:
                return Finding("deny", observed=case.role, limit=sorted(roles), because="the debtor is dead")
        return NEVER

    return check


def added(params: Mapping[str, Any]) -> Check:
    """Compile ``added``: the person must have opened this medium: a grant, a use or an inbound message on record."""
    medium: str = params["medium"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        standing = False
        for consent in case.consents:
            if since(consent) > instant:
                break
            if consent["event"] in ("granted", "used") and covers(consent, case, medium):
                if "expires" not in consent or ends_first(consent["expires"], scene.zones) > instant:
                    standing = True
            elif consent["event"] in ("withdrawn", "stop_medium") and stops(consent, case, medium):
                standing = False
        if standing or any(
            event.inbound and event.channel == medium and event.party == case.recipient_id and event.at <= instant
            for event in case.history
        ):
            return NEVER
        return Finding("deny", because=f"the person never opened {medium} to this sender")

    return check


def own_line(params: Mapping[str, Any]) -> Check:
    """Compile ``own_line``: the line belongs to the acting organisation or a lender, not to a person."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        ident = case.act.get("from")
        if ident is None:
            return missing("act.from")
        line = case.points[ident]
        if "registered_line" not in line:
            return missing(f"points.{ident}.registered_line")
        owners = {case.org_id, *(debt["creditor"] for debt in case.debts)}
        if not line["registered_line"] or line["party"] not in owners:
            return Finding("deny", observed=line["party"] in owners, because="not a line of the organisation or lender")
        return NEVER

    return check


def mandate(params: Mapping[str, Any]) -> Check:
    """Compile ``mandate``: the collector works for the organisation that holds the mandate."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.collector is None or case.collector["org"] == case.org_id:
            return NEVER
        return Finding(
            "deny", observed=case.collector["org"], limit=case.org_id, because="another organisation's collector"
        )

    return check


def inspection(params: Mapping[str, Any]) -> Check:
    """Compile ``inspection``: no case may be placed with an agency whose inspection is older than ``days``."""
    days: int = params["days"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        inspected = case.org.get("inspected_on")
        if inspected is None:
            return missing(f"orgs.{case.org_id}.inspected_on")
        for _, text in subjects("debt.placed_from", case):
            if text is not None and any(local_day(text, zone) > day_of(inspected) + days for zone in scene.zones):
                return Finding(
                    "deny", observed=inspected, limit=days, because="placed while the inspection was overdue"
                )
        return NEVER

    return check


def free_text(params: Mapping[str, Any]) -> Check:
    """Compile ``free_text``: words that nobody approved beforehand are read by a person before they leave."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if not case.text or case.content.get("template_approved") is not False:
            return NEVER
        return Finding("review", because="a text of one's own, from no approved template")

    return check


def sms_format(params: Mapping[str, Any]) -> Check:
    """Compile ``sms_format``: length, characters and signature that carriers accept."""
    longest: int = params["longest"]
    barred = tuple(params["characters"])

    def check(scene: Scene, instant: int) -> Answer:
        text = scene.case.text
        faults: list[str] = []
        if len(text) > longest:
            faults.append(f"{len(text)} characters")
        if any(char in text for char in barred):
            faults.append("a character that carriers refuse")
        if text.count("【") > 1 or text.find("【") > 0:
            faults.append("a signature inside the body")
        return Finding("deny", observed=faults, limit=longest, because=", ".join(faults)) if faults else NEVER

    return check


__all__ = ["DEBT_SIDE", "touches"]
