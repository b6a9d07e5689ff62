"""Rule again on everything that an archive says was ruled, under the packs of the day, and compare the bytes.

    python -m scripts.replay ARCHIVE [--from 2026-11-01] [--to 2026-11-30] [--case ID] [--lender ID] [--local] [--json]

ARCHIVE is a downloaded archive (docs/archive.md). Dates are UTC and both included. Each ``contact.decided`` is opened
with the person's evidence key, ruled on again under the packs, atlas and zone data that its rule set names, and must
give the bytes that were stored. Documents are taken from the archive itself (``rules/<sha256>.json``), then from this
tree. Whoever runs it needs the right to the keys: ``--local`` takes those of the local cloud that runs here, otherwise
FORBEAR_STAGE, FORBEAR_ACCOUNT, AWS_REGION and credentials say whose (docs/replay.md).

Persons whose keys were destroyed are counted as erased. Nothing is printed but counts, ids and rule ids. Exit status:
0 everything that can be opened has the same bytes, 1 something differs or is broken, 2 something could not be replayed.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from chalicelib.domain import keys
from chalicelib.domain.audit.rulesets import digest_of
from chalicelib.domain.audit.tiles import ENTRIES, TILE_WIDTH, Tile, entries_of
from chalicelib.domain.compliance import load_packs
from chalicelib.domain.compliance.documents import folder_of, shipped_documents
from chalicelib.domain.compliance.replay import Replayer, Unreplayable

MOST_SHOWN = 20
"""Differences that are told one by one; the rest are counted."""

_AT_ONCE = 500
_MARK = b'"type":"contact.decided"'


class BadArchive(Exception):
    """What was given is no downloaded archive; the message is a sentence."""


class KeysOutOfReach(Exception):
    """The keys cannot be had; the message is a sentence that says what to do."""


class Opener(Protocol):
    """Opens sealed payloads with keys that were fetched before."""

    def load(self, tenant: str, subjects: Iterable[str]) -> None:
        """Fetch the keys of many persons at once."""

    def open(self, tenant: str, subject: str, sealed: bytes, *, aad: bytes) -> bytes | None:
        """Return the plain bytes, or None when the key was destroyed.

        Raises LookupError when there never was a key here, ValueError when the bytes do not open.
        """
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """One recorded ruling: where it stands, and its event."""

    log: str
    tenant: str
    seq: int
    event: Mapping[str, Any]

    @property
    def aad(self) -> bytes:
        """Return what the payload is bound to: the log of the event's own year, its id and type."""
        origin = f"{self.log.rsplit('/', 1)[0]}/{self.event['at'][:4]}"
        return keys.event_aad(origin, self.event["id"], self.event["type"])


