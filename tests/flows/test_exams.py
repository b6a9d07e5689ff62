"""From a drafted bank to a certificate: drawn, answered in time, marked once, and never an answer told."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from chalicelib import wiring
from chalicelib.domain import keys
from chalicelib.domain.errors import InvalidInput, NotFound, StateConflict
from chalicelib.domain.events import Actor, Event, EventType
from chalicelib.domain.instants import from_text
from chalicelib.domain.training.certificate import CertificateState, Source, trainee_id
from chalicelib.domain.training.course import CourseContent, Subject
from chalicelib.domain.training.draw import draw
from chalicelib.domain.training.exam import Exam, ExamState
from chalicelib.store.repository import Store
from chalicelib.store.training_repository import TrainingRepository
from chalicelib.usecases import certificates, courses, due, exams
from chalicelib.usecases.cases import Caller, Context
from tests.builders import AGENCY, COLLECTOR, LENDER, NOW, Scope, a_collector, a_course, a_lender, an_agency, stored
from tests.flows.test_cases_api import Api, body_of
from tests.flows.test_organisations_api import api, register

__all__ = ["api"]

SCOPE = Scope(LENDER)
LENDERS = Caller(Actor("lender", "ops-1", "tok_1"))
OFFICERS = Caller(Actor("lender", "officer-1", "tok_3"))
COLLECTORS = Caller(Actor("agency", COLLECTOR, "tok_2"), org=AGENCY, collector=COLLECTOR)
CONTEXT = Context(NOW, "req_1")
SEED = "5eed" * 8


@pytest.fixture
def house(store: Store) -> Store:
    stored(store, a_lender(), an_agency(), a_collector(certified={}))
    adopt("law-cn")
    return store


def adopt(course: str, country: str = "CN", **content: Any) -> None:
    ports = wiring.exam_ports().of_courses
    wanted = courses.Draft(course, Subject.COLLECTION_LAW, country, CourseContent.model_validate(a_course(**content)))
    drafted = courses.draft_course(ports, SCOPE, wanted, LENDERS, CONTEXT)
    courses.decide_course(
        ports, SCOPE, course, drafted.number, OFFICERS, CONTEXT, approve=True, reason="read and sound"
    )


def start(exam: str = "exm_1", *, course: str = "law-cn", at: datetime = NOW) -> Exam:
    context = replace(CONTEXT, now=at)
    return exams.start_exam(wiring.exam_ports(), SCOPE, course, COLLECTORS, context, exam=exam, seed=SEED)


def answer(exam: Exam, *, right: int, at: datetime = NOW) -> Exam:
    answers = {each: ["b"] if place < right else ["a"] for place, each in enumerate(exam.questions)}
    context = replace(CONTEXT, now=at)
    return exams.save_answers(wiring.exam_ports(), SCOPE, exam.id, answers, COLLECTORS, context)


def submit(exam: str = "exm_1", *, at: datetime = NOW, ports: Any = None) -> Exam:
    context = replace(CONTEXT, now=at)
    return exams.submit_exam(ports or wiring.exam_ports(), SCOPE, exam, COLLECTORS, context)


def sit(exam: str, *, right: int, course: str = "law-cn", at: datetime = NOW) -> Exam:
    answer(start(exam, course=course, at=at), right=right, at=at)
    return submit(exam, at=at)


def told(store: Store) -> list[Event]:
    return store.events(SCOPE, keys.trainee_pk(LENDER, trainee_id(AGENCY, COLLECTOR)))


def certified(store: Store) -> dict[str, date]:
    found = store.collector(SCOPE, AGENCY, COLLECTOR)
    assert found is not None
    return found.certified


def run_clock(store: Store, at: datetime) -> dict[str, int]:
    failed: list[str] = []
    report = due.release_due(
        store, wiring.queues(), wiring.worker_scope, wiring.due_handlers(), now=at, req="req_due",
        on_failure=lambda key, error: failed.append(f"{key} {error!r}"),
    )  # fmt: skip
    assert not failed
    return report.moved


def test_the_draw_can_be_made_again_from_the_record(house: Store) -> None:
    made = start()
    event = told(house)[-1]
    version = courses.get_version(wiring.exam_ports().of_courses, SCOPE, "law-cn", event.data["number"])
    assert version.content.sha256 == event.data["sha256"]
    asked, seed = event.data["asked"], event.data["seed"]
    assert draw(version.content.questions, bank=version.sha256, seed=seed, count=asked) == made.questions


def test_a_pass_certifies_for_a_year_and_from_then_on_cases_may_be_worked(house: Store) -> None:
    assert certified(house) == {}
    assert sit("exm_1", right=3).state is ExamState.PASSED
    assert certified(house) == {"CN": date(2027, 11, 23)}
    assert [event.type.value for event in told(house)] == ["exam.started", "exam.marked", "certificate.issued"]
    assert told(house)[1].data["passed"] is True
    assert told(house)[2].data["exams"] == ["exm_1"]


def test_a_failure_certifies_nobody(house: Store) -> None:
    marked = sit("exm_1", right=2)
    assert (marked.state, marked.right, certified(house)) == (ExamState.FAILED, 2, {})
    with pytest.raises(StateConflict, match="time to learn"):
        start("exm_2", at=NOW + timedelta(hours=23, minutes=59))
    assert start("exm_2", at=NOW + timedelta(hours=24)).attempt == 2


def test_all_that_a_country_requires_must_be_passed_and_the_earliest_end_counts(house: Store) -> None:
    adopt("privacy-cn")
    adopt("talk-cn", required=False)
    adopt("law-us", country="US")
    sit("exm_1", right=4)
    assert certified(house) == {}
    later = NOW + timedelta(days=40)
    sit("exm_2", right=4, course="privacy-cn", at=later)
    assert certified(house) == {"CN": date(2027, 11, 23)}
    sit("exm_3", right=4, at=later)
    assert certified(house) == {"CN": date(2028, 1, 2)}


def test_an_exam_never_shortens_what_the_lender_recorded(house: Store) -> None:
    shown = certificates.Shown("CN", "Training desk", None, "6" * 64, date(2026, 11, 20), date(2027, 11, 20))
    adopt("law-cn", exam={**a_course()["exam"], "valid_days": 30})
    certificates.record_certificate(wiring.certificate_ports(), SCOPE, AGENCY, COLLECTOR, shown, LENDERS, CONTEXT)
    assert sit("exm_1", right=4).state is ExamState.PASSED
    assert certified(house) == {"CN": date(2027, 11, 20)}


def test_after_a_revocation_only_a_new_pass_counts(house: Store) -> None:
    adopt("privacy-cn")
    sit("exm_1", right=4)
    sit("exm_2", right=4, course="privacy-cn")
    later = replace(CONTEXT, now=NOW + timedelta(days=1))
    ports = wiring.certificate_ports()
    certificates.revoke_certificate(ports, SCOPE, AGENCY, COLLECTOR, "CN", LENDERS, later, reason="exam_fraud")
    sit("exm_3", right=4, at=NOW + timedelta(days=2))
    assert certified(house) == {}
    sit("exm_4", right=4, course="privacy-cn", at=NOW + timedelta(days=2))
    assert certified(house) == {"CN": date(2027, 11, 25)}


def test_what_comes_at_the_end_or_later_is_not_counted(house: Store) -> None:
    made = start()
    ends = from_text(made.ends_at)
    answer(made, right=2, at=ends - timedelta(milliseconds=1))
    with pytest.raises(StateConflict, match="nothing that comes now counts"):
        answer(made, right=4, at=ends)
    marked = submit(at=ends + timedelta(hours=3))
    assert (marked.state, marked.right) == (ExamState.FAILED, 2)


def test_the_clock_marks_what_nobody_submitted_by_what_came_in_time(house: Store) -> None:
    made = start()
    answer(made, right=3)
    ends = from_text(made.ends_at)
    assert run_clock(house, ends - timedelta(milliseconds=1)) == {}
    assert run_clock(house, ends) == {"exam_passed": 1}
    assert run_clock(house, ends + timedelta(minutes=1)) == {}
    assert certified(house) == {"CN": date(2027, 11, 23)}


class Overtaken(TrainingRepository):
    """Lets a rival write after the exam was read and before the commit."""

    def __init__(self, rival: Callable[[], object]) -> None:
        self.rival: Callable[[], object] | None = rival

    def trainee(self, scope: Any, org: str, collector: str) -> Any:
        found = super().trainee(scope, org, collector)
        rival, self.rival = self.rival, None
        if rival is not None:
            rival()
        return found


def overtaken(store: Store, rival: Callable[[], object]) -> exams.ExamPorts:
    repository = Overtaken(rival)
    return exams.ExamPorts(store, repository, repository, repository)


def test_of_two_who_mark_one_exam_one_counts(house: Store) -> None:
    answer(start(), right=4)
    ports = overtaken(
        house, lambda: exams.finish_due(wiring.exam_ports(), SCOPE, "exm_1", now=NOW + timedelta(hours=1))
    )
    marked = submit(ports=ports)
    assert marked.state is ExamState.PASSED and submit() == marked
    assert [event.type.value for event in told(house)] == ["exam.started", "exam.marked", "certificate.issued"]


def test_answers_that_come_while_it_is_marked_change_nothing(house: Store) -> None:
    made = start()
    answer(made, right=1)
    marked = submit(ports=overtaken(house, lambda: answer(made, right=4)))
    assert marked.right == 4, "they were kept before the mark, so it was made again"
    with pytest.raises(StateConflict):
        answer(made, right=0)


def test_of_two_starts_at_once_one_is_refused(house: Store) -> None:
    ports = overtaken(house, lambda: start("exm_rival"))
    with pytest.raises(StateConflict, match="under way"):
        exams.start_exam(ports, SCOPE, "law-cn", COLLECTORS, CONTEXT, exam="exm_1", seed=SEED)
    assert start("exm_rival").id == "exm_rival", "the same again gives the exam that there is"
    assert [event.type for event in told(house)] == [EventType.EXAM_STARTED]


def test_a_voided_exam_was_no_attempt(house: Store) -> None:
    start()
    for _ in range(2):
        assert (
            exams.void_exam(wiring.exam_ports(), SCOPE, "exm_1", LENDERS, CONTEXT, reason="technical_fault").state
            is ExamState.VOIDED
        )
    assert submit().state is ExamState.VOIDED
    assert start("exm_2").attempt == 1
    answer(start("exm_2"), right=4)
    submit("exm_2")
    with pytest.raises(StateConflict):
        exams.void_exam(wiring.exam_ports(), SCOPE, "exm_2", LENDERS, CONTEXT, reason="technical_fault")


def test_only_what_is_asked_is_answered(house: Store) -> None:
    made = start()
    other = next(f"q{number}" for number in range(6) if f"q{number}" not in made.questions)
    for answers in ({other: ["b"]}, {made.questions[0]: ["z"]}):
        with pytest.raises(InvalidInput):
            exams.save_answers(wiring.exam_ports(), SCOPE, "exm_1", answers, COLLECTORS, CONTEXT)


def test_nobody_sits_on_a_draft_or_for_an_agency_that_they_left(house: Store) -> None:
    ports = wiring.exam_ports().of_courses
    content = CourseContent.model_validate(a_course())
    courses.draft_course(ports, SCOPE, courses.Draft("new", Subject.PSYCHOLOGY, "CN", content), LENDERS, CONTEXT)
    with pytest.raises(NotFound):
        start(course="new")
    stored(house, a_collector(left=True, version=2))
    with pytest.raises(StateConflict):
        start()


def test_an_exam_keeps_the_version_that_it_was_drawn_from(house: Store) -> None:
    made = start()
    changed = [{**each, "right": ["a"]} for each in a_course()["questions"]]
    adopt("law-cn", questions=changed)
    answer(made, right=4)
    assert submit().right == 4


@pytest.mark.parametrize(
    ("deviation", "code"),
    [
        ({"exam": {**a_course()["exam"], "asked": 7}}, "out_of_range"),
        ({"exam": {**a_course()["exam"], "valid_days": 366}}, "too_long"),
        ({"questions": [*a_course()["questions"], a_course()["questions"][0]]}, "repeated"),
        ({"questions": [{**a_course()["questions"][0], "right": ["d"]}] * 1}, "no_such_answer"),
        ({"questions": [{**a_course()["questions"][0], "right": ["a", "b", "c"]}] * 1}, "no_such_answer"),
    ],
)
def test_a_bank_of_which_no_exam_can_be_made_is_refused(house: Store, deviation: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        adopt("bad", **deviation)
    assert refused.value.errors[0].code == code


# Over HTTP


def offer(api: Api) -> None:
    register(api)
    api.call("agency", "PUT", f"/v1/agencies/{AGENCY}/collectors/{COLLECTOR}", {"staff_no": "A001"})
    draft = {"course": "law-cn", "subject": "collection_law", "country": "CN", "content": a_course()}
    assert api.post("lender", "/v1/courses", draft).status_code == 201
    path, said = "/v1/courses/law-cn/versions/1/decisions", {"decision": "approve", "reason": "read and sound"}
    assert api.post("lender", path, said).status_code == 403
    assert api.post("officer-2", path, said).status_code == 201


def test_nobody_decides_on_a_version_of_their_own(api: Api) -> None:
    register(api)
    draft = {"course": "law-cn", "subject": "collection_law", "country": "CN", "content": a_course()}
    api.post("officer-2", "/v1/courses", draft)
    path, said = "/v1/courses/law-cn/versions/1/decisions", {"decision": "approve", "reason": "read and sound"}
    assert body_of(api.post("officer-2", path, said))["code"] == "own_draft"
    assert api.post("officer", path, said).status_code == 201
    assert body_of(api.post("officer", path, said))["code"] == "already_decided"


def test_no_answer_of_a_bank_is_in_anything_that_a_collector_or_an_agency_can_read(api: Api) -> None:
    offer(api)
    started = body_of(api.post("collector", "/v1/exams", {"course": "law-cn"}))
    path = f"/v1/exams/{started['id']}"
    chosen = {each["id"]: [each["options"][0]["id"]] for each in started["questions"]}
    seen = [started, body_of(api.get("collector", "/v1/courses")), body_of(api.get("agency", "/v1/courses"))]
    seen += [body_of(api.get(who, path)) for who in ("collector", "agency")]
    seen.append(body_of(api.call("collector", "PUT", f"{path}/answers", {"answers": chosen})))
    seen.append(body_of(api.post("collector", f"{path}/submissions", None)))
    seen.append(body_of(api.get("collector", path)))
    assert seen[-1]["state"] in ("passed", "failed") and seen[-1]["questions"] is None
    for each in seen:
        text = json.dumps(each)
        assert '"right": [' not in text and "seed" not in {key for key, value in each.items() if value is not None}
    assert all(each["questions"] is None for each in seen[4:5]), "an agency sees no question"
    for who in ("collector", "agency", "counsel"):
        assert api.get(who, "/v1/courses/law-cn/versions/1").status_code == 403
    version = body_of(api.get("lender", "/v1/courses/law-cn/versions/1"))
    assert version["content"]["questions"][0]["right"] == ["b"]
    redrawn = body_of(api.get("lender", path))
    assert (redrawn["seed"][:5], redrawn["bank"]) == ("seed_", version["sha256"])


def test_an_exam_is_its_collectors_own_and_no_other_tenants(api: Api) -> None:
    offer(api)
    started = body_of(api.post("collector", "/v1/exams", {"course": "law-cn"}))
    path = f"/v1/exams/{started['id']}"
    assert api.get("other-agency", path).status_code == 404
    assert api.get("other-lender", path).status_code == 404
    assert api.post("agency", "/v1/exams", {"course": "law-cn"}).status_code == 403
    assert api.post("other-lender", f"{path}/voids", {"reason": "entry_error"}).status_code == 404
    assert body_of(api.post("lender", f"{path}/voids", {"reason": "entry_error"}))["state"] == "voided"


def test_the_records_of_training_follow_from_exams(api: Api) -> None:
    offer(api)
    started = body_of(api.post("collector", "/v1/exams", {"course": "law-cn"}))
    path = f"/v1/exams/{started['id']}"
    right = {each["id"]: ["b"] for each in started["questions"]}
    api.call("collector", "PUT", f"{path}/answers", {"answers": right})
    assert body_of(api.post("collector", f"{path}/submissions", None))["right"] == 4
    listed = body_of(api.get("collector", f"/v1/agencies/{AGENCY}/certificates"))["items"]
    assert [(each["source"], each["exams"], each["state"]) for each in listed] == [
        (Source.EXAMS.value, [started["id"]], CertificateState.VALID.value)
    ]
