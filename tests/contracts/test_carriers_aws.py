import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)

from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Carrier, Refused, content_digest
from chalicelib.gateways.clients import client
from chalicelib.gateways.faults import judged
from chalicelib.gateways.letters import LettersBucket
from chalicelib.gateways.mail import SesMail
from chalicelib.gateways.sms import SnsTextMessages, is_reachable_number
from tests.conftest import NAMES
from tests.contracts.carrier_doubles import Answer, an_outbound, serving, unused_url

SENDER = "collections@forbear.test"
MAIL = {"channel": "email", "to": "jane.roe@example.test", "subject": "Your account", "language": "en"}
LETTER = {
    "channel": "letter",
    "to": "上海市浦东新区世纪大道1000弄20号",
    "subject": "还款通知函",
    "body": "张伟\n\n张*：\n\n您好！请致电400-800-0002。",
}


# Text messages


@pytest.fixture
def requests(environment: None) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Collect the parameters of every call that the clients without retries make."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        seen.append((model.name, params))

    for service in ("sns", "sesv2", "s3"):
        client(service, retries=False).meta.events.register("before-parameter-build", note)
    yield seen
    client.cache_clear()


def test_a_text_message_is_published_once_with_the_ids_of_the_attempt(
    aws: None,
    requests: list[tuple[str, dict[str, Any]]],
) -> None:
    outcome = SnsTextMessages().send(an_outbound(sender="106900001"))
    assert isinstance(outcome, Accepted) and outcome.provider == "sns" and outcome.provider_id
    [(operation, params)] = requests
    assert (operation, params["PhoneNumber"], params["Message"]) == (
        "Publish",
        "+8613812345678",
        "张*您好，请致电400-800-0002。",
    )
    attributes = {name: value["StringValue"] for name, value in params["MessageAttributes"].items()}
    assert attributes == {
        "AWS.SNS.SMS.SMSType": "Transactional",
        "AWS.MM.SMS.OriginationNumber": "106900001",
        "contact": "msg_01jd0000000000000000000000",
        "tenant": "auto-fin",
    }


def test_a_sender_of_letters_is_shown_as_a_name(aws: None, requests: list[tuple[str, dict[str, Any]]]) -> None:
    SnsTextMessages().send(an_outbound(sender="Chengda"))
    assert requests[0][1]["MessageAttributes"]["AWS.SNS.SMS.SenderID"]["StringValue"] == "Chengda"


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"to": "13812345678"}, "invalid_number"),
        ({"to": "+86 138 1234 5678"}, "invalid_number"),
        ({"to": "+861381234567"}, "invalid_number"),
        ({"to": "abc"}, "invalid_number"),
        ({"to": ""}, "invalid_number"),
        ({"body": "长" * 534}, "body_size"),
        ({"body": ""}, "body_size"),
        ({"content": content_digest(None, "something else")}, "content_altered"),
    ],
)
def test_a_text_message_that_cannot_be_right_is_refused_before_any_call(
    requests: list[tuple[str, dict[str, Any]]], deviation: dict[str, Any], reason: str
) -> None:
    assert SnsTextMessages().send(an_outbound(**deviation)) == Refused("sns", reason)
    assert requests == []


def test_a_number_is_taken_only_as_it_is_dialled_everywhere() -> None:
    assert is_reachable_number("+15552345678") is False
    assert is_reachable_number("+13122345678") is True
    assert is_reachable_number("0013122345678") is False


# Mail


@pytest.fixture
def mailbox(aws: None) -> None:
    boto3.client("ses").verify_email_identity(EmailAddress=SENDER)


def test_mail_carries_tags_opt_out_header_and_configuration_set(
    mailbox: None, requests: list[tuple[str, dict[str, Any]]]
) -> None:
    carrier = SesMail(SENDER, configuration_set="forbear")
    outcome = carrier.send(an_outbound(**MAIL, body="Hello", sender="service@agency-a.test"))
    assert isinstance(outcome, Accepted) and outcome.provider == "ses" and outcome.provider_id
    [(operation, params)] = requests
    assert operation == "SendEmail"
    assert params["Destination"] == {"ToAddresses": ["jane.roe@example.test"]}
    assert (params["FromEmailAddress"], params["ReplyToAddresses"]) == (SENDER, ["service@agency-a.test"])
    assert params["ConfigurationSetName"] == "forbear"
    assert {tag["Name"]: tag["Value"] for tag in params["EmailTags"]} == {
        "contact": "msg_01jd0000000000000000000000",
        "tenant": "auto-fin",
    }
    simple = params["Content"]["Simple"]
    assert (simple["Subject"]["Data"], simple["Body"]["Text"]["Data"]) == ("Your account", "Hello")
    assert {"Name": "List-Unsubscribe", "Value": f"<mailto:{SENDER}?subject=unsubscribe>"} in simple["Headers"]


