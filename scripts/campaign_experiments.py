"""Lives many made-up experiments with repeated looks, and counts how often their answers are wrong.

    python -m scripts.campaign_experiments [--runs 1000] [--seed 1]

Assigns made-up persons with the service's own lot, draws their outcomes, and asks the service's own results sixty
times a run. Two equal arms must raise no more false alarms than the design states; arms that differ by the stated
effect must be told apart with the stated power; a lost tenth of one arm must be noticed. Each rate is printed with its
95 % interval (Wilson), and beside it what sixty looks at an ordinary 95 % interval would have given. The exit status
is 1 when an interval lies wholly on the wrong side.
"""

import argparse
import math
import multiprocessing
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from tqdm import tqdm

from chalicelib.domain.experiments.assignment import arm_of
from chalicelib.domain.experiments.design import Design, planned_persons
from chalicelib.domain.experiments.mismatch import ALARM_ALPHA
from chalicelib.domain.experiments.results import Answer, ArmCounts, results
from chalicelib.domain.kpi.figures import wilson

LOOKS = 60
ORDINARY_Z = 1.959963984540054


@dataclass(frozen=True)
class Scenario:
    """What is true of made-up persons: how probable a yes is in either arm, and which share of the
    challenger's outcomes is lost."""

    name: str
    design: Design
    champion: float
    challenger: float
    lost: float = 0.0

    def outcome(self, arm: str, dice: random.Random) -> int:
        """Draw one person's outcome: yes or no, or for a collected share nothing most of the time and else any part."""
        yes = dice.random() < (self.champion if arm == "champion" else self.challenger)
        return int(yes) if self.design.metric.is_share_of_persons else int(yes) * dice.randrange(1, 10_001)


@dataclass
class Run:
    """What the looks of one run said. ``told_at`` is how many persons were measured when a difference was told."""

    told: Answer | None = None
    told_at: int = 0
    ordinary: bool = False
    mismatch: bool = False


@dataclass
class Rate:
    """A count out of the runs beside what it must be: at most, or at least."""

    what: str
    count: int
    runs: int
    at_most: float | None = None
    at_least: float | None = None
    judged: bool = field(init=False)

    def __post_init__(self) -> None:
        """Judge the rate by its interval: it fails when the whole interval is on the wrong side."""
        low, high = map(float, wilson(self.count, self.runs) or ("0", "1"))
        self.judged = (self.at_most is None or low <= self.at_most) and (self.at_least is None or high >= self.at_least)

    def line(self) -> str:
        """Return the rate as a line of text."""
        low, high = map(float, wilson(self.count, self.runs) or ("0", "1"))
        wanted = f"at most {self.at_most:.2%}" if self.at_most is not None else ""
        wanted = f"at least {self.at_least:.2%}" if self.at_least is not None else wanted
        verdict = ("holds" if self.judged else "FAILS") if wanted else "for comparison"
        return f"  {self.what:<58} {self.count:>5} of {self.runs} = {self.count / self.runs:7.2%}  [{low:.2%}, {high:.2%}]  {wanted:<16} {verdict}"


def scenarios(effect: int = 1_000, lost: float = 0.1) -> list[Scenario]:
    """Return what is lived; ``effect`` is the relative change to find, in ten-thousandths, ``lost`` a share to miss."""
    arms = [
        {"name": "champion", "role": "champion", "share": 5_000, "strategy": "early@1"},
        {"name": "challenger", "role": "challenger", "share": 5_000, "strategy": "early@2"},
    ]
    paid = Design.model_validate(
        {"metric": "paid", "horizon_days": 30, "baseline": 2_500, "effect": effect, "arms": arms}
    )
    # One in four pays, any part of what is owed: mean 1/8, standard deviation sqrt(1/12 - 1/64) = 0.26.
    share = Design.model_validate(
        {
            "metric": "collected_share",
            "horizon_days": 30,
            "baseline": 1_250,
            "deviation": 2_700,
            "effect": effect,
            "arms": arms,
        }
    )
    better = 0.25 * (1 + effect / 10_000)
    return [
        Scenario("A/A, paid", paid, 0.25, 0.25),
        Scenario(f"{effect / 10_000:+.0%}, paid", paid, 0.25, better),
        Scenario("A/A, collected share", share, 0.25, 0.25),
        Scenario(f"{effect / 10_000:+.0%}, collected share", share, 0.25, better),
        Scenario(f"A/A, {lost:.0%} of one arm's outcomes lost", paid, 0.25, 0.25, lost=lost),
    ]


