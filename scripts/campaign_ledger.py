"""Book the same payments, reversals and pauses in 100,000 random orders: one standing, that of a plain count by day.

    python -m scripts.campaign_ledger [--orders 100000] [--seed 1]

Each made-up contract has some instalments and charges, payments told late or with a stated split, reversals, deferrals and
freezes that overlap or are cancelled. Its entries are booked on a case as the commands book them, in one random order after
another, some of them twice. After each order the case must stand as after the others; on several business dates its days
past due, amounts and splits must be those of ``by_day``, which walks from day to day and moves one minor unit at a time, and what
was believed at an instant must be what the entries booked by then give. Exit status 0 when nothing differed.
"""

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tqdm import tqdm

from chalicelib.domain.cases import repayment
from chalicelib.domain.cases.appropriation import PARTS, order_in
from chalicelib.domain.cases.case import Case
from chalicelib.domain.cases.repayment_ledger import (
    DEFERRAL,
    FREEZE,
    Instalment,
    Pause,
    Payment,
    Standing,
)
from tests.builders import a_case

FIRST, LAST = date(2026, 1, 1), date(2026, 12, 31)
Entry = Payment | Pause


@dataclass(frozen=True)
class Contract:
    """A made-up contract, everything that is ever booked on it, and the business dates on which it is looked at."""

    country: str
    instalments: tuple[Instalment, ...]
    charges: dict[str, int]
    entries: tuple[Entry, ...]
    dates: tuple[date, ...]

    def case(self) -> Case:
        """Return its case before anything is booked."""
        owed = {part: sum(each.owed.get(part, 0) for each in self.instalments) for part in PARTS}
        owed = {part: minor + self.charges.get(part, 0) for part, minor in owed.items()}
        return a_case(
            country=self.country,
            instalments=self.instalments,
            charges=self.charges,
            owed=owed,
            amount_due_minor=sum(owed.values()),
            placed_minor=sum(owed.values()),
            oldest_unpaid_due_on=min(each.due_on for each in self.instalments),
        )


def contract(chance: random.Random) -> Contract:
    """Return a contract with amounts of some dozen minor units, which is little enough to move one by one."""
    instalments = tuple(
        Instalment(due_on=FIRST + timedelta(days=30 * n + chance.randrange(3)), owed=_owed(chance))
        for n in range(chance.randrange(1, 6))
    )
    charges = {part: chance.randrange(1, 20) for part in PARTS[2:] if chance.random() < 0.4}
    entries: list[Entry] = []
    for number in range(chance.randrange(1, 6)):
        payment = _payment(chance, f"pay_{number}")
        entries.append(payment)
        if chance.random() < 0.35:
            back = {"id": f"rev_{number}", "reversal_of": payment.id, "posted_at": _instant(chance)}
            entries.append(payment.model_copy(update=back))
    for number in range(chance.randrange(4)):
        begin = _day(chance)
        pause = Pause(
            id=f"pause_{number}",
            kind=chance.choice((DEFERRAL, FREEZE)),
            paused_from=begin,
            paused_to=begin + timedelta(days=chance.choice((0, 1, 9, 30, 70))),
            posted_at=_instant(chance),
        )
        entries.append(pause)
        if chance.random() < 0.3:
            end = {"id": f"end_{number}", "cancels": pause.id, "posted_at": _instant(chance)}
            entries.append(pause.model_copy(update=end))
    country = chance.choice(("CN", "US", "DE"))
    return Contract(country, instalments, charges, tuple(entries), tuple(sorted(_day(chance) for _ in range(3))))


def _owed(chance: random.Random) -> dict[str, int]:
    return {"principal": chance.randrange(1, 40), "interest": chance.randrange(0, 15)}


def _payment(chance: random.Random, identity: str) -> Payment:
    amount = chance.randrange(1, 60)
    stated = None
    if chance.random() < 0.25:
        first = chance.randrange(1, amount + 1)
        stated = {chance.choice(PARTS): first}
        rest = chance.randrange(0, amount - first + 1)
        other = chance.choice(PARTS)
        if rest and other not in stated:
            stated[other] = rest
    return Payment(
        id=identity,
        amount_minor=amount,
        currency="CNY",
        received_on=_day(chance),
        posted_at=_instant(chance),
        stated_split=stated,
    )


def _day(chance: random.Random) -> date:
    return FIRST + timedelta(days=chance.randrange(-10, 190))


def _instant(chance: random.Random) -> str:
    return f"{_day(chance)}T{chance.randrange(24):02d}:00:00Z"


# Booking in an order


def booked(case: Case, entries: Iterable[Entry]) -> Case:
    """Return the case after the entries were booked one by one, as the commands book them."""
    for entry in entries:
        at = entry.posted_at or ""
        if isinstance(entry, Payment):
            case = repayment.after_payment(case, entry, as_of=at)
        else:
            case = repayment.after_pause(case, entry, as_of=at)
    return case


def arrivals(entries: Sequence[Entry], chance: random.Random) -> list[Entry]:
    """Return the entries in a random order, some of them twice."""
    order = [*entries, *(entry for entry in entries if chance.random() < 0.2)]
    chance.shuffle(order)
    return order


def state_of(case: Case) -> dict[str, Any]:
    """Return everything about money and days that a case keeps, without the order in which it came."""
    return {
        "owed": case.owed,
        "amount_due_minor": case.amount_due_minor,
        "oldest_unpaid_due_on": case.oldest_unpaid_due_on,
        "splits": {payment.id: payment.split for payment in case.payments},
        "pauses": sorted(pause.id for pause in case.pauses),
    }


# The plain count


@dataclass
class Row:
    """An instalment in the plain count: when it is due, what is left of it, how many days it has been past due."""

    due: date
    left: dict[str, int]
    days: int = 0


