"""Terms with agencies and objections (records), money by month, what payments earned, and statements (views).

``T#<lender>#AGREE#agr_<agency>`` in the main table holds versions of the terms (``V#<nnnnn>``) and objections (``OBJECTION#<id>``), both without
personal data. Views, which can be rebuilt from events, terms and objections: money booked in a month, what each payment
earned, which statements there are.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.money.commission import TermsVersion
from chalicelib.domain.money.statement import Objection
from chalicelib.store.repository import Scope
from chalicelib.store.tables import Record, View

_BATCH_GET = 100
NOBODY = "~"
"""Stands for the agency of a case that none held. It sorts behind every id, and is none."""


class MoneyRepository:
    """Implements the ports of ``chalicelib.usecases.statements``."""

    def versions(self, scope: Scope, agency: str) -> list[TermsVersion]:
        """Return every version of the terms with an agency, by number, by strongly consistent reads."""
        pk = keys.agreement_pk(scope.tenant, agency)
        found = Record.query(pk, Record.sk.startswith("V#"), consistent_read=True)
        return [TermsVersion.model_validate({**json.loads(item.d), "version": item.v}) for item in found]

    def objections(self, scope: Scope, agency: str) -> list[Objection]:
        """Return every objection of an agency by id, by strongly consistent reads."""
        pk = keys.agreement_pk(scope.tenant, agency)
        found = Record.query(pk, Record.sk.startswith(keys.objection_sk("")), consistent_read=True)
        return [Objection.model_validate({**json.loads(item.d), "version": item.v}) for item in found]

    def terms_record(self, scope: Scope, terms: TermsVersion) -> Record:
        """Return the record of a version of the terms."""
        pk, sk = keys.agreement_pk(scope.tenant, terms.agency), keys.terms_sk(terms.number)
        body = terms.model_dump_json(exclude_defaults=True, exclude={"version"})
        return Record(pk, sk, v=terms.version, s=terms.state.value, d=body)

    def objection_record(self, scope: Scope, objection: Objection) -> Record:
        """Return the record of an objection."""
        pk, sk = keys.agreement_pk(scope.tenant, objection.agency), keys.objection_sk(objection.id)
        body = objection.model_dump_json(exclude_defaults=True, exclude={"version"})
        return Record(pk, sk, v=objection.version, s=objection.state.value, d=body)

    def enter(self, tenant: str, month: str, agency: str | None, stream: str, seq: int, row: Mapping[str, Any]) -> None:
        """Put what an event says about money into its month; the same event again is the same row."""
        sk = f"{agency or NOBODY}#{stream}#{seq:08d}"
        View(keys.money_pk(tenant, month), sk, d=json.dumps(dict(row), separators=(",", ":"), sort_keys=True)).save()

    def booked(self, tenant: str, month: str, agency: str) -> list[dict[str, Any]]:
        """Return the rows of money that was booked in a month on cases of an agency."""
        found = View.query(keys.money_pk(tenant, month), View.sk.startswith(f"{agency}#"), consistent_read=True)
        return [json.loads(item.d) for item in found]

    def earned(self, tenant: str, agency: str, payments: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return by payment what its line earned, and its value date, where a statement has it."""
        wanted = [(keys.earned_pk(tenant, agency), payment) for payment in sorted(set(payments))]
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(wanted), _BATCH_GET):
            for item in View.batch_get(wanted[start : start + _BATCH_GET]):
                found[item.sk] = json.loads(item.d)
        return found

    def keep_earned(self, tenant: str, agency: str, earned: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep what lines earned, by payment."""
        with View.batch_write() as batch:
            for payment, row in earned.items():
                batch.save(View(keys.earned_pk(tenant, agency), payment, d=json.dumps(dict(row), sort_keys=True)))

    def statements(self, tenant: str, agency: str) -> list[dict[str, Any]]:
        """Return what is known of every statement of an agency, the newest month first."""
        found = View.query(keys.statements_pk(tenant, agency), scan_index_forward=False, consistent_read=True)
        return [json.loads(item.d) for item in found]

    def keep_statement(self, tenant: str, agency: str, known: Mapping[str, Any]) -> None:
        """Keep what is known of a statement."""
        place = f"{known['month']}#{known['currency']}"
        View(keys.statements_pk(tenant, agency), place, d=json.dumps(dict(known), sort_keys=True)).save()

    def stated(self, tenant: str, month: str) -> set[str]:
        """Return the agencies whose statements of a month are all made, by a strongly consistent read."""
        found = View.query(keys.stated_pk(tenant), View.sk.startswith(f"{month}#"), consistent_read=True)
        return {item.sk.partition("#")[2] for item in found}

    def keep_stated(self, tenant: str, agency: str, month: str) -> None:
        """Keep that every statement of a month with an agency is made."""
        View(keys.stated_pk(tenant), f"{month}#{agency}", d="{}").save()
