"""WeChat messages through a lender's or agency's corporate account (企业微信, WeChat customer service).

The person must have written to or added the account; the service lets an account answer within 48 hours of a person's
message. A message goes out under the attempt's own id (``msgid``), which the service accepts once per account.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Outbound, Outcome, Refused, altered

PROVIDER = "wechat"
TEXT_BYTES = 2048
"""The longest text, in UTF-8 bytes."""

MESSAGE_ID = re.compile(r"[0-9A-Za-z_-]{1,32}")
"""What the service takes as a message's id."""

_ANSWER_BYTES = 64 * 1024
_TOKEN_MARGIN = 300.0
_BUSY = -1
_STALE_TOKEN = frozenset({40001, 40014, 41001, 42001})


class CorporateWeChat:
    """Carrier of the channel ``wechat``. One call of ``kf/send_msg`` a message, with an access token that is kept."""

    def __init__(
        self,
        url: str,
        *,
        corp_id: str,
        secret: str,
        account: str = "",
        seconds: Callable[[], float] = time.monotonic,
        connect_timeout: float = 3.0,
        read_timeout: float = 20.0,
    ) -> None:
        """Take the service's address (scheme and host), the corporation's id and secret, and the account to send from.

        ``account`` (``open_kfid``) is for messages that name no sender; ``seconds`` is a clock that only runs forward.
        """
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path.rstrip("/")
        self._corp_id, self._secret, self._account = corp_id, secret, account
        self._seconds = seconds
        self._connect_timeout, self._read_timeout = connect_timeout, read_timeout
        self._token, self._token_until = "", 0.0
        self._lock = threading.Lock()

    def send(self, outbound: Outbound) -> Outcome:
        """Send once. A token is fetched before, when none is at hand; a token that proves stale is fetched next time.

        Whatever goes wrong before the send call itself is ``Refused``: nothing was handed over.
        """
        if altered(outbound):
            return Refused(PROVIDER, "content_altered")
        if len(outbound.body.encode()) > TEXT_BYTES:
            return Refused(PROVIDER, "body_size")
        if not MESSAGE_ID.fullmatch(outbound.contact):
            return Refused(PROVIDER, "invalid_message_id")
        token = self._access_token()
        if isinstance(token, Refused):
            return token
        message = {
            "touser": outbound.to,
            "open_kfid": outbound.sender or self._account,
            "msgid": outbound.contact,
            "msgtype": "text",
            "text": {"content": outbound.body},
        }
        answer = self._call("POST", f"/cgi-bin/kf/send_msg?{urlencode({'access_token': token})}", message)
        if not isinstance(answer, dict):
            return answer
        return self._settled(answer, outbound)

    def _settled(self, answer: dict[str, Any], outbound: Outbound) -> Outcome:
        code = _errcode(answer)
        if code == 0:
            return Accepted(PROVIDER, str(answer.get("msgid") or outbound.contact))
        if code is None or code == _BUSY:
            # "System busy" is no word on whether the message was taken.
            return Ambiguous(PROVIDER, "errcode absent" if code is None else f"errcode {code}")
        if code in _STALE_TOKEN:
            with self._lock:
                self._token = ""
        return Refused(PROVIDER, f"errcode {code}")

    def _access_token(self) -> str | Refused:
        with self._lock:
            if self._token and self._seconds() < self._token_until:
                return self._token
            query = urlencode({"corpid": self._corp_id, "corpsecret": self._secret})
            answer = self._call("GET", f"/cgi-bin/gettoken?{query}", None)
            if not isinstance(answer, dict):
                return Refused(PROVIDER, f"no token: {answer.reason}")
            token, code = answer.get("access_token"), _errcode(answer)
            if code != 0 or not isinstance(token, str) or not token:
                return Refused(PROVIDER, f"no token: errcode {'absent' if code is None else code}")
            lifetime = answer.get("expires_in")
            self._token = token
            self._token_until = self._seconds() + (lifetime if isinstance(lifetime, int) else 0) - _TOKEN_MARGIN
            return token

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any] | Refused | Ambiguous:
        """Make one call and return the JSON object that was answered, or what its failure says."""
        connection = (HTTPSConnection if self._secure else HTTPConnection)(
            self._host, self._port, timeout=self._connect_timeout
        )
        try:
            try:
                connection.connect()
            except OSError as error:
                return Refused(PROVIDER, f"not connected: {type(error).__name__}")
            if connection.sock is not None:
                connection.sock.settimeout(self._read_timeout)
            payload = None if body is None else json.dumps(body, ensure_ascii=False).encode()
            try:
                connection.request(
                    method, self._path + path, body=payload, headers={"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                raw = answer.read(_ANSWER_BYTES)
            except (OSError, HTTPException) as error:
                return Ambiguous(PROVIDER, type(error).__name__)
            if 400 <= answer.status < 500 and answer.status != 408:
                return Refused(PROVIDER, f"status {answer.status}")
            if answer.status != 200:
                return Ambiguous(PROVIDER, f"status {answer.status}")
        finally:
            connection.close()
        try:
            parsed = json.loads(raw)
        except ValueError:
            return Ambiguous(PROVIDER, "unreadable answer")
        return parsed if isinstance(parsed, dict) else Ambiguous(PROVIDER, "unreadable answer")


def _errcode(answer: dict[str, Any]) -> int | None:
    code = answer.get("errcode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None
