"""A fault of data that somebody authored: where it is, which one it is, and a sentence about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One departure: an RFC 6901 pointer into what was authored, a stable code, a sentence that quotes only names."""

    pointer: str
    code: str
    message: str