def test_mail_from_an_address_that_is_not_verified_is_refused(aws: None) -> None:
    outcome = SesMail("stranger@forbear.test").send(an_outbound(**MAIL))
    assert outcome == Refused("ses", "MessageRejected")


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"to": "jane@a.test,john@b.test"}, "invalid_mailbox"),
        ({"to": "Jane <jane@a.test>"}, "invalid_mailbox"),
        ({"to": "nobody"}, "invalid_mailbox"),
        ({"subject": None}, "invalid_subject"),
        ({"subject": "Hi\r\nBcc: all@b.test"}, "invalid_subject"),
        ({"content": content_digest(None, "张*您好，请致电400-800-0002。")}, "content_altered"),
    ],
)
def test_mail_that_cannot_be_right_is_refused_before_any_call(
    requests: list[tuple[str, dict[str, Any]]], deviation: dict[str, Any], reason: str
) -> None:
    assert SesMail(SENDER).send(an_outbound(**{**MAIL, **deviation})) == Refused("ses", reason)
    assert requests == []


# Letters


@pytest.fixture
def letters(buckets: list[str]) -> LettersBucket:
    return LettersBucket(NAMES.letters_bucket, return_address=("上海市邮政信箱1001号",))


KEY = "auto-fin/msg_01jd0000000000000000000000.pdf"


def filed() -> Any:
    return boto3.client("s3").get_object(Bucket=NAMES.letters_bucket, Key=KEY)


def test_a_letter_is_filed_with_what_was_approved(letters: LettersBucket) -> None:
    outbound = an_outbound(**LETTER)
    assert letters.send(outbound) == Accepted("letter", KEY)
    letter = filed()
    assert letter["Body"].read().startswith(b"%PDF-")
    assert letter["ContentType"] == "application/pdf"
    assert (letter["Metadata"]["contact"], letter["Metadata"]["content"]) == (outbound.contact, outbound.content)


def test_the_same_letter_filed_twice_is_filed_once_and_accepted_twice(letters: LettersBucket) -> None:
    assert letters.send(an_outbound(**LETTER)) == letters.send(an_outbound(**LETTER)) == Accepted("letter", KEY)


def test_another_letter_under_the_same_attempt_is_never_written_over_the_first(letters: LettersBucket) -> None:
    letters.send(an_outbound(**LETTER))
    first = filed()["Body"].read()
    other = an_outbound(**{**LETTER, "body": LETTER["body"] + "再会。"})
    assert letters.send(other) == Ambiguous("letter", "another letter is on file")
    assert filed()["Body"].read() == first


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"reference": "auto-fin/../other/msg_1"}, "invalid_reference"),
        ({"reference": "msg_01jd0000000000000000000000"}, "invalid_reference"),
        ({"to": "  "}, "no_address"),
        ({"body": "\U00020bb7野家\n\n您好"}, "no glyph U+20BB7"),
        ({"content": content_digest("还款通知函", "x")}, "content_altered"),
    ],
)
def test_a_letter_that_cannot_be_right_is_refused_before_any_call(
    requests: list[tuple[str, dict[str, Any]]], deviation: dict[str, Any], reason: str
) -> None:
    letters = LettersBucket(NAMES.letters_bucket)
    assert letters.send(an_outbound(**{**LETTER, **deviation})) == Refused("letter", reason)
    assert requests == []