@dataclass
class Report:
    """What a replay found. ``not_replayable`` counts by reason, ``broken`` what contradicts itself."""

    rulings: int = 0
    same: int = 0
    different: int = 0
    erased: int = 0
    broken: int = 0
    not_replayable: Counter[str] = field(default_factory=Counter)
    lacking: set[str] = field(default_factory=set)
    differences: list[dict[str, Any]] = field(default_factory=list)
    rule_sets: set[str] = field(default_factory=set)
    not_in_tree: list[str] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Return the exit status."""
        if self.different or self.broken:
            return 1
        return 2 if self.not_replayable else 0

    def as_json(self) -> dict[str, Any]:
        """Return plain values; no personal data."""
        return {
            "rulings": self.rulings,
            "same": self.same,
            "different": self.different,
            "erased": self.erased,
            "broken": self.broken,
            "not_replayable": dict(sorted(self.not_replayable.items())),
            "lacking": sorted(self.lacking),
            "differences": self.differences,
            "rule_sets": len(self.rule_sets),
            "packs_not_in_tree": self.not_in_tree,
        }


def decisions(
    archive: Path, *, first: str = "", last: str = "9999", case: str | None = None, lender: str | None = None
) -> Iterator[Decision]:
    """Yield every recorded ruling whose UTC date is from ``first`` to ``last``, in the order of the logs.

    Raises BadArchive when a log has no readable note or lacks a bundle that its size needs.
    """
    notes = sorted(archive.glob("*/*/checkpoint"))
    if not notes:
        raise BadArchive(f"{archive} holds no log: a downloaded archive has <lender>/<year>/checkpoint in it.")
    for note in notes:
        tenant = note.parent.parent.name
        if lender is not None and tenant != lender:
            continue
        for seq, entry in _entries(note):
            if _MARK not in entry:
                continue
            record = json.loads(entry)
            event = record["event"]
            if first <= event["at"][:10] <= last and case in (None, event["case"]):
                yield Decision(record["log"], tenant, seq, event)


def _entries(note: Path) -> Iterator[tuple[int, bytes]]:
    try:
        size = int(note.read_text(encoding="utf-8").split("\n")[1])
    except (ValueError, IndexError) as error:
        raise BadArchive(f"{note} is no checkpoint.") from error
    for index in range(-(-size // TILE_WIDTH)):
        path = note.parent / Tile(ENTRIES, index, min(TILE_WIDTH, size - index * TILE_WIDTH)).path
        try:
            found = entries_of(path.read_bytes())
        except (OSError, ValueError) as error:
            raise BadArchive(f"{path} is missing or damaged; python -m scripts.verify_archive says more.") from error
        yield from enumerate(found, start=index * TILE_WIDTH)


class Documents:
    """Documents by digest: the archive's own first, then this tree's. Remembers what only the archive had."""

    def __init__(self, archive: Path) -> None:
        """Take the archive."""
        self._own = folder_of(archive / "rules")
        self.not_in_tree: list[str] = []

    def __call__(self, digest: str) -> bytes | None:
        """Return a document, None where there is none."""
        shipped = shipped_documents([digest], load_packs()).get(digest)
        own = self._own(digest)
        if own is not None and shipped is None:
            self.not_in_tree.append(digest)
        return own if own is not None else shipped


def replay(found: Sequence[Decision], opener: Opener, documents: Documents, *, show: bool = False) -> Report:
    """Rule again on each recorded ruling and return what came of it."""
    report, replayer = Report(rulings=len(found)), Replayer(documents)
    with tqdm(total=len(found), desc="replayed", unit="ruling", disable=None if show else True) as bar:
        for start in range(0, len(found), _AT_ONCE):
            group = found[start : start + _AT_ONCE]
            for tenant in dict.fromkeys(each.tenant for each in group):
                opener.load(tenant, dict.fromkeys(each.event["key"] for each in group if each.tenant == tenant))
            for each in group:
                _one(each, opener, replayer, report)
            bar.update(len(group))
    report.not_in_tree = sorted(documents.not_in_tree)
    return report


def _one(each: Decision, opener: Opener, replayer: Replayer, report: Report) -> None:
    event = each.event
    sealed, decision = keys.from_urlsafe(event["sealed"]), event["decision"]
    rule_set = event["data"].get("rule_set")
    if rule_set is None:
        report.not_replayable["no rule set in the event"] += 1
        return
    if digest_of(rule_set) != decision["ruleset"] or hashlib.sha256(sealed).hexdigest() != decision["inputs"]:
        report.broken += 1
        _tell(each, {"broken": "a digest in the decision is not that of what it names"}, report)
        return
    report.rule_sets.add(decision["ruleset"])
    try:
        plain = opener.open(each.tenant, event["key"], sealed, aad=each.aad)
    except LookupError:
        report.not_replayable["keys"] += 1
        return
    except ValueError:
        report.broken += 1
        _tell(each, {"broken": "the sealed payload does not open"}, report)
        return
    if plain is None:
        report.erased += 1
        return
    secret = json.loads(plain)
    ruling = secret["ruling"]
    named = sorted([pack["id"], pack["version"], pack["sha256"]] for pack in ruling["packs"])
    said = sorted({rule["id"] for rule in ruling["rules"]})
    if named != rule_set["packs"] or ruling["zone_data"] != rule_set["zone_data"] or said != decision["reasons"]:
        report.broken += 1
        _tell(each, {"broken": "the open part says something else than the sealed ruling"}, report)
        return
    try:
        changed = replayer.replay(secret["dossier"], ruling, rule_set)
    except Unreplayable as lack:
        report.not_replayable[lack.what] += 1
        report.lacking.add(f"{lack.what} {lack.which}")
        return
    if changed is None:
        report.same += 1
    else:
        report.different += 1
        _tell(each, changed.as_json(), report)


def _tell(each: Decision, what: Mapping[str, Any], report: Report) -> None:
    if len(report.differences) < MOST_SHOWN:
        where = {"log": each.log, "seq": each.seq, "event": each.event["id"], "at": each.event["at"]}
        report.differences.append(
            {**where, "case": each.event["case"], "contact": each.event["data"]["contact"], **what}
        )


# Keys


class StoreKeys:
    """Opens with the service's own key store, read-only: KMS unwraps the lender's key, which unwraps the persons'."""

    def __init__(self) -> None:
        """Use the key table and the data key that the environment names. Raises KeysOutOfReach."""
        lacks = [name for name in ("FORBEAR_STAGE", "FORBEAR_ACCOUNT", "AWS_REGION") if not os.environ.get(name)]
        if lacks:
            raise KeysOutOfReach(
                f"{', '.join(lacks)} not set. Say whose keys open the archive: --local for the local cloud that runs "
                "here, or these variables and credentials for another (docs/replay.md)."
            )
        from chalicelib.domain.residency import resource_names
        from chalicelib.gateways.region_keys import KmsDataKeys
        from chalicelib.store.sealing import Sealer
        from chalicelib.store.tables import SubjectKey

        try:
            names = resource_names(
                region=os.environ["AWS_REGION"],
                stage=os.environ["FORBEAR_STAGE"],
                account=os.environ["FORBEAR_ACCOUNT"],
            )
        except ValueError as error:
            raise KeysOutOfReach(str(error)) from error
        SubjectKey.Meta.table_name = names.keys_table
        SubjectKey.Meta.region = names.region
        self._sealer = Sealer(_ReadOnly(KmsDataKeys(names.data_key)))

    def load(self, tenant: str, subjects: Iterable[str]) -> None:
        """Fetch the keys of many persons, a hundred a read. Raises KeysOutOfReach when the lender has none here."""
        # In a wrong key store everybody would look erased.
        self._sealer.index_key(tenant)
        self._sealer.load_subjects(tenant, subjects)

    def open(self, tenant: str, subject: str, sealed: bytes, *, aad: bytes) -> bytes | None:
        """Return the plain bytes, None when the key was destroyed. Raises LookupError, ValueError."""
        from cryptography.exceptions import InvalidTag

        from chalicelib.domain.errors import PersonErased
        from chalicelib.store.sealing import EVIDENCE, KeyMissing

        try:
            return self._sealer.open(tenant, subject, EVIDENCE, sealed, aad=aad)
        except PersonErased:
            return None
        except KeyMissing as error:
            raise LookupError(subject) from error
        except InvalidTag as error:
            raise ValueError("the payload does not open") from error


