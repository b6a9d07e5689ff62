"""How a borrower behaves on a case: features and scores as of the instant at which they are asked for."""

from datetime import datetime
from typing import Any

from chalicelib.domain.behaviour.profile import profile_of, shown
from chalicelib.domain.behaviour.records import history_of
from chalicelib.domain.behaviour.scorecard import cards
from chalicelib.domain.cases.lifecycle import FINAL
from chalicelib.domain.errors import NotFound
from chalicelib.domain.instants import local_date
from chalicelib.usecases.case_draft import find_case
from chalicelib.usecases.cases import lender_of, locked_for, mandate_is_over
from chalicelib.usecases.ports import Scope, Store


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
