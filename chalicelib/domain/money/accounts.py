"""The money of one case in double entry: every minor unit stands on two accounts, and the accounts sum to 0.

The journal is computed from the set of what was booked, as the standing of the contract is (``repayment_ledger``), so that equal
sets give equal journals whatever order they came in. Debits are above 0, credits below 0. The accounts:

- ``placed``: what the lender placed, the other side of all that was receivable
- ``receivable:<component>``: what is still carried as owed, by ``costs``, ``interest``, ``penalty``, ``principal``
- ``write_off:<component>``: what is owed still and no longer carried; money that comes later lessens it
- ``waived``: what the lender gave up for good
- ``cash``: what the lender received, less what it paid back and paid to the agency
- ``over_payment``: what it holds of the borrower's beyond what was owed; above 0 it is owed by the borrower,
  who was paid back money of a payment that did not hold
- ``elsewhere``: what the lender stated to be for something that is not in this ledger
- ``returned``: payments that did not hold, against their reversals; 0 once both are booked
- ``commission`` and ``commission_payable``: what the agency earned, and what of it is still to be paid
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from chalicelib.domain.cases.repayment_ledger import RepaymentLedger, standing_payments, standing_waivers

COMPONENTS: Mapping[str, str] = {
    # Fees, and what it costs to realise the claim, are the costs of PRC Civil Code art. 561.
    "other": "costs",
    "management_fee": "costs",
    "late_fee": "costs",
    "interest": "interest",
    "penalty": "penalty",
    "principal": "principal",
}
"""The component of the claim that each part of a case's amounts belongs to."""

CASH, PLACED, WAIVED, RETURNED = "cash", "placed", "waived", "returned"
OVER_PAYMENT, ELSEWHERE = "over_payment", "elsewhere"
COMMISSION, COMMISSION_PAYABLE = "commission", "commission_payable"


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that the lender paid back to the borrower, above 0."""

    id: str
    amount_minor: int
    paid_on: date


@dataclass(frozen=True, slots=True)
class Commission:
    """A commission line of the case: above 0 earned, below 0 clawed back; ``source`` is the payment it comes from."""

    id: str
    amount_minor: int
    on: date
    source: str


@dataclass(frozen=True, slots=True)
class CommissionPaid:
    """Commission that the lender paid to the agency, above 0; below 0 what the agency paid back."""

    id: str
    amount_minor: int
    paid_on: date


@dataclass(frozen=True, slots=True)
class MoneyBook:
    """Everything that was booked on a case. ``written_off_on`` is the day on which it was written off, None before."""

    contract: RepaymentLedger
    written_off_on: date | None = None
    refunds: tuple[Refund, ...] = ()
    commissions: tuple[Commission, ...] = ()
    commission_paid: tuple[CommissionPaid, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the journal: its postings by account sum to 0; ``source`` is the id of what was booked."""

    on: date
    kind: str
    source: str
    postings: tuple[tuple[str, int], ...]


def journal(book: MoneyBook, *, as_of: date = date.max) -> tuple[Entry, ...]:
    """Return the entries up to a day (closed), in the order of their days.

    A payment is entered with the split that it has in the contract's standing. A reversed one settles nothing: it and its
    reversal meet on ``returned``.
    """
    rows = [row for row in (*_of_money(book), *_of_waivers(book), *_of_agency(book)) if row.on <= as_of]
    if book.written_off_on is not None and book.written_off_on <= as_of:
        rows.append(Entry(book.written_off_on, "write_off", "write_off", ()))
    rows.sort(key=lambda row: (row.on, _RANK[row.kind], row.source))
    found = [Entry(date.min, "placement", "placement", _placement(book.contract))]
    left = {account: minor for account, minor in found[0].postings if account != PLACED}
    is_written_off = False
    for row in rows:
        if row.kind == "write_off":
            is_written_off = True
            moved = [(account, minor) for account, minor in sorted(left.items()) if minor]
            away = [(account, -minor) for account, minor in moved]
            postings = (*((_written(account), minor) for account, minor in moved), *away)
        else:
            for account, minor in row.postings:
                if account in left:
                    left[account] += minor
            postings = _carried(row.postings, is_written_off=is_written_off)
        found.append(Entry(row.on, row.kind, row.source, postings))
    return tuple(found)


_RANK = {
    "payment": 0, "returned": 1, "reversal": 2, "waiver": 3, "write_off": 4, "refund": 5, "commission": 6,
    "commission_paid": 7,
}  # fmt: skip
"""The order of entries on one day. Money of the day comes before a waiver, as in the contract's standing."""


