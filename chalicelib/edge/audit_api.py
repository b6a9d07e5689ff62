"""The archive over HTTP: files of a log by a tlog client's paths, proofs, and the evidence of a message."""

import base64
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from chalice.app import Blueprint
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.audit.export import LINK_SECONDS, AuditExport, ExportState
from chalicelib.domain.audit.keeping import LogHold
from chalicelib.domain.errors import NotFound, StateConflict
from chalicelib.domain.ids import ID_PATTERN
from chalicelib.domain.outreach import evidence
from chalicelib.domain.principals import Principal, TenantScope, scope_of
from chalicelib.edge.callers import actor_of
from chalicelib.edge.http import Answer, Request, View, route
from chalicelib.settings import settings
from chalicelib.usecases import archive, archive_exports, evidencing, holding

bp = Blueprint(__name__)

FOREVER = "private, max-age=31536000, immutable"
"""A tile, a bundle and the copy of a note never change."""

NOTE = "text/plain; charset=utf-8"
NEWEST = "Audit-Checkpoint"
"""The header in which every answer here carries the newest note, in base64: whoever keeps it can tell a rewritten log."""

YEAR = {"year": r"[0-9]{4}"}
_NUMBER = r"(x[0-9]{3}|[0-9]{3}(\.p)?|[1-9][0-9]{0,2})"
DEEPEST = 4
"""How many parts a tile's number and width have at most here: a billion tiles, and a width."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LogView(_Model):
    """A lender's log of a calendar year: its origin, whether it is closed, and where a tlog client begins to read."""

    year: str
    origin: str
    closed: bool
    checkpoint: str


class LogList(_Model):
    """A lender's logs by year."""

    items: list[LogView]


class LogHoldWish(_Model):
    """Why a log is put under legal hold, and the reference of the matter."""

    reason: holding.Reason
    matter: Annotated[str, Field(pattern=ID_PATTERN.pattern)]


class LogHoldView(_Model):
    """A legal hold on a log, as it stands; ``on`` is false when it was released."""

    year: str
    on: bool
    reason: str
    matter: str
    placed_at: str
    placed_by: str
    released_at: str | None
    released_by: str | None


class MessageEvidence(_Model):
    """What was sent, when, to whom (masked), why it was allowed, and the proof of each record of it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    format: str


class PageLanguage(_Model):
    """The language of a page."""

    language: Literal["zh", "en"] = "zh"


_Id = Annotated[str, Field(pattern=ID_PATTERN.pattern)]


class ExportRange(_Model):
    """A period by its first and last date (UTC), both included."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    from_: date = Field(alias="from")
    to: date

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "ExportRange":
        if self.to < self.from_:
            raise ValueError("the period ends before it begins")
        return self


class ExportWish(_Model):
    """What to export: exactly one of a range, a case or a person."""

    range: ExportRange | None = None
    case: _Id | None = None
    person: _Id | None = None

    @model_validator(mode="after")
    def _is_one_wish(self) -> "ExportWish":
        if sum(each is not None for each in (self.range, self.case, self.person)) != 1:
            raise ValueError("ask for exactly one of range, case and person")
        return self

    def asked(self, identity: str) -> archive_exports.Asked:
        """Return the wish under an id."""
        if self.range is not None:
            first, last = self.range.from_.isoformat(), self.range.to.isoformat()
            return archive_exports.Asked(identity, "range", first_day=first, last_day=last)
        kind = "case" if self.case is not None else "person"
        return archive_exports.Asked(identity, kind, subject=self.case or self.person)


class ExportedLogView(_Model):
    """What of a log the export holds: entries from ``first`` to before ``end``, under the note of this size and root."""

    origin: str
    size: int
    root: str
    first: int
    end: int


class ExportProblem(_Model):
    """Why an export failed."""

    code: str
    zh: str
    en: str


