import re

import pytest
from reportlab.lib.pagesizes import A4, LETTER

from chalicelib.gateways.letter_pages import NoGlyph, letter_pdf

WORDS = "Please call 400-800-0002 at a time that suits you. "


def a_letter(**deviations: object) -> bytes:
    values = {
        "to": "742 Evergreen Terrace, Springfield, IL 62701",
        "body": f"Jane Roe\n\n{WORDS}",
        "subject": "Your account",
        "language": "en",
        "reference": "msg_1",
        "return_address": ("P.O. Box 7, Springfield, IL 62701",),
        **deviations,
    }
    return letter_pdf(**values)  # type: ignore[arg-type]


def drawn(pdf: bytes) -> list[tuple[float, float, str]]:
    """Return (x, y, text) of everything set in Latin type, in the order of drawing."""
    pattern = rb"BT 1 0 0 1 ([\d.]+) ([\d.]+) Tm \((.*?)\) Tj"
    return [(float(x), float(y), text.decode("latin-1")) for x, y, text in re.findall(pattern, pdf, re.DOTALL)]


def chinese_lines(pdf: bytes) -> list[str]:
    """Return every line that is set in the Chinese font."""
    found = re.findall(rb"Tm /F\d+ [\d.]+ Tf [\d.]+ TL \((.*?)\) Tj", pdf, re.DOTALL)
    return [_unescaped(part).decode("utf-16-be") for part in found]


def _unescaped(part: bytes) -> bytes:
    return re.sub(rb"\\(?:([0-7]{3})|(.))", lambda m: bytes([int(m[1], 8)]) if m[1] else m[2], part, flags=re.DOTALL)


def boxes(pdf: bytes) -> list[tuple[float, float]]:
    return [(float(w), float(h)) for w, h in re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)]


def test_the_same_letter_is_the_same_bytes() -> None:
    assert a_letter() == a_letter()


def test_any_change_of_a_letter_changes_its_bytes() -> None:
    letters = {a_letter(), a_letter(body=f"Jane Roe\n\n{WORDS}x"), a_letter(to="1 Elm St"), a_letter(reference="msg_2")}
    assert len(letters) == 4


def test_the_window_shows_sender_name_and_address_and_nothing_of_the_letter() -> None:
    pdf = a_letter()
    millimetre = 72 / 25.4
    low, high = LETTER[1] - 90 * millimetre, LETTER[1] - 40 * millimetre
    assert [text for _, y, text in drawn(pdf) if low <= y <= high] == [
        "P.O. Box 7, Springfield, IL 62701",
        "Jane Roe",
        "742 Evergreen Terrace",
        "Springfield, IL 62701",
    ]
    assert all(y < low for _, y, text in drawn(pdf) if "account" in text or "call" in text)


def test_an_address_given_in_lines_keeps_them() -> None:
    texts = [text for _, _, text in drawn(a_letter(to="Unit 7\n12 Elm Street\n\nSpringfield, IL 62701"))]
    assert [text for text in texts if text in ("Unit 7", "12 Elm Street", "Springfield, IL 62701")] == [
        "Unit 7",
        "12 Elm Street",
        "Springfield, IL 62701",
    ]


def test_a_chinese_name_in_an_english_letter_is_set_in_both_fonts() -> None:
    pdf = a_letter(body="Wei 张伟 Zhang\n\nHello.")
    assert "张伟" in chinese_lines(pdf)
    assert {"Wei ", " Zhang"} <= set(re.findall(r"\(([A-Z][a-z]+ | [A-Z][a-z]+)\) Tj", pdf.decode("latin-1")))


def test_the_addressee_is_named_once() -> None:
    assert [text for _, _, text in drawn(a_letter())].count("Jane Roe") == 1


def test_pages_are_numbered_and_no_line_is_lost() -> None:
    lines = [f"Line number {number}." for number in range(1, 121)]
    pdf = a_letter(body="Jane Roe\n\n" + "\n".join(lines))
    texts = [text for _, _, text in drawn(pdf)]
    assert [text for text in texts if text.startswith("Line")] == lines
    pages = len(boxes(pdf))
    assert pages >= 3
    assert [text for text in texts if re.fullmatch(r"\d / \d", text)] == [f"{n} / {pages}" for n in range(1, pages + 1)]


def test_long_lines_are_broken_between_words_within_the_margins() -> None:
    pdf = a_letter(body="Jane Roe\n\n" + WORDS * 12)
    body = [text for _, _, text in drawn(pdf) if "suits" in text or "Please" in text]
    assert len(body) > 3
    assert " ".join(body).split() == (WORDS * 12).split()
    assert max(len(text) for text in body) < 110


def test_paper_follows_the_language() -> None:
    assert boxes(a_letter())[0] == pytest.approx(LETTER, abs=0.01)
    assert boxes(a_letter(language="zh", body="张伟\n\n您好。"))[0] == pytest.approx(A4, abs=0.01)


def test_chinese_is_set_in_a_font_that_readers_bring_along() -> None:
    pdf = a_letter(
        language="zh",
        to="上海市浦东新区世纪大道1000弄",
        body="张伟\n\n您好，请致电400-800-0002。",
        subject="还款通知函",
    )
    assert b"/STSong-Light" in pdf and b"/FontFile" not in pdf
    text = "\n".join(chinese_lines(pdf))
    for expected in ("张伟", "上海市浦东新区世纪大道1000弄", "还款通知函", "您好，请致电400-800-0002。"):
        assert expected in text


def test_no_chinese_line_begins_with_closing_punctuation() -> None:
    pdf = a_letter(language="zh", body="张伟\n\n" + "请您来电，" * 60)
    lines = [line for line in chinese_lines(pdf) if "来电" in line]
    assert len(lines) > 5
    assert "".join(lines) == "请您来电，" * 60
    assert not any(line.startswith("，") for line in lines)


def test_a_name_beyond_the_fonts_is_refused_by_its_codepoint() -> None:
    with pytest.raises(NoGlyph, match="U\\+20BB7"):
        a_letter(language="zh", body="\U00020bb7野\n\n您好")


def test_parentheses_and_backslashes_are_text() -> None:
    pdf = a_letter(language="zh", body="张伟\n\n（甲）(B) \\ C")
    assert "（甲）(B) \\ C" in chinese_lines(pdf)


def test_a_letter_tells_no_time_of_its_making() -> None:
    assert re.findall(rb"/CreationDate \(D:(\d{8})", a_letter()) == [b"20000101"]
