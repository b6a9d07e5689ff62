"""In which order money settles the parts of a claim: dated data with its sources.

The data stand in ``chalicelib/rulepacks/appropriation.toml``.
"""

import tomllib
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

SOURCE = Path(__file__).parents[2] / "rulepacks" / "appropriation.toml"
PARTS = ("principal", "interest", "penalty", "late_fee", "management_fee", "other")
"""The parts of what is owed, as a case keeps them."""


class Order(BaseModel):
    """An order of the parts, where it is written, and what is doubted about the reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str | None = None
    order: tuple[str, ...]
    grade: Literal["statute", "house"]
    citation: str
    effective: date | None = None
    checked: date
    doubt: str | None = None

    @model_validator(mode="after")
    def _names_every_part(self) -> "Order":
        if sorted(self.order) != sorted(PARTS):
            raise ValueError("an order names every part once")
        return self


@cache
def orders() -> Mapping[str, Order]:
    """Return the order of each country that has one of its own, by ISO 3166-1 code, and under ``""`` that of the others."""
    raw = tomllib.loads(SOURCE.read_text(encoding="utf-8"))
    found = [Order.model_validate(each) for each in (*raw["country"], raw["otherwise"])]
    return {order.code or "": order for order in found}


def order_in(country: str) -> tuple[str, ...]:
    """Return the parts in the order in which money settles them in a country."""
    return orders().get(country, orders()[""]).order
