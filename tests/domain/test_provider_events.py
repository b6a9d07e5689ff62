import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.ids import is_id
from chalicelib.domain.outreach.keywords import Intent, intent_of
from chalicelib.domain.outreach.provider_events import (
    Ignored,
    ProviderEvent,
    parse_provider_events,
    read_provider_events,
)

CONTACT, TENANT = "msg_01jd0000000000000000000000", "auto-fin"


def enveloped(message: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return what a queue holds that is subscribed to a topic without raw delivery."""
    return {
        "Type": "Notification",
        "MessageId": "0d1f6a5e-5b3a-5c0e-9f0c-3a2b6f7f2a11",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:forbear-test-provider-events",
        "Message": json.dumps(message),
        "Timestamp": "2026-11-23T02:00:05.000Z",
        "SignatureVersion": "1",
        **members,
    }


def mail(**deviations: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-11-23T02:00:01.000Z",
        "source": "collections@forbear.test",
        "messageId": "0102018f0b3c7c3e-1",
        "destination": ["jane.roe@Example.test"],
        "headersTruncated": False,
        "tags": {
            "ses:configuration-set": ["forbear"],
            "ses:from-domain": ["forbear.test"],
            "contact": [CONTACT],
            "tenant": [TENANT],
        },
        **deviations,
    }


DELIVERY = {
    "eventType": "Delivery",
    "mail": mail(),
    "delivery": {
        "timestamp": "2026-11-23T02:00:03.120Z",
        "processingTimeMillis": 2120,
        "recipients": ["jane.roe@Example.test"],
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": "mta.example.test",
    },
}


def bounce(kind: str, sub: str) -> dict[str, Any]:
    return {
        "eventType": "Bounce",
        "mail": mail(),
        "bounce": {
            "feedbackId": "0102018f-bounce",
            "bounceType": kind,
            "bounceSubType": sub,
            "bouncedRecipients": [
                {
                    "emailAddress": "jane.roe@example.test",
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp",
                }
            ],
            "timestamp": "2026-11-23T02:00:04.000Z",
        },
    }


COMPLAINT = {
    "eventType": "Complaint",
    "mail": mail(),
    "complaint": {
        "feedbackId": "0102018f-complaint",
        "complaintSubType": None,
        "complainedRecipients": [{"emailAddress": "Jane Roe <jane.roe@EXAMPLE.test>"}],
        "timestamp": "2026-11-23T03:00:00.000Z",
        "userAgent": "ExampleCorp Feedback Loop",
        "complaintFeedbackType": "abuse",
    },
}

TEXT_EVENT = {
    "eventType": "TEXT_DELIVERED",
    "eventVersion": "1.0",
    "eventTimestamp": 1795485603123,
    "isFinal": True,
    "originationPhoneNumber": "+12065550152",
    "destinationPhoneNumber": "+14255550156",
    "isoCountryCode": "US",
    "messageId": "862a8790-60c0-4430-9b2b-658bd0000000",
    "messageRequestTimestamp": 1795485602000,
    "messageEncoding": "GSM",
    "messageType": "TRANSACTIONAL",
    "messageStatus": "DELIVERED",
    "messageStatusDescription": "Message has been accepted by phone +14255550156",
    "context": {"contact": CONTACT, "tenant": TENANT},
    "totalMessageParts": 1,
    "totalMessagePrice": 0.09582,
    "totalCarrierFee": 0.0,
}

DELIVERY_LOG = {
    "notification": {"messageId": "34d9b400-c6dd-5444-820d-fbeb0f1f54cf", "timestamp": "2026-11-23 00:40:34.558"},
    "delivery": {
        "phoneCarrier": "My Phone Carrier",
        "destination": "+14255550156",
        "priceInUSD": 0.00645,
        "smsType": "Transactional",
        "providerResponse": "Message has been accepted by phone carrier",
        "dwellTimeMs": 599,
    },
    "status": "SUCCESS",
}

INBOUND_TEXT = {
    "originationNumber": "+14255550156",
    "destinationNumber": "+12065550152",
    "messageKeyword": "KEYWORD_123456789012",
    "messageBody": "STOP",
    "previousPublishedMessageId": "862a8790-60c0-4430-9b2b-658bd0000000",
    "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
}

WECHAT = {
    "provider": "wechat",
    "event": "inbound",
    "id": "from_msgid_4622416642169452483",
    "at": "2026-11-23T02:00:00+08:00",
    "user": "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw",
    "account": "wkAJ2GCAAASSm4_FhToWMFea0xAFfd3Q",
    "text": "退订",
}


def only(body: dict[str, Any]) -> ProviderEvent:
    events = parse_provider_events(body)
    assert len(events) == 1
    return events[0]


def test_a_delivery_names_the_attempt_by_its_tags() -> None:
    event = only(enveloped(DELIVERY))
    assert (event.kind, event.provider, event.contact, event.tenant) == ("delivered", "ses", CONTACT, TENANT)
    assert event.provider_id == "0102018f0b3c7c3e-1"
    assert event.at == "2026-11-23T02:00:03.120Z"
    assert event.recipient == "jane.roe@example.test"


def test_an_envelope_or_the_message_itself_read_the_same() -> None:
    assert read_provider_events(enveloped(DELIVERY)) == read_provider_events(DELIVERY)


@pytest.mark.parametrize(
    ("kind", "sub", "read"),
    [
        ("Permanent", "General", "bounced"),
        ("Permanent", "NoEmail", "bounced"),
        ("Transient", "MailboxFull", "failed"),
        ("Undetermined", "Undetermined", "failed"),
    ],
)
def test_only_a_permanent_bounce_says_that_nothing_ever_arrives_there(kind: str, sub: str, read: str) -> None:
    event = only(enveloped(bounce(kind, sub)))
    assert (event.kind, event.reason) == (read, f"{kind} {sub}")


def test_a_spam_report_names_attempt_and_person() -> None:
    event = only(enveloped(COMPLAINT))
    assert (event.kind, event.contact, event.recipient) == ("complaint", CONTACT, "jane.roe@example.test")
    assert event.reason == "abuse"


def test_mail_that_was_never_written_failed() -> None:
    event = only(enveloped({"eventType": "Rendering Failure", "mail": mail(), "failure": {"templateName": "x"}}))
    assert (event.kind, event.contact) == ("failed", CONTACT)


def test_words_in_an_unknown_encoding_are_read_as_well_as_can_be() -> None:
    raw = "Subject: Re: x\r\nContent-Type: text/plain; charset=x-klingon\r\n\r\nSTOP"
    event = only(enveloped({**received("x"), "content": base64.b64encode(raw.encode()).decode()}))
    assert event.text == "STOP"


def test_a_rejected_mail_failed() -> None:
    event = only(enveloped({"eventType": "Reject", "mail": mail(), "reject": {"reason": "Bad content"}}))
    assert (event.kind, event.reason) == ("failed", "Bad content")


@pytest.mark.parametrize("kind", ["Send", "DeliveryDelay", "Open", "Click", "Subscription", "Teleport"])
def test_mail_events_that_decide_nothing_are_ignored(kind: str) -> None:
    (reading,) = read_provider_events(enveloped({"eventType": kind, "mail": mail(), kind.lower(): {}}))
    assert isinstance(reading, Ignored)


def test_mail_that_is_not_ours_is_ignored() -> None:
    (reading,) = read_provider_events(enveloped({**DELIVERY, "mail": mail(tags={"ses:from-domain": ["x"]})}))
    assert reading == Ignored("delivered without a contact")


@pytest.mark.parametrize("tag", ["../../etc", "msg 1", "", "x" * 81])
def test_a_tag_that_is_no_id_of_ours_is_not_taken(tag: str) -> None:
    (reading,) = read_provider_events(enveloped({**DELIVERY, "mail": mail(tags={"contact": [tag]})}))
    assert isinstance(reading, Ignored)


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("TEXT_DELIVERED", "delivered"),
        ("TEXT_SUCCESSFUL", "delivered"),
        ("TEXT_INVALID", "bounced"),
        ("TEXT_BLOCKED", "failed"),
        ("TEXT_CARRIER_UNREACHABLE", "failed"),
        ("TEXT_TTL_EXPIRED", "failed"),
        ("TEXT_SPAM", "failed"),
    ],
)
def test_final_text_message_events_settle_the_attempt(event_type: str, kind: str) -> None:
    event = only(enveloped({**TEXT_EVENT, "eventType": event_type}))
    assert (event.kind, event.provider, event.contact, event.tenant) == (kind, "sns", CONTACT, TENANT)
    assert (event.recipient, event.line) == ("+14255550156", "+12065550152")
    assert event.at == "2026-11-24T02:00:03.123Z"


@pytest.mark.parametrize("event_type", ["TEXT_QUEUED", "TEXT_PENDING", "TEXT_SENT", "TEXT_UNKNOWN", "TEXT_NEW"])
def test_text_message_events_on_the_way_decide_nothing(event_type: str) -> None:
    assert parse_provider_events(enveloped({**TEXT_EVENT, "eventType": event_type})) == ()


def test_a_carrier_that_merely_accepted_for_now_decides_nothing() -> None:
    event = {**TEXT_EVENT, "eventType": "TEXT_SUCCESSFUL", "isFinal": False}
    assert parse_provider_events(enveloped(event)) == ()


def test_a_reason_never_holds_an_address() -> None:
    event = only(enveloped({**TEXT_EVENT, "eventType": "TEXT_BLOCKED"}))
    assert event.reason == "Message has been accepted by phone …"


def test_a_delivery_log_settles_only_what_its_forwarder_can_name() -> None:
    assert read_provider_events(enveloped(DELIVERY_LOG)) == (Ignored("delivered without a contact"),)
    event = only(enveloped({**DELIVERY_LOG, "contact": CONTACT, "tenant": TENANT}))
    assert (event.kind, event.provider_id) == ("delivered", "34d9b400-c6dd-5444-820d-fbeb0f1f54cf")
    assert event.at == "2026-11-23T00:40:34.558Z"


@pytest.mark.parametrize(
    ("response", "kind"),
    [("Invalid phone number", "bounced"), ("Phone is currently unreachable/unavailable", "failed")],
)
def test_a_failed_delivery_log_tells_a_dead_number_from_a_bad_day(response: str, kind: str) -> None:
    delivery = {**DELIVERY_LOG["delivery"], "providerResponse": response}  # type: ignore[dict-item]
    event = only(enveloped({**DELIVERY_LOG, "delivery": delivery, "status": "FAILURE", "contact": CONTACT}))
    assert (event.kind, event.reason) == (kind, response)


def test_an_inbound_text_tells_who_wrote_to_which_line() -> None:
    event = only(enveloped(INBOUND_TEXT))
    assert (event.kind, event.provider, event.contact) == ("inbound", "sns", None)
    assert (event.recipient, event.line, event.text) == ("+14255550156", "+12065550152", "STOP")


def test_a_repeat_has_the_same_id_and_another_event_another() -> None:
    repeat = enveloped(INBOUND_TEXT, MessageId="another-envelope")
    other = enveloped({**INBOUND_TEXT, "inboundMessageId": "00000000-66b9-564c-8309-21f858e9fb84"})
    first = only(enveloped(INBOUND_TEXT)).dedup_id
    assert only(repeat).dedup_id == first != only(other).dedup_id
    assert is_id(f"in_{first}")


def test_every_example_has_an_id_of_its_own() -> None:
    bodies = [DELIVERY, bounce("Permanent", "General"), COMPLAINT, TEXT_EVENT, INBOUND_TEXT, WECHAT]
    assert len({only(enveloped(body)).dedup_id for body in bodies}) == len(bodies)


# Inbound mail


def received(text: str, *, subject: str = "Re: Your account", headers: str = "", **members: Any) -> dict[str, Any]:
    raw = (
        f"From: Jane Roe <Jane.Roe@EXAMPLE.test>\r\nTo: collections@forbear.test\r\nSubject: {subject}\r\n{headers}"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}"
    )
    return {
        "notificationType": "Received",
        "mail": {
            "timestamp": "2026-11-23T04:00:00.000Z",
            "source": "bounces+1@example.test",
            "messageId": "inbound-1",
            "destination": ["collections@forbear.test"],
            "commonHeaders": {"from": ["Jane Roe <Jane.Roe@EXAMPLE.test>"], "subject": subject},
        },
        "receipt": {"action": {"type": "SNS", "encoding": "BASE64"}},
        "content": base64.b64encode(raw.encode()).decode(),
        **members,
    }


QUOTED = (
    "I paid last week.\r\n\r\nOn Mon, Nov 23, 2026 at 10:00 AM Chengda <collections@forbear.test> wrote:\r\n"
    "> reply Unsubscribe and we will stop e-mails to it.\r\n"
)


def test_an_answer_is_read_without_what_it_quotes() -> None:
    event = only(enveloped(received(QUOTED)))
    assert (event.kind, event.recipient, event.text) == ("inbound", "Jane.Roe@example.test", "I paid last week.")
    assert event.line == "collections@forbear.test"
    assert intent_of(event.text or "") is Intent.PAID


def test_a_subject_of_the_persons_own_is_read_too() -> None:
    event = only(enveloped(received("", subject="unsubscribe")))
    assert intent_of(event.text or "") is Intent.STOP


def test_unquoted_words_in_chinese_are_read() -> None:
    event = only(enveloped(received("退订\r\n\r\n发件人：诚达\r\n已还款请忽略", subject="回复：通知")))
    assert event.text == "退订"


def test_a_page_without_plain_text_is_read_without_its_quotation() -> None:
    page = "<html><head><style>p{}</style></head><p>I dispute this</p><blockquote>reply STOP</blockquote></html>"
    raw = f"Subject: Re: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{page}"
    event = only(enveloped({**received("x"), "content": base64.b64encode(raw.encode()).decode()}))
    assert (event.text or "").strip() == "I dispute this"


@given(st.binary(max_size=200), st.sampled_from(["Content-Type: ", "Auto-Submitted: ", "", "\r\n", "From: "]))
def test_no_mail_can_raise(noise: bytes, head: str) -> None:
    raw = head.encode() + noise + b"\r\n\r\n" + noise
    content = base64.b64encode(raw).decode()
    assert len(read_provider_events(enveloped({**received("x"), "content": content}))) == 1


@pytest.mark.parametrize("header", ["Auto-Submitted: auto-replied\r\n", "Precedence: bulk\r\n"])
def test_an_automatic_answer_is_no_word_of_the_person(header: str) -> None:
    (reading,) = read_provider_events(enveloped(received("I am away. To stop, reply STOP.", headers=header)))
    assert reading == Ignored("an automatic answer")


def test_content_that_cannot_be_decoded_is_ignored() -> None:
    (reading,) = read_provider_events(enveloped({**received("x"), "content": "%%%"}))
    assert reading == Ignored("malformed: content")


# WeChat


def test_a_wechat_message_tells_who_wrote() -> None:
    event = only(enveloped(WECHAT))
    assert (event.kind, event.provider, event.recipient) == ("inbound", "wechat", WECHAT["user"])
    assert (event.at, event.text, event.line) == ("2026-11-22T18:00:00.000Z", "退订", WECHAT["account"])


def test_a_wechat_failure_names_the_attempt() -> None:
    event = only(enveloped({**WECHAT, "event": "failed", "contact": CONTACT, "tenant": TENANT, "reason": "refused"}))
    assert (event.kind, event.contact, event.text, event.reason) == ("failed", CONTACT, None, "refused")


def test_a_person_who_removed_the_account_has_said_stop() -> None:
    event = only(enveloped({**WECHAT, "event": "removed", "text": None}))
    assert (event.kind, event.contact, event.recipient) == ("complaint", None, WECHAT["user"])


# What is unknown or broken


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "unknown shape"),
        ({"hello": "world"}, "unknown shape"),
        ({"Type": "Notification", "Message": "no json"}, "the message is no JSON"),
        ({"Type": "Notification", "Message": "[1]"}, "the message is no object"),
        ({"Type": "Notification", "Message": None}, "the message is no JSON"),
        ({"Type": "Notification", "Message": "[" * 100_000}, "the message is no JSON"),
        ({"Type": "SubscriptionConfirmation", "Message": "You have chosen"}, "a subscription of the topic itself"),
        ({"eventType": "Bounce", "mail": mail(), "bounce": "x"}, "malformed: bounce"),
        ({"eventType": "Delivery", "mail": [], "delivery": {}}, "malformed: mail"),
        ({"eventType": "Delivery", "mail": mail(messageId=7), "delivery": {}}, "malformed: messageId"),
        ({**INBOUND_TEXT, "messageBody": 5}, "malformed: messageBody"),
        ({**INBOUND_TEXT, "messageBody": None}, "malformed: messageBody"),
        ({**WECHAT, "event": "removed", "user": None}, "complaint about nothing known"),
        ({**INBOUND_TEXT, "originationNumber": None}, "inbound without a sender"),
        ({**WECHAT, "id": None}, "malformed: id"),
        ({**WECHAT, "event": "poked"}, "a WeChat event that is not known"),
    ],
)
def test_what_cannot_be_read_is_a_value_with_a_reason(body: dict[str, Any], reason: str) -> None:
    assert read_provider_events(body) == (Ignored(reason),)
    assert parse_provider_events(body) == ()


@pytest.mark.parametrize("time", ["yesterday", -1e30, 10**30, True, None, [], "2026-13-45T00:00:00Z"])
def test_a_time_that_cannot_be_read_is_left_out(time: Any) -> None:
    assert only(enveloped({**TEXT_EVENT, "eventTimestamp": time})).at is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["eventType", "notificationType", "mail", "delivery", "bounce", "complaint", "notification", "originationNumber",
     "messageBody", "provider", "event", "id", "Message", "Type", "content", "receipt", "status", "tags", "context"]
)  # fmt: skip


@given(st.dictionaries(NAMES, JSON, max_size=6))
def test_nothing_that_arrives_can_raise(body: dict[str, Any]) -> None:
    assert len(read_provider_events(body)) >= 1


@given(
    st.sampled_from([DELIVERY, COMPLAINT, TEXT_EVENT, DELIVERY_LOG, INBOUND_TEXT, WECHAT, received(QUOTED)]),
    st.data(),
)
def test_a_known_shape_with_any_member_spoilt_can_not_raise(body: dict[str, Any], data: st.DataObject) -> None:
    spoilt = json.loads(json.dumps(body))
    target = spoilt
    name = data.draw(st.sampled_from(sorted(target)))
    if isinstance(target[name], dict) and target[name] and data.draw(st.booleans()):
        target = target[name]
        name = data.draw(st.sampled_from(sorted(target)))
    target[name] = data.draw(JSON)
    for reading in read_provider_events(spoilt):
        assert isinstance(reading, ProviderEvent | Ignored)
