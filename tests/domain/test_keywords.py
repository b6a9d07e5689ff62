import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.outreach.keywords import STOP_WORDS, Intent, intent_of


@pytest.mark.parametrize("word", sorted(STOP_WORDS))
def test_each_stop_word_alone_is_a_stop_however_it_is_written(word: str) -> None:
    for written in (word, word.upper(), f"  {word} ", f"{word}!", f"“{word}”.", f"{word}\n"):
        assert intent_of(written) is Intent.STOP


@pytest.mark.parametrize(
    "text",
    [
        "S T O P", "s.t.o.p", "ＳＴＯＰ", "Ｔ Ｄ", "t.d.", "退 订", "退\u200b订", "退訂", "STOPALL", "Stop please", "stop now!",
        "STOP texting me", "please stop calling me", "Stop sending me these texts", "Unsubscribe me please",
        "Opt me out", "I want to opt-out", "do not contact me again", "don’t text me", "DONT CALL", "never call me again",
        "leave me alone", "take me off your list", "remove my number from this", "I revoke my consent", "cease and desist",
        "no more texts", "wrong number", "Cancel texts", "end messages", "REVOKE",
        "请退订", "我要退订短信", "停止发送", "停止骚扰", "不要再发了", "别再给我打电话", "请勿再联系", "以后不要给我发短信", "不想再收到短信",
        "请不要联系我", "别烦我", "取消订阅",
    ],
)  # fmt: skip
def test_a_wish_to_be_left_alone_is_a_stop(text: str) -> None:
    assert intent_of(text) is Intent.STOP


@pytest.mark.parametrize(
    "text",
    [
        "I will stop by the bank tomorrow", "the car would not stop", "end of month I will pay", "don't stop the plan",
        "at the bus stop", "quitting my job soon", "the weekend is fine", "please call me at noon", "Today", "TDX",
        "hello", "你好", "明天上午可以", "不要停", "好的", "", "   ", "…", "\u200b",
    ],
)  # fmt: skip
def test_a_message_that_merely_holds_the_letters_is_no_stop(text: str) -> None:
    assert intent_of(text) is not Intent.STOP


@pytest.mark.parametrize("text", ["我的新号码是13812345678", "卡号6222123780001", "本金12,345.67元", "call 0213123150"])
def test_a_number_that_holds_the_digits_of_a_hotline_is_no_complaint(text: str) -> None:
    assert intent_of(text) is None


@pytest.mark.parametrize("text", ["我打12345", "12378见", "我打了 12315 和 12345"])
def test_a_hotline_named_alone_is_a_complaint(text: str) -> None:
    assert intent_of(text) is Intent.COMPLAINT


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("I will file a complaint with the CFPB", Intent.COMPLAINT),
        ("this is harassment", Intent.COMPLAINT),
        ("我要投诉你们", Intent.COMPLAINT),
        ("已经向12378举报", Intent.COMPLAINT),
        ("I dispute this debt", Intent.DISPUTE),
        ("not my debt", Intent.DISPUTE),
        ("I don't owe this", Intent.DISPUTE),
        ("who is the original creditor?", Intent.DISPUTE),
        ("金额不对", Intent.DISPUTE),
        ("我没借过钱", Intent.DISPUTE),
        ("你打错了", Intent.DISPUTE),
        ("不是本人", Intent.DISPUTE),
        ("Paid!", Intent.PAID),
        ("I already paid this", Intent.PAID),
        ("it was paid off in May", Intent.PAID),
        ("payment was made yesterday", Intent.PAID),
        ("已还款", Intent.PAID),
        ("昨天还了", Intent.PAID),
        ("刚刚付了", Intent.PAID),
        ("还清了", Intent.PAID),
        ("钱还过了", Intent.PAID),
        ("HELP", Intent.HELP),
        ("?", Intent.HELP),
        ("？？", Intent.HELP),
        ("I lost my job", Intent.HELP),
        ("can I get a payment plan", Intent.HELP),
        ("I can’t pay this", Intent.HELP),
        ("我失业了", Intent.HELP),
        ("可以分期吗", Intent.HELP),
        ("转人工", Intent.HELP),
    ],
)
def test_other_wishes_are_told_apart(text: str, intent: Intent) -> None:
    assert intent_of(text) is intent


@pytest.mark.parametrize(
    "text",
    ["I have not paid", "I haven't paid yet", "unpaid", "will be paid on Friday", "when I get paid", "还没还", "没还款",
     "怎么还款", "停止还款了吗", "等发工资再还", "还款了吗"],
)  # fmt: skip
def test_a_payment_that_was_not_made_is_not_taken_for_one(text: str) -> None:
    assert intent_of(text) is not Intent.PAID


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Stop texting me, I will complain to the CFPB", Intent.STOP),
        ("我已还款，不要再发了", Intent.STOP),
        ("I complain: I paid already", Intent.COMPLAINT),
        ("I paid, this is not mine", Intent.DISPUTE),
    ],
)
def test_what_matters_more_wins(text: str, intent: Intent) -> None:
    assert intent_of(text) is intent


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    assert intent_of(text) in {None, *Intent}


@given(st.sampled_from(sorted(STOP_WORDS)), st.text(alphabet=" \t\n.!,。！，\u3000", max_size=5))
def test_space_and_punctuation_never_hide_a_stop(word: str, around: str) -> None:
    assert intent_of(f"{around}{word}{around}") is Intent.STOP


def test_a_very_long_message_is_read_in_little_time() -> None:
    assert intent_of("do not " * 20_000) is None
    assert intent_of("stop " + "please " * 20_000) is Intent.STOP
