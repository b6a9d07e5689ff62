"""The canonical row: everything a lender hands over about one overdue loan, whatever file it came in.

Members are named as in ``docs/portfolio-format.md``. A member that ends in ``_minor`` is money in minor units of
``loan.currency``; its column in a CSV or a workbook drops the ending and holds a decimal. ``Flat`` says how a nested
object or list becomes columns.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chalicelib.domain.intake.values import (
    Account,
    Between,
    Contract,
    Country,
    Currency,
    Day,
    EmailAddress,
    Flag,
    Hours,
    Instant,
    Kind,
    Language,
    Listed,
    Money,
    Note,
    PartyRef,
    PointText,
    Postcode,
    Profile,
    Rate,
    Reference,
    Region,
    Sha256,
    Text30,
    Text50,
    Text100,
    Text200,
    Vin,
    WechatId,
    Zone,
)

SCHEMA = "forbear.portfolio/1"


@dataclass(frozen=True, slots=True)
class Flat:
    """How an object (``most`` = 0) or a list of at most ``most`` entries is named in columns.

    An object's columns begin with ``name`` (nothing when it is empty), an entry's with ``name`` and its number from 1;
    the member ``main`` stands under the bare name (``party1_phone1`` is the phone's ``value``).
    """

    name: str
    most: int = 0
    main: str = ""


class Part(BaseModel):
    """Base of every part of a row: frozen, and an unknown member is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _stage(value: Any) -> Any:
    return {"一手": 1, "二手": 2, "三手": 3, "四手": 4}.get(value.strip(), value) if isinstance(value, str) else value


PlacementStage = Annotated[int, Between(1, 20), BeforeValidator(_stage), Kind("count")]
PlacementType = Annotated[
    str, Listed("first_party", "contingency", "legal", "repo", 委外="contingency", 诉讼="legal", 收车="repo")
]
Product = Annotated[str, Listed(
    "mortgage_loan", "direct_loan", "retail_instalment", "hire_purchase", "finance_lease", "title_retention",
    抵押贷="mortgage_loan", 抵押贷款="mortgage_loan", 信用贷="direct_loan", 分期="retail_instalment",
    直租="finance_lease", 回租="finance_lease", 售后回租="finance_lease", 融资租赁="finance_lease",
)]  # fmt: skip
RateType = Annotated[str, Listed("fixed", "variable", f="fixed", v="variable", 固定="fixed", 浮动="variable")]
Bucket = Annotated[str, Listed(
    "current", "1-29", "30-59", "60-89", "90-119", "120+", "M0", "M1", "M2", "M3", "M4", "M5", "M6", "M7",
    **{"m6+": "M7", "m7+": "M7"},
)]  # fmt: skip
Role = Annotated[str, Listed(
    "borrower", "co_borrower", "guarantor", "spouse", "contact", "attorney", "representative", "employer", "executor",
    "heir", "third_party",
    借款人="borrower", 主借人="borrower", 承租人="borrower", 共借人="co_borrower", 共同借款人="co_borrower",
    担保人="guarantor", 保证人="guarantor", 配偶="spouse", 联系人="contact", 紧急联系人="contact", 律师="attorney",
    法定代理人="representative", 单位="employer",
)]  # fmt: skip
Liability = Annotated[str, Listed(
    "joint", "several", "general", "none",
    连带="joint", 连带责任="joint", 连带责任保证="joint", 一般="general", 一般保证="general", 无="none",
)]  # fmt: skip
Relation = Annotated[str, Listed(
    "self", "spouse", "parent", "child", "relative", "colleague", "friend", "employer", "classmate", "other",
    本人="self", 配偶="spouse", 父母="parent", 父亲="parent", 母亲="parent", 子女="child", 亲戚="relative",
    兄弟="relative", 姐妹="relative", 同事="colleague", 朋友="friend", 单位="employer", 同学="classmate", 其他="other",
)]  # fmt: skip
Place = Annotated[str, Listed("home", "work", "other", 家="home", 住宅="home", 单位="work", 公司="work", 其他="other")]
PointStatus = Annotated[str, Listed(
    "ok", "vacant", "suspended", "wrong_person", "unverified",
    正常="ok", 空号="vacant", 停机="suspended", 错号="wrong_person", 未知="unverified", 未核实="unverified",
    关机="unverified", unknown="unverified",
)]  # fmt: skip
PointSource = Annotated[str, Listed(
    "contract", "left_by_debtor", "authorised", "public", "told_by_contact", "bureau", "creditor", "inbound", "scraped",
    "bought",
    application="contract", borrower="left_by_debtor", lender="creditor", third_party="told_by_contact",
    合同="contract", 申请表="contract", 本人提供="left_by_debtor", 委托方="creditor", 征信="bureau",
    第三方="told_by_contact", 公开="public",
)]  # fmt: skip
Medium = Annotated[str, Listed("sms", "email", "call", "wechat", "letter", "visit", "all", 短信="sms", 邮件="email", 电话="call",
               微信="wechat", 信函="letter", 外访="visit", 全部="all")]  # fmt: skip
ConsentState = Annotated[str, Listed("granted", "withdrawn", "unknown", given="granted", 同意="granted", 已同意="granted",
                     撤回="withdrawn", 已撤回="withdrawn", 拒绝="withdrawn", 未知="unknown")]  # fmt: skip
Channel = Annotated[str, Listed("sms", "email", "wechat", "push", "call", "letter", "visit", 短信="sms", 邮件="email", 微信="wechat",
                电话="call", 信函="letter", 外访="visit")]  # fmt: skip
Direction = Annotated[str, Listed("out", "in", outbound="out", inbound="in", 呼出="out", 呼入="in")]
Outcome = Annotated[str, Listed(
    "no_answer", "busy", "not_in_service", "powered_off", "rejected", "voicemail_left", "voicemail_reached",
    "voicemail_full", "connected", "conversation", "third_party_answered", "wrong_person", "sent", "delivered",
    "bounced", "pending", "visited_met", "visited_absent", "received",
    **{
        "noans": "no_answer", "powoff": "powered_off", "susp": "not_in_service", "badnum": "not_in_service",
        "wrong": "wrong_person", "vmail": "voicemail_left", "msg3p": "third_party_answered", "hangup": "connected",
        "rpc-ptp": "conversation", "rpc-plan": "conversation", "rpc-neg": "conversation", "rpc-ref": "conversation",
        "rpc-paid": "conversation", "rpc-disp": "conversation", "rpc-hard": "conversation",
        "rpc-cease": "conversation", "rpc-cb": "conversation", "deliv": "delivered", "open": "delivered",
        "fail": "bounced", "bounce": "bounced", "inb": "received", "visit-met": "visited_met",
        "visit-absent": "visited_absent", "无人应答": "no_answer", "无人接听": "no_answer", "占线": "busy",
        "空坏号": "not_in_service", "空号": "not_in_service", "停机": "not_in_service", "关机": "powered_off",
        "拒接": "rejected", "承诺还款": "conversation", "协商跟进": "conversation", "拒绝还款": "conversation",
        "客户提示已还款": "conversation", "他人转告": "third_party_answered", "错号": "wrong_person",
    },
)]  # fmt: skip
AddressKind = Annotated[str, Listed("living", "work", "id_card", "property", "other", home="living", 居住地="living", 住址="living",
                    单位="work", 户籍="id_card", 身份证="id_card", 房产="property", 其他="other")]  # fmt: skip
PaymentStatus = Annotated[str, Listed("on_time", "late", "partial", "missed", "reversed", "due", 正常="on_time", 逾期已还="late",
                      部分还款="partial", 未还="missed", 冲销="reversed", 未到期="due")]  # fmt: skip
NoticeKind = Annotated[str, Listed(
    "outsourcing_notice", "assignment_notice", "validation", "first_written", "private_message_consent",
    "creditor_email_notice", "default_notice", "right_to_cure", "credit_servicer_transfer", "rdg_13a",
    "verification_sent", "original_creditor_sent", "credit_report_notice", "post_repossession",
    委外告知="outsourcing_notice", 债权转让通知="assignment_notice",
)]  # fmt: skip


class Batch(Part):
    """The placement that the row belongs to; the same in every row of one delegation."""

    batch_id: Reference
    batch_no: Reference | None = None
    lender_id: Reference | None = None
    delegation_date: Day
    mandate_end: Day
    placement_stage: PlacementStage
    placement_type: PlacementType
    commission_schedule_id: Reference | None = None
    commission_rate: Rate | None = None
    commission_basis: Text50 | None = None


class Score(Part):
    """A score of the lender: who made it, its value as text, the model's version."""

    kind: Annotated[str, Listed("internal", "external", "collection", "behaviour")]
    value: Text30
    model: Text50 | None = None


class Loan(Part):
    """The contract, what is left of it and how far behind it is on ``as_of_date``."""

    lender_account_id: Account
    contract_no: Contract
    product: Product
    product_name: Text100 | None = None
    product_series: Text100 | None = None
    portfolio_ref: Text50 | None = None
    creditor_name: Text100
    original_creditor_name: Text100 | None = None
    currency: Currency
    origination_date: Day
    first_due_date: Day
    maturity_date: Day
    term_months: Annotated[int, Between(1, 120)]
    amount_financed_minor: Money
    apr: Rate
    rate_type: RateType
    instalment_amount_minor: Money
    due_day: Annotated[int, Between(1, 31)]
    principal_left_minor: Money
    interest_left_minor: Money
    as_of_date: Day
    oldest_unpaid_due_date: Day
    dpd: Annotated[int, Between(0, 20_000)]
    overdue_periods: Annotated[int, Between(0, 200)]
    bucket: Bucket | None = None
    collection_start_date: Day | None = None
    charge_off_date: Day | None = None
    charge_off_amount_minor: Money | None = None
    itemisation_type: (
        Annotated[str, Listed("last_statement", "charge_off", "last_payment", "transaction", "judgment")] | None
    ) = None
    itemisation_date: Day | None = None
    itemisation_interest_minor: Money | None = None
    itemisation_fees_minor: Money | None = None
    itemisation_payments_minor: Money | None = None
    itemisation_credits_minor: Money | None = None
    accelerated: Flag | None = None
    modification: Text100 | None = None
    extensions: Annotated[int, Between(0, 100)] | None = None
    rescission_clause: Flag | None = None
    statute_of_limitation_date: Day | None = None
    last_payment_date: Day | None = None
    last_payment_amount_minor: Money | None = None
    docket_no: Reference | None = None
    legal_stage: Text50 | None = None
    scores: Annotated[tuple[Score, ...], Field(max_length=10), Flat("score", 10, "value")] = ()


class Overdue(Part):
    """What is overdue on ``as_of_date``; the six parts sum to the total, to the minor unit."""

    principal_minor: Money = 0
    interest_minor: Money = 0
    penalty_minor: Money = 0
    late_fee_minor: Money = 0
    management_fee_minor: Money = 0
    other_minor: Money = 0
    total_minor: Money


class Consent(Part):
    """One consent event for a contact point and a medium; ``proof`` refers to the evidence the lender keeps."""

    medium: Medium
    state: ConsentState
    at: Instant | None = None
    purpose: Text50 | None = None
    proof: Text100 | None = None
    text_version: Text50 | None = None
    expires: Day | None = None


class _Point(Part):
    status: PointStatus = "ok"
    source: PointSource = "creditor"
    first_seen: Day | None = None
    verified_date: Day | None = None
    verified_by: Text50 | None = None
    place: Place | None = None
    preference: Annotated[int, Between(1, 99)] | None = None
    do_not_use: Flag = False
    do_not_use_reason: Text100 | None = None
    employer_provided: Flag = False
    public_domain: Flag = False
    third_party_seen: Flag = False
    consents: Annotated[tuple[Consent, ...], Field(max_length=20), Flat("consent", 20, "state")] = ()


class Phone(_Point):
    """A telephone number in E.164; ``line`` follows from the numbering plan when the file does not say."""

    value: Annotated[str, Kind("text", digits=True)]
    line: Annotated[str, Listed("mobile", "landline", 手机="mobile", 固话="landline", 座机="landline")] | None = None
    reassigned_check_date: Day | None = None


class Email(_Point):
    """An e-mail address."""

    value: EmailAddress


class Wechat(_Point):
    """A WeChat open id (or account) under the lender's service account."""

    value: WechatId


class Address(_Point):
    """A postal address: one line in ``value``, its parts where known."""

    value: Text200
    line2: Text100 | None = None
    line3: Text100 | None = None
    city: Text50 | None = None
    region: Region | None = None
    postcode: Postcode | None = None
    country: Country | None = None
    kind: AddressKind = "living"


class Evidence(Part):
    """A flag with the date and the reference of its evidence; the date is required when it is set."""

    value: Flag
    date: Day | None = None
    until: Day | None = None
    evidence: Text100 | None = None


class Bankruptcy(Evidence):
    """A bankruptcy: chapter, court and case number."""

    chapter: Annotated[Literal[7, 11, 12, 13], Kind("count")] | None = None
    court: Text100 | None = None
    case_no: Reference | None = None


class Representation(Evidence):
    """A lawyer who represents the person on this debt."""

    attorney_name: Text100 | None = None


class Party(Part):
    """A person (or company) with a part in the loan. ``party_id`` is the row's own reference to it.

    ``customer_no`` is the lender's number of the person, the same in all of the lender's rows; with neither it nor a
    national id the person is known by account and ``party_id`` only, and is never merged with another account's.
    """

    party_id: PartyRef
    role: Role
    liability: Liability | None = None
    name: Text100
    family_name: Text50 | None = None
    given_name: Text50 | None = None
    name_local: Text100 | None = None
    birth_date: Day | None = None
    gender: Annotated[str, Listed("female", "male", "other", f="female", m="male", 女="female", 男="male")] | None = (
        None
    )
    customer_no: Reference | None = None
    national_id: Annotated[str, Kind("text", digits=True)] | None = None
    national_id_country: Country | None = None
    national_id_kind: Annotated[str, Listed("person", "company", 身份证="person", 统一社会信用代码="company")] = (
        "person"
    )
    marital_status: Text30 | None = None
    employer: Text100 | None = None
    job: Text50 | None = None
    income_band: Text30 | None = None
    language: Language | None = None
    time_zone: Zone | None = None
    country: Country | None = None
    region: Region | None = None
    city: Text50 | None = None
    postcode: Postcode | None = None
    division: Annotated[str, Kind("text", digits=True)] | None = None
    relation: Relation | None = None
    knows_of_debt: Flag | None = None
    guarantee_until: Day | None = None
    employer_forbids_work_contact: Flag = False
    inconvenient_times: Hours | None = None
    inconvenient_place: Place | None = None
    deceased: Annotated[Evidence | None, Flat("deceased", main="value")] = None
    bankrupt: Annotated[Bankruptcy | None, Flat("bankrupt", main="value")] = None
    active_duty: Annotated[Evidence | None, Flat("active_duty", main="value")] = None
    minor: Annotated[Evidence | None, Flat("minor", main="value")] = None
    incapacitated: Annotated[Evidence | None, Flat("incapacitated", main="value")] = None
    represented_by_attorney: Annotated[Representation | None, Flat("represented_by_attorney", main="value")] = None
    vulnerable: Annotated[Evidence | None, Flat("vulnerable", main="value")] = None
    identity_theft: Annotated[Evidence | None, Flat("identity_theft", main="value")] = None
    cease_contact: Annotated[Evidence | None, Flat("cease_contact", main="value")] = None
    in_dispute: Annotated[Evidence | None, Flat("in_dispute", main="value")] = None
    hardship: Annotated[Evidence | None, Flat("hardship", main="value")] = None
    phones: Annotated[tuple[Phone, ...], Field(max_length=20), Flat("phone", 20, "value")] = ()
    emails: Annotated[tuple[Email, ...], Field(max_length=10), Flat("email", 10, "value")] = ()
    wechats: Annotated[tuple[Wechat, ...], Field(max_length=5), Flat("wechat", 5, "value")] = ()
    addresses: Annotated[tuple[Address, ...], Field(max_length=10), Flat("address", 10, "value")] = ()


FLAGS = (
    "deceased", "bankrupt", "active_duty", "minor", "incapacitated", "represented_by_attorney", "vulnerable",
    "identity_theft", "cease_contact", "in_dispute", "hardship",
)  # fmt: skip
"""Members of a party that are flags with evidence."""


class Vehicle(Part):
    """The financed vehicle, its lien and what was repossessed of it."""

    vin: Vin
    plate: Text30 | None = None
    plate_region: Text50 | None = None
    registration_country: Country | None = None
    engine_no: Reference | None = None
    make: Text50 | None = None
    model: Text50 | None = None
    model_year: Annotated[int, Between(1950, 2100)] | None = None
    trim: Text50 | None = None
    colour: Text30 | None = None
    body_type: Text30 | None = None
    condition: Annotated[str, Listed("new", "used", 新车="new", 二手车="used")] | None = None
    energy: Annotated[str, Listed("petrol", "diesel", "electric", "hybrid", "other", 汽油="petrol", 柴油="diesel", 纯电="electric",
                  混动="hybrid")] | None = None  # fmt: skip
    odometer: Annotated[int, Between(0, 5_000_000)] | None = None
    odometer_unit: Annotated[str, Listed("km", "mi")] | None = None
    odometer_date: Day | None = None
    damaged: Flag | None = None
    totalled: Flag | None = None
    value_minor: Money | None = None
    value_source: Text50 | None = None
    value_date: Day | None = None
    purchase_price_minor: Money | None = None
    down_payment_minor: Money | None = None
    lien_registered: Flag | None = None
    lien_number: Reference | None = None
    lien_authority: Text100 | None = None
    lien_position: Annotated[int, Between(1, 9)] | None = None
    lien_date: Day | None = None
    title_state: Text50 | None = None
    title_holder: Text100 | None = None
    certificate_no: Reference | None = None
    certificate_held_by: Text100 | None = None
    second_mortgage: Flag | None = None
    seized: Flag | None = None
    gps_vendor: Text50 | None = None
    gps_id: Reference | None = None
    gps_status: Text30 | None = None
    spare_keys: Annotated[int, Between(0, 9)] | None = None
    insurance_policy: Reference | None = None
    insurance_expiry: Day | None = None
    repossession_status: (
        Annotated[str, Listed("none", "assigned", "secured", "stored", "redeemed", "released", "sold")] | None
    ) = None
    repossession_agency: Text100 | None = None
    repossession_assigned_date: Day | None = None
    repossession_secured_date: Day | None = None
    repossession_sold_date: Day | None = None
    repossession_proceeds_minor: Money | None = None
    repossession_costs_minor: Money | None = None


class Payment(Part):
    """One period of the repayment record; ``paid_minor`` is what was paid towards it so far."""

    period: Annotated[int, Between(1, 240)]
    due_date: Day
    due_minor: Money
    due_principal_minor: Money | None = None
    due_interest_minor: Money | None = None
    paid_date: Day | None = None
    paid_minor: Money = 0
    method: Text30 | None = None
    status: PaymentStatus


class PriorContact(Part):
    """One contact before the placement; it counts towards caps. ``party`` is a ``party_id``; absent is the borrower."""

    at: Instant
    channel: Channel
    direction: Direction = "out"
    party: PartyRef | None = None
    point: PointText | None = None
    outcome: Outcome
    agent: Text50 | None = None
    org: Text50 | None = None
    text_ref: Text100 | None = None
    recording_ref: Text100 | None = None


class OpenPromise(Part):
    """A promise to pay that is open at placement."""

    due_date: Day
    amount_minor: Money
    made_at: Instant | None = None
    party: PartyRef | None = None


class OpenDispute(Part):
    """A dispute that is open at placement."""

    received_date: Day
    kind: Text50
    party: PartyRef | None = None
    amount_minor: Money | None = None
    in_writing: Flag = False
    reference: Reference | None = None


class OpenComplaint(Part):
    """A complaint that is open at placement."""

    received_date: Day
    category: Text50
    party: PartyRef | None = None
    reference: Reference | None = None


class GivenNotice(Part):
    """A formal notice that was given before the placement."""

    kind: NoticeKind
    at: Instant
    medium: Channel | None = None
    party: PartyRef | None = None
    returned_at: Instant | None = None
    deadline: Day | None = None
    esign_consent: Flag | None = None


class Document(Part):
    """A document the lender holds or has uploaded, named by its hash."""

    kind: Annotated[str, Listed("contract", "mortgage", "id", "statement", "demand_letter", "assignment_notice", "payment_proof",
                "court_paper", "other", 合同="contract", 抵押合同="mortgage", 身份证="id")]  # fmt: skip
    sha256: Sha256
    size: Annotated[int, Between(1, 25 * 1024 * 1024)]
    mime: Text50
    pages: Annotated[int, Between(1, 10_000)] | None = None
    reference: Text100 | None = None


class Row(Part):
    """One account as it is placed."""

    batch: Annotated[Batch, Flat("")]
    loan: Annotated[Loan, Flat("")]
    overdue: Annotated[Overdue, Flat("overdue")]
    parties: Annotated[tuple[Party, ...], Field(min_length=1, max_length=20), Flat("party", 20)]
    vehicles: Annotated[tuple[Vehicle, ...], Field(max_length=5), Flat("vehicle", 5)] = ()
    payments: Annotated[tuple[Payment, ...], Field(max_length=120), Flat("payment", 120)] = ()
    profile_24m: Profile | None = None
    prior_contacts: Annotated[tuple[PriorContact, ...], Field(max_length=200), Flat("prior_contact", 200)] = ()
    promises: Annotated[tuple[OpenPromise, ...], Field(max_length=10), Flat("promise", 10)] = ()
    disputes: Annotated[tuple[OpenDispute, ...], Field(max_length=10), Flat("dispute", 10)] = ()
    complaints: Annotated[tuple[OpenComplaint, ...], Field(max_length=10), Flat("complaint", 10)] = ()
    notices: Annotated[tuple[GivenNotice, ...], Field(max_length=20), Flat("notice", 20)] = ()
    documents: Annotated[tuple[Document, ...], Field(max_length=50), Flat("document", 50)] = ()
    extra: Annotated[dict[Text30, Text100], Field(max_length=50), Flat("extra")] = Field(default_factory=dict)
    note: Note | None = None

    @property
    def borrower(self) -> Party:
        """Return the party who borrowed; a row that was accepted has exactly one."""
        return next(party for party in self.parties if party.role == "borrower")

    @property
    def country(self) -> str:
        """Return the country of the borrower's jurisdiction; a row that was accepted has one."""
        return self.borrower.country or ""

    @property
    def key(self) -> tuple[str, int]:
        """Return what names the case: (account, placement stage)."""
        return self.loan.lender_account_id, self.batch.placement_stage

    def party_of(self, reference: str | None) -> Party:
        """Return the party that a reference names; None names the borrower."""
        if reference is None:
            return self.borrower
        return next(party for party in self.parties if party.party_id == reference)
