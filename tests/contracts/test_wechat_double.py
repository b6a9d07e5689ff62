"""The WeChat double against the gateway that will speak to the real service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.outreach.carrying import Accepted, Outbound, Refused, content_digest
from chalicelib.gateways.wechat import CorporateWeChat
from scripts.cloud import outbox
from scripts.cloud.wechat import TOKEN_SECONDS, Account, serve

BODY = "生成的测试文本"


class House:
    def __init__(self, tmp_path: Path) -> None:
        self.at = 0.0
        self.file = tmp_path / "outbox.jsonl"
        self.account = Account(self.file, corp_id="corp", secret="right", account="kf", seconds=lambda: self.at)
        self.server = serve(self.account, port=0)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def gateway(self, *, secret: str = "right", account: str = "kf") -> CorporateWeChat:
        return CorporateWeChat(self.url, corp_id="corp", secret=secret, account=account, seconds=lambda: 0.0)

    def taken(self) -> list[dict[str, Any]]:
        return list(outbox.accepted(self.file))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    yield built
    built.server.shutdown()
    built.server.server_close()


def a_message(contact: str = "msg_1", body: str = BODY, to: str = "wm_1") -> Outbound:
    return Outbound(
        contact=contact,
        channel="wechat",
        to=to,
        body=body,
        subject=None,
        sender=None,
        content=content_digest(None, body),
        not_after="2026-11-24T03:00:00.000Z",
        language="zh",
        reference=f"len-1/{contact}",
    )


def test_a_message_is_in_the_outbox_when_it_was_accepted(house: House) -> None:
    assert isinstance(house.gateway().send(a_message()), Accepted)
    assert [(line["contact"], line["body"]) for line in house.taken()] == [("msg_1", BODY)]


@pytest.mark.parametrize(
    "deviation, code", [({"secret": "wrong"}, "40001"), ({"account": "other"}, "95000")], ids=["secret", "account"]
)
def test_what_the_real_service_refuses_is_refused(house: House, deviation: dict[str, str], code: str) -> None:
    answer = house.gateway(**deviation).send(a_message())
    assert isinstance(answer, Refused) and code in answer.reason
    assert house.taken() == []


def test_an_expired_token_is_refused_and_a_new_one_works(house: House) -> None:
    gateway = house.gateway()
    gateway.send(a_message("msg_1"))
    house.at = TOKEN_SECONDS
    answer = gateway.send(a_message("msg_2"))
    assert isinstance(answer, Refused) and "42001" in answer.reason
    assert isinstance(gateway.send(a_message("msg_3")), Accepted)


def test_the_same_message_is_never_taken_twice_not_even_by_a_double_that_was_restarted(house: House) -> None:
    gateway = house.gateway()
    gateway.send(a_message())
    assert isinstance(gateway.send(a_message()), Refused)
    again = Account(house.file, corp_id="corp", secret="right", account="kf")
    token = again.token("corp", "right")["access_token"]
    message = {"touser": "wm_1", "open_kfid": "kf", "msgid": "msg_1", "msgtype": "text", "text": {"content": BODY}}
    assert again.send(token, message)["errcode"] == 40058
    assert len(house.taken()) == 1


@pytest.mark.parametrize("message", [None, [], {"msgtype": "image"}, {"msgtype": "text", "touser": 1}])
def test_a_malformed_request_is_an_errcode_and_not_a_crash(house: House, message: Any) -> None:
    token = house.account.token("corp", "right")["access_token"]
    assert house.account.send(token, message)["errcode"] == 40058
