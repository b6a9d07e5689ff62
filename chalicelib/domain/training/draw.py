"""Which questions an exam asks: a draw that anybody with the bank can make again from the recorded seed.

Questions are ordered by SHA-256 of ``<seed>|<digest of the bank>|<question>``, and the first ones are drawn, so each set of
questions is as likely as any other, and nothing but seed and bank has a part in it. Options are ordered alike.
"""

import hashlib
from collections.abc import Sequence

from chalicelib.domain.training.course import Option, Question


def draw(questions: Sequence[Question], *, bank: str, seed: str, count: int) -> tuple[str, ...]:
    """Return the ids of the drawn questions in the order in which they are asked; all of them when there are fewer.

    >>> draw((), bank="5" * 64, seed="s", count=3)
    ()
    """
    return tuple(sorted((each.id for each in questions), key=lambda each: (_rank(seed, bank, each), each))[:count])


def options_of(question: Question, *, bank: str, seed: str) -> tuple[Option, ...]:
    """Return the question's options in the order in which this exam shows them."""
    return tuple(sorted(question.options, key=lambda each: (_rank(seed, bank, f"{question.id}|{each.id}"), each.id)))


def _rank(seed: str, bank: str, name: str) -> str:
    return hashlib.sha256(f"{seed}|{bank}|{name}".encode()).hexdigest()
