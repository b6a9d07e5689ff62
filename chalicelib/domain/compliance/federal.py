"""Shapes of United States law: safe harbours of electronic messages, automated dialling, representation, furnishing."""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.domain.compliance.case import Facts
from chalicelib.domain.compliance.gates import answered_once, local_day, subjects, validation_end, was_confirmed
from chalicelib.domain.compliance.scene import (
    Answer,
    Check,
    Finding,
    Scene,
    concerns,
    covers,
    is_first,
    missing,
    on_case,
    since,
    stops,
)
from chalicelib.domain.compliance.timeline import NEVER, YearMissing, ends, ends_first, instant_of, starts

_WRITTEN = frozenset(("sms", "email", "wechat", "push", "letter"))
_LAWFUL_SOURCES = frozenset(("contract", "left_by_debtor", "authorised", "creditor", "inbound"))


def place(params: Mapping[str, Any]) -> Check:
    """Compile ``place``: a place called inconvenient closes the addresses tied to it.

    Mobile numbers and e-mail are not tied to a place. One reply to a message from there is allowed.
    """
    tied = frozenset(params["point_kinds"])
    only: str | None = params.get("only")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        point = case.point or {}
        at_point = point.get("kind") in tied
        for consent in case.consents:
            if since(consent) > instant:
                break
            if consent["event"] != "inconvenient_place" or not stops(
                {**consent, "scope": "medium"}, case, case.channel
            ):
                continue
            if "expires" in consent and ends(consent["expires"], scene.zones) <= instant:
                continue
            if not at_point and case.channel != "visit":
                continue
            here = case.act.get("visit", {}).get("place") or point.get("place")
            if here is None:
                return missing("points.place")
            if here == consent.get("place", here) and only in (None, here):
                if answered_once(case, instant) is False:
                    continue
                return Finding("deny", observed=here, because=f"{here} was called inconvenient")
        return NEVER

    return check


def _opened(scene: Scene, medium: str, instant: int, *, own: bool) -> int | None:
    """Return the last instant at which the person opened the act's address for a medium, None when it is not open.

    Opening is writing from the address or consenting directly; ``own`` counts what was done with the acting
    organisation, otherwise what was done with any other.
    """
    case = scene.case
    # Each with whether it closes: at one instant what closes comes last.
    marks: list[tuple[int, bool]] = []
    for consent in case.consents:
        at = since(consent)
        if at > instant:
            break
        event = consent["event"]
        if event in ("withdrawn", "stop_medium"):
            if stops(consent, case, medium):
                marks.append((at, True))
            continue
        if (consent.get("org", case.org_id) == case.org_id) is not own:
            continue
        if (
            event == "used"
            and consent["party"] == case.recipient_id
            and consent.get("medium") in (medium, None)
            and consent.get("point", case.point_id) == case.point_id
        ) or (
            event == "granted"
            and consent.get("direct")
            and covers(consent, case, medium)
            and ("expires" not in consent or ends_first(consent["expires"], scene.zones) > instant)
        ):
            marks.append((at, False))
    if own:
        marks.extend(
            (event.at, False)
            for event in case.inbound
            if event.channel == medium
            and event.party == case.recipient_id
            and event.point == case.point_id
            and event.org in (None, case.org_id)
            and event.outcome != "wrong_person"
            and event.at <= instant
        )
    opened: int | None = None
    for at, closing in sorted(marks):
        opened = None if closing else at
    return opened


def _notice_opens(scene: Scene, point: Facts, instant: int, days: int, *, own: bool) -> int:
    """Return the instant from which a creditor's e-mail notice, given by an instant, opens the address; else NEVER."""
    case = scene.case
    if not point.get("public_domain") or point.get("employer_provided") or point.get("source") not in _LAWFUL_SOURCES:
        return NEVER
    opens = NEVER
    for consent in case.consents:
        at = since(consent)
        if at > instant:
            break
        event = consent["event"]
        if event in ("withdrawn", "stop_medium") and stops(consent, case, "email"):
            opens = NEVER
        if event != "creditor_email_notice" or consent["party"] != case.recipient_id or "deadline" not in consent:
            continue
        if (
            consent.get("point", case.point_id) != case.point_id
            or (consent.get("org", case.org_id) == case.org_id) is not own
        ):
            continue
        deadline = consent["deadline"]
        if all(local_day(deadline, zone) - zone.day(at) >= days for zone in scene.zones):
            opens = min(opens, ends(deadline, scene.zones))
    return opens


