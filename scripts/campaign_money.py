"""Book 1,000,000 random operations on made-up cases: every entry sums to 0, and every account is what a plain count says.

    python -m scripts.campaign_money [--operations 1000000] [--seed 1]

Each made-up case has instalments, charges, and in random order, some told twice: payments, late or with a stated split, reversals
(also before their payment is told), waivers and their ends, refunds, a write-off, commission earned, clawed back and paid. After
each operation the accounts must sum to 0, tie to the contract's standing, and hold what ``Plain``, a count that only adds and
takes away, holds. At the end the same operations in another order must give the same balances, and the journal of a day in
the middle must be the beginning of the whole. Exit status 0 when nothing differed.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from tqdm import tqdm

from chalicelib.domain.cases.repayment_ledger import Payment, RepaymentLedger, Waiver
from chalicelib.domain.money.accounts import (
    CASH,
    COMMISSION,
    COMMISSION_PAYABLE,
    PLACED,
    RETURNED,
    Commission,
    CommissionPaid,
    MoneyBook,
    Refund,
    balances,
    faults_of,
    journal,
)
from scripts.campaign_ledger import FIRST, contract

Operation = Payment | Waiver | Refund | Commission | CommissionPaid | date
"""What is booked; a date is a write-off on that day."""


@dataclass
class Plain:
    """The plain count: what goes in and out, booked once by id, with no ledger behind it."""

    cash: int = 0
    returned: int = 0
    commission: int = 0
    payable: int = 0
    seen: set[str] = field(default_factory=set)

    def add(self, operation: Operation) -> None:
        """Count one operation."""
        if isinstance(operation, date) or operation.id in self.seen:
            return
        self.seen.add(operation.id)
        match operation:
            case Payment(reversal_of=None):
                self.cash += operation.amount_minor
            case Payment():
                self.cash -= operation.amount_minor
            case Refund():
                self.cash -= operation.amount_minor
            case Commission():
                self.commission += operation.amount_minor
                self.payable -= operation.amount_minor
            case CommissionPaid():
                self.cash -= operation.amount_minor
                self.payable += operation.amount_minor


def operations_of(chance: random.Random, payments: Sequence[Payment]) -> list[Operation]:
    """Return the operations of one case in a random order, some of them twice."""
    found: list[Operation] = [*payments]
    for number, payment in enumerate(each for each in payments if each.reversal_of is None):
        if chance.random() < 0.7:
            earned = Commission(f"com_{number}", chance.randrange(payment.amount_minor + 1), _day(chance), payment.id)
            found.append(earned)
            if any(each.reversal_of == payment.id for each in payments):
                found.append(replace(earned, id=f"claw_{number}", amount_minor=-earned.amount_minor, on=_day(chance)))
    for number in range(chance.randrange(3)):
        waiver = Waiver(id=f"wv_{number}", amount_minor=chance.randrange(1, 80), granted_on=_day(chance))
        found.append(waiver)
        if chance.random() < 0.3:
            found.append(waiver.model_copy(update={"id": f"end_{number}", "cancels": waiver.id}))
    for number in range(chance.randrange(3)):
        found.append(Refund(f"ref_{number}", chance.randrange(1, 30), _day(chance)))
    for number in range(chance.randrange(3)):
        found.append(CommissionPaid(f"cp_{number}", chance.randrange(-5, 30) or 1, _day(chance)))
    if chance.random() < 0.4:
        found.append(_day(chance))
    found += [each for each in found if chance.random() < 0.15]
    chance.shuffle(found)
    return found


def _day(chance: random.Random) -> date:
    return FIRST + timedelta(days=chance.randrange(-10, 190))


def booked(book: MoneyBook, operation: Operation) -> MoneyBook:
    """Return the book with one more operation; one whose id is there already changes nothing."""
    match operation:
        case Payment():
            return replace(book, contract=book.contract.with_payment(operation))
        case Waiver():
            return replace(book, contract=book.contract.with_waiver(operation))
        case Refund():
            known = any(each.id == operation.id for each in book.refunds)
            return book if known else replace(book, refunds=(*book.refunds, operation))
        case Commission():
            known = any(each.id == operation.id for each in book.commissions)
            return book if known else replace(book, commissions=(*book.commissions, operation))
        case CommissionPaid():
            known = any(each.id == operation.id for each in book.commission_paid)
            return book if known else replace(book, commission_paid=(*book.commission_paid, operation))
        case date():
            return replace(book, written_off_on=operation)


def faults(chance: random.Random) -> Iterator[str | None]:
    """Yield None for each operation of one made-up case that balanced, a sentence for each that did not."""
    made = contract(chance)
    empty = MoneyBook(RepaymentLedger(made.country, made.instalments, made.charges))
    payments = [entry for entry in made.entries if isinstance(entry, Payment)]
    operations = operations_of(chance, payments)
    book, plain = empty, Plain()
    for operation in operations:
        book = booked(book, operation)
        plain.add(operation)
        yield _compared(book, plain)
    if balances(journal(book)) != balances(journal(_again(empty, operations, chance))):
        yield "another order gave other balances"
    day = _day(chance)
    entries = journal(book, as_of=day)
    if entries != journal(book)[: len(entries)] or faults_of(book, as_of=day):
        yield "the journal of a day is not the beginning of the whole, or does not tie to that day's standing"


def _again(empty: MoneyBook, operations: Sequence[Operation], chance: random.Random) -> MoneyBook:
    order = list(operations)
    chance.shuffle(order)
    book = empty
    for operation in order:
        book = booked(book, operation)
    return book


def _compared(book: MoneyBook, plain: Plain) -> str | None:
    held = balances(journal(book))
    placed = sum(book.contract.charges.values())
    placed += sum(sum(each.owed.values()) for each in book.contract.instalments)
    wanted = {CASH: plain.cash, COMMISSION: plain.commission, COMMISSION_PAYABLE: plain.payable, PLACED: -placed}
    wrong = [account for account, minor in wanted.items() if held.get(account, 0) != minor]
    wrong += faults_of(book)
    if sum(held.values()) != 0:
        wrong.append("the sum of all accounts")
    pairs = {each.id for each in book.contract.payments}
    alone = [each for each in book.contract.payments if each.reversal_of is not None and each.reversal_of not in pairs]
    if held.get(RETURNED, 0) != sum(each.amount_minor for each in alone):
        wrong.append(RETURNED)
    return f"does not balance: {', '.join(wrong)}" if wrong else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and return the exit status."""
    parser = argparse.ArgumentParser(prog="campaign_money", description="Balance the money of cases.")
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    chance = random.Random(arguments.seed)
    done = cases = 0
    found: list[str] = []
    with tqdm(total=arguments.operations, unit="operation") as bar:
        while done < arguments.operations:
            cases += 1
            count = 0
            for fault in faults(chance):
                count += 1
                if fault is not None:
                    found.append(f"case {cases}: {fault}")
            done += count
            bar.update(count)
    for line in found[:20]:
        print(line)
    print(f"{done:,} operations on {cases:,} cases, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
