"""Figures: what a definition says about counters, with the interval that the sample allows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import Any

from chalicelib.domain.kpi.definitions import SCALES, Definition, Level, Period, Term, current

CONFIDENCE = "0.95"
Z = Decimal("1.959963984540054")
"""The two-sided 95 % point of the normal distribution, to 15 decimals; part of every interval's definition."""

PLACES = Decimal("0.000001")
"""Ratios are given to six decimals, half to even."""

_DIGITS = 60


class UndefinedFigure(Exception):
    """A figure names no definition version that exists; it must not be published."""

    def __init__(self, reference: str) -> None:
        """Name the reference that is missing."""
        super().__init__(reference)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure under one definition version.

    ``numerator``, ``denominator`` and ``n`` are exact integers; ``denominator`` is None for counts and amounts.
    ``value`` is a decimal text, None when the denominator is not positive: not enough data is an answer. ``interval``
    is (low, high) at 95 %, None when the figure is no share of its sample.
    """

    definition: Definition
    key: str | None
    numerator: int
    denominator: int | None
    n: int
    value: str | None
    interval: tuple[str, str] | None

    @property
    def reference(self) -> str:
        """Return ``<id>[:<key>]@<version>``, unique among the figures of one agency and period."""
        return f"{self.name}@{self.definition.version}"

    @property
    def name(self) -> str:
        """Return ``<id>[:<key>]``."""
        return self.definition.id if self.key is None else f"{self.definition.id}:{self.key}"

    def as_json(self) -> dict[str, Any]:
        """Return the figure as a JSON object; ratios are texts, counts integers."""
        return {
            "kpi": self.definition.id,
            "version": self.definition.version,
            "key": self.key,
            "unit": self.definition.unit.value,
            "numerator": self.numerator,
            "denominator": self.denominator,
            "n": self.n,
            "value": self.value,
            "interval": None if self.interval is None else list(self.interval),
        }


def figure(definition: Definition, *, key: str | None, numerator: int, denominator: int | None, n: int) -> Figure:
    """Return the figure that these integers make under the definition."""
    scale = SCALES.get(definition.unit, Fraction(1))
    interval = wilson(numerator, n, scale=int(scale)) if definition.interval else None
    if definition.denominator:
        value = None if denominator is None else ratio(numerator * scale.numerator, denominator * scale.denominator)
        return Figure(definition, key, numerator, denominator, n, value, interval)
    return Figure(definition, key, numerator, None, n, str(numerator), None)


def figures(counts: Mapping[str, int], *, level: Level, period: Period) -> list[Figure]:
    """Return every figure of the current definitions that the counters say anything about, for that level and period.

    A split figure has one figure for each key that occurs; one without key is left out when it has no data at all. A figure
    about cases in scope, or about who works there, is left out where nobody counted those.
    """
    found = []
    for definition in current():
        if level not in definition.levels or definition.period is not period:
            continue
        if not definition.needs <= counts.keys():
            continue
        for key in _keys(definition, counts):
            numerator, n = _sum(definition.numerator, counts, key), _sum(definition.sample, counts, key)
            denominator = _sum(definition.denominator, counts, key) if definition.denominator else None
            if numerator or denominator or n:
                found.append(figure(definition, key=key, numerator=numerator, denominator=denominator, n=n))
    return found


def ratio(numerator: int, denominator: int) -> str | None:
    """Return the quotient to six decimals (half to even), or None when the denominator is not positive.

    >>> ratio(1, 3)
    '0.333333'
    """
    if denominator <= 0:
        return None
    with localcontext() as context:
        context.prec = _DIGITS
        return _text(Decimal(numerator) / Decimal(denominator))


def wilson(successes: int, n: int, *, scale: int = 1) -> tuple[str, str] | None:
    """Return the 95 % Wilson score interval (closed) of a share, times ``scale``, to six decimals.

    None when there is no sample, or when ``successes`` is no count of it (below 0 or above ``n``).

    >>> wilson(0, 10)
    ('0.000000', '0.277533')
    """
    if n <= 0 or not 0 <= successes <= n:
        return None
    with localcontext() as context:
        context.prec = _DIGITS
        k, size, z2 = Decimal(successes), Decimal(n), Z * Z
        centre = (k + z2 / 2) / (size + z2)
        half = Z * (k * (size - k) / size + z2 / 4).sqrt() / (size + z2)
        return _text((centre - half) * scale), _text((centre + half) * scale)


def _text(value: Decimal) -> str:
    return str(value.quantize(PLACES, rounding=ROUND_HALF_EVEN) + 0)


def _keys(definition: Definition, counts: Mapping[str, int]) -> list[str | None]:
    if definition.key is None:
        return [None]
    terms = (*definition.numerator, *definition.denominator)
    families = {term.counter for term in terms if term.keyed and not term.stem}
    found = {key for family, _, key in (name.partition(":") for name in counts) if key and family in families}
    return [*sorted(found)]


def _sum(terms: Iterable[Term], counts: Mapping[str, int], key: str | None) -> int:
    return sum(term.sign * counts.get(term.name(key), 0) for term in terms)
