import hashlib
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.cases.case import Promise
from chalicelib.domain.outreach.carrying import content_digest
from chalicelib.domain.outreach.templates import (
    CN_SMS_LIMIT,
    PLACEHOLDERS,
    Rendered,
    Template,
    TemplateBroken,
    TemplateRefused,
    amount_text,
    contract_tail,
    date_text,
    disclosures_in,
    faults_of,
    load_templates,
    render,
    required_values,
    telephone_text,
    validation_end_on,
    values_for,
)
from tests.builders import PERSON, a_case, a_collector, a_lender, a_person, an_agency
from tests.golden.golden_templates import is_before_due, newest, rendered, values_of

TODAY = date(2026, 11, 23)

CN_DISC_5 = {
    "lender", "agency", "masked_name", "contract_tail", "amount_due", "amount_as_of", "days_overdue", "pay_to",
    "callback", "complaint_line",
}  # fmt: skip

BANNED = re.compile(
    "法院|传票|公安|警察|检察|政府|律师|征信|调查组|清收|执法|弄死|后果|收拾|全家|通讯录|黑名单|坐牢|通缉|拘留|批捕|失信|子女|"
    "立案|起诉|保全|贷款优惠|保险|优惠券|微信号|QQ|二维码|现金支付|拖车|收车|GPS|断油|断电|小时内|最后期限|刑|违法|犯罪|上门|单位|"
    "家人|父母|亲友|减免|免息|删除记录"
)
"""Words that no message to a Chinese debtor may hold, from impersonation to artificial deadlines."""


def a_template(**deviations: Any) -> Template:
    return Template(
        **{
            "id": "cn-sms-test",
            "version": 1,
            "channel": "sms",
            "purpose": "demand",
            "language": "zh",
            "jurisdictions": ("CN",),
            "audience": ("debtor",),
            "text": "{masked_name}您好，请致电{callback}。",
            "disclosures": ("masked_name", "callback"),
            **deviations,
        }
    )


VALUES = {"masked_name": "张*", "callback": "400-800-0002"}


# What the approved templates are


@pytest.mark.parametrize("template", newest(), ids=lambda template: template.id)
def test_an_approved_template_carries_what_it_says_and_can_be_filled_in(template: Template) -> None:
    assert faults_of(template) == []
    answer = rendered(template)
    assert "{" not in answer.body
    assert set(required_values(template)) <= set(PLACEHOLDERS)
    assert "\u00a5" not in answer.body


@pytest.mark.parametrize(
    "template",
    [t for t in newest() if t.jurisdictions == ("CN",) and t.channel in ("sms", "email", "wechat", "letter")
     and t.purpose in ("demand", "reminder", "reply")],
    ids=lambda template: template.id,
)  # fmt: skip
def test_a_written_message_about_a_chinese_debt_carries_every_required_disclosure(template: Template) -> None:
    # The lender's own reminder comes from no third party.
    assert set(template.disclosures) >= CN_DISC_5 - ({"agency"} if is_before_due(template) else set())
    assert {"collector", "purpose"} <= set(template.disclosures)
    if template.channel != "letter":
        assert "opt_out" in template.disclosures


@pytest.mark.parametrize(
    "template", [t for t in newest() if t.jurisdictions == ("CN",)], ids=lambda template: template.id
)
def test_a_chinese_message_holds_no_banned_word(template: Template) -> None:
    text = f"{template.subject or ''}{template.text}"
    assert BANNED.findall(text) == []
    assert not re.search(r"[!\uff01]{2}", text)
    assert template.claims == ()


@pytest.mark.parametrize(
    "template",
    [t for t in newest() if (t.jurisdictions, t.channel) == (("CN",), "sms")],
    ids=lambda template: template.id,
)
def test_a_chinese_text_message_fits_with_every_value_at_its_longest(template: Template) -> None:
    longest = {name: "长" * min(PLACEHOLDERS[name].limit, 35) for name in required_values(template)}
    body = template.text.format(**longest)
    assert len(body) <= CN_SMS_LIMIT
    assert not set("【】") & set(body)


@pytest.mark.parametrize(
    "template", [t for t in newest() if t.purpose in ("locate", "relay")], ids=lambda template: template.id
)
def test_words_for_a_third_party_tell_nothing_of_a_debt(template: Template) -> None:
    permitted = {"caller_identity", "collector", "agency", "masked_name", "callback", "complaint_line", "opt_out"}
    assert set(template.disclosures) <= permitted | {"recording", "purpose"}
    assert not required_values(template) & {"lender", "amount_due", "days_overdue", "contract_tail", "pay_to"}
    assert not re.search("欠款|还款|逾期|合同|贷款|金额", template.text)
    assert "debtor" not in template.audience


