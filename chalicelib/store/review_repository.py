"""Which weekly review packs there are, in the view table; their files lie in a bucket."""

import json
from typing import Any

from chalicelib.domain import keys
from chalicelib.store.tables import View


class ReviewRepository:
    """One item a lender and week."""

    def of(self, tenant: str, week: str) -> dict[str, Any] | None:
        """Return what is known of a week's pack, or None."""
        try:
            return dict(json.loads(View.get(keys.reviews_pk(tenant), week, consistent_read=True).d))
        except View.DoesNotExist:
            return None

    def all(self, tenant: str) -> list[dict[str, Any]]:
        """Return every pack of a lender, the newest week first."""
        found = View.query(keys.reviews_pk(tenant), scan_index_forward=False)
        return [json.loads(item.d) for item in found]

    def keep(self, tenant: str, pack: dict[str, Any]) -> None:
        """Keep what is known of a pack, over what was known before."""
        body = json.dumps(pack, separators=(",", ":"), sort_keys=True)
        View(keys.reviews_pk(tenant), pack["week"], d=body).save()
