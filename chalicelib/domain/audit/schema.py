"""The JSON Schema of a record, which stands beside the logs as ``schema/v1.json``; its bytes never change."""

from typing import Any

import rfc8785

PATH = "schema/v1.json"

_TEXT = {"type": "string", "minLength": 1}
_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Audit record, version 1: RFC 8785 bytes, no floats, integers within 2^53-1",
    "type": "object",
    "additionalProperties": False,
    "required": ["v", "log", "seq", "event"],
    "properties": {
        "v": {"const": 1},
        "log": _TEXT,
        "seq": {"type": "integer", "minimum": 0},
        "event": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "type", "at", "actor", "req", "case", "case_seq", "case_prev", "data"],
            "dependentRequired": {"sealed": ["key"], "key": ["sealed"]},
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,80}$"},
                "type": {"type": "string", "pattern": "^[a-z_]+\\.[a-z_]+$"},
                "at": {"type": "string", "pattern": "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$"},
                "actor": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["kind", "id", "auth"],
                    "properties": {"kind": _TEXT, "id": {"type": "string"}, "auth": {"type": "string"}},
                },
                "req": {"type": "string"},
                "case": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,80}$"},
                "case_seq": {"type": "integer", "minimum": 1},
                "case_prev": {"oneOf": [_HASH, {"type": "null"}]},
                "data": {"type": "object"},
                "decision": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["outcome", "ruleset", "reasons", "inputs"],
                    "properties": {
                        "outcome": {"enum": ["allow", "defer", "review", "deny"]},
                        "ruleset": _HASH,
                        "reasons": {"type": "array", "items": _TEXT},
                        "inputs": _HASH,
                    },
                },
                "key": _TEXT,
                "sealed": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
            },
        },
    },
}


def schema_bytes() -> bytes:
    """Return the schema as it is archived."""
    return rfc8785.dumps(_SCHEMA)
