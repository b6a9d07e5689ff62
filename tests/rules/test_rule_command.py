"""The command: one line in, one line out, the same bytes in any process, malformed lines answered and passed over."""

import json
import os
import subprocess
import sys
from pathlib import Path

from chalicelib.domain.compliance import explain, load_packs, rule
from scripts.rule import answers
from tests.rules.casebook import dossier_of

ROOT = Path(__file__).resolve().parents[2]
SMS = dossier_of({"rule": "x", "id": "sms", "base": "cn.sms", "at": "2026-06-10T14:30:00Z"})
CALL = dossier_of({"rule": "x", "id": "call", "base": "us.call", "at": "2026-11-24T02:00:00Z"})


def run(text: str, seed: str) -> bytes:
    return subprocess.run(
        [sys.executable, "-m", "scripts.rule"],
        input=text.encode(),
        capture_output=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "TZ": "Pacific/Apia"},
    ).stdout


def test_same_bytes_in_any_process_and_bad_lines_are_passed_over() -> None:
    lines = [
        json.dumps(SMS),
        "{",
        "[]",
        '{"id": "half"}',
        '{"id": 7}',
        json.dumps({**CALL, "mood": 1}),
        json.dumps(CALL),
    ]
    text = "\n".join(lines) + "\n"
    one, two = run(text, "1"), run(text, "2")
    assert one == two
    rulings = [json.loads(line) for line in one.splitlines()]
    assert [each["id"] for each in rulings] == ["sms", None, None, "half", None, "call", "call"]
    assert [each.get("error", {}).get("code") for each in rulings] == [
        None, "not_json", "wrong_type", "missing_key", "wrong_type", "unknown_key", None,
    ]  # fmt: skip
    assert rulings[0]["verdict"] == "defer"
    assert rulings[5]["error"]["pointer"] == "/mood"


def test_what_json_allows_and_a_dossier_does_not() -> None:
    packs = load_packs()
    odd = ['{"id": "a", "id": "b"}', '{"id": NaN}', "[" * 100_000]
    codes = [json.loads(line)["error"]["code"] for line in answers(odd, packs)]
    assert codes == ["duplicate", "not_json", "not_json"]


def test_a_ruling_has_exactly_the_contract_keys() -> None:
    ruling = rule(SMS, load_packs())
    assert list(ruling) == [
        "id", "verdict", "next_allowed_at", "not_after", "rules", "shadow", "obligations", "missing", "packs",
        "zone_data",
    ]  # fmt: skip
    assert list(ruling["rules"][0]) == [
        "id", "effect", "citation", "grade", "confidence", "observed", "limit", "until", "because",
    ]  # fmt: skip
    assert [each["id"] for each in ruling["packs"]] == ["CN"]
    assert ruling["zone_data"] == "2026f"


def test_a_ruling_is_explained_in_both_languages() -> None:
    packs = load_packs()
    ruling = rule(SMS, packs)
    assert "暂缓" in explain(ruling, "zh", packs)[0]
    assert "not now" in explain(ruling, "en", packs)[0]
    assert explain({**ruling, "rules": [], "missing": ["act.point"]}, "zh", packs) == ["缺少事实:act.point"]


def test_a_lack_of_law_is_reviewed() -> None:
    dossier = dossier_of(
        {"rule": "x", "id": "x", "base": "us.sms", "at": "2026-11-23T17:00:00Z",
         "set": {"parties.p1.residence": {"country": "NZ"}, "parties.p1.zones": ["Pacific/Auckland"]}}
    )  # fmt: skip
    ruling = rule(dossier, load_packs())
    assert (ruling["verdict"], ruling["missing"]) == ("review", ["rulepack.NZ"])


def test_a_zone_that_is_not_in_the_data_is_reviewed() -> None:
    dossier = dossier_of(
        {"rule": "x", "id": "x", "base": "us.letter", "at": "2026-11-23T17:00:00Z",
         "set": {"parties.p1.zones": ["Mars/Base"]}}
    )  # fmt: skip
    ruling = rule(dossier, load_packs())
    assert (ruling["verdict"], ruling["missing"]) == ("review", ["zone_data.Mars/Base"])


def test_a_residence_without_a_country_is_reviewed() -> None:
    dossier = dossier_of(
        {"rule": "x", "id": "x", "base": "us.sms", "at": "2026-11-23T17:00:00Z",
         "set": {"parties.p1.residence": {"city": "Springfield"}}}
    )  # fmt: skip
    ruling = rule(dossier, load_packs())
    assert (ruling["verdict"], ruling["missing"]) == ("review", ["parties.p1.residence.country"])


def test_times_at_the_end_of_the_calendar_are_read() -> None:
    dossier = dossier_of(
        {"rule": "x", "id": "\ud800", "base": "us.call", "at": "2026-11-23T17:00:00Z",
         "set": {"debts.d1.placed_to": "9999-12-31", "debts.d1.placed_from": "0001-01-01"},
         "add": {"holds": [{"kind": "police_no_contact", "party": "p1", "from": "0001-01-01", "until": "9999-12-31"}]}}
    )  # fmt: skip
    ruling = rule(dossier, load_packs())
    assert (ruling["verdict"], ruling["next_allowed_at"], ruling["rules"][0]["until"]) == ("defer", None, None)
    assert b"\\ud800" in run(json.dumps(dossier), "0")


def test_the_first_duty_is_dated() -> None:
    dossier = dossier_of(
        {"rule": "x", "id": "x", "base": "us.letter", "at": "2026-11-23T17:00:00Z",
         "set": {"act.content.first": True, "history": [], "notices": [],
                 "act.content.disclosures": ["agency", "collect_debt_notice"]}}
    )  # fmt: skip
    ruling = rule(dossier, load_packs())
    assert ruling["verdict"] == "allow"
    assert ruling["obligations"] == [
        {"rule": "US-REGF-VALID-5D", "due": "2026-11-29T05:00:00Z", "what": ["validation_information"]}
    ]
