"""A portfolio from its announcement to its cases, over the real tables and a bucket in process."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.domain import keys
from chalicelib.domain.events import EventType
from chalicelib.domain.intake.portfolio import Portfolio, PortfolioState, Wish
from chalicelib.gateways.queues import SqsQueues
from chalicelib.gateways.uploads import S3Uploads
from chalicelib.store.person_repository import PersonRepository
from chalicelib.store.portfolio_repository import PortfolioRepository
from chalicelib.store.repository import Store
from chalicelib.usecases import portfolios
from chalicelib.usecases.customer_updates import UpdatePorts
from chalicelib.usecases.persons import PersonPorts
from chalicelib.usecases.portfolios import PortfolioPorts
from scripts.sample import FAULTS, control_of, document, write_file
from tests.builders import LENDER, NOW, TEST_ACTOR, Scope, a_lender, stored
from tests.conftest import NAMES

NUMBERS = (1, 2, 8, 60)
"""Rows of the sample that the file holds; the last is wrong on purpose."""

ROWS = len(NUMBERS)
SCOPE = Scope(LENDER)
BUCKET = NAMES.uploads_bucket


@pytest.fixture
def ports(store: Store, queues: list[str], buckets: list[str]) -> PortfolioPorts:
    stored(store, a_lender())
    prefix = NAMES.queue_url_prefix
    repository, people = PortfolioRepository(store), PersonRepository(store)
    updates = UpdatePorts(PersonPorts(store, people, lambda text, country: None, people.point_id), repository)
    return PortfolioPorts(store, repository, S3Uploads(BUCKET), SqsQueues(prefix), Scope, updates)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    path = tmp_path_factory.mktemp("sample") / "sample.csv"
    write_file(path, form="csv", rows=rows())
    yield {"path": path, **control_of(path, rows())}


def rows() -> list[dict[str, Any]]:
    found = [document(number) for number in NUMBERS]
    FAULTS[0][2](found[-1])
    return found


def announced(ports: PortfolioPorts, sample: dict[str, Any], **changes: Any) -> Portfolio:
    wish = {name: sample[name] for name in ("rows", "totals", "sha256", "size")}
    asked = portfolios.request_portfolio(
        ports, SCOPE, Wish(**{**wish, **changes}), actor=TEST_ACTOR, now=NOW, req="req_1"
    )
    return asked.portfolio


def uploaded(ports: PortfolioPorts, portfolio: Portfolio, path: Path) -> dict[str, Any]:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=portfolio.key, Body=path.read_bytes())
    return {"Records": [{"s3": {"bucket": {"name": BUCKET}, "object": {"key": portfolio.key}}}]}


def loaded(ports: PortfolioPorts, sample: dict[str, Any]) -> Portfolio:
    portfolio = announced(ports, sample)
    portfolios.start_uploads(ports, uploaded(ports, portfolio, sample["path"]), now=NOW, req="req_2")
    started = portfolios.get_portfolio(ports, SCOPE, portfolio.id)
    for number in range(started.chunks):
        body = {"tenant": LENDER, "portfolio": portfolio.id, "chunk": number}
        portfolios.load_chunk(ports, body, now=NOW, req="req_3")
    return portfolios.get_portfolio(ports, SCOPE, portfolio.id)


def test_every_right_row_becomes_a_case_and_every_wrong_one_a_coded_rejection(
    ports: PortfolioPorts, sample: dict[str, Any]
) -> None:
    portfolio = loaded(ports, sample)
    assert (portfolio.state, portfolio.rows) == (PortfolioState.LOADED, ROWS)
    assert (portfolio.accepted, portfolio.rejected, portfolio.unchanged) == (ROWS - 1, 1, 0)
    page = portfolios.list_rejections(ports, SCOPE, portfolio.id)
    assert [(refused.row, refused.code) for refused in page.rejections] == [(ROWS, FAULTS[0][0])]
    assert page.is_complete and page.next_row is None
    stored_events = ports.store.events(SCOPE, keys.portfolio_pk(LENDER, portfolio.id))  # type: ignore[attr-defined]
    assert [event.type for event in stored_events] == [
        EventType.PORTFOLIO_REQUESTED,
        EventType.PORTFOLIO_ACCEPTED,
        EventType.PORTFOLIO_LOADED,
    ]
    assert stored_events[-1].data["accepted"] == ROWS - 1


def test_a_loaded_case_has_its_persons_consents_history_and_index(
    ports: PortfolioPorts, sample: dict[str, Any]
) -> None:
    loaded(ports, sample)
    row = document(8)
    case_id = ports.store.case_id(SCOPE, account="AC00000008", placement_stage=1)  # type: ignore[attr-defined]
    case = ports.store.case(SCOPE, case_id)
    assert case is not None
    assert case.amount_due_minor == row["overdue"]["total_minor"]
    assert [party.role for party in case.parties] == ["debtor"]
    person = ports.store.person(SCOPE, case.debtor)
    assert person is not None and person.name == row["parties"][0]["name"]
    phone = person.first_point("mobile")
    assert phone is not None and phone.value.startswith("+1") and phone.area_zones
    ledger = ports.store.ledger(SCOPE, case.debtor)
    assert {hold.kind for hold in ledger.holds} == {"cease"}
    assert {consent.medium for consent in ledger.consents if consent.point == phone.id} == {"call", "sms"}
    assert len(ledger.history) == len(row.get("prior_contacts", []))
    index = ports.store.blind_index(SCOPE, label="mobile", value=phone.value)
    assert (case.debtor, phone.id) in ports.store.persons_at_point(SCOPE, index)
    events = ports.store.events(SCOPE, keys.case_pk(LENDER, case_id))  # type: ignore[attr-defined]
    assert [event.type for event in events] == [EventType.CASE_PLACED]
    assert events[0].data["placed_minor"] == case.placed_minor


def test_loading_a_chunk_again_changes_nothing(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    portfolio = loaded(ports, sample)
    body = {"tenant": LENDER, "portfolio": portfolio.id, "chunk": 0}
    portfolios.load_chunk(ports, body, now=NOW, req="req_4")
    assert portfolios.get_portfolio(ports, SCOPE, portfolio.id) == portfolio


def test_a_chunk_that_broke_off_is_taken_up_and_counted_once(
    ports: PortfolioPorts, sample: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    portfolio = announced(ports, sample)
    portfolios.start_uploads(ports, uploaded(ports, portfolio, sample["path"]), now=NOW, req="req_2")
    body = {"tenant": LENDER, "portfolio": portfolio.id, "chunk": 0}

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the worker died")

    with monkeypatch.context() as patch:
        patch.setattr(portfolios, "_finish_chunk", broken)
        with pytest.raises(RuntimeError):
            portfolios.load_chunk(ports, body, now=NOW, req="req_3")
    portfolios.load_chunk(ports, body, now=NOW, req="req_3")
    found = portfolios.get_portfolio(ports, SCOPE, portfolio.id)
    assert (found.state, found.accepted, found.unchanged, found.rejected) == (PortfolioState.LOADED, ROWS - 1, 0, 1)


def test_the_same_file_again_is_a_no_op_row_by_row(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    loaded(ports, sample)
    again = loaded(ports, sample)
    assert (again.accepted, again.unchanged, again.rejected) == (0, ROWS - 1, 1)


def test_the_same_account_with_other_content_is_a_conflict_and_stays_as_it_was(
    ports: PortfolioPorts, sample: dict[str, Any]
) -> None:
    loaded(ports, sample)
    row = document(1)
    row["overdue"]["principal_minor"] += 100
    row["overdue"]["total_minor"] += 100
    portfolio = inline(ports, [row, document(2)])
    assert (portfolio.accepted, portfolio.unchanged, portfolio.rejected) == (0, 1, 1)
    assert portfolio.codes == {"account_conflict": 1}
    case_id = ports.store.case_id(SCOPE, account="AC00000001", placement_stage=1)  # type: ignore[attr-defined]
    case = ports.store.case(SCOPE, case_id)
    assert case is not None and case.amount_due_minor == document(1)["overdue"]["total_minor"]


def test_nothing_is_taken_in_about_a_person_who_was_erased(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    loaded(ports, sample)
    case_id = ports.store.case_id(SCOPE, account="AC00000001", placement_stage=1)  # type: ignore[attr-defined]
    case = ports.store.case(SCOPE, case_id)
    assert case is not None
    unit = ports.store.unit(SCOPE, actor=TEST_ACTOR, req="req_4", now=NOW)
    unit.destroy_keys(case.debtor, ["ops"])
    unit.commit()
    anew = document(1)
    anew["loan"]["lender_account_id"] = "AC00000901"
    portfolio = inline(ports, [document(1), anew, document(2)])
    assert (portfolio.accepted, portfolio.unchanged, portfolio.rejected) == (0, 1, 2)
    assert portfolio.codes == {"person_erased": 2}
    assert ports.store.erased_cases(SCOPE, [case_id, "case_none"]) == {case_id}


def test_a_loaded_case_is_found_by_each_of_its_parties(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    loaded(ports, sample)
    case_id = ports.store.case_id(SCOPE, account="AC00000001", placement_stage=1)  # type: ignore[attr-defined]
    case = ports.store.case(SCOPE, case_id)
    assert case is not None
    for party in case.parties:
        assert case_id in ports.store.cases_of(SCOPE, party.person)  # type: ignore[attr-defined]


def test_a_second_account_of_a_known_person_joins_the_person(ports: PortfolioPorts) -> None:
    first, second = document(1), document(1)
    second["loan"] |= {"lender_account_id": "AC-SECOND", "contract_no": "SECOND"}
    second["parties"][0]["phones"].append({"value": "17000999999", "source": "creditor"})
    inline(ports, [first])
    portfolio = inline(ports, [second])
    assert portfolio.accepted == 1
    cases = [
        ports.store.case(SCOPE, ports.store.case_id(SCOPE, account=account, placement_stage=1))  # type: ignore[attr-defined]
        for account in ("AC00000001", "AC-SECOND")
    ]
    assert cases[0].debtor == cases[1].debtor
    person = ports.store.person(SCOPE, cases[0].debtor)
    assert person is not None and person.version == 2
    assert sum(point.kind == "mobile" for point in person.points) == 2


def test_two_accounts_of_one_person_in_one_file_make_one_person(ports: PortfolioPorts) -> None:
    first, second = document(1), document(1)
    second["loan"] |= {"lender_account_id": "AC-SECOND", "contract_no": "SECOND"}
    portfolio = inline(ports, [first, second, second])
    assert (portfolio.accepted, portfolio.unchanged, portfolio.rejected) == (2, 1, 0)


def inline(ports: PortfolioPorts, rows: list[dict[str, Any]]) -> Portfolio:
    asked = portfolios.request_portfolio(
        ports, SCOPE, Wish(rows_inline=tuple(rows)), actor=TEST_ACTOR, now=NOW, req="req_1"
    )
    assert asked.upload is None
    identity = asked.portfolio.id
    portfolios.start_portfolio(ports, SCOPE, identity, key=asked.portfolio.key, version=None, now=NOW, req="req_2")
    portfolios.load_chunk(ports, {"tenant": LENDER, "portfolio": identity, "chunk": 0}, now=NOW, req="req_3")
    return portfolios.get_portfolio(ports, SCOPE, identity)


def test_a_file_whose_total_differs_is_refused_before_any_case_exists(
    ports: PortfolioPorts, sample: dict[str, Any]
) -> None:
    wrong = {**sample["totals"], "overdue_total": {**sample["totals"]["overdue_total"], "CNY": 1}}
    portfolio = announced(ports, sample, totals=wrong)
    portfolios.start_uploads(ports, uploaded(ports, portfolio, sample["path"]), now=NOW, req="req_2")
    found = portfolios.get_portfolio(ports, SCOPE, portfolio.id)
    assert (found.state, found.chunks) == (PortfolioState.REFUSED, 0)
    assert found.refusal is not None and found.refusal["code"] == "totals_differ"
    assert set(found.refusal["details"]["columns"]) == {"overdue_total"}
    case_id = ports.store.case_id(SCOPE, account="AC00000001", placement_stage=1)  # type: ignore[attr-defined]
    assert ports.store.case(SCOPE, case_id) is None


def test_a_second_notification_for_the_same_upload_is_ignored(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    portfolio = announced(ports, sample)
    notification = uploaded(ports, portfolio, sample["path"])
    portfolios.start_uploads(ports, notification, now=NOW, req="req_2")
    before = portfolios.get_portfolio(ports, SCOPE, portfolio.id)
    portfolios.start_uploads(ports, notification, now=NOW, req="req_2")
    assert portfolios.get_portfolio(ports, SCOPE, portfolio.id) == before


def test_a_notification_about_another_key_or_a_test_event_is_none_of_our_business(ports: PortfolioPorts) -> None:
    portfolios.start_uploads(ports, {"Event": "s3:TestEvent"}, now=NOW, req="req_2")
    entry = {"s3": {"object": {"key": "converted/auto-fin/pf_1/00000.jsonl"}}}
    portfolios.start_uploads(ports, {"Records": [entry]}, now=NOW, req="req_2")


def test_the_form_names_one_key_one_type_and_one_size_range(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    import base64

    wish = Wish(rows=ROWS, size=sample["size"], sha256=sample["sha256"])
    asked = portfolios.request_portfolio(ports, SCOPE, wish, actor=TEST_ACTOR, now=NOW, req="req_1")
    assert asked.upload is not None
    policy = json.loads(base64.b64decode(asked.upload["fields"]["policy"]))
    assert {"key": asked.portfolio.key} in policy["conditions"]
    assert {"Content-Type": "text/csv"} in policy["conditions"]
    assert ["content-length-range", 1, sample["size"]] in policy["conditions"]
    assert asked.upload["fields"]["x-amz-checksum-algorithm"] == "SHA256"


def test_a_stalled_portfolio_has_its_open_chunks_enqueued_again(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    portfolio = announced(ports, sample)
    portfolios.start_uploads(ports, uploaded(ports, portfolio, sample["path"]), now=NOW, req="req_2")
    assert portfolios.resume(ports, SCOPE, portfolio.id, now=NOW) is None
    later = NOW + portfolios.STALLED_AFTER
    assert portfolios.resume(ports, SCOPE, portfolio.id, now=later) == "resumed"
    url = NAMES.queue_url_prefix + "portfolio-chunks"
    messages = boto3.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert json.loads(messages[0]["Body"]) == {"tenant": LENDER, "portfolio": portfolio.id, "chunk": 0}


def looks(ports: PortfolioPorts, portfolio: Portfolio, *, now: datetime) -> list[dict[str, Any]]:
    """Let the clock look at the portfolio, and return what it put before the scanner."""
    portfolios.resume(ports, SCOPE, portfolio.id, now=now)
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="forbear-test-portfolio-uploads")["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in found]


def test_an_upload_that_no_notification_told_of_is_found_by_the_clock(
    ports: PortfolioPorts, sample: dict[str, Any]
) -> None:
    portfolio = announced(ports, sample)
    late = uploaded(ports, portfolio, sample["path"])
    assert looks(ports, portfolio, now=NOW + timedelta(minutes=9)) == []
    [body] = looks(ports, portfolio, now=NOW + timedelta(minutes=10))
    assert body == {"tenant": LENDER, "portfolio": portfolio.id}
    portfolios.start_uploads(ports, body, now=NOW, req="req_5")
    started = portfolios.get_portfolio(ports, SCOPE, portfolio.id)
    assert started.state is PortfolioState.LOADING
    # The notification comes after all, and the clock's message comes twice: the first one counts.
    portfolios.start_uploads(ports, late, now=NOW, req="req_6")
    portfolios.start_uploads(ports, body, now=NOW, req="req_7")
    assert portfolios.get_portfolio(ports, SCOPE, portfolio.id) == started


def test_an_upload_that_never_came_is_looked_for_twice_and_then_left(
    ports: PortfolioPorts, sample: dict[str, Any]
) -> None:
    portfolio = announced(ports, sample)
    for minutes, wanted in ((10, 1), (11, 0), (60, 1), (9_000, 0)):
        bodies = looks(ports, portfolio, now=NOW + timedelta(minutes=minutes))
        assert len(bodies) == wanted
        for body in bodies:
            portfolios.start_uploads(ports, body, now=NOW, req="req_5")
    waiting = portfolios.get_portfolio(ports, SCOPE, portfolio.id)
    assert (waiting.state, waiting.due_at) == (PortfolioState.REQUESTED, None)
    # A file that comes later still is told of by its notification.
    portfolios.start_uploads(ports, uploaded(ports, portfolio, sample["path"]), now=NOW, req="req_6")
    assert portfolios.get_portfolio(ports, SCOPE, portfolio.id).state is PortfolioState.LOADING


def test_an_xlsx_and_a_gb18030_file_make_the_same_cases_as_the_csv(
    ports: PortfolioPorts, sample: dict[str, Any], tmp_path: Path
) -> None:
    loaded(ports, sample)
    for form, name in (("xlsx", "same.xlsx"), ("gb18030", "same.csv")):
        path = tmp_path / name
        write_file(path, form=form, rows=rows())
        wish = Wish(format=path.suffix.removeprefix("."), rows=ROWS, totals=sample["totals"])
        asked = portfolios.request_portfolio(ports, SCOPE, wish, actor=TEST_ACTOR, now=NOW, req="req_1")
        notification = uploaded(ports, asked.portfolio, path)
        portfolios.start_uploads(ports, notification, now=NOW, req="req_2")
        body = {"tenant": LENDER, "portfolio": asked.portfolio.id, "chunk": 0}
        portfolios.load_chunk(ports, body, now=NOW, req="req_3")
        found = portfolios.get_portfolio(ports, SCOPE, asked.portfolio.id)
        assert (found.accepted, found.unchanged, found.rejected) == (0, ROWS - 1, 1)


def test_no_personal_data_lies_open_in_the_tables(ports: PortfolioPorts, sample: dict[str, Any]) -> None:
    from chalicelib.store.tables import Record, View

    loaded(ports, sample)
    secrets = [document(8)["parties"][0][name] for name in ("name", "national_id")]
    everything = "".join(str(item.serialize()) for model in (Record, View) for item in model.scan())
    assert not any(secret in everything for secret in secrets)
