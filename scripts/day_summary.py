"""What a day came to: counts of every step, the archive as downloaded, and checks by programs of their own."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from scripts import day_world as world
from scripts.day_world import LENDER

CHECKS = (
    "sent_without_approval",
    "approvals_used_twice",
    "contacts_over_cap",
    "contacts_out_of_hours",
    "entries_missing",
)

ANCHORS = ("time stamps", "cosignatures")
"""What the verifier counts of those who are not us."""

REPLAY = ("rulings", "same", "different", "erased")
"""What ``summary.json`` tells of the replay of every ruling under the packs of its day."""


def summarise(day: Any, out: Path, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Write archive, keys, outbox and ``summary.json`` into ``out``, print the summary, and return it."""
    archive = out / "archive"
    download(day.cloud, archive)
    keys(day.cloud, archive, out)
    day.cloud.copy_outbox(out / "outbox.jsonl")
    export = figures(day, out)
    say("archive and figures are downloaded; checking them by programs of their own")
    vkey, approval = ["--key", str(out / "archive.vkey")], ["--approval-key", str(out / "approval.pub.pem")]
    pem_key, export_file = ["--key", str(out / "archive.pub.pem")], str(out / "audit-export.zip")
    commands = (
        ["scripts.verify_archive", str(archive), *vkey, *pem_key, *approval, *anchors(out), "--json"],
        ["scripts.verify_archive", export_file, *vkey, *approval, "--json"],
        ["scripts.check_day", str(archive), str(out / "outbox.jsonl")],
        ["scripts.recompute_kpis", str(archive), "--against", str(export)],
        ["scripts.replay", str(archive), "--json"],
    )
    with ThreadPoolExecutor(os.cpu_count()) as working:
        running = [working.submit(program, *command) for command in commands]
        told = told_by_api(day)
        verified, exported, checked, recomputed, replayed = (each.result() for each in running)
    events = counts(archive)
    summary = {
        "note": "generated sample: nobody in it exists",
        "day": day.midnight.date().isoformat(),
        "events": events,
        "contacts": {
            name.removeprefix("contact."): n for name, n in sorted(events.items()) if name.startswith("contact.")
        },
        "agencies": {agency: len(held) for agency, held in sorted(day.state["held"].items())},
        "outbox": outbox(out / "outbox.jsonl"),
        **told,
        "archive": verified,
        "export": exported,
        "figures_recomputed": recomputed,
        "replay": {name: replayed["answer"].get(name) for name in REPLAY},
        "checks": {name: checked["answer"].get(name) for name in CHECKS},
    }
    (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
    print(text(summary, out), flush=True)
    return summary


def told_by_api(day: Any) -> dict[str, Any]:
    """Return what the summary tells as the API shows it."""
    return {
        "portfolio": portfolio(day),
        "duties": duties(day),
        "feedback": feedback(day),
        "figures": headline(day),
        "scoreboard": scoreboard(day),
        "review_packs": review_packs(day),
    }


def holds(summary: dict[str, Any]) -> bool:
    """Tell whether everything that was checked agrees."""
    return (
        all(summary["checks"][name] == 0 for name in CHECKS)
        and summary["archive"]["status"] == 0
        and summary["export"]["status"] == 0
        and summary["figures_recomputed"]["status"] == 0
        and summary["replay"]["different"] == 0
    )


def download(cloud: Any, target: Path) -> None:
    """Download the newest version of every object of the archive, as it lies in the bucket."""
    if target.exists():
        shutil.rmtree(target)
    bucket = cloud.bucket("archive")

    def fetch(key: str) -> None:
        file = target / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(cloud.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    with ThreadPoolExecutor(4) as working:
        list(working.map(fetch, [entry["Key"] for page in pages for entry in page.get("Contents", ())]))


def keys(cloud: Any, archive: Path, out: Path) -> None:
    """Write the public keys, taken from the key service and not from the archive."""
    newest = sorted(archive.glob(f"{LENDER}/*/checkpoint"))[-1].read_text()
    origin = newest.split("\n", 1)[0]
    spki = {
        name: cloud.kms.get_public_key(KeyId=cloud.key(name))["PublicKey"] for name in ("archive-ed25519", "approval")
    }
    raw = spki["archive-ed25519"][-32:]
    typed = b"\x01" + raw
    key_id = hashlib.sha256(origin.encode() + b"\n" + typed).digest()[:4].hex()
    (out / "archive.vkey").write_text(f"{origin}+{key_id}+{base64.b64encode(typed).decode()}\n")
    (out / "archive.pub.pem").write_text(pem(spki["archive-ed25519"]))
    (out / "approval.pub.pem").write_text(pem(spki["approval"]))


def anchors(out: Path) -> list[str]:
    """Copy the witnesses' policy and the authority's certificate, which the cloud gives us, and return the options for them."""
    given = []
    for option, variable, name in (
        ("--policy", "LOCAL_CLOUD_WITNESS_POLICY", "archive.policy"),
        ("--tsa-ca", "LOCAL_CLOUD_TIME_AUTHORITY", "time-authority.pem"),
    ):
        if os.environ.get(variable):
            shutil.copyfile(os.environ[variable], out / name)
            given += [option, str(out / name)]
    return given


def pem(der: bytes) -> str:
    """Return a public key in PEM form."""
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def figures(day: Any, out: Path) -> Path:
    """Write the lender's counters, as projected, for the independent recomputation to compare with."""
    file = out / "kpis.json"
    last = (day.midnight + timedelta(days=1)).date().isoformat()
    path = f"/v1/kpis/export?from={world.FIRST_DAY}&to={last}"
    exported = day.api.call("GET", path, day.token("compliance", LENDER, world.COMPLIANCE_OFFICER)).body
    file.write_text(json.dumps(exported, ensure_ascii=False, indent=1) + "\n")
    return file


def headline(day: Any) -> list[dict[str, Any]]:
    """Return the lender's figures of the day as the API shows them."""
    path = f"/v1/kpis?from={day.midnight.date()}&to={(day.midnight + timedelta(days=1)).date()}"
    reports = day.api.call("GET", path, day.token("lender", LENDER)).body["reports"]
    return [figure for report in reports for figure in report["figures"]]


def scoreboard(day: Any) -> list[dict[str, Any]]:
    """Return the plan's targets beside the figures, as the API shows them."""
    path = f"/v1/scoreboard?to={(day.midnight + timedelta(days=1)).date()}"
    boards = day.api.call("GET", path, day.token("lender", LENDER)).body["scoreboards"]
    return [line for board in boards for line in board["lines"]]


def review_packs(day: Any) -> list[dict[str, Any]]:
    """Return the weekly review packs that were made, with where their files lie."""
    return list(day.api.call("GET", "/v1/review-packs", day.token("lender", LENDER)).body["items"])


def duties(day: Any) -> dict[str, dict[str, int]]:
    """Return how many duties of each kind are in each state, as the lender's lists show them."""
    found: dict[str, Counter[str]] = {}
    for state in ("open", "fulfilled", "lapsed", "waived"):
        cursor = ""
        while True:
            token = day.token("lender", LENDER)
            page = day.api.call("GET", f"/v1/duties?state={state}&limit=100{cursor}", token).body
            found.setdefault(state, Counter()).update(duty["kind"] for duty in page["items"])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
    return {state: dict(sorted(kinds.items())) for state, kinds in found.items()}


FEEDBACK = ("waiting", "escalated", "answered", "closed")
"""The lists of feedback that the summary counts."""


def feedback(day: Any) -> dict[str, dict[str, int]]:
    """Return how much feedback of each kind stands in each list; what was escalated waits as well."""
    found: dict[str, Counter[str]] = {}
    for name in FEEDBACK:
        cursor = ""
        while True:
            token = day.token("lender", LENDER)
            page = day.api.call("GET", f"/v1/feedback?status={name}&limit=100{cursor}", token).body
            found.setdefault(name, Counter()).update(item["kind"] for item in page["items"])
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
    return {name: dict(sorted(kinds.items())) for name, kinds in found.items()}


def program(module: str, *arguments: str) -> dict[str, Any]:
    """Run a checking program in a process of its own; return its exit status and its JSON answer."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        answer = {"output": done.stdout[-2000:], "errors": done.stderr[-2000:]}
    return {"status": done.returncode, "answer": answer}


def counts(archive: Path) -> dict[str, int]:
    """Return how many entries of each type the downloaded log holds."""
    found: Counter[str] = Counter()
    for event in entries(archive):
        found[event["type"]] += 1
    return dict(sorted(found.items()))


def entries(archive: Path) -> Any:
    """Yield the event of every entry in the newest bundles of every log."""
    for checkpoint in sorted(archive.glob("*/*/checkpoint")):
        size = int(checkpoint.read_text().split("\n")[1])
        for number in range(-(-size // 256)):
            width = min(256, size - number * 256)
            group = f"{number:09d}"
            name = "/".join(
                ("x" if i < 2 else "") + group[3 * i : 3 * i + 3] for i in range(3) if i == 2 or int(group[: 3 * i + 3])
            )
            file = checkpoint.parent / "tile" / "entries" / (name if width == 256 else f"{name}.p/{width}")
            octets, at = file.read_bytes(), 0
            while at < len(octets):
                length = int.from_bytes(octets[at : at + 2], "big")
                yield json.loads(octets[at + 2 : at + 2 + length])["event"]
                at += 2 + length


def portfolio(day: Any) -> dict[str, Any]:
    """Return the portfolio's counts as the API tells them."""
    told = day.api.call("GET", f"/v1/portfolios/{day.state['portfolio']}", day.token("lender", LENDER)).body
    return {name: told[name] for name in ("state", "rows", "accepted", "unchanged", "rejected", "codes", "sha256")}


def outbox(file: Path) -> dict[str, int]:
    """Return how many messages each carrier took."""
    lines = [json.loads(line) for line in file.read_text().splitlines() if line]
    return dict(sorted(Counter(line["carrier"] for line in lines).items()))


STATES = {
    "met": "达标 met",
    "not_met": "未达标 not met",
    "not_enough_data": "数据不足 not enough data",
    "not_measured": "尚无数据来源 not measured yet",
}


def shown(line: dict[str, Any]) -> str:
    """Return what is known of a target, in a few words."""
    figure = line["figure"]
    if figure is None:
        return STATES[line["state"]]
    return f"{figure['numerator']} / {figure['denominator']} = {figure['value']}  {STATES[line['state']]}"


def text(summary: dict[str, Any], out: Path) -> str:
    """Return the summary for a person, Chinese and English side by side."""
    folio, contacts = summary["portfolio"], summary["contacts"]
    lines = [
        "",
        f"  {summary['day']}  模拟的一天 / one simulated day  (样本数据均为生成 / all data are generated)",
        f"  组合 portfolio   rows {folio['rows']}  accepted {folio['accepted']}  rejected {folio['rejected']}",
        "  机构 agencies    " + "  ".join(f"{name} {count}" for name, count in summary["agencies"].items()),
        "  触达 contacts    " + "  ".join(f"{name} {count}" for name, count in contacts.items()),
        "  义务 duties      "
        + "  ".join(f"{state} {sum(kinds.values())}" for state, kinds in summary["duties"].items()),
        "  反馈 feedback    "
        + "  ".join(f"{name} {sum(kinds.values())}" for name, kinds in summary["feedback"].items()),
        "  外发 outbox      " + "  ".join(f"{name} {count}" for name, count in summary["outbox"].items()),
        *(
            f"  目标 target      {line['name']['zh']} / {line['name']['en']}: {shown(line)}"
            for line in summary["scoreboard"]
        ),
        *(
            f"  周报 weekly      {pack['week']}{'' if pack['final'] else ' (未完 not final)'}  "
            + "  ".join(each["path"] for each in pack["files"].values())
            for pack in summary["review_packs"]
        ),
        f"  存档 archive     {sum(summary['events'].values())} entries, "
        f"{'verified' if summary['archive']['status'] == 0 else 'NOT VERIFIED'} offline, "
        + ", ".join(f"{summary['archive']['answer'].get('counts', {}).get(kind, 0)} {kind}" for kind in ANCHORS),
        f"  导出 export      {out}/audit-export.zip, downloaded by the compliance officer, "
        f"{'verified' if summary['export']['status'] == 0 else 'NOT VERIFIED'}: its VERIFY.md says how (VERIFY.zh.md)",
        f"  指标 figures     {'recomputed from the archive, equal' if summary['figures_recomputed']['status'] == 0 else 'DIFFER'}",
        "  重演 replay      " + "  ".join(f"{name} {summary['replay'][name]}" for name in REPLAY),
        "  检查 checks      " + "  ".join(f"{name} {summary['checks'][name]}" for name in CHECKS),
        f"  {out}/summary.json  {out}/archive/  {out}/archive.pub.pem  {out}/archive.vkey",
        "",
    ]
    return "\n".join(lines)
