"""What the front door's pages show, read from the emulator and from the API like any caller's view."""

import json
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.cloud import outbox
from scripts.cloud.aws import client
from scripts.cloud.front import Views

_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


def views(
    *,
    stage: str,
    endpoint: str,
    api: str,
    outputs: Mapping[str, str],
    outbox_file: Path,
    now: Callable[[], datetime],
    run: Callable[[str], Any],
    token: Callable[[str, str], str],
    lenders: Sequence[str],
) -> Views:
    """Return the pages' views of these lenders and of those who sent something.

    ``token(role, lender)`` gives a bearer token; ``api`` is the address of the API's stage.
    """

    def lines() -> list[dict[str, Any]]:
        return list(outbox.accepted(outbox_file))

    def known_lenders() -> list[str]:
        return sorted({*lenders, *(line["tenant"] for line in lines() if line["tenant"])})

    def asked(path: str, role: str, lender: str) -> Any:
        request = urllib.request.Request(api + path, headers={"Authorization": f"Bearer {token(role, lender)}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            if refusal.code in (403, 404):
                return None
            raise

    def figures(lender: str) -> list[dict[str, Any]]:
        today = now().date()
        told = asked(f"/v1/kpis?from={today - timedelta(days=1)}&to={today}", "lender", lender) or {}
        return [figure for report in told.get("reports", []) for figure in report["figures"]]

    def status() -> dict[str, Any]:
        depths = _depths(endpoint, f"forbear-{stage}-")
        return {
            "now": now().isoformat(timespec="seconds"),
            "queues": {name: count for name, count in depths.items() if "-dlq" not in name},
            "dead_letters": {name: count for name, count in depths.items() if "-dlq" in name},
            "carriers": dict(Counter(line["carrier"] for line in lines())),
            "archive": _archive(endpoint, outputs["ArchiveBucketName"]),
            "figures": [figure for lender in known_lenders() for figure in figures(lender)],
        }

    def ruling(contact: str) -> Mapping[str, Any] | None:
        # WeChat knows no lender; a message is found with the one who sent it.
        for lender in known_lenders():
            found: Mapping[str, Any] | None = asked(f"/v1/messages/{contact}", "compliance", lender)
            if found is not None:
                return found
        return None

    def letter(key: str) -> bytes | None:
        objects = client("s3", endpoint)
        try:
            return bytes(objects.get_object(Bucket=outputs["LettersBucketName"], Key=key)["Body"].read())
        except objects.exceptions.NoSuchKey:
            return None

    def law(path: str) -> Mapping[str, Any] | None:
        if not _LAW.fullmatch(path) or not known_lenders():
            return None
        told: Mapping[str, Any] | None = asked(f"/v1/compliance/{path}", "lender", known_lenders()[0])
        return told

    def scoreboard() -> dict[str, Any]:
        boards, packs = [], []
        for lender in known_lenders():
            boards += (asked("/v1/scoreboard", "lender", lender) or {}).get("scoreboards", [])
            packs += (asked("/v1/review-packs", "lender", lender) or {}).get("items", [])
        return {"scoreboards": boards, "packs": packs}

    def pack(name: str) -> bytes | None:
        if not _PACK.fullmatch(name):
            return None
        objects = client("s3", endpoint)
        try:
            return bytes(objects.get_object(Bucket=outputs["ReportsBucketName"], Key=name)["Body"].read())
        except objects.exceptions.NoSuchKey:
            return None

    return Views(
        status=status, outbox=lines, ruling=ruling, letter=letter, law=law, scoreboard=scoreboard, pack=pack, run=run
    )


_PACK = re.compile(r"[A-Za-z0-9_-]{1,80}/[0-9]{4}-W[0-9]{2}/(zh|en)[.](html|pdf)")
"""Where a weekly review pack lies in its bucket."""


_LAW = re.compile(r"packs(/[A-Z0-9-]+(/rules/[A-Z0-9-]+)?)?|duty-rules|house-rules(/HOUSE-[A-Z0-9]+/versions)?")
"""What the page of rules may ask the API for."""


def _depths(endpoint: str, prefix: str) -> dict[str, int]:
    queues = client("sqs", endpoint)
    found = {}
    for url in queues.list_queues(QueueNamePrefix=prefix).get("QueueUrls", []):
        counted = queues.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
        found[url.rsplit("/", 1)[1].removeprefix(prefix)] = sum(int(counted[name]) for name in _COUNTS)
    return dict(sorted(found.items()))


def _archive(endpoint: str, bucket: str) -> dict[str, str]:
    """Return each log's newest checkpoint: its size in entries, by the log's place."""
    objects = client("s3", endpoint)
    logs = {}
    for page in objects.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith("/checkpoint"):
                note = objects.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode().split("\n")
                logs[note[0]] = f"{note[1]} entries"
    return logs
