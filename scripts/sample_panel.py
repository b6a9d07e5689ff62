"""Make a panel of auto-loan accounts, month by month: generated, the same for the same seed; nobody in it exists.

    python -m scripts.sample_panel [--contracts 8000] [--seed 20261128]      # prints what the panel is like beside published tables

No package ships monthly repayments of auto loans, so the panel is made: half of the contracts are prime and half subprime, in
China and in the United States. Each borrower drifts between four hidden conditions (steady, careless, strained, out of work) that decide
when and how much they pay, whether a debit bounces, whom a call reaches and which promises are kept. Refunds and bonuses let overdue
accounts catch up in January to March. An account of 120 days past due is charged off and paid no more. The rates are set so
that the pool looks like published pools (``PUBLISHED``); it says nothing about any lender's own borrowers.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from chalicelib.domain.behaviour.history import Contact, History
from chalicelib.domain.cases.case import Promise
from chalicelib.domain.cases.repayment_ledger import Instalment, Payment, RepaymentLedger, Standing

SEED = 20261128
CONTRACTS = 8_000
BEGIN, END = date(2024, 1, 1), date(2026, 10, 31)
"""The days that are lived through; contracts begin up to 30 months before them."""

CHARGED_OFF_AFTER = 120

STATES = ("steady", "careless", "strained", "out")
DRIFT = {
    "prime": {
        "steady": (0.9835, 0.0150, 0.0013, 0.0002),
        "careless": (0.1200, 0.8660, 0.0130, 0.0010),
        "strained": (0.0300, 0.1500, 0.7400, 0.0800),
        "out": (0.0100, 0.0200, 0.1200, 0.8500),
    },
    "subprime": {
        "steady": (0.9400, 0.0430, 0.0140, 0.0030),
        "careless": (0.0700, 0.8550, 0.0630, 0.0120),
        "strained": (0.0300, 0.1500, 0.7400, 0.0800),
        "out": (0.0200, 0.0500, 0.2000, 0.7300),
    },
}
START = {"prime": (0.93, 0.06, 0.009, 0.001), "subprime": (0.66, 0.23, 0.09, 0.02)}
PAYS = {
    # on time, late in the month, nothing; the rest pays a part
    "steady": (0.975, 0.023, 0.002),
    "careless": (0.620, 0.310, 0.050),
    "strained": (0.270, 0.330, 0.250),
    "out": (0.040, 0.080, 0.740),
}
CATCHES_UP = {"steady": 0.95, "careless": 0.60, "strained": 0.26, "out": 0.05}
"""Chance that a payment of somebody in arrears also clears what is overdue; half as much again from January to March."""

REACHED = {"steady": 0.40, "careless": 0.26, "strained": 0.18, "out": 0.09}
KEEPS = {"steady": 0.92, "careless": 0.70, "strained": 0.45, "out": 0.14}
BOUNCES = {"steady": 0.002, "careless": 0.010, "strained": 0.045, "out": 0.080}

REGIONS = ("north", "south", "east", "west")
AGE_BANDS = ("18-29", "30-44", "45-59", "60+")
LANGUAGES = {"CN": (("zh", 0.97), ("en", 0.03)), "US": (("en", 0.84), ("es", 0.16))}

PUBLISHED = {
    "prime 60+ days past due": (0.003, 0.007),
    "subprime 60+ days past due": (0.05, 0.07),
    "subprime to prime annual net loss": (11.0, 15.0),
}
"""S&P and Fitch indices of United States auto asset-backed securities, December 2014 to January 2025: low and high."""

RECOVERED = {"prime": 0.5131, "subprime": 0.3330}
"""Share of charge-offs that is recovered (S&P, January 2025). The panel has no recoveries of its own."""


@dataclass(frozen=True)
class Account:
    """A made-up account. The group is for looking at errors by group and is no part of the history that scores see."""

    number: int
    segment: str
    country: str
    history: History
    stands: Standing
    first_due_on: date
    last_due_on: date
    charged_off_on: date | None
    group: dict[str, str]

    def days_past_due(self, day: date) -> int:
        """Return the days past due on a day, as everything that was ever booked makes them."""
        return self.stands.days_past_due_on(day)


def account(number: int, *, seed: int = SEED) -> Account:
    """Return one account's whole life."""
    return _Life(number, seed).lived()


def accounts(count: int = CONTRACTS, *, seed: int = SEED) -> Iterator[Account]:
    """Yield so many accounts."""
    for number in range(count):
        yield account(number, seed=seed)


