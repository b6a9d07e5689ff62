"""Procedures of suits: the table is total, its data are sound, and what stands against suing is told."""

from datetime import date
from itertools import product
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.domain.cases.case import CaseParty
from chalicelib.domain.litigation.limitation import Limitation
from chalicelib.domain.litigation.procedure import (
    FINAL,
    MatterEvent,
    Procedure,
    Stage,
    obstacles,
    procedure_of,
    procedures,
)
from chalicelib.domain.state_table import Move, Refuse, Stay
from tests.builders import PERSON, a_case

TODAY = date(2026, 11, 23)
TRIPLES = [(each.country, stage, event) for each in procedures() for stage, event in product(Stage, MatterEvent)]


def of(country: str) -> Procedure:
    found = procedure_of(country)
    assert found is not None
    return found


CN, US = of("CN"), of("US")


@pytest.mark.parametrize(("country", "stage", "event"), TRIPLES)
def test_nothing_follows_a_final_stage_and_no_stage_is_foreign(country: str, stage: Stage, event: MatterEvent) -> None:
    reply = of(country).answer(stage, event)
    if stage in FINAL:
        assert not isinstance(reply, Move)
    if isinstance(reply, Move):
        assert reply.to in of(country).stages


@pytest.mark.parametrize("procedure", procedures(), ids=lambda each: each.country)
def test_every_stage_is_reached_and_from_every_stage_an_end(procedure: Procedure) -> None:
    def reached(start: Stage) -> set[Stage]:
        seen, todo = {start}, [start]
        while todo:
            stage = todo.pop()
            for event in procedure.possible(stage):
                reply = procedure.answer(stage, event)
                if isinstance(reply, Move) and reply.to not in seen:
                    seen.add(reply.to)
                    todo.append(reply.to)
        return seen

    assert reached(Stage.ASSESSMENT) == set(procedure.stages)
    for stage in set(procedure.stages) - FINAL:
        assert reached(stage) & FINAL


def test_what_ended_a_suit_does_no_harm_when_it_comes_again() -> None:
    for procedure in procedures():
        for stage, event in product(procedure.stages, MatterEvent):
            reply = procedure.answer(stage, event)
            if isinstance(reply, Move) and reply.to in FINAL:
                assert isinstance(procedure.answer(reply.to, event), Stay)


def test_countries_differ_where_their_law_does() -> None:
    assert CN.answer(Stage.FILED, MatterEvent.ADMIT) == Move(Stage.ADMITTED)
    assert isinstance(US.answer(Stage.FILED, MatterEvent.ADMIT), Refuse)
    assert US.answer(Stage.FILED, MatterEvent.SERVE) == Move(Stage.SERVED)
    assert CN.answer(Stage.PRE_ACTION, MatterEvent.PRESERVE) == Move(Stage.PRE_ACTION)
    assert isinstance(US.answer(Stage.PRE_ACTION, MatterEvent.PRESERVE), Refuse)
    assert procedure_of("GB") is None


@pytest.mark.parametrize(
    "changes",
    [
        {"step": [{"event": "admit", "from": ["filed"], "to": "served"}]},
        {"step": [{"event": "admit", "from": ["dropped"], "to": "filed"}]},
        {"step": [{"event": "admit", "from": ["filed"], "to": "admitted"}] * 2},
    ],
)
def test_unsound_data_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Procedure.model_validate({**CN.model_dump(by_alias=True), **changes})


def test_evidence_is_asked_for_where_the_case_needs_it() -> None:
    kinds = lambda case: {rule.kind for rule in CN.missing(case, MatterEvent.FILE, ["loan_contract"])}  # noqa: E731
    plain = kinds(a_case())
    assert "complaint" in plain and "loan_contract" not in plain
    assert "mortgage_registration" not in plain and "guarantee_contract" not in plain
    parties = (CaseParty(person=PERSON, role="debtor"), CaseParty(person="per_2", role="guarantor_joint"))
    more = kinds(a_case(product="mortgage_loan", parties=parties))
    assert more - plain == {"mortgage_registration", "guarantee_contract"}
    assert [rule.kind for rule in US.missing(a_case(), MatterEvent.JUDGE, [])] == ["military_affidavit"]


def against(expires_on: date | None, holds: tuple[str, ...] = (), *, is_urgent: bool = False, **over: Any) -> list[str]:
    limitation = Limitation("CN", "computed", None, expires_on, expires_on)
    found = obstacles(CN, a_case(**over), limitation, holds, today=TODAY, is_urgent=is_urgent)
    return [each.code for each in found]


@pytest.mark.parametrize(
    ("expires_on", "is_urgent", "codes"),
    [
        (None, True, ["limitation_unknown"]),
        (date(2026, 11, 22), True, ["limitation_over"]),
        (date(2026, 11, 23), True, []),
        (date(2026, 11, 23), False, ["limitation_near"]),
        (date(2027, 1, 21), False, ["limitation_near"]),
        (date(2027, 1, 22), False, []),
    ],
)
def test_a_barred_claim_is_never_sued_for_and_a_margin_is_kept(
    expires_on: date | None, is_urgent: bool, codes: list[str]
) -> None:
    assert against(expires_on, is_urgent=is_urgent) == codes


def test_small_claims_other_currencies_and_holds_stand_against_suing() -> None:
    late = date(2029, 1, 1)
    assert against(late, amount_due_minor=100_000) == []
    assert against(late, amount_due_minor=99_999) == ["claim_too_small"]
    assert against(late, currency="EUR") == ["claim_too_small"]
    assert against(late, ("bankruptcy",)) == ["claim_on_hold"]
    assert against(late, ("promise_alive",)) == []
