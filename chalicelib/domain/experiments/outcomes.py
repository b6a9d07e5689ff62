"""Outcomes: what a metric says of one person when their horizon is over, as a whole number from the records alone."""

from collections.abc import Sequence
from datetime import date

from chalicelib.domain.cases.case import Case
from chalicelib.domain.experiments.assignment import SHARES
from chalicelib.domain.experiments.design import Metric


def outcome_of(
    metric: Metric,
    cases: Sequence[Case],
    *,
    owed_minor: int,
    after: date,
    until: date,
    was_reached: bool,
    has_complained: bool,
) -> int:
    """Return the person's outcome over the local days (after, until]; ``cases`` are all of theirs with the lender.

    ``owed_minor`` is what was owed when the person was assigned. Money counts on the day that it was received, net of
    reversals received by then.
    """
    if metric is Metric.RIGHT_PARTY:
        return int(was_reached)
    if metric is Metric.COMPLAINED:
        return int(has_complained)
    if metric is Metric.CURED:
        return int(all(case.amount_due_minor == 0 for case in cases))
    net = sum(
        -payment.amount_minor if payment.reversal_of is not None else payment.amount_minor
        for case in cases
        for payment in case.payments
        if after < payment.received_on <= until
    )
    if metric is Metric.PAID:
        return int(net > 0)
    return max(0, min(SHARES, net * SHARES // owed_minor)) if owed_minor > 0 else 0
