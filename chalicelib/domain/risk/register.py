"""The register: standards and red lines with their severity, root causes and corrective actions, as data with citations.

A new line is a TOML entry; nothing here knows a single one but those that the system itself raises.
"""

import tomllib
from datetime import date
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

REGISTER = Path(__file__).resolve().parents[2] / "risks" / "register.toml"
"""Where the entries lie."""

Code = Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")]


class Severity(StrEnum):
    """How grave a crossing is, the least first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Words(_Value):
    """A text in Chinese and English."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


class Level(_Value):
    """What a severity means. Hours run without stop; ``points`` are what a confirmed event takes from an
    agency's conduct score.
    """

    id: Severity
    judge_hours: Annotated[int, Field(gt=0)]
    act_hours: Annotated[int, Field(gt=0)]
    points: Annotated[int, Field(gt=0, le=100)]
    name: Words
    meaning: Words


class Line(_Value):
    """What must not be crossed. ``rows`` are rows of the table of Chinese law (``chalicelib/rulepacks/rows.toml``)."""

    id: Code
    kind: Literal["red_line", "standard"]
    severity: Severity
    rows: Annotated[tuple[str, ...], Field(min_length=1)]
    name: Words
    text: Words

    @property
    def is_red(self) -> bool:
        """Tell whether it is a red line."""
        return self.kind == "red_line"


class Named(_Value):
    """A code with its name."""

    id: Code
    name: Words


class Register(_Value):
    """All of it. ``denials`` is how many denied contacts of one case, asked for by one agency on one local
    day, are too many (closed).

    ``complaints`` leads from the root cause of an upheld complaint to the line that it is about.
    """

    checked: date
    denials: Annotated[int, Field(gt=1)]
    level: tuple[Level, ...]
    line: tuple[Line, ...]
    root: tuple[Named, ...]
    measure: tuple[Named, ...]
    complaints: dict[Code, Code]

    @model_validator(mode="after")
    def _sound(self) -> "Register":
        for entries in (self.level, self.line, self.root, self.measure):
            ids = [each.id for each in entries]
            if len(ids) != len(set(ids)):
                raise ValueError("an entry stands twice")
        if [each.id for each in self.level] != list(Severity):
            raise ValueError("each severity has its level, the least first")
        known = {each.id for each in self.line}
        if not {*OWN_LINES, *self.complaints.values()} <= known:
            raise ValueError("a line that the system names is not there")
        return self

    @cached_property
    def lines(self) -> dict[str, Line]:
        """Return the lines by id."""
        return {each.id: each for each in self.line}

    @cached_property
    def levels(self) -> dict[Severity, Level]:
        """Return the levels by severity."""
        return {each.id: each for each in self.level}

    @cached_property
    def roots(self) -> frozenset[str]:
        """Return the codes of root causes."""
        return frozenset(each.id for each in self.root)

    @cached_property
    def measures(self) -> frozenset[str]:
        """Return the codes of corrective actions."""
        return frozenset(each.id for each in self.measure)


CLEARANCE, CLEARANCE_WINDOW, PRESSING = "clearance", "clearance_window", "pressing"
DUTY_IN_TIME, COMPLAINT_UPHELD = "duty_in_time", "complaint_upheld"

OWN_LINES = frozenset({CLEARANCE, CLEARANCE_WINDOW, PRESSING, DUTY_IN_TIME, COMPLAINT_UPHELD})
"""The lines that the system itself says were crossed."""


@cache
def register() -> Register:
    """Return the register. Raises ValueError for malformed data."""
    return Register.model_validate(tomllib.loads(REGISTER.read_text(encoding="utf-8")))
