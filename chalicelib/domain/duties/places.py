"""Where a person lives, as far as the catalogue of duties asks: regions and cities, told apart as the packs of law do."""

from types import SimpleNamespace
from typing import Any, cast

from chalicelib.domain.compliance.packs import PackSet
from chalicelib.domain.duties.catalogue import duty_rules
from chalicelib.domain.people.person import Person


def places_of(person: Person, packs: PackSet) -> frozenset[str | None]:
    """Return the regions and cities of every residence on file, with None where one is not known.

    Only packs of countries in which an entry of the catalogue asks for a region are read.
    """
    asked = {country for rule in duty_rules() if "region" in rule.where for country in rule.where.get("country", ())}
    residences = [residence.model_dump(exclude_none=True) for residence in person.residences]
    found: set[str | None] = {residence.get("region") for residence in residences}
    here = {residence["country"] for residence in residences} & asked
    for ident, entry in packs.index.items():
        if not here.isdisjoint(entry["countries"]):
            # All that a pack looks at for this are the residences.
            found |= packs.pack(ident).places(cast(Any, SimpleNamespace(residences=residences)))
    return frozenset(found)
