"""Roll tables of closed and closing months, in the view table: ``T#<lender>#ROLLS`` | ``<month>``."""

import json
from dataclasses import asdict

from pynamodb.exceptions import PutError

from chalicelib.domain import keys
from chalicelib.domain.kpi.rolls import MonthClose, Move, Moved
from chalicelib.store.tables import View


class RollRepository:
    """Implements ``chalicelib.usecases.month_close.Rolls``."""

    def of(self, tenant: str, month: str) -> MonthClose | None:
        """Return what is known of a month by a strongly consistent read, or None."""
        try:
            return _close(View.get(keys.rolls_pk(tenant), month, consistent_read=True))
        except View.DoesNotExist:
            return None

    def all(self, tenant: str) -> list[MonthClose]:
        """Return every month that closed or closes, the newest first."""
        return [_close(item) for item in View.query(keys.rolls_pk(tenant), scan_index_forward=False)]

    def keep(self, tenant: str, close: MonthClose) -> bool:
        """Put a month as its next version (``close.version``); False when somebody else put that version first."""
        body = asdict(close)
        body["moves"] = [[*move, *moved] for move, moved in sorted(close.moves.items(), key=str)]
        del body["version"]
        item = View(keys.rolls_pk(tenant), close.month, v=close.version, d=json.dumps(body, separators=(",", ":")))
        fresh = View.pk.does_not_exist() if close.version == 1 else View.v == close.version - 1
        try:
            item.save(fresh)
        except PutError as error:
            if error.cause_response_code == "ConditionalCheckFailedException":
                return False
            raise
        return True


def _close(item: View) -> MonthClose:
    body = json.loads(item.d)
    moves = {Move(*row[:4]): Moved(*row[4:]) for row in body.pop("moves")}
    return MonthClose(**body, moves=moves, version=int(item.v))