def _placement(contract: RepaymentLedger) -> tuple[tuple[str, int], ...]:
    amounts: dict[str, int] = {f"receivable:{component}": 0 for component in sorted(set(COMPONENTS.values()))}
    for owed in (contract.charges, *(each.owed for each in contract.instalments)):
        for part, minor in owed.items():
            amounts[f"receivable:{COMPONENTS[part]}"] += minor
    return (*amounts.items(), (PLACED, -sum(amounts.values())))


def _of_money(book: MoneyBook) -> Iterable[Entry]:
    payments = book.contract.payments
    standing = {payment.id for payment in standing_payments(payments)}
    splits = book.contract.standing(date.max).splits
    for payment in payments:
        amount = payment.amount_minor
        if payment.reversal_of is not None:
            yield Entry(payment.received_on, "reversal", payment.id, ((RETURNED, amount), (CASH, -amount)))
        elif payment.id not in standing:
            yield Entry(payment.received_on, "returned", payment.id, ((CASH, amount), (RETURNED, -amount)))
        else:
            split = splits.get(payment.id, {})
            stated = amount if payment.stated_split is None else sum(payment.stated_split.values())
            rest = {ELSEWHERE: amount - stated, OVER_PAYMENT: stated - sum(split.values())}
            credits = (*_settled(split), *((account, -minor) for account, minor in rest.items() if minor))
            yield Entry(payment.received_on, "payment", payment.id, ((CASH, amount), *credits))
    for refund in book.refunds:
        amount = refund.amount_minor
        yield Entry(refund.paid_on, "refund", refund.id, ((OVER_PAYMENT, amount), (CASH, -amount)))


def _of_waivers(book: MoneyBook) -> Iterable[Entry]:
    taken = book.contract.standing(date.max).waived
    for waiver in standing_waivers(book.contract.waivers):
        split = taken.get(waiver.id, {})
        yield Entry(waiver.granted_on, "waiver", waiver.id, ((WAIVED, sum(split.values())), *_settled(split)))


def _of_agency(book: MoneyBook) -> Iterable[Entry]:
    for line in book.commissions:
        postings = ((COMMISSION, line.amount_minor), (COMMISSION_PAYABLE, -line.amount_minor))
        yield Entry(line.on, "commission", line.id, postings)
    for paid in book.commission_paid:
        postings = ((COMMISSION_PAYABLE, paid.amount_minor), (CASH, -paid.amount_minor))
        yield Entry(paid.paid_on, "commission_paid", paid.id, postings)


def _settled(split: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    amounts: dict[str, int] = {}
    for part, minor in split.items():
        account = f"receivable:{COMPONENTS[part]}"
        amounts[account] = amounts.get(account, 0) - minor
    return tuple(sorted(amounts.items()))


def _written(account: str) -> str:
    return account.replace("receivable:", "write_off:", 1)


def _carried(postings: tuple[tuple[str, int], ...], *, is_written_off: bool) -> tuple[tuple[str, int], ...]:
    """Return the postings; once the case is written off nothing is receivable, and money lessens the write-off."""
    return tuple((_written(account), minor) for account, minor in postings) if is_written_off else postings


def balances(entries: Iterable[Entry]) -> dict[str, int]:
    """Return the balance of each account; together they are 0."""
    found: dict[str, int] = {}
    for entry in entries:
        for account, minor in entry.postings:
            found[account] = found.get(account, 0) + minor
    return found


def refundable(book: MoneyBook) -> int:
    """Return how much of the borrower's money the lender holds beyond what was owed: the most that may be paid back."""
    return max(0, -balances(journal(book)).get(OVER_PAYMENT, 0))


def faults_of(book: MoneyBook, *, as_of: date = date.max) -> list[str]:
    """Return what does not balance, by name; none in a sound book.

    Each entry sums to 0; what is receivable or written off is, by component, what the contract's standing says is owed;
    what is paid beyond is what the standing says found nothing to settle, less what was paid back.
    """
    entries = journal(book, as_of=as_of)
    found = [f"{each.kind} {each.source}" for each in entries if sum(minor for _, minor in each.postings)]
    held = balances(entries)
    stands = book.contract.standing(as_of)
    for component in sorted(set(COMPONENTS.values())):
        owed = sum(minor for part, minor in stands.owed.items() if COMPONENTS[part] == component)
        if held.get(f"receivable:{component}", 0) + held.get(f"write_off:{component}", 0) != owed:
            found.append(component)
    refunded = sum(refund.amount_minor for refund in book.refunds if refund.paid_on <= as_of)
    if -held.get(OVER_PAYMENT, 0) - held.get(ELSEWHERE, 0) != stands.unapplied_minor - refunded:
        found.append("unapplied")
    return found
