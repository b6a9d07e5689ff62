"""A sample of what ``make campaign-archive`` does in full: every flip shows, every attack is judged, tools agree."""

import random
import shutil
import sys
from pathlib import Path

import pytest

from scripts import campaign_archive, verify_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flips") / "archive"
    assert campaign_archive.write_exactly(folder, 32_768) == 32_768
    assert campaign_archive.judge(folder) == []
    return folder


def test_a_sample_of_the_bits_of_an_archive_of_32_kb_shows_when_flipped(archive: Path) -> None:
    files = campaign_archive.files_below(archive)
    cases = [(path, bit) for path, raw in sorted(files.items()) for bit in range(8 * len(raw))]
    assert len(cases) == 262_144
    assert campaign_archive.flips_in((str(archive), random.Random(1).sample(cases, 120))) == []


def test_a_flip_that_nobody_sees_would_be_told(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_archive, "judge", lambda folder: [])
    assert len(campaign_archive.flips_in((str(archive), [("made-up/2026/checkpoint", 5)]))) == 1


def test_a_sample_of_attacks_is_judged_rightly_alone_and_against_a_saved_note() -> None:
    found = campaign_archive.attacked(range(100, 180))
    assert [text for _, text in found if text] == []
    assert len({kind for kind, _ in found}) >= len(campaign_archive.ATTACKS) - 1


@pytest.mark.parametrize("blind_to", ["rewritten", "rolled_back", "not_signed"])
def test_attacks_that_a_verifier_is_blind_to_are_told(blind_to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = verify_archive.Report.fault

    def blind(report: verify_archive.Report, code: str, log: str, where: str = "") -> None:
        if code != blind_to:
            honest(report, code, log, where)

    monkeypatch.setattr(verify_archive.Report, "fault", blind)
    assert [text for _, text in campaign_archive.attacked(range(100, 160)) if text]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 700])
def test_tools_of_others_agree_on_a_log_and_on_a_spoiled_one(size: int, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    campaign_archive.write_keys(keys)
    script = str(Path(campaign_archive.__file__).parent / "auditors/audit.py")
    tools = {
        "ours": campaign_archive.by_us,
        "pymerkle": campaign_archive.by_program(sys.executable, script, "pymerkle"),
        "openssl": campaign_archive.by_openssl,
    }
    honest = campaign_archive.write_plain(tmp_path / "honest", size, seed=size).path
    logs, kinds = [honest], [""]
    for seed in range(3):
        twin = tmp_path / f"spoiled-{seed}" / "made-up" / "2026"
        shutil.copytree(honest, twin)
        logs.append(twin)
        kinds.append(campaign_archive.spoil(twin, random.Random(seed)))
    said = {name: tool(logs, keys) for name, tool in tools.items()}
    assert len({verdicts[0] for verdicts in said.values()}) == 1 and said["ours"][0].startswith(f"ok {size} ")
    for place, kind in enumerate(kinds[1:], start=1):
        for name in tools.keys() & set(campaign_archive.LOOKS_AT[kind]):
            assert said[name][place].startswith("refused"), f"{name} takes a changed {kind}"