def test_a_letter_on_file_that_cannot_be_read_leaves_it_open(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filed_already(method: str, path: str, body: bytes) -> Answer:
        return Answer(412, error_body("letter", "PreconditionFailed")) if method == "PUT" else Answer(503)

    with serving(filed_already) as double:
        monkeypatch.setenv("AWS_ENDPOINT_URL", double.url)
        client.cache_clear()
        outcome = LettersBucket(NAMES.letters_bucket).send(an_outbound(**LETTER))
        client.cache_clear()
    assert outcome == Ambiguous("letter", "filed before, unread: ClientError")
    assert [method for method, _, _ in double.requests] == ["PUT", "HEAD"]


def test_a_bucket_that_is_not_there_refuses(aws: None) -> None:
    assert LettersBucket("forbear-test-nowhere").send(an_outbound(**LETTER)) == Refused("letter", "NoSuchBucket")


# What failures mean


def an_answer(code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Publish")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (an_answer("Throttling", 400), Refused("sns", "Throttling")),
        (an_answer("TooManyRequestsException", 429), Refused("sns", "TooManyRequestsException")),
        (an_answer("OptedOut", 400), Refused("sns", "OptedOut")),
        (an_answer("AccessDenied", 403), Refused("sns", "AccessDenied")),
        (an_answer("InternalError", 500), Ambiguous("sns", "InternalError (500)")),
        (an_answer("ServiceUnavailable", 503), Ambiguous("sns", "ServiceUnavailable (503)")),
        (an_answer("RequestTimeout", 408), Ambiguous("sns", "RequestTimeout (408)")),
        (an_answer("ConditionalRequestConflict", 409), Ambiguous("sns", "ConditionalRequestConflict (409)")),
        (ClientError({}, "Publish"), Ambiguous("sns", "unknown (0)")),
        (EndpointConnectionError(endpoint_url="u"), Refused("sns", "EndpointConnectionError")),
        (ConnectTimeoutError(endpoint_url="u"), Refused("sns", "ConnectTimeoutError")),
        (NoCredentialsError(), Refused("sns", "NoCredentialsError")),
        (ParamValidationError(report="r"), Refused("sns", "ParamValidationError")),
        (ReadTimeoutError(endpoint_url="u"), Ambiguous("sns", "ReadTimeoutError")),
        (ConnectionClosedError(endpoint_url="u"), Ambiguous("sns", "ConnectionClosedError")),
        (SSLError(endpoint_url="u", error="e"), Ambiguous("sns", "SSLError")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_only_what_certainly_did_not_leave_is_refused(error: Exception, outcome: Refused | Ambiguous) -> None:
    assert judged("sns", error) == outcome


CARRIERS: dict[str, tuple[Carrier, dict[str, Any]]] = {
    "sns": (SnsTextMessages(), {}),
    "ses": (SesMail(SENDER), MAIL),
    "letter": (LettersBucket(NAMES.letters_bucket), LETTER),
}

ERROR_BODIES = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>{0}</Code><Message>m</Message></Error></ErrorResponse>",
    '{{"__type":"{0}","message":"m"}}',
    "<Error><Code>{0}</Code><Message>m</Message></Error>",
)


def error_body(provider: str, code: str) -> bytes:
    return dict(zip(("sns", "ses", "letter"), ERROR_BODIES, strict=True))[provider].format(code).encode()


@pytest.mark.parametrize("provider", list(CARRIERS))
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(400), Refused),
        (Answer(429), Refused),
        (Answer(500), Ambiguous),
        (Answer(503), Ambiguous),
        (Answer(hang_up=True), Ambiguous),
    ],
    ids=["400", "429", "500", "503", "hangs up"],
)
def test_a_carrier_asks_once_whatever_the_answer(
    environment: None, monkeypatch: pytest.MonkeyPatch, provider: str, answer: Answer, outcome: type
) -> None:
    carrier, deviation = CARRIERS[provider]
    told = Answer(answer.status, error_body(provider, "Throttling"), hang_up=answer.hang_up)
    with serving(lambda *_: told) as double:
        monkeypatch.setenv("AWS_ENDPOINT_URL", double.url)
        client.cache_clear()
        assert type(carrier.send(an_outbound(**deviation))) is outcome
        client.cache_clear()
    assert len(double.requests) == 1


@pytest.mark.parametrize("provider", list(CARRIERS))
def test_nobody_listening_is_a_refusal(environment: None, monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    carrier, deviation = CARRIERS[provider]
    monkeypatch.setenv("AWS_ENDPOINT_URL", unused_url())
    client.cache_clear()
    assert carrier.send(an_outbound(**deviation)) == Refused(provider, "EndpointConnectionError")
    client.cache_clear()


def test_an_answer_without_an_id_is_ambiguous(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: Answer(body=json.dumps({}).encode())) as double:
        monkeypatch.setenv("AWS_ENDPOINT_URL", double.url)
        client.cache_clear()
        assert SesMail(SENDER).send(an_outbound(**MAIL)) == Ambiguous("ses", "no_message_id")
        client.cache_clear()