class _Life:
    def __init__(self, number: int, seed: int) -> None:
        self.number = number
        self.chance = chance = Random(f"{seed}:panel:{number}")
        self.segment = ("prime", "subprime")[number % 2]
        self.country = ("CN", "US")[number // 2 % 2]
        self.zone = {"CN": "Asia/Shanghai", "US": "America/Chicago"}[self.country]
        first = BEGIN - timedelta(days=chance.randrange(0, 900))
        self.first_due_on = date(first.year, first.month, chance.randrange(1, 29))
        self.instalment = chance.randrange(2_000, 6_000) * (100 if self.country == "CN" else 15)
        self.good_hours = chance.choice((9, 12, 15, 18))
        self.payments: list[Payment] = []
        self.promises: list[Promise] = []
        self.contacts: list[Contact] = []
        self.hardship: list[str] = []
        self.arrears = 0
        (state,) = chance.choices(STATES, START[self.segment])
        self.state = state

    def lived(self) -> Account:
        dues: list[Instalment] = []
        off: date | None = None
        due = self.first_due_on
        while due <= END and off is None:
            dues.append(Instalment(due_on=due, owed=self._parts()))
            self.arrears += self.instalment
            following = _next_month(due)
            self._month(due, following)
            unpaid = -(-self.arrears // self.instalment)
            if unpaid > 0 and (following - dues[max(0, len(dues) - unpaid)].due_on).days >= CHARGED_OFF_AFTER:
                off = following
            due = following
        ledger = RepaymentLedger(self.country, tuple(dues), {}, tuple(self.payments))
        history = History(
            zone=self.zone,
            ledgers=(ledger,),
            promises=tuple(self.promises),
            contacts=tuple(self.contacts),
            hardship_said_at=tuple(self.hardship),
            instalment_minor=self.instalment,
        )
        return Account(
            self.number, self.segment, self.country, history, ledger.standing(END + timedelta(days=45)),
            self.first_due_on, dues[-1].due_on, off, self._group(),
        )  # fmt: skip

    def _parts(self) -> dict[str, int]:
        principal = self.instalment * 85 // 100
        return {"principal": principal, "interest": self.instalment - principal}

    def _group(self) -> dict[str, str]:
        # Groups differ in how often they are strained, as people do, and in nothing that a score is given.
        chance = Random(f"group:{self.number}:{self.chance.random()}")
        weights = (3, 4, 3, 1) if self.segment == "subprime" else (2, 4, 4, 2)
        tongues = LANGUAGES[self.country]
        return {
            "region": chance.choice(REGIONS),
            "age_band": chance.choices(AGE_BANDS, weights)[0],
            "language": chance.choices([name for name, _ in tongues], [share for _, share in tongues])[0],
        }

    def _month(self, due: date, following: date) -> None:
        chance = self.chance
        (self.state,) = chance.choices(STATES, DRIFT[self.segment][self.state])
        behind = self.arrears - self.instalment
        on_time, late, nothing = PAYS[self.state]
        if behind > 0:
            # Who is behind already pays the running instalment less often.
            on_time, nothing = on_time * 0.6, min(0.95, nothing * 1.3)
        lot = chance.random()
        paid = True
        if lot < on_time:
            self._pay(due - timedelta(days=chance.randrange(0, 3)), self._amount(behind, due))
        elif lot < on_time + late:
            self._pay(due + timedelta(days=chance.choice((3, 6, 9, 14, 20))), self._amount(behind, due))
        elif lot < 1 - nothing:
            self._pay(due + timedelta(days=chance.randrange(2, 25)), self.instalment * chance.choice((3, 5, 7)) // 10)
        else:
            paid = False
        if self.arrears > 0:
            self._collect(due, following, paid=paid)

    def _amount(self, behind: int, due: date) -> int:
        season = 1.5 if due.month <= 3 else 1.0
        if behind > 0 and self.chance.random() < CATCHES_UP[self.state] * season:
            return self.arrears
        return min(self.arrears, self.instalment)

    def _pay(self, on: date, minor: int) -> None:
        chance = self.chance
        lag = chance.choices((0, 1, 2, 5), (80, 12, 6, 2))[0]
        payment = Payment(
            id=f"pay_{self.number}_{len(self.payments)}",
            amount_minor=max(1, minor),
            currency="CNY" if self.country == "CN" else "USD",
            received_on=on,
            posted_at=_at(on + timedelta(days=lag), 9),
        )
        self.payments.append(payment)
        self.arrears -= payment.amount_minor
        if chance.random() < BOUNCES[self.state]:
            back = on + timedelta(days=lag + chance.randrange(2, 6))
            told = {
                "id": f"{payment.id}_back",
                "reversal_of": payment.id,
                "posted_at": _at(back, 9),
                "received_on": back,
            }
            self.payments.append(payment.model_copy(update=told))
            self.arrears += payment.amount_minor

    def _collect(self, due: date, following: date, *, paid: bool) -> None:
        chance, day = self.chance, due + timedelta(days=4)
        while day < following and self.arrears > 0:
            channel = chance.choice(("call", "call", "sms", "email" if self.country == "US" else "wechat"))
            hour = chance.choice((9, 10, 13, 15, 18, 19))
            self._attempt(day, hour, channel, paid=paid)
            day += timedelta(days=chance.choice((3, 5, 7)))

    def _attempt(self, day: date, hour: int, channel: str, *, paid: bool) -> None:
        chance, at = self.chance, _at(day, (hour - (8 if self.country == "CN" else -6)) % 24)
        fits = 1.6 if abs(hour - self.good_hours) <= 2 else 0.8
        reached = channel == "call" and chance.random() < REACHED[self.state] * fits
        answered = reached or (channel == "call" and chance.random() < 0.2)
        self.contacts.append(Contact(at, channel, by_person=channel == "call", answered=answered, right_party=reached))
        if channel != "call" and chance.random() < REACHED[self.state] * 0.2:
            reached = True
            self.contacts.append(Contact(_at(day + timedelta(days=1), 8), channel, inbound=True))
        if not reached:
            return
        if self.state in ("strained", "out") and chance.random() < 0.2:
            self.hardship.append(at)
        if chance.random() < 0.45 and (not self.promises or self.promises[-1].due_on < day):
            due_on = day + timedelta(days=chance.randrange(2, 12))
            amount = min(self.arrears, self.instalment)
            self.promises.append(
                Promise(
                    id=f"prm_{self.number}_{len(self.promises)}",
                    person="generated",
                    amount_minor=amount,
                    currency="CNY" if self.country == "CN" else "USD",
                    due_on=due_on,
                    made_at=at,
                    made_on=day,
                )
            )
            if chance.random() < KEEPS[self.state] * (0.8 if paid else 1.0):
                self._pay(due_on, self._amount(self.arrears - amount, due_on) if chance.random() < 0.6 else amount)


def _at(day: date, hour: int) -> str:
    return f"{datetime.combine(day, time(hour), tzinfo=UTC):%Y-%m-%dT%H:%M:%SZ}"


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, day.day)


# What the pool is like


def looks() -> list[date]:
    """Return the days on which accounts are looked at: thirty days apart, each with thirty days lived after it."""
    found, day = [], date(2025, 1, 31)
    while day + timedelta(days=30) <= END:
        found.append(day)
        day += timedelta(days=30)
    return found


def pool(made: Sequence[Account]) -> dict[str, Any]:
    """Return the shares and rates by which the panel is held against published pools; all by count of accounts."""
    days = looks()
    shares: dict[str, float] = {}
    losses: dict[str, float] = {}
    season: dict[int, list[float]] = {}
    for segment in ("prime", "subprime"):
        ours = [each for each in made if each.segment == segment]
        active = late = off = 0
        for day in days:
            alive = [a for a in ours if a.first_due_on <= day and (a.charged_off_on is None or a.charged_off_on > day)]
            behind = sum(a.days_past_due(day) >= 60 for a in alive)
            active, late = active + len(alive), late + behind
            if segment == "subprime":
                season.setdefault((day.month - 1) // 3, []).append(behind / len(alive))
            month_later = day + timedelta(days=30)
            off += sum(a.charged_off_on is not None and day < a.charged_off_on <= month_later for a in alive)
        shares[segment], losses[segment] = late / active, 12 * off / active
    quarters = {quarter: sum(rates) / len(rates) for quarter, rates in season.items()}
    lost = {segment: losses[segment] * (1 - RECOVERED[segment]) for segment in losses}
    return {
        "prime 60+ days past due": shares["prime"],
        "subprime 60+ days past due": shares["subprime"],
        "annual net loss, prime": lost["prime"],
        "annual net loss, subprime": lost["subprime"],
        "subprime to prime annual net loss": lost["subprime"] / lost["prime"] if lost["prime"] else 0.0,
        "subprime 60+ by quarter": [round(quarters[quarter], 4) for quarter in sorted(quarters)],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the panel and print what it is like; return 1 when it does not look like the published pools."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contracts", type=int, default=CONTRACTS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    figures = pool(list(accounts(options.contracts, seed=options.seed)))
    wrong = 0
    for name, figure in figures.items():
        low, high = PUBLISHED.get(name, (None, None))
        held = "" if low is None or high is None else f"   published {low} to {high}"
        wrong += bool(held) and not low <= figure <= high
        print(f"{name}: {figure:.4f}{held}" if isinstance(figure, float) else f"{name}: {figure}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