def test_an_opt_out_confirmation_of_the_united_states_says_nothing_else() -> None:
    confirmation = load_templates()["us-sms-opt-out-confirmation"][-1]
    assert confirmation.disclosures == ("agency",)
    assert required_values(confirmation) == {"agency"}


def test_first_written_words_in_the_united_states_say_what_the_law_asks() -> None:
    for name in ("us-email-first", "us-letter-validation"):
        assert {"collect_debt_notice", "validation_information"} <= set(load_templates()[name][-1].disclosures)
    assert {"collect_debt_notice", "opt_out"} <= set(load_templates()["us-sms-first"][-1].disclosures)


def test_later_words_in_the_united_states_come_from_a_debt_collector() -> None:
    later = [t for t in newest() if t.jurisdictions == ("US",) and t.variant == "later"]
    assert later
    assert all("debt_collector_identity" in t.disclosures for t in later)
    assert all("opt_out" in t.disclosures for t in later if t.channel in ("sms", "email"))


# Loading


def written(tmp_path: Path, text: str, name: str = "xx-sms-test") -> Path:
    (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


TOML = """
[[version]]
channel = "sms"
purpose = "demand"
language = "en"
jurisdictions = ["US"]
audience = ["debtor"]
disclosures = ["agency"]
text = "{agency} writes."

[[version]]
channel = "sms"
purpose = "demand"
language = "en"
jurisdictions = ["US"]
audience = ["debtor"]
disclosures = ["agency", "callback"]
text = "{agency} writes. Call {callback}."
"""


def test_versions_are_numbered_in_their_order(tmp_path: Path) -> None:
    templates = load_templates(written(tmp_path, TOML))
    assert [t.reference for t in templates["xx-sms-test"]] == ["xx-sms-test@1", "xx-sms-test@2"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('disclosures = ["agency"]', 'disclosures = ["lender"]'), "does not carry the disclosure lender"),
        (('disclosures = ["agency"]', 'disclosures = ["opt_out"]'), "does not carry the disclosure opt_out"),
        (('disclosures = ["agency"]', 'disclosures = ["everything"]'), "/disclosures/0: unknown"),
        (('audience = ["debtor"]', 'audience = ["anybody"]'), "/audience/0: unknown"),
        (("{agency} writes.", "{agency} writes {vin}."), "/text: character 16 (line 1, column 17)"),
        (("{agency} writes.", "{agency.name} writes."), "/text: character 0 (line 1, column 1)"),
        (("{agency} writes.", "{agency} writes {."), "/text: character 16"),
        (('channel = "sms"', 'channel = "email"'), "have a subject"),
        (('purpose = "demand"', 'purpose = "demand"\ncolour = "red"'), "colour"),
    ],
)
def test_a_broken_template_does_not_load(tmp_path: Path, change: tuple[str, str], why: str) -> None:
    assert change[0] in TOML
    with pytest.raises(TemplateBroken, match=re.escape(why)):
        load_templates(written(tmp_path, TOML.replace(*change, 1)))


def test_a_file_without_a_version_does_not_load(tmp_path: Path) -> None:
    with pytest.raises(TemplateBroken, match="no version"):
        load_templates(written(tmp_path, "# nothing\n"))


# What a template may not be


@pytest.mark.parametrize(
    "text",
    [
        "{amount_due:.2f}",
        "{case.amount}",
        "{case[0]}",
        "{}",
        "{{amount_due}}",
        "{amount_due!r}",
        "{ amount_due}",
        "{%x}",
    ],
)
def test_nothing_but_a_listed_name_stands_in_braces_and_the_place_is_told(text: str) -> None:
    faults = faults_of(a_template(text="您好\n" + text, disclosures=()))
    assert {(fault.pointer, fault.code) for fault in faults} == {("/text", "unknown_placeholder")}
    assert faults[0].detail.startswith("character 3 (line 2, column 1)")
    assert "amount" not in faults[0].detail


