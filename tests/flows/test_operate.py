"""The operator's commands say in a sentence what came of them."""

from pathlib import Path

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.store.repository import Store
from chalicelib.store.tables import SubjectKey
from chalicelib.usecases import cosigning
from scripts import operate
from tests.builders import LENDER, Scope, a_lender, stored
from tests.witnesses import TextWitness

POLICY = f"witness lender {TextWitness('w.example').vkey} https://w.example\nquorum lender\n"


@pytest.fixture
def stage(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    stored(store, a_lender())
    monkeypatch.setattr(wiring, "store", lambda: store)
    return store


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    status = operate.main(list(arguments))
    printed = capsys.readouterr()
    return status, (printed.out or printed.err).strip()


def test_a_policy_is_set_and_taken_away(stage: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy").write_text(POLICY)
    asked = ("witnesses", "--lender", LENDER, "--by", "ops-1")
    status, said = told(capsys, *asked, "--policy", str(tmp_path / "policy"))
    assert (status, said) == (
        0,
        f"The logs of {LENDER} are shown to the witnesses of policy 1 from the next note on.",
    )
    assert (policy := cosigning.policy_of(stage, Scope(LENDER))) is not None and policy.quorum == "lender"
    assert told(capsys, *asked, "--none")[0] == 0
    assert (policy := cosigning.policy_of(stage, Scope(LENDER))) is not None and policy.quorum == "none"


def test_what_cannot_be_done_is_a_sentence(stage: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy").write_text("quorum nobody\n")
    file = str(tmp_path / "policy")
    for arguments, status, said in (
        (("--lender", "stranger", "--none"), 1, "There is no lender stranger on this stage."),
        (("--lender", LENDER, "--policy", file), 1, "This is no policy: line 1: nobody above is called nobody."),
        (("--lender", LENDER, "--policy", str(tmp_path)), 1, "The policy's file cannot be read."),
        (("--lender", "a b", "--none"), 2, "Ids are 1 to 80 letters, digits, underscores and dashes."),
    ):
        assert told(capsys, "witnesses", "--by", "ops-1", *arguments) == (status, said)


def test_a_new_key_version_is_made_once_and_the_log_tells(stage: Store, capsys: pytest.CaptureFixture[str]) -> None:
    stage.sealer.create_subjects(LENDER, ["per_before"])
    asked = ("new-key", "--lender", LENDER, "--by", "ops-1")
    status, said = told(capsys, *asked, "--after", "1")
    assert status == 0 and said.startswith(f"Version 2 of the key of {LENDER} wraps")
    # Repeated, by accident or after a lost answer, it makes no third one.
    assert told(capsys, *asked, "--after", "1") == (1, "Nothing was changed: the newest version of the key is 2.")
    assert told(capsys, *asked, "--after", "7") == (1, "Nothing was changed: the newest version of the key is 2.")
    stage.sealer.create_subjects(LENDER, ["per_after"])
    assert [int(SubjectKey.get(f"T#{LENDER}#{who}", "KEYS").kv) for who in ("per_before", "per_after")] == [1, 2]
    events = stage.events(Scope(LENDER), keys.org_pk(LENDER, LENDER))
    assert [(event.type.value, event.data["key_version"], event.actor.id) for event in events] == [
        ("lender.key_made", 2, "ops-1")
    ]
    assert told(capsys, "new-key", "--lender", "stranger", "--after", "1")[0] == 1


def test_without_a_stage_the_environment_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> Store:
        raise KeyError("AWS_REGION")

    monkeypatch.setattr(wiring, "store", missing)
    status, said = told(capsys, "witnesses", "--by", "ops-1", "--lender", LENDER, "--none")
    assert (status, said) == (1, "The environment does not name a stage: KeyError.")
