"""The three tables. ``docs/data-model.md`` lists every access pattern with its key, item size and units."""

from functools import cache

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

from chalicelib.domain.residency import ResourceNames


class DueIndex(GlobalSecondaryIndex["Record"]):  # type: ignore[no-untyped-call]
    """Sparse index of what the clock must look at: hash ``due_shard`` ("0".."3"), range ``due_at`` (RFC 3339)."""

    class Meta:
        """Keys only: the sweeper reads the item itself, strongly consistent, before it acts."""

        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = UnicodeAttribute(range_key=True)


class Record(Model):
    """Truth: lenders, persons, ledgers, cases, messages and their events. Its stream is the outbox.

    A personal body is ``b`` (JSON, packed, AES-256-GCM under key ``k``); a body without personal data is ``d`` (JSON).
    ``e`` holds an event's canonical bytes, packed. ``v`` is the version that every replacement is conditioned on.
    """

    class Meta:
        """The name comes from the settings, see ``connect``."""

        table_name = ""
        region = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    v = NumberAttribute(null=True)
    s = UnicodeAttribute(null=True)
    k = UnicodeAttribute(null=True)
    b = BinaryAttribute(null=True, legacy_encoding=False)
    d = UnicodeAttribute(null=True)
    e = BinaryAttribute(null=True, legacy_encoding=False)
    stop_epoch = NumberAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = UnicodeAttribute(null=True)
    due = DueIndex()


class View(Model):
    """What is computed from events: feeds, lists, counters, pending audit entries, idempotency; it can be rebuilt."""

    class Meta:
        """The name comes from the settings, see ``connect``."""

        table_name = ""
        region = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    v = NumberAttribute(null=True)
    s = UnicodeAttribute(null=True)
    d = UnicodeAttribute(null=True)
    b = BinaryAttribute(null=True, legacy_encoding=False)
    ttl = NumberAttribute(null=True)


class SubjectKey(Model):
    """Wrapped keys in a table without stream, backup bounded: versions of a lender's key, and one item a person.

    ``kv`` is the version of the lender's key that the item is, or that wraps it. ``ops_gone`` and ``evidence_gone`` are
    tombstones: the instants at which those keys were destroyed. ``generation`` counts a lender's destructions.
    """

    class Meta:
        """The name comes from the settings, see ``connect``."""

        table_name = ""
        region = ""

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    ops = BinaryAttribute(null=True, legacy_encoding=False)
    evidence = BinaryAttribute(null=True, legacy_encoding=False)
    wrapped = BinaryAttribute(null=True, legacy_encoding=False)
    kv = NumberAttribute(null=True)
    ops_gone = UnicodeAttribute(null=True)
    evidence_gone = UnicodeAttribute(null=True)
    generation = NumberAttribute(null=True)


def connect(names: ResourceNames) -> None:
    """Point the three models at the cell's tables; called once by wiring before the first use.

    They share the process's one connection: a model that makes its own reads the service's description again, which is
    most of what a function takes to start.
    """
    shared = connection(names.region)
    for model, name in (
        (Record, names.table),
        (View, names.views_table),
        (SubjectKey, names.keys_table),
    ):
        if (model.Meta.table_name, model.Meta.region) != (name, names.region):
            model.Meta.table_name = name
            model.Meta.region = names.region
            model._connection = None
        own = model._get_connection()
        if own.connection is not shared:
            described, own.connection = own.get_meta_table(), shared
            if described.table_name not in shared._tables:
                shared.add_meta_table(described)


@cache
def connection(region: str) -> Connection:
    """Return the process's connection; making one reads the service's description and opens a new socket."""
    return Connection(region=region)
