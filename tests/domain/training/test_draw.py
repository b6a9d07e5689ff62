"""The draw: a set of the bank that seed and bank alone decide, each question as likely as any other."""

import random

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.training.course import Option, Question, Words
from chalicelib.domain.training.draw import draw, options_of

WORDS = Words(zh="示例", en="a sample")
OPTIONS = tuple(Option(id=each, text=WORDS) for each in "abcd")
BANK = "5" * 64


def questions(count: int) -> list[Question]:
    return [Question(id=f"q{number}", text=WORDS, options=OPTIONS, right=("a",)) for number in range(count)]


@given(seed=st.text(min_size=1, max_size=40), size=st.integers(1, 60), count=st.integers(1, 70), shuffle=st.randoms())
def test_the_draw_is_a_set_of_the_bank_whatever_its_order_and_the_same_again(
    seed: str, size: int, count: int, shuffle: random.Random
) -> None:
    bank = questions(size)
    drawn = draw(bank, bank=BANK, seed=seed, count=count)
    assert len(drawn) == len(set(drawn)) == min(size, count)
    assert set(drawn) <= {each.id for each in bank}
    shuffle.shuffle(bank)
    assert draw(bank, bank=BANK, seed=seed, count=count) == drawn
    assert draw(bank, bank=BANK, seed=seed, count=count + 1)[: len(drawn)] == drawn, "a longer exam asks the same first"


@given(seed=st.text(min_size=1, max_size=40))
def test_options_are_all_shown_in_an_order_of_their_own(seed: str) -> None:
    question = questions(1)[0]
    shown = options_of(question, bank=BANK, seed=seed)
    assert sorted(each.id for each in shown) == list("abcd")
    assert options_of(question, bank=BANK, seed=seed) == shown


def test_every_question_is_drawn_as_often_as_any_other() -> None:
    bank, times = questions(20), dict.fromkeys((f"q{number}" for number in range(20)), 0)
    for number in range(4_000):
        for each in draw(bank, bank=BANK, seed=f"seed-{number}", count=5):
            times[each] += 1
    # Expected 1,000 each with a standard deviation of 27: five of them.
    assert all(abs(count - 1_000) < 137 for count in times.values()), times


def test_another_seed_or_another_bank_draws_anew() -> None:
    bank = questions(30)
    draws = {draw(bank, bank=digest * 64, seed=seed, count=10) for digest in "56" for seed in ("s1", "s2")}
    assert len(draws) == 4
