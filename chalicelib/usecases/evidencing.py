"""The evidence of one message, gathered from the record and proved from the archive."""

from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.domain import keys
from chalicelib.domain.errors import NotFound
from chalicelib.domain.events import Event
from chalicelib.domain.outreach import evidence
from chalicelib.usecases.archive import ArchiveFiles, AuditRepository, ReadOnce, newest_note, prove_event
from chalicelib.usecases.ports import Scope, Store

Explain = Callable[[Mapping[str, Any], str], list[str]]
"""Takes a ruling and a language and returns its reasons, a sentence a rule."""


def message_evidence(
    store: Store, repository: AuditRepository, files: ArchiveFiles, explain: Explain, scope: Scope, message: str
) -> dict[str, Any]:
    """Return the evidence of a message or clearance, every proof under one note.

    Raises NotFound, also when its evidence key was destroyed.
    """
    attempt = store.attempt(scope, message)
    if attempt is None:
        raise NotFound("message", message)

    published = ReadOnce(files)

    def proof(event: Event) -> str | None:
        try:
            return prove_event(repository, published, scope, event.id).decode()
        except NotFound:
            # Recorded a moment ago: the log has not published it yet.
            return None

    stream = store.events(scope, keys.case_pk(scope.tenant, attempt.case))
    events = [(event, proof(event)) for event in stream if event.data.get("contact") == message]
    ruling = store.ruling(scope, attempt)
    reasons = {language: [] if ruling is None else explain(ruling, language) for language in ("zh", "en")}
    note = newest_note(repository, published, scope)
    person = store.person(scope, attempt.person)
    return evidence.document(attempt, ruling, person, events, reasons, None if note is None else note.decode())