@pytest.mark.parametrize(
    ("deviations", "pointer", "code"),
    [
        ({"text": "x" * 501}, "/text", "text_too_long"),
        ({"text": "【安行】您好"}, "/text", "forbidden_symbol"),
        ({"text": "还款¥5"}, "/text", "forbidden_symbol"),
        ({"channel": "wechat", "text": "还" * 683}, "/text", "text_too_long"),
        ({"channel": "email", "subject": "x" * 151, "text": "x"}, "/subject", "subject_too_long"),
        ({"channel": "email", "subject": "x\r\nBcc: y", "text": "x"}, "/subject", "not_one_line"),
        ({"channel": "email", "subject": "x", "text": "还" * 333}, "/text", "line_too_long"),
        ({"channel": "letter", "text": "x"}, "/subject", "subject_needed"),
        ({"subject": "x", "text": "x"}, "/subject", "no_subject_taken"),
        ({"claims": ("will_sue", "will_sue"), "text": "x"}, "/claims/1", "unknown_name"),
        ({"disclosures": ("opt_out",), "text": "x"}, "/disclosures", "disclosure_not_made"),
    ],
)
def test_what_a_channel_cannot_carry_is_told_before_approval(
    deviations: dict[str, Any], pointer: str, code: str
) -> None:
    (fault,) = faults_of(a_template(**{"disclosures": (), **deviations}))
    assert (fault.pointer, fault.code) == (pointer, code)


@pytest.mark.parametrize(
    "deviations",
    [
        {"text": "x" * 500},
        {"channel": "wechat", "text": "还" * 682},
        {"channel": "email", "subject": "x" * 150, "text": "还" * 332 + "\n" + "x" * 998},
        {"text": "x" * 501, "jurisdictions": ("US",)},
    ],
)
def test_what_a_channel_just_carries_is_accepted(deviations: dict[str, Any]) -> None:
    assert faults_of(a_template(**{"disclosures": (), **deviations})) == []


def test_disclosures_are_read_in_traditional_characters_too() -> None:
    text = "{masked_name}您好，請致電{callback}聯絡還款事宜，本次聯絡旨在催收欠款，所獲資訊將用於該目的。回覆退訂。通話錄音。"
    named = ("masked_name", "callback", "purpose", "collect_debt_notice", "opt_out", "recording")
    assert faults_of(a_template(text=text, disclosures=named, language="zh-Hant")) == []
    answer = render(a_template(text=text, disclosures=named, language="zh-Hant"), VALUES)
    assert isinstance(answer, Rendered) and answer.language == "zh-Hant"


def test_the_digest_is_of_everything_that_is_approved() -> None:
    one = a_template()
    assert one.sha256 == a_template().sha256 and len(one.sha256) == 64
    changes: list[dict[str, Any]] = [
        {"version": 2}, {"text": "{masked_name}您好！请致电{callback}。"}, {"audience": ("debtor", "heir")}, {"claims": ("will_sue",)},
        {"jurisdictions": ("CN", "US")}, {"purpose": "reminder"}, {"variant": "later"}, {"language": "zh-Hans"},
    ]  # fmt: skip
    assert len({a_template(**change).sha256 for change in changes} | {one.sha256}) == len(changes) + 1


def test_a_text_of_ones_own_discloses_what_it_holds_to_the_letter() -> None:
    values = {**VALUES, "amount_due": "12.00元", "collector": "A017", "lender": "安行"}
    said = disclosures_in("张*您好，受安行委托，应还12.00元，请还款。", values, "zh")
    assert said == ("amount_due", "lender", "masked_name", "purpose")
    assert disclosures_in("应还13.00元", values, "zh") == ()


# Filling in


def test_the_digest_is_of_exactly_the_bytes_that_the_carrier_gets() -> None:
    answer = render(a_template(), VALUES)
    assert isinstance(answer, Rendered)
    assert answer.body == "张*您好，请致电400-800-0002。"
    assert answer.content_sha256 == hashlib.sha256(answer.body.encode()).hexdigest()


def test_the_digest_of_mail_covers_its_subject() -> None:
    template = a_template(channel="email", subject="关于{masked_name}的通知")
    answer = render(template, VALUES)
    assert isinstance(answer, Rendered)
    expected = hashlib.sha256(f"关于张*的通知\n\n{answer.body}".encode()).hexdigest()
    assert answer.content_sha256 == expected == content_digest(answer.subject, answer.body)


