import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.outreach.sms_parts import is_gsm7, sms_parts


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 152 septets, then a character of two that does not fit into the 153rd.
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("还" * 70, 1),
        ("还" * 71, 2),
        ("还" * 134, 2),
        ("还" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)
def test_parts_are_counted_as_networks_carry_them(text: str, parts: int) -> None:
    assert sms_parts(text) == parts


def test_one_character_outside_the_alphabet_makes_the_whole_text_wide() -> None:
    assert is_gsm7("Reply STOP @ £1 {x}")
    assert not is_gsm7("Reply “STOP”")
    assert sms_parts("a" * 71) == 1
    assert sms_parts("a" * 70 + "’") == 2


@given(st.text(max_size=400))
def test_a_longer_text_never_needs_fewer_parts(text: str) -> None:
    assert sms_parts(text + "a") >= sms_parts(text) >= 1
