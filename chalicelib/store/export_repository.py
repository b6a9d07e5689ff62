"""Exports of the archive in the record table, and the list of those that wait for a signature in the view table.

- ``T#<lender>#AEX#<id>`` | ``EXPORT`` (record table)
- ``T#<lender>#MANIFEST#<sha256>`` | ``NOTE``: the note that was signed over a manifest (record table)
- ``EXPORTS`` | ``<lender>#<id>``: an export whose manifest waits for a signature (view table)
"""

from chalicelib.domain import keys
from chalicelib.domain.audit.export import AuditExport
from chalicelib.domain.events import Event
from chalicelib.store.repository import Scope, Store
from chalicelib.store.tables import Record, View

UNSIGNED = "EXPORTS"


class ExportRepository:
    """Implements ``Exports``; it opens nothing that is sealed."""

    def __init__(self, store: Store) -> None:
        """Take the repository that reads streams."""
        self._store = store

    def export(self, scope: Scope, export: str) -> AuditExport | None:
        """Return the export by a strongly consistent read, or None."""
        try:
            item = Record.get(keys.audit_export_pk(scope.tenant, export), "EXPORT", consistent_read=True)
        except Record.DoesNotExist:
            return None
        return AuditExport.model_validate_json(item.d).model_copy(update={"version": int(item.v)})

    def export_record(self, scope: Scope, export: AuditExport) -> Record:
        """Return the record of the export as ``export.version``; it holds no personal data."""
        pk = keys.audit_export_pk(scope.tenant, export.id)
        record = self._store.plain_record(pk, "EXPORT", export, version=export.version, state=export.state.value)
        if export.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(export.id), export.due_at
        return record

    def note(self, scope: Scope, manifest: str) -> str | None:
        """Return the note that was signed over a manifest, None before."""
        try:
            return str(Record.get(keys.manifest_pk(scope.tenant, manifest), "NOTE", consistent_read=True).s)
        except Record.DoesNotExist:
            return None

    def note_record(self, scope: Scope, manifest: str, note: str) -> Record:
        """Return the record of that note."""
        return Record(keys.manifest_pk(scope.tenant, manifest), "NOTE", v=1, s=note)

    def enter_unsigned(self, tenant: str, export: str) -> None:
        """List an export whose manifest waits for a signature; one that is listed stays so."""
        View(UNSIGNED, f"{tenant}#{export}").save()

    def unsigned(self) -> list[tuple[str, str]]:
        """Return (lender, export) of those that are listed."""
        found = (item.sk.split("#") for item in View.query(UNSIGNED, consistent_read=True))
        return [(tenant, export) for tenant, export in found]

    def leave_unsigned(self, tenant: str, export: str) -> None:
        """Take it off the list."""
        View(UNSIGNED, f"{tenant}#{export}").delete()

    def cases_of(self, scope: Scope, person: str) -> list[str]:
        """Return the cases that the person's index names."""
        return self._store.cases_of(scope, person)

    def stream(self, scope: Scope, aggregate_pk: str) -> list[Event]:
        """Return the events of a stream in order."""
        return self._store.events(scope, aggregate_pk)