def by_day(contract: Contract, entries: Sequence[Entry], as_of: date) -> dict[str, Any]:
    """Return how the contract stands, walked from day to day and counted unit by unit."""
    payments = [each for each in entries if isinstance(each, Payment)]
    pauses = [each for each in entries if isinstance(each, Pause)]
    reversed_ids = {each.reversal_of for each in payments if each.reversal_of}
    cancelled = {each.cancels for each in pauses if each.cancels}
    payments = [each for each in payments if not each.reversal_of and each.id not in reversed_ids]
    pauses = [each for each in pauses if not each.cancels and each.id not in cancelled]

    def paused(day: date, kind: str) -> bool:
        return any(each.kind == kind and each.paused_from <= day <= each.paused_to for each in pauses)

    rows = []
    for instalment in sorted(contract.instalments, key=lambda each: each.due_on):
        due = instalment.due_on
        while paused(due, DEFERRAL):
            due += timedelta(days=1)
        rows.append(Row(due, dict(instalment.owed)))
    charges = dict(contract.charges)
    splits: dict[str, dict[str, int]] = {}
    day = min([row.due for row in rows] + [each.received_on for each in payments])
    while day <= as_of:
        for row in rows:
            if day > row.due and not paused(day, FREEZE):
                row.days += 1
        for payment in sorted((each for each in payments if each.received_on == day), key=lambda each: each.id):
            splits[payment.id] = _settled(payment, rows, charges, contract.country)
        day += timedelta(days=1)
    unpaid = [row for row in rows if sum(row.left.values())]
    oldest = min(unpaid, key=lambda row: row.due, default=None)
    owed = {part: charges.get(part, 0) + sum(row.left.get(part, 0) for row in rows) for part in PARTS}
    return {
        "oldest_unpaid_due_on": oldest.due if oldest else None,
        "days_past_due": oldest.days if oldest else 0,
        "owed": owed,
        "overdue_minor": sum(charges.values()) + sum(sum(r.left.values()) for r in rows if r.due < as_of),
        "unpaid_periods": sum(row.due < as_of for row in unpaid),
        "splits": splits,
    }


def _settled(payment: Payment, rows: list[Row], charges: dict[str, int], country: str) -> dict[str, int]:
    split: dict[str, int] = {}
    ready = [row.left for row in rows if row.due <= payment.received_on] + [charges]
    ahead = [row.left for row in rows if row.due > payment.received_on]
    order = order_in(country)
    usual = [(holder, part) for part in order for holder in ready]
    usual += [(holder, part) for holder in ahead for part in order]
    units = [usual] * payment.amount_minor
    if payment.stated_split is not None:
        units = [
            [(holder, part) for holder in [*ready, *ahead]]
            for part, count in payment.stated_split.items()
            for _ in range(count)
        ]
    homeless = 0
    for wishes in units:
        homeless += not _one_unit(wishes, split)
    for _ in range(homeless if payment.stated_split is not None else 0):
        _one_unit(usual, split)
    return split


def _one_unit(wishes: Iterable[tuple[dict[str, int], str]], split: dict[str, int]) -> bool:
    for holder, part in wishes:
        if holder.get(part, 0) > 0:
            holder[part] -= 1
            split[part] = split.get(part, 0) + 1
            return True
    return False


def told(stands: Standing) -> dict[str, Any]:
    """Return of a standing what the plain count says too."""
    return {
        "oldest_unpaid_due_on": stands.oldest_unpaid_due_on,
        "days_past_due": stands.days_past_due,
        "owed": dict(stands.owed),
        "overdue_minor": stands.overdue_minor,
        "unpaid_periods": stands.unpaid_periods,
        "splits": {payment: dict(split) for payment, split in stands.splits.items()},
    }


# Looking


def faults(made: Contract, orders: int, chance: random.Random) -> Iterator[str]:
    """Book the contract's entries in so many orders and yield what differs."""
    first: dict[str, Any] | None = None
    plain = {day: by_day(made, made.entries, day) for day in made.dates}
    known_by = _instant(chance)
    then = [entry for entry in made.entries if (entry.posted_at or "") <= known_by]
    believed = {day: by_day(made, then, day) for day in made.dates}
    for _ in range(orders):
        case = booked(made.case(), arrivals(made.entries, chance))
        first = first or state_of(case)
        if state_of(case) != first:
            yield f"another order gives another case: {state_of(case)} is not {first}"
        for day in made.dates:
            stands = case.ledger.standing(day)
            if told(stands) != plain[day]:
                yield f"on {day} the ledger says {told(stands)}, the plain count {plain[day]}"
            if case.ledger.standing(LAST).days_past_due_on(day) != plain[day]["days_past_due"]:
                yield f"seen from {LAST}, the days past due on {day} differ"
            if told(case.ledger.standing(day, known_by=known_by)) != believed[day]:
                yield f"what was believed on {known_by} differs for {day}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--per-contract", type=int, default=20, help="orders of one contract's entries")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.orders < 1 or options.per_contract < 1:
        parser.error("at least one order of at least one contract")
    wrong = done = number = 0
    with tqdm(total=options.orders, unit=" orders", mininterval=2, file=sys.stderr) as progress:
        while done < options.orders:
            chance = random.Random(f"{options.seed}:{number}")
            orders = min(options.per_contract, options.orders - done)
            for fault in faults(contract(chance), orders, chance):
                wrong += 1
                if wrong <= 20:
                    tqdm.write(f"contract {number} of seed {options.seed}: {fault}", file=sys.stdout)
            done, number = done + orders, number + 1
            progress.update(orders)
    print(f"{done} orders of the entries of {number} contracts, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
