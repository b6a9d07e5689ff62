"""A lender's strategies: the lives of their versions, and the content of each version; no personal data, plain JSON."""

import json
from functools import lru_cache

from chalicelib.domain import keys
from chalicelib.domain.strategies.book import StrategyBook, StrategyVersion
from chalicelib.domain.strategies.strategy import Strategy
from chalicelib.store.repository import Scope
from chalicelib.store.tables import Record


class StrategyRepository:
    """Implements ``chalicelib.usecases.strategies.Strategies``."""

    def books(self, scope: Scope) -> list[StrategyBook]:
        """Return every strategy of the lender by rank, then id."""
        prefix = keys.strategy_sk("")
        found = Record.query(keys.tenant_pk(scope.tenant), Record.sk.startswith(prefix), consistent_read=True)
        return sorted((_book(item) for item in found), key=lambda book: (book.rank, book.id))

    def book(self, scope: Scope, strategy: str) -> StrategyBook | None:
        """Return the strategy with the lives of its versions by a strongly consistent read, or None."""
        try:
            item = Record.get(keys.tenant_pk(scope.tenant), keys.strategy_sk(strategy), consistent_read=True)
        except Record.DoesNotExist:
            return None
        return _book(item)

    def content(self, scope: Scope, strategy: str, life: StrategyVersion) -> Strategy | None:
        """Return the content of one version, or None; it never changes, and is kept in mind by its digest."""
        try:
            return _content(scope.tenant, strategy, life.number, life.sha256)
        except Record.DoesNotExist:
            return None

    def book_record(self, scope: Scope, book: StrategyBook) -> Record:
        """Return the record of the strategy as ``book.version``."""
        body = book.model_dump_json(exclude_defaults=True, exclude={"version"})
        return Record(keys.tenant_pk(scope.tenant), keys.strategy_sk(book.id), v=book.version, d=body)

    def content_record(self, scope: Scope, strategy: Strategy, number: int) -> Record:
        """Return the record of the content of a version."""
        pk, sk = keys.strategy_pk(scope.tenant, strategy.id), keys.strategy_version_sk(number)
        return Record(pk, sk, v=1, d=strategy.model_dump_json(by_alias=True, exclude_defaults=True))


def _book(item: Record) -> StrategyBook:
    return StrategyBook.model_validate({**json.loads(item.d), "version": item.v})


@lru_cache(maxsize=256)
def _content(tenant: str, strategy: str, number: int, sha256: str) -> Strategy:
    item = Record.get(keys.strategy_pk(tenant, strategy), keys.strategy_version_sk(number), consistent_read=True)
    return Strategy.model_validate_json(item.d)
