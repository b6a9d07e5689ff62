"""How a borrower behaves on a case: features and scores as of the instant at which they are asked for."""

from datetime import datetime
from typing import Any

from chalicelib.domain.behaviour.profile import profile_of, shown, summary_of
from chalicelib.domain.behaviour.records import history_of
from chalicelib.domain.behaviour.scorecard import cards
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.errors import NotFound
from chalicelib.domain.instants import local_date
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import lender_of, locked_for, mandate_is_over
from chalicelib.usecases.feeds import Feeds
from chalicelib.usecases.ports import Scope, Store

MOST_A_PAGE = 50


def behaviour_of(
    store: Store, scope: Scope, case_id: str, *, org: str | None, role: str, now: datetime
) -> dict[str, Any]:
    """Return the profile of the case's borrower as the role may see it, computed from what is on file at ``now``.

    Raises NotFound, also for an agency whose mandate is over, and for a borrower whose data are locked for the role.
    """
    case = find_case(store, scope, case_id, org=org)
    lender = lender_of(store, scope)
    today = local_date(now, lender.zone)
    if org is not None and (case.state in FINAL or mandate_is_over(case, org, today=today)):
        raise NotFound("case", case_id)
    if case.debtor in locked_for(role, case, store.persons(scope, [case.debtor])):
        raise NotFound("case", case_id)
    history = history_of(case, store.ledger(scope, case.debtor), zone=lender.zone)
    profile = profile_of(case, history, cards(), at=now, high_risk_permille=lender.high_risk_permille)
    return shown(profile, role=role)


def list_behaviour(
    store: Store, feeds: Feeds, scope: Scope, *, after: str | None, limit: int, high_risk: bool | None, now: datetime
) -> tuple[list[dict[str, Any]], str | None]:
    """Return summaries of a page of the lender's live cases by id, and the id to go on after, or None at the end.

    ``high_risk`` keeps those that are, or are not; a page may so hold fewer than ``limit``, or none, and there is more all
    the same. Computed from what is on file at ``now``, in three batches of reads a page. Raises NotFound.
    """
    lender = lender_of(store, scope)
    size = min(limit, MOST_A_PAGE)
    rows = feeds.lender_page(scope.tenant, after=after, limit=size, state=None)
    found = store.cases(scope, [row.case for row in rows if row.held])
    ledgers = store.ledgers(scope, {case.debtor for case in found.values()})
    summaries = []
    for row in rows:
        case = found.get(row.case)
        if case is None or case.state in FINAL:
            continue
        history = history_of(case, ledgers[case.debtor], zone=lender.zone)
        profile = profile_of(case, history, cards(), at=now, high_risk_permille=lender.high_risk_permille)
        if high_risk is None or profile["high_risk"] is high_risk:
            summaries.append(summary_of(profile, agency=case.agency))
    return summaries, rows[-1].case if len(rows) == size else None