@pytest.mark.parametrize("missing", ["masked_name", "callback"])
def test_a_value_that_is_missing_or_blank_is_refused_by_name(missing: str) -> None:
    absent = {name: value for name, value in VALUES.items() if name != missing}
    assert render(a_template(), absent) == TemplateRefused("missing_value", missing)
    assert render(a_template(), {**VALUES, missing: "  "}) == TemplateRefused("missing_value", missing)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("masked_name", "张\u202e*", "control_character"),
        ("masked_name", "张\n回复", "control_character"),
        ("masked_name", "张\u200b*", "control_character"),
        ("masked_name", "张\u2066*\u2069", "control_character"),
        ("masked_name", "长" * 36, "too_long"),
        ("masked_name", "http://x.test", "link"),
        ("masked_name", "ＷＷＷ.x", "link"),
        ("masked_name", "pay.example.com", "link"),
        ("masked_name", "加13812345678", "telephone_number"),
        ("masked_name", "加１３８ 1234-5678", "telephone_number"),
        ("callback", "400-800-0002" * 3, "too_long"),
    ],
)
def test_a_value_that_could_change_the_message_is_refused(name: str, value: str, code: str) -> None:
    assert render(a_template(), {**VALUES, name: value}) == TemplateRefused(code, name)


def test_a_value_of_the_longest_permitted_length_is_taken() -> None:
    assert isinstance(render(a_template(), {**VALUES, "masked_name": "长" * 35}), Rendered)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("amount_due", "12,345.67元", "12,345.67元 或加微"),
        ("days_overdue", "35", "-1"),
        ("contract_tail", "2345", "23451"),
        ("amount_as_of", "2026年11月23日", "明天"),
        ("collector", "A20260017", "13812345678"),
        ("promise_due_on", "November 23, 2026", "soon"),
    ],
)
def test_a_figure_must_look_like_one(name: str, good: str, bad: str) -> None:
    template = a_template(text=f"{{{name}}}", disclosures=(), language="en", jurisdictions=("US",))
    assert isinstance(render(template, {name: good}), Rendered)
    answer = render(template, {name: bad})
    assert isinstance(answer, TemplateRefused)
    assert answer.code in ("malformed_value", "too_long")


def test_a_caller_fills_only_what_it_may_be_asked_for() -> None:
    template = a_template(text="{masked_name}，编号{ticket}", disclosures=("masked_name",))
    answer = render(template, VALUES, {"ticket": "K1"})
    assert isinstance(answer, Rendered) and answer.body == "张*，编号K1"
    assert render(template, {**VALUES, "ticket": "K1"}) == TemplateRefused("missing_value", "ticket")
    assert render(template, VALUES, {"ticket": "K1", "masked_name": "李*"}) == TemplateRefused(
        "unknown_parameter", "masked_name"
    )
    assert render(template, VALUES, {"ticket": "K1", "visit_on": "2026-11-25"}) == TemplateRefused(
        "unknown_parameter", "visit_on"
    )
    assert render(template, VALUES, {"ticket": "K1", "x\nLog": "1"}) == TemplateRefused(
        "unknown_parameter", "parameters"
    )


@pytest.mark.parametrize("symbol", ["\u00a5", "\uffe5", "【", "★"])
def test_a_symbol_that_carriers_refuse_is_refused_before(symbol: str) -> None:
    assert render(a_template(), {**VALUES, "masked_name": f"张{symbol}"}) == TemplateRefused("forbidden_symbol", "text")


def test_a_chinese_text_message_ends_at_500_characters() -> None:
    room = CN_SMS_LIMIT - len("张*400-800-0002")
    full = a_template(text="{masked_name}" + "长" * room + "{callback}")
    assert isinstance(render(full, VALUES), Rendered)
    longer = a_template(text="{masked_name}" + "长" * (room + 1) + "{callback}")
    assert render(longer, VALUES) == TemplateRefused("text_too_long", "text")


@given(st.text(max_size=60))
def test_any_value_is_either_refused_or_stands_in_the_text_unchanged(value: str) -> None:
    template = a_template(text="<{masked_name}|{callback}>", disclosures=("masked_name", "callback"))
    answer = render(template, {**VALUES, "masked_name": value})
    if isinstance(answer, Rendered):
        assert answer.body.endswith("|400-800-0002>")
        assert answer.body.count("\n") == 0
    else:
        assert answer.field in ("masked_name", "text")


def test_a_value_with_braces_stays_text() -> None:
    answer = render(a_template(), {**VALUES, "masked_name": "{callback}"})
    assert isinstance(answer, Rendered)
    assert answer.body == "{callback}您好，请致电400-800-0002。"


# Values


