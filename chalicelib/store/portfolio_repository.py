"""Portfolios, their plans and their loaded chunks in the main table; keys and point indexes of many persons at once."""

import json
import zlib
from collections.abc import Iterable
from typing import TypeVar

from pydantic import BaseModel

from chalicelib.domain import keys
from chalicelib.domain.ids import blind_index, derived_id
from chalicelib.domain.intake.placement import KeyedIdentities
from chalicelib.domain.intake.portfolio import CHUNKS_PER_PAGE, LoadedChunk, PlanPage, Portfolio, UpdateMark
from chalicelib.domain.people.duplicates import looked_up
from chalicelib.domain.people.person import Person
from chalicelib.store.repository import Scope, Store
from chalicelib.store.tables import Record, View

_Model = TypeVar("_Model", bound=BaseModel)
_REACHED_BY = ("mobile", "landline", "email", "wechat")
"""Kinds of contact point that something can come in from; an address is never looked up."""


class PortfolioRepository:
    """What loading a portfolio needs beside ``Store``."""

    def __init__(self, store: Store) -> None:
        """Take the repository whose sealer holds the lenders' keys."""
        self._store = store

    def identities(self, scope: Scope) -> KeyedIdentities:
        """Return ids and blind indexes under the lender's index key, which is derived once for all of them."""
        key = self._store.sealer.index_key(scope.tenant)
        return KeyedIdentities(
            of_person=lambda label, value: derived_id("per", key=key, label=label, value=value),
            of_case=lambda account, stage: derived_id("case", key=key, label="case", value=f"{account}|{stage}"),
            index=lambda label, value: blind_index(key=key, label=label, value=value),
        )

    def create_keys(self, scope: Scope, persons: Iterable[str]) -> frozenset[str]:
        """Make the keys of those persons that have none, and return those who were erased: nothing is stored of them."""
        return self._store.sealer.create_subjects(scope.tenant, persons)

    def write_points(self, scope: Scope, persons: Iterable[Person]) -> None:
        """Write the index rows that lead from telephones, e-mail, WeChat and identities to persons; repeating changes nothing."""
        index = self.identities(scope).blind_index
        with View.batch_write() as batch:
            written: set[tuple[str, str]] = set()
            for person in persons:
                rows = [
                    (keys.identity_index_pk(scope.tenant, index(label, value)), person.id)
                    for label, value in looked_up(person)
                ]
                for point in person.points:
                    if point.kind not in _REACHED_BY:
                        continue
                    label = "mobile" if point.kind == "landline" else point.kind
                    rows.append(
                        (keys.point_index_pk(scope.tenant, index(label, point.value)), f"{person.id}#{point.id}")
                    )
                # Two accounts of one person in a file are two persons here, and one batch takes a row once.
                for row in rows:
                    if row not in written:
                        written.add(row)
                        batch.save(View(*row))

    def write_parties(self, scope: Scope, parties: Iterable[tuple[str, str]]) -> None:
        """Write the index rows that lead from a person to their cases, by (person, case); repeating changes nothing."""
        with View.batch_write() as batch:
            for person, case in dict.fromkeys(parties):
                batch.save(View(keys.person_cases_pk(scope.tenant, person), case))

    # Portfolios

    def portfolio(self, scope: Scope, portfolio: str) -> Portfolio | None:
        """Return the portfolio by a strongly consistent read, or None."""
        return _read(keys.portfolio_pk(scope.tenant, portfolio), "PORTFOLIO", Portfolio)

    def portfolio_record(self, scope: Scope, portfolio: Portfolio) -> Record:
        """Return the record of the portfolio as ``portfolio.version``."""
        pk = keys.portfolio_pk(scope.tenant, portfolio.id)
        record = _record(pk, "PORTFOLIO", portfolio, portfolio.version, portfolio.state.value)
        if portfolio.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(portfolio.id), portfolio.due_at
        return record

    def plan_page(self, scope: Scope, portfolio: str, chunk: int) -> PlanPage | None:
        """Return the page of the plan that holds a chunk, or None."""
        return _read(keys.portfolio_pk(scope.tenant, portfolio), _page_sk(chunk // CHUNKS_PER_PAGE), PlanPage)

    def plan_record(self, scope: Scope, portfolio: str, number: int, page: PlanPage) -> Record:
        """Return the record of a page of the plan."""
        return _record(keys.portfolio_pk(scope.tenant, portfolio), _page_sk(number), page, 1, None)

    def loaded_chunk(self, scope: Scope, portfolio: str, number: int) -> LoadedChunk | None:
        """Return the result of a chunk, or None while it is not done."""
        return _read(keys.portfolio_pk(scope.tenant, portfolio), keys.chunk_sk(number), LoadedChunk)

    def loaded_chunk_record(self, scope: Scope, portfolio: str, chunk: LoadedChunk) -> Record:
        """Return the record of a chunk's result."""
        return _record(keys.portfolio_pk(scope.tenant, portfolio), keys.chunk_sk(chunk.number), chunk, 1, None)

    def loaded_chunks(self, scope: Scope, portfolio: str, *, first: int, limit: int) -> list[LoadedChunk]:
        """Return up to ``limit`` results in order of their numbers from ``first``."""
        found = Record.query(
            keys.portfolio_pk(scope.tenant, portfolio),
            Record.sk.between(keys.chunk_sk(first), keys.chunk_sk(99_999)),
            limit=limit,
            consistent_read=True,
        )
        return [_body(item, LoadedChunk) for item in found]

    # Rows of customer updates

    def update_key(self, scope: Scope, sender: str, update_id: str) -> str:
        """Return what a sender's row is found by: a blind index, so that their own words stand nowhere."""
        return self._store.blind_index(scope, label="update_id", value=f"{sender}|{update_id}")

    def update_digest(self, scope: Scope, said: str) -> str:
        """Return the keyed digest of what a row says."""
        return self._store.blind_index(scope, label="update", value=said)

    def update_marks(self, scope: Scope, wanted: Iterable[str]) -> dict[str, UpdateMark]:
        """Return the marks of those rows that were taken, by key; strongly consistent."""
        pks = {keys.update_mark_pk(scope.tenant, key): key for key in wanted}
        places = [(pk, "MARK") for pk in pks]
        return {
            pks[item.pk]: UpdateMark.model_validate({**json.loads(item.d), "version": item.v})
            for start in range(0, len(places), 100)
            for item in Record.batch_get(places[start : start + 100], consistent_read=True)
        }

    def update_mark_record(self, scope: Scope, key: str, mark: UpdateMark) -> Record:
        """Return the record of a mark."""
        return self._store.plain_record(keys.update_mark_pk(scope.tenant, key), "MARK", mark, version=mark.version)


def _page_sk(number: int) -> str:
    return f"PLAN#{number:05d}"


def _record(pk: str, sk: str, model: BaseModel, version: int, state: str | None) -> Record:
    """Return a record without personal data whose body is compressed: rejections and plans repeat themselves."""
    body = model.model_dump_json(exclude_defaults=True, exclude={"version"}).encode()
    return Record(pk, sk, v=version, s=state, b=zlib.compress(body, 6))


def _body(item: Record, model: type[_Model]) -> _Model:
    return model.model_validate({**json.loads(zlib.decompress(item.b)), "version": item.v})


def _read(pk: str, sk: str, model: type[_Model]) -> _Model | None:
    try:
        return _body(Record.get(pk, sk, consistent_read=True), model)
    except Record.DoesNotExist:
        return None