def lived(number: int, *, scenario: Scenario, seed: int) -> Run:
    """Live one run to its plan with sixty looks, stopping for nothing, and return what the looks said."""
    dice, salt = random.Random(f"{seed}/{scenario.name}/{number}"), f"{seed}-{scenario.name}-{number}"
    shares, planned = scenario.design.shares, planned_persons(scenario.design)
    assigned = {"champion": 0, "challenger": 0}
    totals = {name: [0, 0, 0, 0] for name in assigned}
    looks = {math.ceil(planned * look / LOOKS) for look in range(1, LOOKS + 1)}
    run = Run()
    for person in range(1, planned + 1):
        arm = arm_of(salt, f"per_{person}", shares)
        assigned[arm] += 1
        if not (scenario.lost and arm == "challenger" and dice.random() < scenario.lost):
            outcome, of_arm = scenario.outcome(arm, dice), totals[arm]
            of_arm[0] += 1
            of_arm[1] += outcome != 0
            of_arm[2] += outcome
            of_arm[3] += outcome * outcome
        if person in looks:
            _look(run, scenario.design, {name: ArmCounts(assigned[name], *of) for name, of in totals.items()})
    return run


def _look(run: Run, design: Design, counts: dict[str, ArmCounts]) -> None:
    found = results(design, counts)
    compared = found.comparisons[0]
    run.mismatch |= found.has_mismatch
    if run.told is None and compared.answer in (Answer.BETTER, Answer.WORSE):
        run.told, run.told_at = compared.answer, compared.measured
    if compared.difference is not None:
        control, treated = counts["champion"].sample, counts["challenger"].sample
        error = math.sqrt(control.variance / control.n + treated.variance / treated.n)
        run.ordinary |= abs(treated.mean - control.mean) > ORDINARY_Z * error


def judged(scenario: Scenario, runs: Sequence[Run]) -> list[Rate]:
    """Return the rates of a scenario's runs beside what its design states."""
    count, design = len(runs), scenario.design
    told = sum(run.told is not None for run in runs)
    better = sum(run.told is Answer.BETTER for run in runs)
    alarms = Rate("sample ratio alarms", sum(run.mismatch for run in runs), count, at_most=2 * ALARM_ALPHA)
    if scenario.lost:
        return [Rate("sample ratio alarms", sum(run.mismatch for run in runs), count, at_least=0.99)]
    if scenario.champion == scenario.challenger:
        naive = Rate("false alarms of an ordinary interval, looked at as often", sum(r.ordinary for r in runs), count)
        return [Rate("false alarms", told, count, at_most=design.alpha / 10_000), naive, alarms]
    wrong = Rate("told to be worse", told - better, count, at_most=design.alpha / 20_000)
    return [Rate("found to be better", better, count, at_least=design.power / 10_000), wrong, alarms]


def main(arguments: list[str] | None = None) -> int:
    """Run the campaign; exit status 0 when every stated rate holds."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.campaign_experiments", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=1_000, help="runs of each scenario")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    failed = False
    with multiprocessing.Pool() as pool:
        for scenario in scenarios():
            live = partial(lived, scenario=scenario, seed=given.seed)
            runs = list(
                tqdm(
                    pool.imap(live, range(given.runs), chunksize=4),
                    total=given.runs,
                    desc=scenario.name,
                    file=sys.stderr,
                    disable=None,
                )
            )
            found = sorted(run.told_at for run in runs if run.told is not None)
            middle = f", a difference told after {found[len(found) // 2]:,} (median)" if found else ""
            print(f"{scenario.name}: {planned_persons(scenario.design):,} persons planned{middle}", flush=True)
            for rate in judged(scenario, runs):
                failed |= not rate.judged
                print(rate.line(), flush=True)
    print("FAILED: a stated rate does not hold" if failed else "every stated rate holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
