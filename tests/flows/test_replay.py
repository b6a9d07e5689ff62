"""An archive's rulings are ruled on again from the archive alone, and give the same bytes."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain.compliance import PackSet, rule
from chalicelib.domain.compliance.packs import COMPILED
from chalicelib.domain.events import EventType
from chalicelib.domain.keys import case_pk
from chalicelib.store.repository import Store
from chalicelib.store.sealing import PURPOSES
from chalicelib.store.tables import SubjectKey
from chalicelib.usecases.archive import enqueue_events, run_archive
from scripts import replay
from tests.archive_fakes import MemoryAudit, MemoryBucket, memory_ports
from tests.builders import (
    CASE,
    LENDER,
    NOW,
    PERSON,
    TEST_ACTOR,
    Scope,
)
from tests.flows.test_ruling_on_real_cases import a_wish_for, ask, case_on_file, rule_on

NIGHT = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)

__all__ = ["case_on_file"]


class Tampered:
    """Rules under a pack that somebody altered and names the genuine one."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(COMPILED, folder)
        pack = json.loads((folder / "cn.json").read_text())
        for each in pack["rules"]:
            if each["id"] == "CN-HOURS-1":
                each["params"]["windows"] = [{"open": [["00:00", "24:00"]]}]
        (folder / "cn.json").write_text(json.dumps(pack))
        self._packs = PackSet(folder)

    def rule(self, dossier: Mapping[str, Any], house: Any = ()) -> dict[str, Any]:
        return rule(dict(dossier), self._packs)

    def rule_set(self, ruling: Mapping[str, Any]) -> Mapping[str, Any]:
        return wiring.engine().rule_set(ruling)


def decide(store: Store, at: datetime, engine: Any = None) -> str:
    """Ask for a text message, rule on it, and return its id."""
    return rule_on(store, ask(store, a_wish_for(), now=at), now=at, engine=engine).id


def archived(store: Store, folder: Path) -> Path:
    """Archive every event of the case and return the archive as downloaded."""
    audit, bucket = MemoryAudit(), MemoryBucket()
    enqueue_events(audit, store.events(Scope(LENDER), case_pk(LENDER, CASE)))
    (run,) = run_archive(
        memory_ports(audit, bucket, rule_documents=wiring._rule_documents), now=NOW + timedelta(days=1)
    )
    assert run["unknown_rule_sets"] == []
    return bucket.download(folder / "archive")


def replayed(archive: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    status = replay.main([str(archive), "--json", *more])
    return status, json.loads(capsys.readouterr().out)


def test_every_ruling_of_an_archive_gives_the_same_bytes_again(
    case_on_file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in (NOW, NOW + timedelta(minutes=20), NOW + timedelta(minutes=40), NIGHT):
        decide(case_on_file, at)
    archive = archived(case_on_file, tmp_path)
    status, found = replayed(archive, capsys)
    assert status == 0
    assert (found["rulings"], found["same"], found["different"], found["erased"]) == (4, 4, 0, 0)
    assert found["packs_not_in_tree"] == []
    assert replayed(archive, capsys, "--from", "2026-11-24")[0] == 2
    assert replayed(archive, capsys, "--to", "2026-11-23", "--case", CASE)[1]["rulings"] == 4
    assert replayed(archive, capsys, "--case", "case_elsewhere")[1]["rulings"] == 0


def test_exactly_the_rulings_that_were_made_under_an_altered_pack_differ(
    case_on_file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered = Tampered(tmp_path / "altered")
    decide(case_on_file, NOW, altered)
    by_night = decide(case_on_file, NIGHT, altered)
    decide(case_on_file, NIGHT + timedelta(minutes=5))
    archive = archived(case_on_file, tmp_path)
    status, found = replayed(archive, capsys)
    assert (status, found["rulings"], found["same"], found["different"]) == (1, 3, 2, 1)
    (told,) = found["differences"]
    assert (told["contact"], told["verdict"]) == (by_night, ["allow", "defer"])
    assert (told["rules_new"], told["rules_gone"]) == (["CN-HOURS-1"], [])


def test_a_pack_that_was_altered_in_the_archive_is_no_pack(
    case_on_file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(case_on_file, NOW)
    archive = archived(case_on_file, tmp_path)
    digest = hashlib.sha256((COMPILED / "cn.json").read_bytes()).hexdigest()
    file = archive / "rules" / f"{digest}.json"
    file.write_text(file.read_text().replace('"cap":3', '"cap":30'))
    status, found = replayed(archive, capsys)
    assert (status, found["same"], found["not_replayable"]) == (2, 0, {"documents": 1})
    assert found["lacking"] == [f"documents {digest}"]


def test_an_erased_person_is_counted_and_is_no_error(
    case_on_file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(case_on_file, NOW)
    archive = archived(case_on_file, tmp_path)
    unit = case_on_file.unit(Scope(LENDER), actor=TEST_ACTOR, req="req_3", now=NOW)
    unit.destroy_keys(PERSON, PURPOSES)
    unit.commit()
    status, found = replayed(archive, capsys)
    assert (status, found["rulings"], found["same"], found["erased"]) == (0, 1, 0, 1)
    # A key that never was is another matter: nobody destroyed it.
    (held,) = [item for item in SubjectKey.scan() if item.sk == "KEYS" and item.pk.endswith(PERSON)]
    held.delete()
    status, found = replayed(archive, capsys)
    assert (status, found["erased"], found["not_replayable"]) == (2, 0, {"keys": 1})


def test_an_open_part_that_says_something_else_than_the_sealed_ruling_is_broken(
    case_on_file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(case_on_file, NOW)
    events = case_on_file.events(Scope(LENDER), case_pk(LENDER, CASE))
    (event,) = [each.as_json() for each in events if each.type is EventType.CONTACT_DECIDED]
    origin = f"audit.forbear.test/{LENDER}/2026"

    def broken_by(**changes: Any) -> int:
        changed = json.loads(json.dumps(event))
        for path, value in changes.items():
            part, key = path.split("__")
            changed[part][key] = value
        found = [replay.Decision(origin, LENDER, 0, changed)]
        return replay.replay(found, replay.StoreKeys(), replay.Documents(tmp_path)).broken

    assert broken_by() == 0
    assert broken_by(decision__reasons=["CN-HOURS-1"]) == 1
    assert broken_by(decision__inputs="00" * 32) == 1
    assert broken_by(data__rule_set={**event["data"]["rule_set"], "engine": 9}) == 1


def test_nothing_personal_and_no_wish_to_write_is_in_a_replay(
    case_on_file: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(case_on_file, NIGHT, Tampered(tmp_path / "altered"))
    archive = archived(case_on_file, tmp_path)
    assert replay.main([str(archive)]) == 1
    told = capsys.readouterr().out
    assert "fires now: CN-HOURS-1" in told
    assert "13812345678" not in told and "张" not in told
    # Another stage's key store: a lender's key that is not there is never made.
    for item in SubjectKey.scan():
        item.delete()
    assert replay.main([str(archive)]) == 2
    assert "another stage" in capsys.readouterr().err
    assert list(SubjectKey.scan()) == []
    monkeypatch.delenv("FORBEAR_STAGE")
    assert replay.main([str(archive)]) == 2
    assert "--local" in capsys.readouterr().err


def test_what_is_no_archive_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.main([str(tmp_path)]) == 2
    assert "holds no log" in capsys.readouterr().err
