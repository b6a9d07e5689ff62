"""What the rule command makes of good, changed and broken lines; the campaign sends a hundred thousand."""

import json

from chalicelib.domain.compliance import load_packs
from scripts.campaign_fuzz import fault, lines
from scripts.rule import answers
from tests.rules.casebook import dossier_of, vectors

BOOK = [dossier_of(vector) for vector in vectors()][::7]


def test_every_line_gets_one_answer_of_its_kind() -> None:
    sent = list(lines(BOOK, 1_500, 20261128))
    answered = list(answers((data for _, data in sent), load_packs()))
    assert len(answered) == len(sent)
    told = [(kind, fault(kind, data, json.loads(line))) for (kind, data), line in zip(sent, answered, strict=True)]
    assert [each for each in told if each[1]] == []
    assert {kind for kind, _ in sent} == {"good", "changed", "broken"}


def test_an_empty_line_and_one_that_is_no_utf8_get_an_error_each() -> None:
    told = [json.loads(line) for line in answers([b"", b"  \n", b'{"id": "\xff"}'], load_packs())]
    assert [each["error"]["code"] for each in told] == ["not_json", "not_json", "not_utf8"]


def test_a_wrong_answer_is_seen() -> None:
    good = json.dumps(BOOK[0]).encode()
    [line] = answers([good], load_packs())
    ruling = json.loads(line)
    assert fault("good", good, ruling) is None
    assert fault("good", good, {**ruling, "id": "another"})
    assert fault("broken", good, ruling)
    assert fault("good", good, {"id": None, "error": {"code": "a", "message": "b", "pointer": ""}})
    assert fault("broken", good, {"id": None, "error": {"code": "", "message": "b", "pointer": ""}})
    assert fault("broken", good, {"id": None, "error": {"code": "a", "message": "b", "pointer": "act"}})
