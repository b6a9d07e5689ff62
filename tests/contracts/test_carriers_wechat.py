import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Refused, content_digest
from chalicelib.gateways.wechat import CorporateWeChat
from tests.contracts.carrier_doubles import Answer, Double, an_outbound, serving, unused_url

USER = "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw"
TOKEN, SEND = "/cgi-bin/gettoken", "/cgi-bin/kf/send_msg"


def a_message(**deviations: Any) -> Any:
    return an_outbound(**{"channel": "wechat", "to": USER, "sender": "wk-agency-a", **deviations})


def told(**members: Any) -> Answer:
    return Answer(body=json.dumps(members).encode())


def a_service(
    send: Answer | None = None, token: Answer | None = None, *, expires_in: int = 7200
) -> Callable[[str, str, bytes], Answer]:
    """Return a service that gives tokens in order (token-1, token-2, ...) and answers a send as told."""
    given = iter(range(1, 1000))

    def answer(method: str, path: str, body: bytes) -> Answer:
        if path.startswith(TOKEN):
            return token or told(errcode=0, errmsg="ok", access_token=f"token-{next(given)}", expires_in=expires_in)
        return send or told(errcode=0, errmsg="ok", msgid=json.loads(body)["msgid"])

    return answer


def a_carrier(double: Double, **deviations: Any) -> CorporateWeChat:
    return CorporateWeChat(
        double.url, **{"corp_id": "ww1", "secret": "s3cret", "account": "wk-lender", "read_timeout": 5.0, **deviations}
    )


def paths(double: Double) -> list[str]:
    return [urlsplit(path).path for _, path, _ in double.requests]


def test_a_message_goes_out_under_the_attempts_own_id() -> None:
    with serving(a_service()) as double:
        outcome = a_carrier(double).send(a_message())
    assert outcome == Accepted("wechat", "msg_01jd0000000000000000000000")
    assert paths(double) == [TOKEN, SEND]
    assert double.bodies_of(SEND) == [
        {
            "touser": USER,
            "open_kfid": "wk-agency-a",
            "msgid": "msg_01jd0000000000000000000000",
            "msgtype": "text",
            "text": {"content": "张*您好，请致电400-800-0002。"},
        }
    ]
    query = parse_qs(urlsplit(double.requests[0][1]).query)
    assert query == {"corpid": ["ww1"], "corpsecret": ["s3cret"]}
    assert parse_qs(urlsplit(double.requests[1][1]).query) == {"access_token": ["token-1"]}


def test_a_message_without_a_sender_leaves_from_the_default_account() -> None:
    with serving(a_service()) as double:
        a_carrier(double).send(a_message(sender=None))
    assert double.bodies_of(SEND)[0]["open_kfid"] == "wk-lender"


def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    now = [0.0]
    with serving(a_service()) as double:
        carrier = a_carrier(double, seconds=lambda: now[0])
        carrier.send(a_message())
        now[0] = 7200.0 - 300.0 - 0.001
        carrier.send(a_message())
        assert paths(double).count(TOKEN) == 1
        now[0] = 7200.0 - 300.0
        carrier.send(a_message())
    assert paths(double) == [TOKEN, SEND, SEND, TOKEN, SEND]


@pytest.mark.parametrize("code", [40014, 42001, 41001, 40001])
def test_a_stale_token_refuses_this_message_and_is_fetched_anew_for_the_next(code: int) -> None:
    with serving(a_service(told(errcode=code, errmsg="invalid access_token"))) as double:
        carrier = a_carrier(double)
        assert carrier.send(a_message()) == Refused("wechat", f"errcode {code}")
        assert paths(double) == [TOKEN, SEND]
        carrier.send(a_message())
    assert paths(double) == [TOKEN, SEND, TOKEN, SEND]


@pytest.mark.parametrize("code", [95001, 95002, 45009, 40003, 60020])
def test_any_other_error_of_the_service_is_a_refusal_and_keeps_the_token(code: int) -> None:
    with serving(a_service(told(errcode=code, errmsg="no"))) as double:
        carrier = a_carrier(double)
        assert carrier.send(a_message()) == Refused("wechat", f"errcode {code}")
        carrier.send(a_message())
    assert paths(double) == [TOKEN, SEND, SEND]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (told(errcode=-1, errmsg="system busy"), Ambiguous("wechat", "errcode -1")),
        (told(errmsg="?"), Ambiguous("wechat", "errcode absent")),
        (told(errcode="0"), Ambiguous("wechat", "errcode absent")),
        (told(errcode=False), Ambiguous("wechat", "errcode absent")),
        (Answer(body=b"<html>"), Ambiguous("wechat", "unreadable answer")),
        (Answer(body=b"[]"), Ambiguous("wechat", "unreadable answer")),
        (Answer(500), Ambiguous("wechat", "status 500")),
        (Answer(503), Ambiguous("wechat", "status 503")),
        (Answer(408), Ambiguous("wechat", "status 408")),
        (Answer(404), Refused("wechat", "status 404")),
        (Answer(429), Refused("wechat", "status 429")),
        (Answer(hang_up=True), Ambiguous("wechat", "RemoteDisconnected")),
    ],
    ids=lambda value: str(value)[:70],
)
def test_an_answer_is_taken_for_what_it_is_and_asked_for_once(answer: Answer, outcome: object) -> None:
    with serving(a_service(answer)) as double:
        assert a_carrier(double).send(a_message()) == outcome
    assert paths(double) == [TOKEN, SEND]


def test_a_time_out_after_the_message_was_handed_over_is_ambiguous_and_never_repeated() -> None:
    with serving(a_service(Answer(wait=True))) as double:
        assert a_carrier(double, read_timeout=0.2).send(a_message()) == Ambiguous("wechat", "TimeoutError")
    assert paths(double) == [TOKEN, SEND]


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (told(errcode=40013, errmsg="invalid corpid"), "no token: errcode 40013"),
        (told(errcode=0, access_token=""), "no token: errcode 0"),
        (told(access_token="x"), "no token: errcode absent"),
        (Answer(500), "no token: status 500"),
        (Answer(hang_up=True), "no token: RemoteDisconnected"),
        (Answer(body=b"x"), "no token: unreadable answer"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_without_a_token_nothing_was_sent(token: Answer, reason: str) -> None:
    with serving(a_service(token=token)) as double:
        assert a_carrier(double).send(a_message()) == Refused("wechat", reason)
    assert paths(double) == [TOKEN]


def test_nobody_listening_is_a_refusal() -> None:
    outcome = CorporateWeChat(unused_url(), corp_id="ww1", secret="s").send(a_message())
    assert outcome == Refused("wechat", "no token: not connected: ConnectionRefusedError")


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"body": "长" * 683}, "body_size"),
        ({"contact": "msg_" + "0" * 29}, "invalid_message_id"),
        ({"contact": "msg 1"}, "invalid_message_id"),
        ({"content": content_digest(None, "x")}, "content_altered"),
    ],
)
def test_a_message_that_cannot_be_right_is_refused_before_any_call(deviation: dict[str, Any], reason: str) -> None:
    with serving(a_service()) as double:
        assert a_carrier(double).send(a_message(**deviation)) == Refused("wechat", reason)
    assert double.requests == []


def test_a_text_of_the_greatest_size_is_taken() -> None:
    with serving(a_service()) as double:
        assert isinstance(a_carrier(double).send(a_message(body="长" * 682 + "ab")), Accepted)
