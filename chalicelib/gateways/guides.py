"""What every export of the archive carries beside the archive's own files: how to verify it, and programs that do."""

import re
from functools import cache
from pathlib import Path

from chalicelib.domain.audit.export import AuditExport, digest_of

_HERE = Path(__file__).resolve()
_GUIDES = _HERE.parents[1] / "guides"
_PROGRAMS = _HERE.parents[2] / "scripts"
"""The programs lie beside the service, in the repository as in the package; none of them is run here."""

PROGRAMS = {
    "verify_archive.py": "verify_archive.py",
    "auditors/audit.py": "auditors/audit.py",
    "auditors/audit.go": "auditors/audit.go",
}
_PART = re.compile(r"<!-- (range|proofs) -->\n(.*?)<!-- end -->\n", re.DOTALL)


def guides(export: AuditExport) -> dict[str, bytes]:
    """Return path -> bytes of those files for an export whose logs are known."""
    found = {path: _program(name) for path, name in PROGRAMS.items()}
    for name in ("VERIFY.md", "VERIFY.zh.md"):
        found[name] = _guide(name, export, digest_of(found["verify_archive.py"])).encode()
    return found


def _guide(name: str, export: AuditExport, verifier: str) -> str:
    """Return a guide that speaks of this export: of its range, or of its case or person, and of its newest log."""
    kept = "range" if export.kind == "range" else "proofs"
    text = _PART.sub(lambda part: part[2] if part[1] == kept else "", _text(name))
    newest = export.logs[-1]
    values = {
        "asked": export.subject or f"{export.first_day} … {export.last_day}",
        "kind": export.kind,
        "origin": newest.origin,
        "log": "/".join(newest.origin.split("/")[-2:]),
        "size": str(newest.size),
        "first": str(newest.first),
        "last": str(newest.end - 1),
        "verifier": verifier,
    }
    for field, value in values.items():
        text = text.replace(f"{{{{{field}}}}}", value)
    return text


@cache
def _text(name: str) -> str:
    return (_GUIDES / name).read_text(encoding="utf-8")


@cache
def _program(name: str) -> bytes:
    return (_PROGRAMS / name).read_bytes()
