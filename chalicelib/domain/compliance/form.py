"""The form of a dossier: which keys it has and what each may hold; a departure is named by code and JSON pointer.

The checks follow ``docs/rules.md``. They run without a schema library, because they stand in front of every decision.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

Check = Callable[[Any, str], None]


class DossierError(ValueError):
    """A dossier that cannot be ruled on: a stable ``code``, a ``message`` without personal data, a JSON ``pointer``."""

    def __init__(self, code: str, message: str, pointer: str) -> None:
        super().__init__(f"{message} at {pointer or '/'}")
        self.code = code
        self.message = message
        self.pointer = pointer


CHANNELS = frozenset(
    ["sms", "email", "wechat", "push", "call", "letter", "visit", "repossession", "credit_report", "lawsuit"]
)
MEDIA = frozenset(["sms", "email", "call", "wechat", "letter", "visit", "all"])
PURPOSES = frozenset(
    [
        "demand",
        "reminder",
        "reply",
        "opt_out_confirmation",
        "consent_request",
        "validation_notice",
        "required_notice",
        "remedy_notice",
        "locate",
        "relay",
        "complaint_answer",
        "survey",
    ]
)
DIALLERS = frozenset(["manual", "auto", "prerecorded", "ai_voice"])
PLACES = frozenset(["home", "work", "other"])
DISCLOSURES = frozenset(
    [
        "lender",
        "agency",
        "collector",
        "masked_name",
        "contract_tail",
        "amount_due",
        "amount_as_of",
        "days_overdue",
        "pay_to",
        "callback",
        "complaint_line",
        "purpose",
        "opt_out",
        "collect_debt_notice",
        "debt_collector_identity",
        "recording",
        "ai_voice",
        "validation_information",
        "caller_identity",
        "time_barred_notice",
    ]
)
CLAIMS = frozenset(
    [
        "lawsuit_filed",
        "will_sue",
        "lawyer_letter",
        "court_summons",
        "repossession",
        "credit_report",
        "blacklist",
        "arrest",
        "vehicle_disable",
        "waives_interest",
    ]
)
ROLES = frozenset(
    [
        "debtor",
        "co_borrower",
        "guarantor_joint",
        "guarantor_general",
        "spouse",
        "emergency_contact",
        "third_party",
        "attorney",
        "executor",
        "heir",
        "employer",
        "guardian",
    ]
)
POINT_KINDS = frozenset(["mobile", "landline", "email", "wechat", "address"])
POINT_STATES = frozenset(["ok", "vacant", "suspended", "wrong_person", "unverified"])
SOURCES = frozenset(
    [
        "contract",
        "left_by_debtor",
        "authorised",
        "public",
        "told_by_contact",
        "bureau",
        "creditor",
        "inbound",
        "scraped",
        "bought",
    ]
)
PRODUCTS = frozenset(
    ["mortgage_loan", "direct_loan", "retail_instalment", "hire_purchase", "finance_lease", "title_retention"]
)
CREDITOR_KINDS = frozenset(["auto_finance", "bank", "finance_company", "dealer"])
DEBT_STATES = frozenset(["open", "settled", "recalled", "returned", "written_off", "litigation"])
ORG_ROLES = frozenset(["creditor", "affiliate", "agency", "debt_buyer", "law_firm", "repossessor"])
OUTCOMES = frozenset(
    [
        "no_answer",
        "busy",
        "not_in_service",
        "powered_off",
        "rejected",
        "voicemail_left",
        "voicemail_reached",
        "voicemail_full",
        "connected",
        "conversation",
        "third_party_answered",
        "wrong_person",
        "sent",
        "delivered",
        "bounced",
        "pending",
        "visited_met",
        "visited_absent",
        "received",
    ]
)
CONSENT_EVENTS = frozenset(
    [
        "granted",
        "withdrawn",
        "used",
        "reassigned_check",
        "creditor_email_notice",
        "inconvenient_time",
        "agreed_time",
        "inconvenient_place",
        "stop_medium",
        "prior_collector_used",
    ]
)
HOLD_KINDS = frozenset(
    [
        "dispute",
        "original_creditor_request",
        "attorney",
        "cease",
        "bankruptcy",
        "deceased",
        "military_service",
        "breathing_space",
        "breathing_space_mental_health",
        "hardship",
        "debt_adviser",
        "complaint",
        "identity_theft",
        "police_no_contact",
        "serious_illness",
        "detention",
        "disaster",
        "promise_alive",
        "recall",
        "legal_review",
    ]
)
NOTICE_KINDS = frozenset(
    [
        "outsourcing_notice",
        "assignment_notice",
        "validation",
        "first_written",
        "private_message_consent",
        "creditor_email_notice",
        "default_notice",
        "right_to_cure",
        "credit_servicer_transfer",
        "rdg_13a",
        "verification_sent",
        "original_creditor_sent",
        "credit_report_notice",
        "post_repossession",
    ]
)
EXPOSURES = frozenset(["private", "postcard", "envelope_reveals", "public"])

_DATE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])", re.ASCII)
_INSTANT = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?Z", re.ASCII
)
_CLOCK = re.compile(r"(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _wrong_type(wanted: str, pointer: str) -> DossierError:
    return DossierError("wrong_type", f"expected {wanted}", pointer)


def _text(value: Any, pointer: str) -> None:
    if type(value) is not str:
        raise _wrong_type("a string", pointer)


def _name(value: Any, pointer: str) -> None:
    if type(value) is not str:
        raise _wrong_type("a string", pointer)
    if not value:
        raise DossierError("out_of_range", "expected a string that is not empty", pointer)


def _name_or_null(value: Any, pointer: str) -> None:
    if value is not None and type(value) is not str:
        raise _wrong_type("a string or null", pointer)


def _boolean(value: Any, pointer: str) -> None:
    if type(value) is not bool:
        raise _wrong_type("a boolean", pointer)


def _integer(value: Any, pointer: str) -> None:
    if type(value) is not int and not (type(value) is float and value.is_integer()):
        raise _wrong_type("an integer", pointer)


def _count(value: Any, pointer: str) -> None:
    _integer(value, pointer)
    if value < 0:
        raise DossierError("out_of_range", "expected an integer of at least 0", pointer)


def _share(value: Any, pointer: str) -> None:
    if type(value) not in (int, float):
        raise _wrong_type("a number", pointer)
    if not 0 <= value <= 1:
        raise DossierError("out_of_range", "expected a share from 0 to 1", pointer)


def _matching(pattern: re.Pattern[str], wanted: str) -> Check:
    def check(value: Any, pointer: str) -> None:
        if type(value) is not str:
            raise _wrong_type(wanted, pointer)
        if not pattern.fullmatch(value):
            raise DossierError("malformed", f"expected {wanted}", pointer)

    return check


def _instant(value: Any, pointer: str) -> None:
    if type(value) is not str:
        raise _wrong_type("an RFC 3339 instant with Z", pointer)
    if not _INSTANT.fullmatch(value):
        raise DossierError("malformed", "expected an RFC 3339 instant with Z", pointer)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise DossierError("malformed", "no such calendar date", pointer) from None


def _date(value: Any, pointer: str) -> None:
    if type(value) is not str:
        raise _wrong_type("a date YYYY-MM-DD", pointer)
    if not _DATE.fullmatch(value):
        raise DossierError("malformed", "expected a date YYYY-MM-DD", pointer)
    try:
        date.fromisoformat(value)
    except ValueError:
        raise DossierError("malformed", "no such calendar date", pointer) from None


def _when(value: Any, pointer: str) -> None:
    if type(value) is str and len(value) == 10:
        _date(value, pointer)
    else:
        _instant(value, pointer)


def _when_or_null(value: Any, pointer: str) -> None:
    if value is not None:
        _when(value, pointer)


def _one_of(values: frozenset[Any], kind: type = str) -> Check:
    listed = ", ".join(str(value) for value in sorted(values))

    def check(value: Any, pointer: str) -> None:
        if type(value) is not kind:
            raise _wrong_type("a string" if kind is str else "an integer", pointer)
        if value not in values:
            raise DossierError("unknown_value", f"expected one of {listed}", pointer)

    return check


def _list_of(check: Check, *, unique: bool = False) -> Check:
    def check_list(value: Any, pointer: str) -> None:
        if type(value) is not list:
            raise _wrong_type("a list", pointer)
        for index, item in enumerate(value):
            check(item, f"{pointer}/{index}")
        if unique and len(set(value)) != len(value):
            raise DossierError("duplicate", "expected no item twice", pointer)

    return check_list


def _map_of(check: Check) -> Check:
    def check_map(value: Any, pointer: str) -> None:
        if type(value) is not dict:
            raise _wrong_type("an object", pointer)
        for key, item in value.items():
            check(item, f"{pointer}/{_escape(key)}")

    return check_map


def _object(required: str, **keys: Check) -> Check:
    # ``from`` is a keyword of Python, so the tables below write ``from_``.
    table = {key.rstrip("_"): check for key, check in keys.items()}
    needed = frozenset(required.split())

    def check_object(value: Any, pointer: str) -> None:
        if type(value) is not dict:
            raise _wrong_type("an object", pointer)
        for key, item in value.items():
            check = table.get(key)
            if check is None:
                raise DossierError("unknown_key", "this key is not part of a dossier", f"{pointer}/{_escape(key)}")
            check(item, f"{pointer}/{key}")
        if not needed <= value.keys():
            missing = sorted(needed - value.keys())[0]
            raise DossierError("missing_key", f"the key {missing} is required", pointer)

    return check_object


_weekdays = _list_of(_one_of(frozenset(range(1, 8)), int), unique=True)
_ids = _list_of(_name, unique=True)
_zones = _list_of(_matching(_ZONE, "an IANA zone name"), unique=True)
_place = _one_of(PLACES)
_purpose = _one_of(PURPOSES)
_channel = _one_of(CHANNELS)

_residence = _object(
    "",
    country=_matching(_COUNTRY, "an ISO 3166-1 code"),
    region=_matching(_REGION, "an ISO 3166-2 code"),
    city=_text,
    postal_code=_text,
)
_content = _object(
    "",
    language=_text,
    disclosures=_list_of(_one_of(DISCLOSURES), unique=True),
    claims=_list_of(_one_of(CLAIMS), unique=True),
    text=_text,
    limited=_boolean,
    first=_boolean,
    amount_minor=_integer,
    amount_as_of=_when,
    template=_text,
    template_approved=_boolean,
    exposure=_one_of(EXPOSURES),
)
_act = _object(
    "channel to org",
    channel=_channel,
    purpose=_purpose,
    to=_name,
    point=_name_or_null,
    debts=_ids,
    org=_name,
    collector=_name,
    dialler=_one_of(DIALLERS),
    reply_to=_name,
    third_party_initiated_payment=_boolean,
    from_=_name_or_null,
    recorded=_boolean,
    content=_content,
    visit=_object(
        "",
        staff=_count,
        place=_place,
        entry_consent=_boolean,
        workplace_consent=_boolean,
        plan_approved=_boolean,
    ),
    vehicle=_object("", surrender_signed=_boolean, court_order=_boolean, over_objection=_boolean),
)
_party = _object(
    "role",
    role=_one_of(ROLES),
    residence=_residence,
    residences=_list_of(_residence),
    zones=_zones,
    birth_date=_date,
    spouse_of=_name,
    employer_forbids_work_contact=_boolean,
    lost_contact=_object("", since=_when, number_vacant=_boolean, failed_dials=_list_of(_instant)),
    stop_requested_at=_instant,
    attorney=_object("", name=_text, since=_when, unresponsive_since=_when),
    in_xinjiang=_boolean,
    language=_text,
)
_point = _object(
    "party kind",
    party=_name,
    kind=_one_of(POINT_KINDS),
    place=_place,
    status=_one_of(POINT_STATES),
    source=_one_of(SOURCES),
    employer_provided=_boolean,
    public_domain=_boolean,
    third_party_seen=_boolean,
    personal_device=_boolean,
    registered_line=_boolean,
    corporate_account=_boolean,
    zones=_zones,
    area_zones=_zones,
)
_debt = _object(
    "creditor",
    product=_one_of(PRODUCTS),
    creditor=_name,
    creditor_kind=_one_of(CREDITOR_KINDS),
    status=_one_of(DEBT_STATES),
    days_past_due=_integer,
    placed_from=_when,
    placed_to=_when,
    amount_due_minor=_integer,
    amount_as_of=_when,
    currency=_matching(_CURRENCY, "an ISO 4217 code"),
    limitation_expires_on=_date,
    payments_before_service=_count,
    share_paid=_share,
    unpaid_periods=_count,
    unpaid_rent_share=_share,
    rescission_clause=_boolean,
    guarantee_until=_when,
    collection_began_on=_date,
    validation=_object("", sent_at=_instant, end_on=_date),
    docket_no=_text,
)
_org = _object(
    "role",
    role=_one_of(ORG_ROLES),
    listed_from=_when_or_null,
    listed_to=_when,
    suspended=_boolean,
    inspected_on=_date,
    licensed=_boolean,
)
_collector = _object("org", org=_name, certified_to=_when_or_null, no_contact_with=_ids)
_event = _object(
    "id at direction channel party outcome",
    id=_name,
    at=_instant,
    direction=_one_of(frozenset(("out", "in"))),
    channel=_channel,
    purpose=_purpose,
    party=_name,
    point=_name_or_null,
    org=_name,
    collector=_name,
    debts=_ids,
    outcome=_one_of(OUTCOMES),
    consented=_boolean,
    reply=_boolean,
    staff=_count,
    place=_place,
)
_consent = _object(
    "at party event",
    at=_instant,
    party=_name,
    point=_name,
    medium=_one_of(MEDIA),
    event=_one_of(CONSENT_EVENTS),
    scope=_one_of(frozenset(("address", "medium", "all"))),
    direct=_boolean,
    org=_name,
    expires=_when,
    times=_object(
        "",
        weekdays=_weekdays,
        from_=_matching(_CLOCK, "a local time HH:MM"),
        to=_matching(_CLOCK, "a local time HH:MM"),
        until=_date,
    ),
    place=_place,
    deadline=_when,
    written=_boolean,
    purpose=_text,
)
_hold = _object(
    "kind from",
    kind=_one_of(HOLD_KINDS),
    party=_name,
    debt=_name,
    from_=_when,
    until=_when,
    released_at=_instant,
    amount_minor=_integer,
    written=_boolean,
    kinds_exempt=_list_of(_purpose, unique=True),
    chapter=_one_of(frozenset((7, 11, 12, 13)), int),
)
_notice = _object(
    "kind at",
    kind=_one_of(NOTICE_KINDS),
    at=_instant,
    medium=_channel,
    party=_name,
    debt=_name,
    returned_at=_instant,
    deadline=_when,
    esign_consent=_boolean,
)
_dossier = _object(
    "id at act parties points debts orgs collectors history consents holds notices",
    id=_text,
    at=_instant,
    act=_act,
    parties=_map_of(_party),
    points=_map_of(_point),
    debts=_map_of(_debt),
    orgs=_map_of(_org),
    collectors=_map_of(_collector),
    history=_list_of(_event),
    consents=_list_of(_consent),
    holds=_list_of(_hold),
    notices=_list_of(_notice),
)


def check_dossier(dossier: Any) -> Mapping[str, Any]:
    """Return the dossier unchanged when its form is right and what its act refers to is in it.

    Raises DossierError naming the first departure: an unknown key or value is one, and so is an act by or to somebody
    whom the dossier does not hold.
    """
    _dossier(dossier, "")
    act = dossier["act"]
    for key, book in (
        ("to", "parties"),
        ("org", "orgs"),
        ("collector", "collectors"),
        ("point", "points"),
        ("from", "points"),
    ):
        name = act.get(key)
        if name is not None and name not in dossier[book]:
            raise DossierError("unknown_reference", f"not found in {book}", f"/act/{key}")
    for index, name in enumerate(act.get("debts", ())):
        if name not in dossier["debts"]:
            raise DossierError("unknown_reference", "not found in debts", f"/act/debts/{index}")
    seen: set[str] = set()
    for index, event in enumerate(dossier["history"]):
        if event["id"] in seen:
            raise DossierError("duplicate", "two events have this id", f"/history/{index}/id")
        seen.add(event["id"])
    return dossier  # type: ignore[no-any-return]
