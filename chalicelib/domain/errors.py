"""Faults that a caller may be told about. A refusal that the domain foresees is a value; these are requests gone wrong.

Each class has one HTTP status in one table (``chalicelib.edge.http_problems``); ``docs/errors.md`` lists every code.
Texts name states, ids and fields, never personal data.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request.

    ``where`` is an RFC 6901 pointer into the body ("" is the whole of it) or, when ``source`` is not ``body``, the
    name of a query parameter, path parameter or header.
    """

    where: str
    code: str
    detail: str
    source: str = "body"


class DomainError(Exception):
    """The root. ``code`` is stable and machine-readable, ``detail`` is one sentence for people."""

    code: ClassVar[str] = "domain_error"

    def __init__(self, detail: str, *, code: str | None = None, errors: Iterable[FieldError] = ()) -> None:
        """Take the sentence, a code more exact than the class's own, and what is wrong field by field."""
        super().__init__(detail)
        self.detail = detail
        self.reason = code or type(self).code
        self.errors = tuple(errors)


class NotFound(DomainError):
    """There is no such thing for this caller. An unknown id and a foreign one are told apart by nobody."""

    code = "not_found"

    def __init__(self, kind: str = "resource", identity: str = "") -> None:
        """Take what was looked for; the id stays with the exception and is not repeated to the caller."""
        super().__init__("there is no such resource")
        self.kind = kind
        self.identity = identity


class PersonErased(NotFound):
    """What was asked for lies sealed under a key of this person that was destroyed. A caller hears that it is unknown."""

    def __init__(self, identity: str) -> None:
        """Take the person's id."""
        super().__init__("person", identity)


class NotPermitted(DomainError):
    """The credential is good and does not reach that far."""

    code = "not_permitted"

    def __init__(self, detail: str = "the credential does not grant this", *, code: str | None = None) -> None:
        """Take the sentence and a code more exact than ``not_permitted``."""
        super().__init__(detail, code=code)


class Misdirected(DomainError):
    """The lender's data are at home in another region; nothing was read or changed here."""

    code = "other_region"

    def __init__(self, home: str) -> None:
        """Take the region that serves the lender."""
        super().__init__(f"this lender is served in {home}")


class NotAuthenticated(DomainError):
    """There is no valid credential with the request."""

    code = "not_authenticated"

    def __init__(self) -> None:
        """Say no more than that: why a token was refused helps only who forges one."""
        super().__init__("a valid bearer token is needed")


class InvalidInput(DomainError):
    """The request is well formed and what it says cannot be: a field is missing, unknown or out of range."""

    code = "invalid_input"

    def __init__(self, pointer: str = "", code: str = "invalid", detail: str = "the value is not acceptable") -> None:
        """Take the JSON Pointer of the first wrong field, its code and what is wrong with it."""
        super().__init__("the request is not acceptable", errors=(FieldError(pointer, code, detail),))

    @classmethod
    def of(cls, errors: Iterable[FieldError]) -> "InvalidInput":
        """Return the fault with several wrong fields."""
        fault = cls()
        fault.errors = tuple(errors)
        return fault


class InvalidQuery(DomainError):
    """A query parameter, or a header, is unknown, repeated or out of range."""

    code = "invalid_query"

    def __init__(self, errors: Iterable[FieldError]) -> None:
        """Take what is wrong, parameter by parameter."""
        super().__init__("a parameter is not acceptable", errors=errors)


class MalformedBody(DomainError):
    """The body is not JSON as this API reads it: see ``chalicelib.edge.http_body``."""

    code = "malformed_body"


class BodyTooLarge(DomainError):
    """The body has more bytes than the route takes."""

    code = "body_too_large"


class UnsupportedMediaType(DomainError):
    """The body is declared as something other than ``application/json`` in UTF-8."""

    code = "unsupported_media_type"


class StateConflict(DomainError):
    """The thing is not in a state in which this can happen."""

    code = "state_conflict"

    def __init__(self, code: str, detail: str) -> None:
        """Take the code of the conflict and the sentence."""
        super().__init__(detail, code=code)


class PreconditionFailed(DomainError):
    """The caller wrote on an older version than the present one."""

    code = "precondition_failed"

    def __init__(self, current: int | None = None) -> None:
        """Take the present version, where the caller may know it."""
        super().__init__("the resource changed since it was read")
        self.current = current


class PreconditionRequired(DomainError):
    """The caller must say which version it read: ``If-Match`` is missing."""

    code = "precondition_required"

    def __init__(self) -> None:
        """Say which header is missing."""
        super().__init__(
            "send If-Match with the entity tag that was read",
            errors=(FieldError("If-Match", "missing", "one strong entity tag", source="header"),),
        )


class IdempotencyKeyMissing(DomainError):
    """A POST came without a usable ``Idempotency-Key``."""

    code = "idempotency_key_missing"

    def __init__(self) -> None:
        """Say what form the header has."""
        super().__init__(
            "send Idempotency-Key, a string of 1 to 128 printable ASCII characters, new for each intention",
            errors=(FieldError("Idempotency-Key", "missing", "a structured-field string or a token", source="header"),),
        )


class IdempotencyKeyReused(DomainError):
    """The key was used before with another request."""

    code = "idempotency_key_reused"

    def __init__(self) -> None:
        """Say it."""
        super().__init__("this Idempotency-Key was used with another request")


class IdempotencyInProgress(DomainError):
    """The request with this key is still being worked on."""

    code = "idempotency_in_progress"

    def __init__(self) -> None:
        """Say it."""
        super().__init__("the request with this Idempotency-Key is in progress")


class CursorRejected(DomainError):
    """The cursor is not one that this caller got for this list, or it is too old."""

    code = "cursor_rejected"

    def __init__(self) -> None:
        """Say it without telling which."""
        super().__init__(
            "the cursor is not valid here; start again without one",
            errors=(FieldError("cursor", "rejected", "not valid here", source="query"),),
        )


class CursorExpired(DomainError):
    """The change feed no longer goes back that far; ``resync`` is where to start anew."""

    code = "cursor_expired"

    def __init__(self, resync: str) -> None:
        """Take the path of the full listing."""
        super().__init__("the cursor has expired; read the full list and go on from its cursor")
        self.resync = resync


class TooManyRequests(DomainError):
    """The caller goes over its share."""

    code = "too_many_requests"

    def __init__(self, retry_after: int) -> None:
        """Take the number of seconds after which to come again."""
        super().__init__("too many requests")
        self.retry_after = retry_after
