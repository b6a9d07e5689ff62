"""What carriers and borrowers send back, read from queue bodies into one kind of value.

Known shapes: SES event publishing and inbound mail, delivery events of AWS End User Messaging, SNS delivery status
logs, two-way text messages, and WeChat callbacks as our own HTTP adapter writes them down. Everything else becomes
``Ignored`` with a reason: a carrier may add events at any time, and an unknown one must not stop the known ones.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses
from html.parser import HTMLParser
from typing import Any, Literal

from chalicelib.domain.ids import is_id
from chalicelib.domain.instants import from_text, to_text

Kind = Literal["delivered", "failed", "bounced", "complaint", "inbound"]
"""``failed``: this message did not arrive; ``bounced``: nothing will ever arrive there; ``complaint``: called spam."""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One word from outside.

    ``provider`` is ses, sns or wechat. ``contact`` and ``tenant`` are the attempt's own ids where the carrier hands
    them back. ``recipient`` is the person's address: where a message went, or for ``inbound`` who wrote (E.164, mailbox
    with its domain in lower case, external user id); ``line`` is our own line or account. ``at`` is RFC 3339 with three
    decimals, None when the carrier told no time. ``text`` is what a person wrote; ``reason`` the carrier's own words
    for a failure, shortened, never with an address in it. ``dedup_id`` is the same for every repeat of the event.
    """

    kind: Kind
    provider: str
    dedup_id: str
    contact: str | None = None
    tenant: str | None = None
    provider_id: str | None = None
    at: str | None = None
    recipient: str | None = None
    line: str | None = None
    text: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A body, or a part of one, that changes nothing; ``reason`` says why and holds nothing of its content."""

    reason: str


Reading = ProviderEvent | Ignored


def parse_provider_events(body: Mapping[str, Any]) -> tuple[ProviderEvent, ...]:
    """Return the events of one queue body that say something about an attempt or a person; see ``read_provider_events``."""
    return tuple(reading for reading in read_provider_events(body) if isinstance(reading, ProviderEvent))


def read_provider_events(body: Mapping[str, Any]) -> tuple[Reading, ...]:
    """Return everything that one queue body says, never raising for what it holds.

    ``body`` is an SNS envelope (``Type``, ``Message``) or, with raw delivery, the message itself. A delivery, failure or
    bounce that names no contact is ignored, because nothing of ours can be found by it.
    """
    message = _unwrapped(body)
    if isinstance(message, Ignored):
        return (message,)
    for recognises, read in _SHAPES:
        if recognises(message):
            try:
                return tuple(_usable(reading) for reading in read(message))
            except _Malformed as error:
                return (Ignored(f"malformed: {error}"),)
    return (Ignored("unknown shape"),)


class _Malformed(Exception):
    """A member is missing or of the wrong type; the text names the member only."""


def _unwrapped(body: Mapping[str, Any]) -> Mapping[str, Any] | Ignored:
    if "Message" not in body:
        return body
    if body.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        return Ignored("a subscription of the topic itself")
    try:
        message = json.loads(body["Message"])
    except (TypeError, ValueError, RecursionError):
        return Ignored("the message is no JSON")
    return message if isinstance(message, dict) else Ignored("the message is no object")


def _usable(reading: Reading) -> Reading:
    if isinstance(reading, Ignored):
        return reading
    if reading.kind in ("delivered", "failed", "bounced") and reading.contact is None:
        return Ignored(f"{reading.kind} without a contact")
    if reading.kind == "inbound" and not reading.recipient:
        return Ignored("inbound without a sender")
    if reading.kind == "complaint" and reading.contact is None and not reading.recipient:
        return Ignored("complaint about nothing known")
    return reading


# Mail


def _ses(message: Mapping[str, Any]) -> list[Reading]:
    kind = _text(message, "eventType") or _text(message, "notificationType") or ""
    mail = _object(message, "mail")
    common = {"provider": "ses", "provider_id": _text(mail, "messageId"), **_tags(mail)}
    if kind in ("Send", "DeliveryDelay", "Open", "Click", "Subscription"):
        return [Ignored(f"{kind} changes nothing")]
    if kind == "Delivery":
        delivery = _object(message, "delivery")
        return [_event("delivered", common, delivery, _first(delivery.get("recipients")))]
    if kind == "Bounce":
        bounce = _object(message, "bounce")
        permanent = bounce.get("bounceType") == "Permanent"
        reason: str | None = f"{_text(bounce, 'bounceType')} {_text(bounce, 'bounceSubType')}"
        recipient = _first([_text(r, "emailAddress") for r in _objects(bounce, "bouncedRecipients")])
        return [_event("bounced" if permanent else "failed", common, bounce, recipient, reason)]
    if kind == "Complaint":
        complaint = _object(message, "complaint")
        reason = _text(complaint, "complaintFeedbackType") or _text(complaint, "complaintSubType")
        recipient = _first([_text(r, "emailAddress") for r in _objects(complaint, "complainedRecipients")])
        return [_event("complaint", common, complaint, recipient, reason)]
    if kind == "Reject":
        return [_event("failed", common, mail, None, _text(_object(message, "reject"), "reason"))]
    if kind == "Rendering Failure":
        return [_event("failed", common, mail, None, "rendering failure")]
    if kind == "Received":
        return [_received_mail(message, mail)]
    return [Ignored("an event type of mail that is not known")]


def _event(
    kind: Kind, common: Mapping[str, Any], part: Mapping[str, Any], recipient: str | None, reason: str | None = None
) -> ProviderEvent:
    at = _instant(part.get("timestamp"))
    own = _text(part, "feedbackId") or at or ""
    return ProviderEvent(
        kind=kind,
        dedup_id=_digest("ses", kind, common["provider_id"], own),
        at=at,
        recipient=None if recipient is None else _mailbox(recipient),
        reason=_short(reason),
        **common,
    )


def _tags(mail: Mapping[str, Any]) -> dict[str, str | None]:
    tags = mail.get("tags")
    found: dict[str, str | None] = {}
    for name in ("contact", "tenant"):
        value = _first(tags.get(name)) if isinstance(tags, dict) else None
        found[name] = value if value is not None and is_id(value) else None
    return found


MAIL_LIMIT = 150_000
"""Inbound mail is read up to this many characters, which is all that SNS carries."""


def _received_mail(message: Mapping[str, Any], mail: Mapping[str, Any]) -> Reading:
    content = _text(message, "content") or ""
    raw = content.encode(errors="replace")
    action = _object(message, "receipt").get("action")
    if isinstance(action, dict) and action.get("encoding") == "BASE64":
        try:
            raw = base64.b64decode(content, validate=True)
        except ValueError as error:
            raise _Malformed("content") from error
    # The old policy hands headers over as they are; the new one raises on some that only malice or age writes.
    parsed = message_from_bytes(raw[:MAIL_LIMIT])
    if _is_automatic(parsed):
        return Ignored("an automatic answer")
    common_headers = mail.get("commonHeaders")
    headers = common_headers if isinstance(common_headers, dict) else {}
    sender = _first(headers.get("from")) or _text(mail, "source") or ""
    subject = _text(headers, "subject") or ""
    provider_id = _text(mail, "messageId")
    return ProviderEvent(
        kind="inbound",
        provider="ses",
        dedup_id=_digest("ses", "inbound", provider_id, ""),
        provider_id=provider_id,
        at=_instant(mail.get("timestamp")),
        recipient=_mailbox(sender),
        line=_mailbox(_first(mail.get("destination")) or ""),
        text=_written(subject, parsed),
    )


def _is_automatic(parsed: Message) -> bool:
    """Tell whether a machine answered (RFC 3834), which is no word from the person."""
    automatic = str(parsed.get("Auto-Submitted", "no")).strip().casefold()
    return automatic not in ("", "no") or str(parsed.get("Precedence", "")).strip().casefold() in ("bulk", "junk")


_COLON = "[:\\uff1a]"
_QUOTE_HEAD = re.compile(
    rf"(?:On .{{1,200}}wrote:|在.{{1,200}}写道{_COLON}|-{{2,}} ?(?:Original Message|原始邮件|Forwarded message).*"
    rf"|发件人{_COLON}.*|From: .*)"
)
_ANSWERS = re.compile(rf"(?:re|aw|回复|答复)\s*{_COLON}", re.IGNORECASE)


def _written(subject: str, parsed: Message) -> str:
    """Return what the person wrote: the subject unless it answers ours, then the body without what it quotes.

    A quoted message of ours says how to unsubscribe; left in, every reply would read as an opt-out.
    """
    lines = []
    for line in _body(parsed).splitlines():
        if _QUOTE_HEAD.fullmatch(line.strip()):
            break
        if not line.lstrip().startswith((">", "|")):
            lines.append(line)
    own = "\n".join(lines).strip()
    return own if _ANSWERS.match(subject.strip()) and own else f"{subject.strip()}\n{own}".strip()


def _body(parsed: Message) -> str:
    """Return the text of the first plain part, else of the first HTML part, else nothing."""
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    for wanted in ("text/plain", "text/html"):
        for part in leaves:
            if part.get_content_type() == wanted:
                text = _decoded(part)
                return text if wanted == "text/plain" else _text_of_html(text)
    return ""


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else b""
    try:
        return raw.decode(part.get_content_charset("utf-8"), errors="replace")
    except LookupError:
        return raw.decode("utf-8", errors="replace")


class _Words(HTMLParser):
    """Collects the text of a page, without quotations, scripts and styles."""

    _LEFT_OUT = frozenset({"blockquote", "script", "style", "head"})

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside += tag in self._LEFT_OUT
        if tag in ("br", "p", "div", "tr"):
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._inside = max(0, self._inside - (tag in self._LEFT_OUT))

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)


def _text_of_html(page: str) -> str:
    words = _Words()
    words.feed(page)
    return "".join(words.words)


# Text messages


_TEXT_KINDS: Mapping[str, Kind] = {
    "TEXT_DELIVERED": "delivered",
    "TEXT_SUCCESSFUL": "delivered",
    "TEXT_INVALID": "bounced",
    "TEXT_INVALID_MESSAGE": "failed",
    "TEXT_BLOCKED": "failed",
    "TEXT_CARRIER_BLOCKED": "failed",
    "TEXT_PROTECT_BLOCKED": "failed",
    "TEXT_CARRIER_UNREACHABLE": "failed",
    "TEXT_UNREACHABLE": "failed",
    "TEXT_SPAM": "failed",
    "TEXT_TTL_EXPIRED": "failed",
}


def _text_message_event(message: Mapping[str, Any]) -> list[Reading]:
    event_type = _text(message, "eventType") or ""
    kind = _TEXT_KINDS.get(event_type)
    if kind is None or message.get("isFinal") is False:
        # Queued, pending, sent and unknown decide nothing; an attempt without a final word stays as it is.
        return [Ignored("a text message event that decides nothing")]
    context = message.get("context")
    given = context if isinstance(context, dict) else {}
    provider_id = _text(message, "messageId")
    return [
        ProviderEvent(
            kind=kind,
            provider="sns",
            dedup_id=_digest("sns", event_type, provider_id, str(message.get("eventTimestamp"))),
            contact=_own_id(given.get("contact")),
            tenant=_own_id(given.get("tenant")),
            provider_id=provider_id,
            at=_instant(message.get("eventTimestamp")),
            recipient=_text(message, "destinationPhoneNumber"),
            line=_text(message, "originationPhoneNumber"),
            reason=_short(_text(message, "messageStatusDescription")) if kind != "delivered" else None,
        )
    ]


def _delivery_log(message: Mapping[str, Any]) -> list[Reading]:
    notification, delivery = _object(message, "notification"), _object(message, "delivery")
    response = _text(delivery, "providerResponse") or ""
    provider_id = _text(notification, "messageId")
    if message.get("status") == "SUCCESS":
        kind: Kind = "delivered"
    elif message.get("status") == "FAILURE":
        kind = "bounced" if re.search(r"invalid phone number", response, re.IGNORECASE) else "failed"
    else:
        return [Ignored("a delivery status that is not known")]
    return [
        ProviderEvent(
            kind=kind,
            provider="sns",
            dedup_id=_digest("sns", kind, provider_id, ""),
            # The log does not hand attributes back; whoever forwards it may add the contact that it knows.
            contact=_own_id(message.get("contact")),
            tenant=_own_id(message.get("tenant")),
            provider_id=provider_id,
            at=_instant(notification.get("timestamp")),
            recipient=_text(delivery, "destination"),
            reason=_short(response) if kind != "delivered" else None,
        )
    ]


def _inbound_text(message: Mapping[str, Any]) -> list[Reading]:
    provider_id = _text(message, "inboundMessageId")
    text = _text(message, "messageBody")
    if text is None:
        raise _Malformed("messageBody")
    return [
        ProviderEvent(
            kind="inbound",
            provider="sns",
            dedup_id=_digest("sns", "inbound", provider_id, "" if provider_id else text),
            provider_id=provider_id,
            recipient=_text(message, "originationNumber"),
            line=_text(message, "destinationNumber"),
            text=text,
        )
    ]


# WeChat


_WECHAT_KINDS: Mapping[str, Kind] = {
    "inbound": "inbound",
    "delivered": "delivered",
    "failed": "failed",
    "removed": "complaint",
}


def _wechat(message: Mapping[str, Any]) -> list[Reading]:
    event = _text(message, "event") or ""
    kind = _WECHAT_KINDS.get(event)
    if kind is None:
        return [Ignored("a WeChat event that is not known")]
    provider_id = _text(message, "id")
    if not provider_id:
        raise _Malformed("id")
    return [
        ProviderEvent(
            kind=kind,
            provider="wechat",
            dedup_id=_digest("wechat", event, provider_id, ""),
            # Messages go out under the attempt's own id, so a failure names it by itself.
            contact=_own_id(message.get("contact")),
            tenant=_own_id(message.get("tenant")),
            provider_id=provider_id,
            at=_instant(message.get("at")),
            recipient=_text(message, "user"),
            line=_text(message, "account"),
            text=_text(message, "text") if kind == "inbound" else None,
            reason=_short(_text(message, "reason")),
        )
    ]


_SHAPES = (
    (lambda message: "mail" in message and ("eventType" in message or "notificationType" in message), _ses),
    (lambda message: str(message.get("eventType", "")).startswith("TEXT_"), _text_message_event),
    (lambda message: "notification" in message and "delivery" in message, _delivery_log),
    (lambda message: "originationNumber" in message and "messageBody" in message, _inbound_text),
    (lambda message: message.get("provider") == "wechat", _wechat),
)


# Members


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise _Malformed(name)
    return value


def _objects(parent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = parent.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _Malformed(name)


def _first(value: Any) -> str | None:
    if isinstance(value, list):
        value = next((item for item in value if item), None)
    return value if isinstance(value, str) else None


def _own_id(value: Any) -> str | None:
    return value if isinstance(value, str) and is_id(value) else None


def _mailbox(address: str) -> str:
    """Return the bare mailbox of a header's address, its domain in lower case, as contact points are stored."""
    bare = next((mailbox for _, mailbox in getaddresses([address]) if "@" in mailbox), "")
    local, _, domain = bare.rpartition("@")
    return f"{local}@{domain.lower()}" if local else ""


def _instant(value: Any) -> str | None:
    """Return an instant that a carrier wrote as RFC 3339, as ``2016-06-28 00:40:34.558`` (UTC) or as Unix milliseconds."""
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return to_text(datetime.fromtimestamp(value / 1000, UTC))
        if isinstance(value, str):
            return to_text(from_text(value if re.search(r"(?:Z|[+-]\d\d:?\d\d)$", value) else f"{value}Z"))
    except (ValueError, OverflowError, OSError):
        return None
    return None


_ADDRESS = re.compile(r"\S+@\S+|\+?\d[\d ()-]{6,}")


def _short(reason: str | None) -> str | None:
    return None if reason is None else _ADDRESS.sub("…", reason)[:120]


def _digest(*parts: str | None) -> str:
    """Return 32 hex digits that are the same whenever the parts are."""
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode()).hexdigest()[:32]