class ExportView(_Model):
    """An export: where it stands, what it holds, and, once it succeeded, its digests and where a link is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    id: str
    state: ExportState
    progress: float
    range: ExportRange | None
    case: str | None
    person: str | None
    requested_by: str
    requested_at: str
    finished_at: str | None
    logs: list[ExportedLogView]
    entries: int
    files: int
    files_done: int
    bytes: int | None
    sha256: str | None
    manifest_sha256: str | None
    downloads: str | None
    problem: ExportProblem | None


class Download(_Model):
    """A link to an export, for whoever has it, good for so many seconds; ``sha256`` and ``bytes`` are those of the file.

    ``url`` is null when the request came again under its Idempotency-Key: a link is given once and kept nowhere.
    """

    url: str | None
    expires_in_seconds: int
    sha256: str
    bytes: int


class DownloadWish(_Model):
    """Nothing is said with it."""


_PROBLEMS = {
    "nothing_archived": (
        "所请求的内容尚未进入任何已发布的日志",
        "nothing of what was asked for stands in a published log yet",
    ),
    "too_large": ("文件过多，请缩短时段", "it would hold too many files; choose a shorter range"),
    "stalled": ("多次唤醒后仍未完成", "it was woken several times and did not come to its end"),
}


def export_view(export: AuditExport) -> ExportView:
    """Return the export as its lender sees it."""
    told = _PROBLEMS.get(export.problem or "")
    days = (export.first_day, export.last_day)
    return ExportView(
        id=export.id,
        state=export.state,
        progress=export.progress,
        range=ExportRange.model_validate(dict(zip(("from", "to"), days, strict=True))) if all(days) else None,
        case=export.subject if export.kind == "case" else None,
        person=export.subject if export.kind == "person" else None,
        requested_by=export.by,
        requested_at=export.requested_at,
        finished_at=export.finished_at,
        logs=[ExportedLogView(**log.model_dump(exclude={"year"})) for log in export.logs],
        entries=export.entries,
        files=export.files,
        files_done=export.files_done,
        bytes=export.bytes,
        sha256=export.sha256,
        manifest_sha256=export.manifest,
        downloads=f"/v1/audit/exports/{export.id}/downloads" if export.state is ExportState.SUCCEEDED else None,
        problem=ExportProblem(code=export.problem or "", zh=told[0], en=told[1]) if told else None,
    )


def _newest(scope: TenantScope) -> Mapping[str, str]:
    note = archive.newest_note(wiring.audit_repository(), wiring.archive_bucket(), scope)
    return {} if note is None else {NEWEST: base64.b64encode(note).decode()}


@route(
    bp, "GET", "/v1/audit", scope="audit:read", response=LogList, summary="List the lender's logs, one a calendar year"
)
def list_logs(principal: Principal, request: Request[None, None]) -> Answer:
    """A log is there from its year's first event on."""
    scope = scope_of(principal)
    logs = [
        LogView(
            year=log.year,
            origin=keys.origin(settings().audit_domain, log.tenant, log.year),
            closed=log.closed,
            checkpoint=f"/v1/audit/{log.year}/checkpoint",
        )
        for log in archive.list_logs(wiring.audit_repository(), scope)
    ]
    return Answer(LogList(items=logs), headers=_newest(scope))


def _file(principal: Principal, year: str, path: str) -> Answer:
    scope = scope_of(principal)
    return Answer(archive.read_log_file(wiring.archive_bucket(), scope, year, path), headers=_newest(scope))


