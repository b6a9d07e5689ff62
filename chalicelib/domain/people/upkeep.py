"""Which parts of a customer's data are complete, when each was last found to be right, and for how long that holds.

The groups are those of the plan's first measure (identity, telephone, address, repayment record) with what else a collector
needs to know to contact somebody as they wish. A customer's data are up to date when every group that counts is complete and was
verified within its time; the plan wants 95 % of customers to be so within three months.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import BaseModel, ConfigDict

from chalicelib.domain.people.person import ContactLedger, Person


@dataclass(frozen=True, slots=True)
class Group:
    """A group of data. What was verified ``max_age_days`` ago is still good (closed); ``counts`` towards the plan's target.

    ``keeper`` is who can bring it up to date: ``agency`` (whoever holds the case, by a contact that the gate passes) or ``lender``
    (from its own records). ``how`` are the means that are taken as proof, the usual one first.
    """

    id: str
    zh: str
    en: str
    max_age_days: int
    counts: bool
    keeper: str
    how: tuple[str, ...]


GROUPS: tuple[Group, ...] = (
    Group("identity", "身份信息", "identity", 90, True, "lender", ("document", "lender_record", "contact", "inbound")),
    Group("phone", "电话", "telephone", 90, True, "agency", ("contact", "inbound", "lender_record")),
    Group("address", "地址", "address", 90, True, "agency", ("contact", "document", "inbound", "lender_record")),
    Group("repayment", "还款记录", "repayment record", 90, True, "lender", ("lender_record",)),
    Group(
        "employment", "工作与收入", "employment and income", 180, False, "agency", ("contact", "document", "inbound")
    ),
    Group("preferences", "沟通偏好", "preferences", 365, False, "agency", ("contact", "inbound", "lender_record")),
    Group("consent", "授权与退订", "consent and opt-outs", 365, False, "agency", ("contact", "inbound", "document")),
)
"""Every group, in the order in which tasks name them. Ages in days of the lender's calendar."""

BY_ID: Mapping[str, Group] = {group.id: group for group in GROUPS}
POINT_GROUPS: Mapping[str, str] = {"mobile": "phone", "landline": "phone", "address": "address"}
"""Kinds of contact point that make up a group."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a group stands: whether there is anything in it, and when it was last verified (None: never)."""

    group: Group
    is_complete: bool
    verified_on: date | None

    @property
    def good_until(self) -> date | None:
        """Return the last day (closed) on which the group is up to date, None when it is not so at any time."""
        if not self.is_complete or self.verified_on is None:
            return None
        return self.verified_on + timedelta(days=self.group.max_age_days)

    def is_current(self, today: date) -> bool:
        """Tell whether the group is complete and was verified within its time."""
        good_until = self.good_until
        return good_until is not None and today <= good_until


def standings(person: Person, ledger: ContactLedger, *, balances: Iterable[date]) -> tuple[Standing, ...]:
    """Return how each group stands. ``person`` and ``ledger`` are those of all records together.

    ``balances`` are, for each open case of the person, the day up to which the lender confirmed what is owed: the record of
    repayment is as old as the oldest of them.
    """
    days = list(balances)
    consents = [date.fromisoformat(entry.at[:10]) for entry in ledger.consents if entry.event in _CONSENTS]
    complete = {
        "identity": person.birth_date is not None or person.national_id is not None,
        "phone": any(POINT_GROUPS.get(point.kind) == "phone" and point.is_usable for point in person.points),
        "address": any(point.kind == "address" and point.is_usable for point in person.points),
        "repayment": bool(days),
        "employment": person.employment is not None,
        "preferences": person.language is not None,
        "consent": bool(consents),
    }
    seen: dict[str, list[date]] = {group.id: [] for group in GROUPS}
    for point in person.points:
        group = POINT_GROUPS.get(point.kind)
        if group is not None and point.is_usable and point.last_verified is not None:
            seen[group].append(point.last_verified)
    for name, confirmation in person.confirmed.items():
        if name in seen:
            seen[name].append(confirmation.on)
    seen["consent"] += consents
    seen["repayment"] += [min(days)] if days else []
    return tuple(Standing(group, complete[group.id], max(seen[group.id], default=None)) for group in GROUPS)


_CONSENTS = frozenset({"granted", "withdrawn", "stop_medium"})


def stale_groups(found: Iterable[Standing], today: date) -> tuple[str, ...]:
    """Return the ids of the groups that are not up to date, in their order."""
    return tuple(each.group.id for each in found if not each.is_current(today))


def is_up_to_date(found: Iterable[Standing], today: date) -> bool:
    """Tell whether every group that counts is up to date."""
    return all(each.is_current(today) for each in found if each.group.counts)


def next_change(found: Iterable[Standing], today: date) -> date | None:
    """Return the first day after ``today`` on which a group that is up to date will no longer be so; None when none is."""
    ends = [each.good_until for each in found if each.good_until is not None]
    later = [end + timedelta(days=1) for end in ends if end >= today]
    return min(later, default=None)


class Upkeep(BaseModel):
    """What is to be brought up to date of one customer, without personal data: groups, days and who holds the case.

    ``stale`` gives for each group that is not up to date the day since when it is known not to be. ``agency`` holds an open case
    of the customer, None where none does; whoever has no open case any more is no customer. ``due_at`` is when the clock looks again.
    ``cases`` are the customer's open cases as last seen, None where the index of their cases is to be asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    person: str
    is_customer: bool = False
    agency: str | None = None
    current: tuple[str, ...] = ()
    stale: dict[str, str] = {}
    up_to_date: bool = False
    due_at: str | None = None
    cases: tuple[str, ...] | None = None
    version: int = 0

    def counts(self) -> dict[str, int]:
        """Return what the customer adds to the counts of coverage."""
        if not self.is_customer:
            return {}
        return {CUSTOMERS: 1, UP_TO_DATE: int(self.up_to_date), **{f"current:{group}": 1 for group in self.current}}


CUSTOMERS, UP_TO_DATE = "customers", "up_to_date"


def assessed(
    before: Upkeep, found: Iterable[Standing], *, agency: str | None, today: date, is_customer: bool
) -> Upkeep:
    """Return what is to be brought up to date today; a group that was stale before keeps its day."""
    known = list(found)
    stale = stale_groups(known, today) if is_customer else ()
    return before.model_copy(
        update={
            "is_customer": is_customer,
            "agency": agency if is_customer else None,
            "current": tuple(each.group.id for each in known if each.is_current(today)) if is_customer else (),
            "stale": {group: before.stale.get(group, today.isoformat()) for group in stale},
            "up_to_date": is_customer and is_up_to_date(known, today),
        }
    )


def of_keeper(stale: Mapping[str, str], *, agency: bool) -> dict[str, str]:
    """Return the stale groups that a caller is to bring up to date: an agency its own, the lender's side all."""
    return {group: since for group, since in stale.items() if not agency or BY_ID[group].keeper == "agency"}
