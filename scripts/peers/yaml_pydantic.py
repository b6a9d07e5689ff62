"""The usual way to load rules: YAML read and validated by pydantic, one model a shape."""

from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rule(_Model):
    id: str
    citation: str
    source: str
    grade: Literal["statute", "regulation", "house"]
    confidence: Literal["source", "memory"]
    status: Literal["enforced", "shadow"]
    checked: str
    note: dict[Literal["en", "zh"], str]
    when: dict[str, list[str]] = {}


class _FactParams(_Model):
    path: str
    is_: Any = Field(default=None, alias="is")
    any_of: list[str] = []
    none_of: list[str] = []


class Fact(_Rule):
    """A stated fact holds."""

    shape: Literal["fact"]
    params: _FactParams


class _Kinds(_Model):
    kinds: list[str]


class Hold(_Rule):
    """Holds of some kinds."""

    shape: Literal["hold"]
    params: _Kinds


class _Window(_Model):
    days: list[Annotated[int, Field(ge=1, le=7)]] = [1, 2, 3, 4, 5, 6, 7]
    open: list[tuple[str, str]]


class _Windows(_Model):
    windows: list[_Window]


class Hours(_Rule):
    """Local windows."""

    shape: Literal["hours"]
    params: _Windows


class Preference(_Rule):
    """Times called inconvenient."""

    shape: Literal["preference"]
    params: dict[str, str] = Field(default={}, max_length=0)


class Stopped(_Rule):
    """A stop of the medium."""

    shape: Literal["stopped"]
    params: dict[str, str] = Field(default={}, max_length=0)


class Consent(_Rule):
    """Consent to the medium."""

    shape: Literal["consent"]
    params: dict[str, str] = Field(default={}, max_length=0)


class _Calendar(_Model):
    calendar: str


class QuietDates(_Rule):
    """Dates of a calendar."""

    shape: Literal["quiet_dates"]
    params: _Calendar


class _Cap(_Model):
    cap: Annotated[int, Field(ge=1)]
    days: Annotated[int, Field(ge=1)]
    channels: list[Literal["call", "sms", "email"]] = []
    unit: Literal["attempt", "conversation"] = "attempt"
    by: Literal["org", "lender", "all"]
    who: Literal["recipient", "anybody"]


class Count(_Rule):
    """A cap in a window."""

    shape: Literal["count"]
    params: _Cap


class _Disclosures(_Model):
    all: list[str]


class Require(_Rule):
    """Disclosures carried."""

    shape: Literal["require"]
    params: _Disclosures


class _To(_Model):
    to: str


class Span(_Rule):
    """Before a stated end."""

    shape: Literal["span"]
    params: _To


AnyRule = Annotated[
    Fact | Hold | Hours | Preference | Stopped | Consent | QuietDates | Count | Require | Span,
    Field(discriminator="shape"),
]


class Pack(_Model):
    """A pack of rules with its calendars."""

    id: str
    version: str
    calendars: dict[str, dict[str, list[str]]]
    rules: list[AnyRule]


def load(path: str) -> Pack:
    """Return the validated pack of a YAML file."""
    with open(path, encoding="utf-8") as stream:
        return Pack.model_validate(yaml.safe_load(stream))
