"""Whether two records may be of one person: what is looked up blindly, what speaks for it, and what rules it out.

A machine finds candidates and a person decides. What is compared stands under the lender's index key, so that nobody who reads the
table learns a name, a number or a date.
"""

import re
import unicodedata
from collections.abc import Iterator

from chalicelib.domain.people.person import Person

DOCUMENT, BIRTH, PHONE = "document", "name_and_birth_date", "phone"
REASONS = (DOCUMENT, BIRTH, PHONE)
"""What two records can have in common, the strongest first."""

MOST_AT_ONE = 20
"""Records with the same telephone or the same name and birth date beyond which it says nothing (a switchboard, a placeholder)."""


def normal_name(name: str) -> str:
    """Return a name as it is compared: width, case, spaces and punctuation do not count.

    >>> normal_name("Ｚhang  Wei") == normal_name("ZHANG WEI") == "zhangwei"
    True
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\W_]+", "", folded)


def looked_up(person: Person) -> Iterator[tuple[str, str]]:
    """Yield (label, value) of what other records are looked for by: the document, and the name with the birth date."""
    if person.national_id is not None:
        yield DOCUMENT, person.national_id.upper()
    if person.birth_date is not None:
        yield BIRTH, f"{normal_name(person.name)}|{person.birth_date.isoformat()}"


def in_common(one: Person, other: Person) -> tuple[str, ...]:
    """Return what speaks for the two records being of one person, the strongest first; empty when nothing does.

    Two different documents, or two different birth dates, are two persons: a telephone is shared by families, and a name with a
    birth date by strangers. A telephone counts only together with the same name, or the same birth date.
    """
    documents = {each.national_id.upper() for each in (one, other) if each.national_id is not None}
    births = {each.birth_date for each in (one, other) if each.birth_date is not None}
    if len(documents) > 1:
        return ()
    both_documents = one.national_id is not None and other.national_id is not None
    same_name = normal_name(one.name) == normal_name(other.name)
    same_birth = one.birth_date is not None and one.birth_date == other.birth_date
    found = []
    if both_documents:
        found.append(DOCUMENT)
    elif len(births) > 1:
        return ()
    if same_name and same_birth:
        found.append(BIRTH)
    if (same_name or same_birth) and _phones(one) & _phones(other):
        found.append(PHONE)
    return tuple(found)


def _phones(person: Person) -> set[str]:
    return {point.value for point in person.points if point.kind in ("mobile", "landline")}


def pair_of(one: str, other: str) -> tuple[str, str]:
    """Return two records' ids in the order in which their pair is named."""
    return (one, other) if one < other else (other, one)