def test_values_come_from_the_records_in_the_language_asked_for() -> None:
    values = values_for(a_case(), a_person(), a_lender(), an_agency(), a_collector(), today=TODAY, language="zh")
    assert values == {
        "addressee": "张伟",
        "masked_name": "张*",
        "lender": "安行汽车金融",
        "agency": "诚达催收",
        "collector": "A001",
        "contract_tail": "2345",
        "amount_due": "12,345.67元",
        "amount_as_of": "2026年11月23日",
        "days_overdue": "35",
        "pay_to": "安行汽车金融 尾号0001",
        "callback": "400-800-0002",
        "complaint_line": "400-800-0001",
        "agency_email": "service@agency-a.test",
        "letter_on": "2026年11月23日",
    }


def test_a_lender_that_acts_itself_is_called_back_on_its_own_line() -> None:
    values = values_for(a_case(), a_person(), a_lender(), None, None, today=TODAY, language="zh")
    assert (values["agency"], values["callback"]) == ("安行汽车金融", "400-800-0001")
    assert "collector" not in values


def test_only_an_open_promise_of_the_same_person_is_reminded_of() -> None:
    def promise(**deviations: Any) -> Promise:
        return Promise(
            **{
                "id": "ptp_1", "person": PERSON, "amount_minor": 300_000, "currency": "CNY",
                "due_on": date(2026, 11, 27), "made_at": "2026-11-20T02:00:00.000Z", **deviations,
            }
        )  # fmt: skip

    def values(*promises: Promise) -> dict[str, str]:
        case = a_case(promises=promises)
        return values_for(case, a_person(), a_lender(), an_agency(), None, today=TODAY, language="zh")

    alive = values(promise(due_on=date(2026, 12, 3)), promise(paid_minor=100_000))
    assert (alive["promise_amount"], alive["promise_due_on"]) == ("2,000.00元", "2026年11月27日")
    assert "promise_amount" not in values(promise(state="kept"), promise(person="per_2"))


def test_a_notice_without_itemization_cannot_be_written() -> None:
    template = load_templates()["us-letter-validation"][-1]
    complete = values_of(template)
    assert isinstance(render(template, complete), Rendered)
    without = {name: value for name, value in complete.items() if not name.startswith("itemization")}
    assert render(template, without) == TemplateRefused("missing_value", "itemization_amount")


@pytest.mark.parametrize(
    ("minor", "currency", "language", "text"),
    [
        (0, "CNY", "zh", "0.00元"),
        (5, "CNY", "zh", "0.05元"),
        (123_456_789, "USD", "en", "$1,234,567.89"),
        (-500, "USD", "en", "-$5.00"),
        (5000, "JPY", "en", "JPY 5,000"),
        (1234, "KWD", "en", "KWD 1.234"),
        (1_000_00, "CNY", "en", "CNY 1,000.00"),
    ],
)
def test_amounts_are_written_by_currency_and_language(minor: int, currency: str, language: str, text: str) -> None:
    assert amount_text(minor, currency, language) == text


def test_dates_and_numbers_are_written_as_people_read_them() -> None:
    assert date_text(date(2026, 1, 5), "zh") == "2026年1月5日"
    assert date_text(date(2026, 1, 5), "en") == "January 5, 2026"
    assert date_text(date(2026, 1, 5), "de") == "2026-01-05"
    assert telephone_text("+864008000001") == "400-800-0001"
    assert telephone_text("+13125550100") == "+13125550100"
    assert contract_tail("AF-2024/05-9A") == "059A"


@pytest.mark.parametrize(
    ("sent_on", "end_on"),
    [
        # Monday to Monday: five days that count, then thirty.
        (date(2026, 6, 1), date(2026, 7, 8)),
        # Thanksgiving (26 November) is skipped.
        (date(2026, 11, 20), date(2026, 12, 30)),
        # Christmas and New Year's Day are skipped.
        (date(2026, 12, 24), date(2027, 2, 3)),
    ],
)
def test_the_validation_period_ends_thirty_days_after_assumed_receipt(sent_on: date, end_on: date) -> None:
    assert validation_end_on(sent_on) == end_on


def test_a_stated_period_is_never_shorter_for_a_letter_that_waited() -> None:
    template = load_templates()["us-letter-validation"][-1]
    stated = values_of(template)["validation_end_on"]
    assert stated == "January 3, 2027"
    assert date(2027, 1, 3) >= validation_end_on(date(2026, 11, 26))