def _chain(scene: Scene, point: Facts, instant: int, days: int) -> bool:
    """Tell whether an earlier collector opened the address and the last one used it, with no opt-out since."""
    case = scene.case
    used = False
    for consent in case.consents:
        if since(consent) > instant:
            break
        if consent["event"] == "prior_collector_used" and consent["party"] == case.recipient_id:
            used = used or consent.get("point", case.point_id) == case.point_id
        elif consent["event"] in ("withdrawn", "stop_medium") and stops(consent, case, "email"):
            used = False
    return used and (
        _opened(scene, "email", instant, own=False) is not None
        or _notice_opens(scene, point, instant, days, own=False) <= instant
    )


def _opened_to_us(scene: Scene, point: Facts, instant: int, days: int) -> bool:
    return _opened(scene, "email", instant, own=True) is not None or _chain(scene, point, instant, days)


def email_harbour(params: Mapping[str, Any]) -> Check:
    """Compile ``email_harbour``: without one of the three procedures an e-mail address needs a person's decision."""
    days: int = params["notice_days"]
    exempt = frozenset(params.get("exempt", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in exempt:
            return NEVER
        if case.point is None:
            return missing("act.point")
        opens = _notice_opens(scene, case.point, instant, days, own=True)
        if opens <= instant or _opened_to_us(scene, case.point, instant, days):
            return NEVER
        return Finding("review", opens, because="no procedure that keeps third parties out stands for this address")

    return check


def work_email(params: Mapping[str, Any]) -> Check:
    """Compile ``work_email``: an address known to be employer-provided needs the person's own opening."""
    days: int = params["notice_days"]

    def check(scene: Scene, instant: int) -> Answer:
        point = scene.case.point or {}
        if not point.get("employer_provided") or _opened_to_us(scene, point, instant, days):
            return NEVER
        return Finding("deny", because="known to be the employer's address")

    return check


def sms_harbour(params: Mapping[str, Any]) -> Check:
    """Compile ``sms_harbour``: texts need a text from the number or consent, fresh or checked within ``days`` dates."""
    days: int = params["days"]
    exempt = frozenset(params.get("exempt", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in exempt:
            return NEVER
        if case.point is None:
            return missing("act.point")
        opened = _opened(scene, "sms", instant, own=True)
        if opened is None:
            return Finding("review", because="neither a text from this number nor consent stands")
        marks = [
            since(each)
            for each in case.consents
            if each["event"] == "reassigned_check"
            and each.get("point", case.point_id) == case.point_id
            and since(each) <= instant
        ]
        fresh = max([opened, *marks])
        stale = min(zone.midnight(zone.day(fresh) + days + 1) for zone in scene.zones)
        if instant < stale:
            return stale
        age = max(zone.day(instant) - zone.day(fresh) for zone in scene.zones)
        return Finding("review", observed=age, limit=days, because=f"{age} days since the last text, consent or check")

    return check


def attorney(params: Mapping[str, Any]) -> Check:
    """Compile ``attorney``: a represented person is not spoken to; one reply to a contact of theirs is allowed.

    After ``days`` in which the attorney did not answer a person decides.
    """
    days: int = params["days"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        known = [
            each
            for each in case.holds
            if each["kind"] == "attorney"
            and concerns(each, case)
            and case.in_force(each, instant, scene.zones)
            and each.get("party") in (None, case.recipient_id)
        ]
        named = case.recipient.get("attorney")
        if named is not None and "since" in named and starts(named["since"], scene.zones) > instant:
            named = None
        if not known and named is None:
            return NEVER
        if any(case.purpose in each.get("kinds_exempt", ()) for each in known):
            return NEVER
        if answered_once(case, instant) is False:
            return NEVER
        silent = None if named is None else named.get("unresponsive_since")
        if silent is not None:
            patience = max(zone.midnight(local_day(silent, zone) + days) for zone in scene.zones)
            if instant >= patience:
                return Finding("review", observed=silent, limit=days, because="the attorney has not answered")
        return Finding("deny", because="represented by an attorney on this debt")

    return check


def overshadow(params: Mapping[str, Any]) -> Check:
    """Compile ``overshadow``: within the validation period a claim that contradicts it needs a person's decision."""
    claims = frozenset(params["claims"])

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        seen = sorted(claims & case.claims)
        if not seen:
            return NEVER
        until = -NEVER
        for ident in case.debt_ids:
            try:
                period = validation_end(case, ident, scene, instant)
            except YearMissing as gap:
                return missing(f"calendar.{gap.calendar}.{gap.year}")
            if period is None:
                return Finding("review", observed=seen, because="no validation period has run out")
            until = max(until, *(zone.midnight(period + 1) for zone in scene.zones))
        if instant < until:
            return Finding("review", until, seen, because="within the validation period")
        return NEVER

    return check


def esign(params: Mapping[str, Any]) -> Check:
    """Compile ``esign``: a required notice sent electronically after the first communication needs E-SIGN consent."""
    always = frozenset(params["purposes"])
    on_hold = frozenset(params["purposes_on_hold"])
    kinds = frozenset(params["hold_kinds"])

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in on_hold:
            if not any(
                each["kind"] in kinds and concerns(each, case) and case.in_force(each, instant, scene.zones)
                for each in case.holds
            ):
                return NEVER
        elif case.purpose not in always or is_first(case, instant):
            return NEVER
        standing = any(
            each.get("esign_consent") and each.get("party", case.recipient_id) == case.recipient_id
            for each in case.notices
            if instant_of(each["at"]) <= instant
        )
        for consent in case.consents:
            if since(consent) > instant:
                break
            if consent["party"] != case.recipient_id or consent.get("purpose") != "esign":
                if consent["event"] == "withdrawn" and stops(consent, case, case.channel):
                    standing = False
                continue
            standing = consent["event"] == "granted"
        return NEVER if standing else Finding("require", limit="esign", because="no consent under 15 USC 7001(c)")

    return check


def furnish(params: Mapping[str, Any]) -> Check:
    """Compile ``furnish``: before the first report the person was spoken to, or a message went and did not come back.

    ``days`` dates must pass after the message, the date of the message being the first that does not count.
    """
    days: int = params["days"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        until = -NEVER
        for ident in case.debt_ids:
            free = _may_furnish(scene, ident, instant, days)
            if free is None:
                return Finding("deny", limit=days, because="the person was neither spoken to nor written to")
            until = max(until, free)
        if until <= instant:
            return NEVER
        return Finding("defer", until, limit=days, because="the message may still come back undelivered")

    return check


def _may_furnish(scene: Scene, debt: str, instant: int, days: int) -> int | None:
    case = scene.case
    returned = {
        instant_of(each["at"])
        for each in case.notices
        if "returned_at" in each and instant_of(each["returned_at"]) <= instant
    }
    best: int | None = None
    for event in case.history:
        if (
            event.at > instant
            or event.org not in (None, case.org_id)
            or (event.debts is not None and debt not in event.debts)
        ):
            continue
        if event.party != case.recipient_id:
            continue
        if event.channel == "credit_report" and not event.inbound:
            return instant
        if event.outcome in ("conversation", "visited_met"):
            return instant
        if (
            not event.inbound
            and event.channel in _WRITTEN
            and event.outcome in ("sent", "delivered")
            and event.at not in returned
        ):
            free = max(zone.midnight(zone.day(event.at) + days) for zone in scene.zones)
            best = free if best is None else min(best, free)
    return best


AUTOMATED = frozenset(("auto", "prerecorded", "ai_voice"))


def tcpa_consent(params: Mapping[str, Any]) -> Check:
    """Compile ``tcpa_consent``: automated calls and texts to a mobile need prior express consent."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        for consent in case.consents:
            if since(consent) <= instant and consent["event"] == "granted" and covers(consent, case, case.channel):
                return NEVER
        source = (case.point or {}).get("source")
        if source is None:
            return missing("points.source")
        if source in _LAWFUL_SOURCES:
            return NEVER
        return Finding("deny", observed=source, because="no prior express consent for automated contact")

    return check


def tcpa_revoke(params: Mapping[str, Any]) -> Check:
    """Compile ``tcpa_revoke``: a revocation by any reasonable means ends automated contact with the number.

    With ``all_matters`` it reaches every number and matter of the caller. One text may confirm it; with
    ``confirm_minutes`` the rule looks at that text alone, and a person decides when it is later than so many minutes.
    """
    all_matters: bool = params.get("all_matters", False)
    confirm_minutes: int | None = params.get("confirm_minutes")

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        revoked: int | None = None
        for consent in case.consents:
            at = since(consent)
            if at > instant:
                break
            if consent["party"] != case.recipient_id:
                continue
            event = consent["event"]
            if event in ("withdrawn", "stop_medium") and _automated(consent):
                # What a revocation does not narrow to its number reaches them all.
                narrow = not all_matters and consent.get("scope", "address") == "address"
                if not narrow or consent.get("point", case.point_id) == case.point_id:
                    revoked = at
            elif event == "granted" and covers(consent, case, case.channel):
                revoked = None
        if revoked is None:
            return NEVER
        if confirm_minutes is not None:
            late = revoked + confirm_minutes * 60 + 1
            if instant < late:
                return late
            minutes = (instant - revoked) // 60
            return Finding("review", NEVER, minutes, confirm_minutes, "late for a confirmation of the opt-out")
        if (
            case.purpose == "opt_out_confirmation"
            and case.channel == "sms"
            and not was_confirmed(case, revoked, instant)
        ):
            return NEVER
        return Finding("deny", because="consent to automated contact was revoked")

    return check


def _automated(consent: Facts) -> bool:
    """Tell whether a refusal reaches calls or texts: it names one of them, names no medium, or covers all."""
    return consent.get("scope") == "all" or consent.get("medium", "all") in ("sms", "call", "all")


def reassigned(params: Mapping[str, Any]) -> Check:
    """Compile ``reassigned``: before automated contact the number was consented to, used or checked within ``days``."""
    days: int = params["days"]

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        marks = [
            since(each)
            for each in case.consents
            if each["event"] in ("reassigned_check", "granted", "used")
            and each.get("point", case.point_id) == case.point_id
            and each["party"] == case.recipient_id
            and since(each) <= instant
        ]
        marks.extend(e.at for e in case.inbound if e.point == case.point_id and e.at <= instant)
        if marks:
            stale = min(zone.midnight(zone.day(max(marks)) + days + 1) for zone in scene.zones)
            if instant < stale:
                return stale
        return Finding("require", limit=days, because="the number was not checked for reassignment")

    return check


def first_written(params: Mapping[str, Any]) -> Check:
    """Compile ``first_written``: what was said in an oral first communication is repeated in the first written one."""
    disclosure: str = params["disclosure"]
    exempt = frozenset(params.get("exempt", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if case.purpose in exempt or case.disclosures is None or disclosure in case.disclosures:
            return NEVER
        if is_first(case, instant):
            return NEVER
        spoken = False
        for event in case.history:
            if (
                event.inbound
                or event.at > instant
                or event.party != case.recipient_id
                or event.org not in (None, case.org_id)
            ):
                continue
            if event.debts is not None and event.debts.isdisjoint(case.debt_ids):
                continue
            spoken = spoken or event.outcome in ("conversation", "visited_met")
            if event.channel in _WRITTEN and event.outcome != "bounced":
                return NEVER
        if not spoken:
            return NEVER
        return Finding("require", limit=disclosure, because=f"the first written communication lacks {disclosure}")

    return check


def bounced(params: Mapping[str, Any]) -> Check:
    """Compile ``bounced``: a required notice does not go where the last message came back from."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        last = None
        for event in case.history:
            if (
                event.point == case.point_id
                and not event.inbound
                and event.at <= instant
                and event.channel == case.channel
            ):
                last = event.outcome
        if last == "bounced":
            return Finding("require", observed=last, because="the last message to this address came back")
        return NEVER

    return check


def service_member(params: Mapping[str, Any]) -> Check:
    """Compile ``service_member``: no repossession, nor word of it, in service on a contract paid on before it."""
    if_claims = frozenset(params.get("if_claims", ()))

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        if if_claims and if_claims.isdisjoint(case.claims):
            return NEVER
        if case.act.get("vehicle", {}).get("court_order"):
            return NEVER
        serving = [
            each
            for each in case.holds
            if each["kind"] == "military_service"
            and concerns(each, case)
            and on_case(each.get("party"), case)
            and case.in_force(each, instant, scene.zones)
            and ("until" not in each or ends(each["until"], scene.zones) > instant)
        ]
        if not serving:
            return NEVER
        for name, paid in subjects("debt.payments_before_service", case):
            if paid is None:
                return missing(name)
            if paid >= 1:
                return Finding(
                    "deny", observed=paid, limit=0, because="in military service, paid on before it, no court order"
                )
        return NEVER

    return check


def attorney_known(params: Mapping[str, Any]) -> Check:
    """Compile ``attorney_known``: an attorney on file is the only one who may be asked for the debtor's whereabouts."""

    def check(scene: Scene, instant: int) -> Answer:
        case = scene.case
        known = any(
            each["kind"] == "attorney" and case.in_force(each, instant, scene.zones) for each in case.holds
        ) or any("attorney" in case.parties[ident] for ident in case.debtors)
        return Finding("deny", because="the debtor's attorney is known") if known else NEVER

    return check


SHAPES: dict[str, tuple[Callable[[Mapping[str, Any]], Check], str, str]] = {
    "place": (place, "point_kinds", "only"),
    "email_harbour": (email_harbour, "notice_days", "exempt"),
    "work_email": (work_email, "notice_days", ""),
    "sms_harbour": (sms_harbour, "days", "exempt"),
    "attorney": (attorney, "days", ""),
    "overshadow": (overshadow, "claims", ""),
    "esign": (esign, "purposes purposes_on_hold hold_kinds", ""),
    "furnish": (furnish, "days", ""),
    "tcpa_consent": (tcpa_consent, "", ""),
    "tcpa_revoke": (tcpa_revoke, "", "all_matters confirm_minutes"),
    "reassigned": (reassigned, "days", ""),
    "first_written": (first_written, "disclosure", "exempt"),
    "bounced": (bounced, "", ""),
    "service_member": (service_member, "", "if_claims"),
    "attorney_known": (attorney_known, "", ""),
}
"""Name to factory, needed parameters and accepted ones."""
