"""Reads JSON bodies strictly: what two parsers could understand differently is refused by both.

The framework's own reader takes duplicate keys, NaN and lone surrogates, and answers 500 to deep nesting.
"""

import json
import re
from typing import Any, NoReturn

from chalicelib.domain.errors import BodyTooLarge, FieldError, MalformedBody, UnsupportedMediaType

MAX_BYTES = 262_144
MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
"""RFC 7493: beyond it other readers lose digits."""
_MAX_NUMBER_LENGTH = 40
# An unterminated string is taken to the end of the text: were it passed over, each quote in it would be tried in turn.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")
_CONTENT_TYPE = re.compile(r'application/json(?:\s*;\s*charset="?utf-8"?)?\s*', re.IGNORECASE)


def check_content_type(value: str | None) -> None:
    """Raise UnsupportedMediaType unless the header is ``application/json``, with no charset or UTF-8."""
    if value is None or not _CONTENT_TYPE.fullmatch(value):
        raise UnsupportedMediaType("send the body as application/json")


def read_json(raw: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value that the body stands for.

    Raises BodyTooLarge before anything is parsed, and MalformedBody for bytes that are not UTF-8, text that is not
    RFC 8259 JSON, nesting over 32, a repeated key, NaN or Infinity, an integer beyond 2**53-1, a number too large
    for a double, a NUL, and a lone surrogate.
    """
    if len(raw) > max_bytes:
        raise BodyTooLarge(f"a body has at most {max_bytes} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("not_utf8", "the body is not UTF-8")
    if _is_deeper(text, MAX_DEPTH):
        _refuse("too_deep", f"at most {MAX_DEPTH} levels")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except ValueError:
        # The parser's own message quotes the body.
        _refuse("not_json", "the body is not JSON")
    if "\\u" in text:
        _check_texts(value)
    return value


def _is_deeper(text: str, most: int) -> bool:
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > most:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse("repeated_key", "an object has the same key twice")
    return found


def _constant(_: str) -> NoReturn:
    _refuse("not_json", "NaN and Infinity are not JSON")


def _integer(text: str) -> int:
    if len(text) > _MAX_NUMBER_LENGTH or abs(int(text)) > MAX_INTEGER:
        _refuse("number_too_large", "an integer is at most 2^53-1")
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= _MAX_NUMBER_LENGTH else float("inf")
    if value in (float("inf"), float("-inf")):
        _refuse("number_too_large", "a number is too long or too large")
    return value


def _check_texts(value: Any) -> None:
    # Depth is bounded already, so this recursion is too.
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            _refuse("not_text", "a string has a NUL or half a surrogate pair")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _refuse(code: str, detail: str) -> NoReturn:
    raise MalformedBody("the body cannot be read", errors=(FieldError("", code, detail),))