@route(
    bp,
    "POST",
    "/v1/audit/{year}/legal-hold",
    scope="legal_holds:write",
    body=LogHoldWish,
    response=LogHoldView,
    path_patterns=YEAR,
    summary="Put a log of the lender under legal hold",
)
def place_log_hold(principal: Principal, request: Request[LogHoldWish, None]) -> LogHoldView:
    """Every object of it gets a legal hold within a day, and nothing about a person whom it tells of is destroyed from now on."""
    hold = holding.place_log_hold(
        wiring.store(),
        scope_of(principal),
        request.path["year"],
        reason=request.body.reason,
        matter=request.body.matter,
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return _hold_view(hold)


@route(
    bp,
    "POST",
    "/v1/audit/{year}/legal-hold/release",
    scope="legal_holds:write",
    response=LogHoldView,
    path_patterns=YEAR,
    summary="End the legal hold on a log of the lender",
)
def release_log_hold(principal: Principal, request: Request[None, None]) -> LogHoldView:
    """The objects stay locked as long as they would have been without it."""
    hold = holding.release_log_hold(
        wiring.store(),
        scope_of(principal),
        request.path["year"],
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return _hold_view(hold)


def _hold_view(hold: LogHold) -> LogHoldView:
    return LogHoldView(**hold.model_dump(exclude={"version"}))


@route(
    bp,
    "GET",
    "/v1/audit/{year}/checkpoint",
    scope="audit:read",
    content_type=NOTE,
    path_patterns=YEAR,
    summary="Read the newest signed note of a log",
)
def read_checkpoint(principal: Principal, request: Request[None, None]) -> Answer:
    """Verbatim as it lies in the archive. Keep it: only against a note that was saved does a rewritten log show."""
    return _file(principal, request.path["year"], "checkpoint")


@route(
    bp,
    "GET",
    "/v1/audit/{year}/checkpoints/{size}",
    scope="audit:read",
    content_type=NOTE,
    path_patterns={**YEAR, "size": r"[0-9]{12}"},
    cache=FOREVER,
    summary="Read the note that was published at a size",
)
def read_published_note(principal: Principal, request: Request[None, None]) -> Answer:
    """The size has twelve digits."""
    return _file(principal, request.path["year"], f"checkpoints/{request.path['size']}")


@route(
    bp,
    "GET",
    "/v1/audit/{year}/anchors/{size}",
    scope="audit:read",
    content_type="application/octet-stream",
    path_patterns={**YEAR, "size": r"[0-9]{12}"},
    cache=FOREVER,
    summary="Read the time stamp of the note that was published at a size",
)
def read_time_stamp(principal: Principal, request: Request[None, None]) -> Answer:
    """An answer as of RFC 3161, verbatim. Notes are stamped about once an hour, so most have none."""
    return _file(principal, request.path["year"], f"anchors/{request.path['size']}.tsr")


@route(
    bp,
    "GET",
    "/v1/audit/{year}/cosigs/{size}/{witness}",
    scope="audit:read",
    content_type=NOTE,
    path_patterns={**YEAR, "size": r"[0-9]{12}", "witness": r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"},
    cache=FOREVER,
    summary="Read a witness's lines on the note that was published at a size",
)
def read_cosignature(principal: Principal, request: Request[None, None]) -> Answer:
    """Cosignatures as of tlog-cosignature, verbatim; ``witness`` is the name that the policy gives it."""
    return _file(principal, request.path["year"], f"cosigs/{request.path['size']}/{request.path['witness']}")


def _serve_tiles(depth: int) -> None:
    """Serve tiles and bundles whose number and width take so many parts of the path."""
    parts = [f"part_{place}" for place in range(1, depth + 1)]

    def read_tile(principal: Principal, request: Request[None, None]) -> Answer:
        """``level`` is a number, or ``entries`` for a bundle. Verbatim, and never changed."""
        named = "/".join(request.path[part] for part in parts)
        return _file(principal, request.path["year"], f"tile/{request.path['level']}/{named}")

    read_tile.__name__ = f"read_tile_{depth}"
    view: View = read_tile
    route(
        bp,
        "GET",
        "/v1/audit/{year}/tile/{level}/" + "/".join(f"{{{part}}}" for part in parts),
        scope="audit:read",
        content_type="application/octet-stream",
        path_patterns={**YEAR, "level": r"(entries|[0-9]{1,2})", **dict.fromkeys(parts, _NUMBER)},
        cache=FOREVER,
        summary="Read a tile or an entry bundle by its path below the log",
    )(view)


for _depth in range(1, DEEPEST + 1):
    _serve_tiles(_depth)


@route(
    bp,
    "GET",
    "/v1/audit/proofs/{event_id}",
    scope="audit:read",
    content_type=NOTE,
    summary="Read the proof that an event is in the archive",
)
def read_proof(principal: Principal, request: Request[None, None]) -> Answer:
    """A ``.tlog-proof``: number, hashes and the signed note. An event of the last minutes is not published yet: 404."""
    scope = scope_of(principal)
    proof = archive.prove_event(wiring.audit_repository(), wiring.archive_bucket(), scope, request.path["event_id"])
    return Answer(proof, headers=_newest(scope))


@route(
    bp,
    "POST",
    "/v1/audit/exports",
    scope="audit:export",
    body=ExportWish,
    response=ExportView,
    status=202,
    summary="Ask for an export of the archive: a range of days, a case, or a person",
    errors=[NotFound],
)
def request_audit_export(principal: Principal, request: Request[ExportWish, None]) -> Answer:
    """Follow it at ``Location``. What is sealed stays sealed; the archive's own key signs the manifest within minutes."""
    scope = scope_of(principal)
    export = archive_exports.request_export(
        wiring.export_ports(),
        scope,
        request.body.asked(request.derived_id("aex")),
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    return Answer(
        export_view(export),
        version=export.version,
        location=f"/v1/audit/exports/{export.id}",
        headers=_newest(scope),
    )


@route(
    bp,
    "GET",
    "/v1/audit/exports/{export_id}",
    scope="audit:export",
    response=ExportView,
    summary="Follow an export of the archive: state, progress, counts, digests",
)
def read_audit_export(principal: Principal, request: Request[None, None]) -> Answer:
    """``downloads`` is there when the state is ``succeeded``: a POST there gives a link, which is recorded."""
    scope = scope_of(principal)
    export = archive_exports.get_export(wiring.export_ports(), scope, request.path["export_id"])
    return Answer(export_view(export), version=export.version, headers=_newest(scope))


@route(
    bp,
    "POST",
    "/v1/audit/exports/{export_id}/downloads",
    scope="audit:export",
    body=DownloadWish,
    response=Download,
    status=201,
    errors=[StateConflict],
    summary="Get a link to an export, good for five minutes; who got one is recorded",
)
def download_audit_export(principal: Principal, request: Request[DownloadWish, None]) -> Answer:
    """An export can be downloaded for seven days after it was made. Send ``{}``."""
    scope = scope_of(principal)
    export, url = archive_exports.download(
        wiring.export_ports(),
        scope,
        request.path["export_id"],
        actor=actor_of(principal),
        now=wiring.now(),
        req=request.id,
    )
    given = Download(url=url, expires_in_seconds=LINK_SECONDS, sha256=export.sha256 or "", bytes=export.bytes or 0)
    return Answer(
        given,
        kept=given.model_copy(update={"url": None}),
        location=f"/v1/audit/exports/{export.id}",
        headers=_newest(scope),
    )


def _evidence(scope: TenantScope, message: str) -> dict[str, Any]:
    def explain(ruling: Mapping[str, Any], language: str) -> list[str]:
        return wiring.explain(ruling, language, tenant=scope.tenant)

    return evidencing.message_evidence(
        wiring.store(), wiring.audit_repository(), wiring.archive_bucket(), explain, scope, message
    )


@route(
    bp,
    "GET",
    "/v1/messages/{message_id}/evidence",
    scope="audit:read",
    response=MessageEvidence,
    summary="Read what a regulator asks about one message, with proof, as JSON",
)
def read_message_evidence(principal: Principal, request: Request[None, None]) -> Answer:
    """What was sent, when, to whom (masked), under which rules it was allowed, and the proof of each record of it."""
    scope = scope_of(principal)
    told = _evidence(scope, request.path["message_id"])
    return Answer(MessageEvidence(**told), headers=_newest(scope))


@route(
    bp,
    "GET",
    "/v1/messages/{message_id}/evidence/page",
    scope="audit:read",
    query=PageLanguage,
    content_type="text/html; charset=utf-8",
    summary="Read what a regulator asks about one message, with proof, as a page in Chinese or English",
)
def read_message_evidence_page(principal: Principal, request: Request[None, PageLanguage]) -> Answer:
    """One page that loads nothing and runs nothing, so that it can be handed over as it is."""
    scope = scope_of(principal)
    page = evidence.page(_evidence(scope, request.path["message_id"]), request.query.language)
    return Answer(page, headers=_newest(scope))