class _ReadOnly:
    """Unwraps a lender's key and never makes one: a lender that the key store does not know is a wrong key store."""

    def __init__(self, held: Any) -> None:
        self._held = held

    def generate(self, context: dict[str, str]) -> tuple[bytes, bytes]:
        raise KeysOutOfReach(f"The key store holds no key of lender {context['tenant']}: is it that of another stage?")

    def unwrap(self, wrapped: bytes, context: dict[str, str]) -> bytes:
        return bytes(self._held.unwrap(wrapped, context))


def _local_cloud(home: Path) -> None:
    """Take the environment of the local cloud's functions. Raises KeysOutOfReach when none runs there."""
    from botocore.exceptions import BotoCoreError, ClientError

    from scripts.cloud.aws import environment

    try:
        port = json.loads((home / "ports.json").read_text())["emulator"]
        os.environ.update(environment(f"http://127.0.0.1:{port}", stage="local"))
    except (OSError, BotoCoreError, ClientError) as error:
        raise KeysOutOfReach("The local cloud does not answer: start it with make run, then try again.") from error


def text(report: Report, seconds: float) -> str:
    """Return the report for a person."""
    lines = [
        f"{report.rulings} rulings under {len(report.rule_sets)} rule sets, replayed in {seconds:.1f} s",
        f"  same bytes        {report.same}",
        f"  different         {report.different}",
        f"  erased            {report.erased}  (their keys were destroyed; nobody can replay these)",
        f"  broken            {report.broken}",
        f"  not replayable    {sum(report.not_replayable.values())}",
    ]
    lines += [f"    lacks {each}" for each in sorted(report.lacking)]
    if any(each.startswith("zone_data") for each in report.lacking):
        lines.append("    Install the tzdata package of that version and run again.")
    if report.not_in_tree:
        lines.append(f"  {len(report.not_in_tree)} documents came from the archive alone; this tree never shipped them")
    for each in report.differences:
        lines.append(f"  entry {each['seq']} of {each['log']}, contact {each['contact']} of case {each['case']}:")
        if "broken" in each:
            lines.append(f"    {each['broken']}")
        else:
            lines.append(
                f"    was {each['verdict'][0]}, is {each['verdict'][1]}; differs in {', '.join(each['members'])}"
            )
            lines += [f"    no longer fires: {', '.join(each['rules_gone'])}"] if each["rules_gone"] else []
            lines += [f"    fires now: {', '.join(each['rules_new'])}"] if each["rules_new"] else []
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Replay an archive; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.replay", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, default=date.min, help="first UTC date")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, default=date.max, help="last UTC date")
    parser.add_argument("--case", help="only the rulings on this case")
    parser.add_argument("--lender", help="only this lender's logs")
    parser.add_argument("--local", nargs="?", type=Path, const=Path(".local/cloud"), help="keys of the local cloud")
    parser.add_argument("--json", action="store_true", help="print the report for machines")
    known = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        found = list(
            decisions(
                known.archive,
                first=known.first.isoformat(),
                last=known.last.isoformat(),
                case=known.case,
                lender=known.lender,
            )
        )
        if known.local is not None:
            _local_cloud(known.local)
        report = replay(found, StoreKeys(), Documents(known.archive), show=not known.json)
    except (BadArchive, KeysOutOfReach) as fault:
        print(fault, file=sys.stderr)
        return 2
    if known.json:
        print(json.dumps(report.as_json(), indent=1, sort_keys=True))
    else:
        print(text(report, time.monotonic() - begun))
    if not found:
        print("No ruling of that period stands in the archive.", file=sys.stderr)
        return 2
    return report.status


if __name__ == "__main__":
    sys.exit(main())
