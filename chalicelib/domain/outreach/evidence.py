"""The evidence of one message for a regulator: what was sent, when, to whom, why it was allowed, and proof.

Of the recipient nothing stands in it but a masked name and a masked point of contact; of what was written about them in the
course of collecting, such as a caller's note, nothing at all: it may be handed to an authority. What was sent is told whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.domain.cases.masking import last_4, masked_email, masked_phone
from chalicelib.domain.events import Event
from chalicelib.domain.outreach.attempt import Attempt
from chalicelib.domain.pages import html_page, shown, text
from chalicelib.domain.people.person import ContactPoint, Person, masked_name

FORMAT = "forbear.message-evidence.v1"

_MASKS = {"mobile": masked_phone, "landline": masked_phone, "email": masked_email, "wechat": last_4}
_OUTCOME = ("outcome", "result", "attempted_at", "connected", "right_party")
"""What is told of a call or visit; what is not listed here, a note above all, is not shown."""

_RULE = ("id", "effect", "citation", "observed", "limit", "until")


def document(
    attempt: Attempt,
    ruling: Mapping[str, Any] | None,
    person: Person | None,
    events: Iterable[tuple[Event, str | None]],
    reasons: Mapping[str, Sequence[str]],
    checkpoint: str | None,
) -> dict[str, Any]:
    """Return the evidence as JSON values.

    ``events`` are those of the message with the proof that each is archived, None where it is not yet; ``reasons`` the
    sentences on the ruling by language; ``person`` is None for one whose data were erased.
    """
    ruled, approved = ruling or {}, attempt.approved
    names = ("id", "case", "channel", "purpose", "state", "requested_at", "sent_at", "language", "subject", "body")
    more = ("template", "template_sha256", "provider", "provider_id", "reason")
    found = list(events)
    decided = [event for event, _ in found if event.decision is not None]
    return {
        "format": FORMAT,
        "lender": attempt.tenant,
        "agency": attempt.org,
        "message": {
            **attempt.model_dump(mode="json", include={*names, *more}, exclude_none=True),
            "content_sha256": attempt.content,
            **_reported(attempt),
        },
        "recipient": _recipient(attempt, person),
        "ruling": {
            "verdict": ruled.get("verdict"),
            "ruleset_sha256": (decided[-1].decision or {})["ruleset"] if decided else None,
            "packs": [
                {name: pack.get(name) for name in ("id", "version", "sha256")} for pack in ruled.get("packs", ())
            ],
            "rules": [{name: rule.get(name) for name in _RULE} for rule in ruled.get("rules", ())],
            "missing": list(ruled.get("missing", ())),
            "reasons": {language: list(lines) for language, lines in reasons.items()},
        },
        "approval": None if approved is None else approved.model_dump(include={"id", "not_before", "not_after"}),
        "events": [
            {"id": event.id, "type": event.type.value, "at": event.at, "sha256": event.digest(), "proof": proof}
            for event, proof in found
        ],
        "checkpoint": checkpoint,
    }


def _reported(attempt: Attempt) -> dict[str, Any]:
    if attempt.outcome is None:
        return {}
    return {"outcome": {name: attempt.outcome[name] for name in _OUTCOME if name in attempt.outcome}}


def _recipient(attempt: Attempt, person: Person | None) -> dict[str, Any]:
    point = next((each for each in person.points if each.id == attempt.point), None) if person is not None else None
    return {
        "person": attempt.person,
        "name": None if person is None else masked_name(person.name),
        "kind": None if point is None else point.kind,
        "point": None if point is None else _masked(point),
    }


def _masked(point: ContactPoint) -> str:
    """Return the point as a reader may see it; of an address, and of a kind that nobody foresaw, nothing is shown."""
    mask = _MASKS.get(point.kind)
    return mask(point.value) if mask is not None else "***"


_WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "title": "触达证据",
        "intro": "本页说明一次触达的内容、时间、对象(已脱敏)、依据及归档证明。",
        "message": "发送的内容",
        "recipient": "对象(已脱敏)",
        "ruling": "准许或不准许的依据",
        "reasons": "逐条理由",
        "approval": "批准",
        "events": "记录及其归档证明",
        "checkpoint": "归档的最新签名检查点",
        "pending": "尚未归档",
        "none": "无",
        "verify": "每条记录的证明文件(.tlog-proof)可由 /v1/audit/proofs/{事件编号} 取得,并可离线核验。",
    },
    "en": {
        "title": "Evidence of a contact",
        "intro": "What was sent, when, to whom (masked), why it was allowed, and proof that the record was archived.",
        "message": "What was sent",
        "recipient": "To whom (masked)",
        "ruling": "What was ruled",
        "reasons": "Why, rule by rule",
        "approval": "The approval",
        "events": "What was recorded, with proof that it is archived",
        "checkpoint": "The archive's newest signed note",
        "pending": "not archived yet",
        "none": "none",
        "verify": "The proof of each record (.tlog-proof) is at /v1/audit/proofs/{event}, and can be verified offline.",
    },
}


def page(told: Mapping[str, Any], language: str) -> str:
    """Return the document as an HTML page in ``zh`` or ``en``."""
    words = _WORDS[language]
    ruling = {name: value for name, value in told["ruling"].items() if name != "reasons"}
    parts = {
        "message": told["message"],
        "recipient": told["recipient"],
        "ruling": ruling,
        "reasons": told["ruling"]["reasons"][language],
        "approval": told["approval"],
    }
    body = [f"<p>{text(words['intro'])}</p>", f"<p>{text(told['lender'])} / {text(told['agency'])}</p>"]
    for name, value in parts.items():
        body += [f"<h2>{text(words[name])}</h2>", shown(value) if value else f"<p>{text(words['none'])}</p>"]
    body.append(f"<h2>{text(words['events'])}</h2>")
    for event in told["events"]:
        body.append(
            f"<p>{text(event['at'])} {text(event['type'])} {text(event['id'])}<br>SHA-256 {event['sha256']}</p>"
        )
        body.append(f"<pre>{text(event['proof'] or words['pending'])}</pre>")
    body += [f"<p>{text(words['verify'])}</p>", f"<h2>{text(words['checkpoint'])}</h2>"]
    body.append(f"<pre>{text(told['checkpoint'] or words['none'])}</pre>")
    return html_page(words["title"], body, language)
