"""Rules in words: what each parameter and condition of a rule says, in Chinese and English, for people who read law.

The code of a value (a channel, a purpose, a disclosure) stays as the contract writes it, so that what is read here can be
found again in a dossier.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Words = tuple[str, str]
"""A text in Chinese and in English."""

PARAMETERS: Mapping[str, Words] = {
    "absent": ("缺少该事实时", "when the fact is absent"),
    "absent_end": ("缺少终止时间时", "when the end is absent"),
    "after": ("期后的结论", "after the span"),
    "after_first": ("自首次发生此事起计", "counted from the first of these on"),
    "after_refusal": ("债务人以此为由拒绝后", "once the debtor refused for that reason"),
    "agreed": ("事先约定的时间除外", "a time agreed beforehand is open"),
    "agreed_roles": ("可作约定的角色", "who may agree to another time"),
    "all": ("必须全部载明", "must carry all of"),
    "all_matters": ("拒绝及于全部事项", "a refusal reaches every matter"),
    "amount_minor": ("金额(最小货币单位)", "amount in minor units"),
    "answered_by": ("自发出此文件时终止", "ends when this was sent"),
    "any_act": ("不论行为的内容", "whatever the act says"),
    "any_medium": ("任一方式的拒绝即生效", "a refusal of any medium counts"),
    "any_of": ("取值须为其一", "one of"),
    "at_least": ("不少于", "at least"),
    "at_most": ("不多于", "at most"),
    "attempts_review": ("含未接通超限时转人工", "a person decides when all attempts together pass the cap"),
    "because": ("理由", "because of"),
    "before": ("期前的结论", "before the span"),
    "before_first_touch": ("须早于首次联系", "before the first contact"),
    "below": ("低于", "below"),
    "both_ways": ("往来双向均计", "counted in both directions"),
    "by": ("计数范围", "counted over"),
    "calendar": ("依日历", "by the calendar"),
    "cap": ("上限次数", "at most so many"),
    "channels": ("渠道", "channels"),
    "chapter": ("破产章别", "chapter of the bankruptcy"),
    "characters": ("禁用字符", "characters that may not stand in it"),
    "claims": ("不得声称", "may not claim"),
    "closed": ("另行关闭的时段", "closed besides"),
    "confirm_days": ("书面确认期限(天)", "days to confirm in writing"),
    "connected": ("接通次数上限", "at most so many connected calls"),
    "consent_days": ("同意有效天数", "days that a consent lasts"),
    "consent_frees_act": ("本次已获同意则不受限", "an act with consent is free"),
    "country": ("国家", "country"),
    "court_opens": ("有法院命令则可", "a court order opens it"),
    "days": ("日历天数(含当日)", "over so many local dates, the present one included"),
    "days_after_release": ("解除后再续天数", "days beyond its release"),
    "deadline": ("须过其载明期限", "its stated deadline must be past"),
    "debt_status": ("债务状态", "status of the debt"),
    "direct": ("须由本人直接约定", "agreed by the person directly"),
    "disclosure": ("须载明", "must carry"),
    "due_days": ("履行期限(天)", "due within so many days"),
    "effect": ("结论", "effect"),
    "ends_by_until": ("到期自动终止", "ends at its stated end"),
    "exempt": ("不适用的目的", "purposes that are exempt"),
    "exposures": ("不得的外露方式", "may not be exposed as"),
    "first": ("是否首次联系", "the first communication"),
    "free_after": ("逾期超过天数后不限", "free when more days past due"),
    "fresh_hours": ("余额时效(小时)", "the amount may be so many hours old"),
    "from": ("起", "from"),
    "harmless": ("可载明而不涉债务的内容", "may carry, because they tell of no debt"),
    "hold_kinds": ("所对应的暂停", "holds that it answers"),
    "holiday_open": ("节假日开放时段", "open on a holiday"),
    "holidays": ("节假日日历", "holidays of"),
    "if_claims": ("仅当声称", "only with a claim of"),
    "if_third_party": ("由外部机构行事时还须载明", "carries besides, when not the creditor's own"),
    "is": ("须为", "is"),
    "kinds": ("种类", "kinds"),
    "leave_out": ("不计入", "leaves out"),
    "lexicon": ("词表", "words of the list"),
    "limited_free": ("有限内容语音留言除外", "a limited-content voicemail is free"),
    "limited_only": ("仅限有限内容语音留言", "only for limited-content voicemails"),
    "longest": ("最长字数", "at most so many characters"),
    "media": ("方式", "by the medium"),
    "medium": ("方式", "by the medium"),
    "minutes": ("间隔分钟", "minutes apart"),
    "mode": ("读法", "reading"),
    "months": ("月数", "months"),
    "neutral_purposes": ("中性目的", "purposes that tell nothing"),
    "none_of": ("取值不得为", "none of"),
    "not_outcomes": ("不计的结果", "outcomes that do not count"),
    "not_purposes": ("不计的目的", "purposes that do not count"),
    "nothing_but": ("除此之外不得载明", "may carry nothing but"),
    "notice_days": ("通知天数", "days of the notice"),
    "on_one_date": ("同日次数", "so many on one date"),
    "one_confirmation": ("允许一次确认", "one confirmation may follow"),
    "one_of": ("须载明其一", "must carry one of"),
    "only": ("仅限", "only"),
    "only_place": ("仅限地点", "only at"),
    "or_earlier_demand": ("或此前已催告", "or an earlier demand"),
    "other_purposes": ("其他允许的目的", "other purposes that are open"),
    "outcomes_of": ("计入的结果(按渠道)", "outcomes that count, by channel"),
    "partial": ("部分争议只及于争议部分", "a partial dispute reaches its part only"),
    "path": ("所看事实", "the fact"),
    "patterns": ("文本模式", "text like"),
    "pending": ("通知期内的结论", "while the notice runs"),
    "per": ("按", "for each"),
    "period": ("验证期", "validation period"),
    "periods": ("期数", "periods"),
    "permanent": ("长期有效", "for good"),
    "persons": ("人数上限", "at most so many persons"),
    "place": ("地点", "place"),
    "point_kinds": ("联系方式种类", "kinds of contact point"),
    "proof": ("须有凭据", "needs proof"),
    "purposes": ("目的", "purposes"),
    "purposes_on_hold": ("暂停期间的目的", "purposes while it is held"),
    "reasons": ("原因", "reasons"),
    "regions_apart": ("另行对待的地区", "regions apart"),
    "replies": ("是否计入回复", "replies count"),
    "reply_allowed": ("允许回复", "a reply is allowed"),
    "reply_once": ("允许回复一次", "one reply is allowed"),
    "request": ("含停止联系的请求", "a request to stop counts"),
    "review_after": ("超过天数后转人工", "a person decides from so many days on"),
    "roles": ("角色", "roles"),
    "same_point": ("按同一号码", "to the same contact point"),
    "seen_by_others": ("含可被他人看到的", "also what others can see"),
    "share": ("比例", "share"),
    "to": ("止", "to"),
    "unit": ("计数单位", "what counts"),
    "unless": ("除非有", "unless there is"),
    "unless_granted": ("已获同意除外", "unless consent was given"),
    "unless_on_record": ("已有此通知除外", "unless this notice is on record"),
    "unless_surrendered": ("自愿交车除外", "unless surrendered"),
    "unless_volunteered": ("对方主动提出除外", "unless the person offered"),
    "until_verified": ("核实前停用", "until it is verified"),
    "wait_days": ("须经天数", "so many days must have passed"),
    "what": ("义务内容", "what is owed"),
    "who": ("计谁的行为", "whose acts count"),
    "whose": ("所涉之人", "whose"),
    "window": ("期间", "window"),
    "windows": ("开放时段", "open hours"),
    "withdrawal": ("含撤回同意", "a withdrawal counts"),
    "working_days": ("工作日天数", "working days"),
    "written": ("书面", "in writing"),
    "years": ("岁数", "years of age"),
    "zones": ("时区", "zones"),
}
"""What each parameter says; one that is not listed is shown by its own name."""

CONDITIONS: Mapping[str, Words] = {
    "channel": ("渠道", "channel"),
    "purpose": ("目的", "purpose"),
    "dialler": ("拨号方式", "dialler"),
    "actor": ("行事机构", "acting organisation"),
    "to": ("对象", "recipient"),
    "product": ("产品", "product"),
    "creditor_kind": ("债权人类别", "kind of creditor"),
    "creditor_role": ("债权人角色", "role of the creditor"),
    "region": ("地区", "region"),
    "point_kind": ("联系方式种类", "kind of contact point"),
    "point_place": ("联系方式地点", "place of the contact point"),
}
"""What each condition of a rule asks about."""

CONFIDENCE: Mapping[str, Words] = {
    "source": ("已核对来源文本", "read in the source"),
    "memory": ("凭记忆,尚未核对原文", "remembered, the text not yet checked"),
    "memory-weak": ("记忆不确定,须核对原文", "weakly remembered, to be checked against the text"),
    "infer": ("由原则推断,并非条文数字", "inferred from a principle, no number of a text"),
}
"""What each grade of confidence means to a reader."""

DAYS = ("一二三四五六日", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))


def parameter_words(params: Mapping[str, Any]) -> list[Words]:
    """Return one line a parameter, in the order of their names.

    >>> parameter_words({"cap": 3})
    [('上限次数:3', 'at most so many: 3')]
    """
    lines = []
    for name in sorted(params):
        zh, en = PARAMETERS.get(name, (name, name.replace("_", " ")))
        lines.append((f"{zh}:{_value(params[name], 0)}", f"{en}: {_value(params[name], 1)}"))
    return lines


def condition_words(when: Mapping[str, Sequence[str]]) -> list[Words]:
    """Return one line a condition under which a rule applies, in the order of their names.

    >>> condition_words({"not_channel": ["letter"]})
    [('渠道 不为 letter', 'channel is none of letter')]
    """
    lines = []
    for name in sorted(when):
        zh, en = CONDITIONS[name.removeprefix("not_")]
        listed = ", ".join(when[name])
        without = name.startswith("not_")
        lines.append(
            (f"{zh} {'不为' if without else '为'} {listed}", f"{en} is {'none of ' if without else ''}{listed}")
        )
    return lines


def doubt_words(rule: Mapping[str, Any]) -> Words | None:
    """Return what is doubtful about a rule, first what its author says.

    None when its author has no doubt, it was read in the source, is no draft, and is enforced.
    """
    doubts: list[Words] = []
    if rule.get("doubt"):
        doubts.append((rule["doubt"]["zh"], rule["doubt"]["en"]))
    if rule["confidence"] != "source":
        doubts.append(CONFIDENCE[rule["confidence"]])
    if rule["grade"] == "draft":
        doubts.append(("草案,尚未生效", "a draft, not in force"))
    if rule["status"] == "shadow":
        doubts.append(("仅观察,不影响结论", "watched only: it decides nothing"))
    return (";".join(zh for zh, _ in doubts), "; ".join(en for _, en in doubts)) if doubts else None


def _value(value: Any, language: int) -> str:
    if isinstance(value, bool):
        return (("否", "no"), ("是", "yes"))[value][language]
    if isinstance(value, Mapping):
        if "open" in value and value.keys() <= {"days", "open"}:
            return _hours(value, language)
        return "; ".join(f"{key} {_value(item, language)}" for key, item in value.items())
    if isinstance(value, list):
        if len(value) == 2 and all(isinstance(each, str) and ":" in each for each in value):
            return f"[{value[0]}, {value[1]})"
        return ", ".join(_value(item, language) for item in value)
    return str(value)


def _hours(window: Mapping[str, Any], language: int) -> str:
    days = " ".join(DAYS[language][day - 1] for day in window.get("days", range(1, 8)))
    spans = _value(window["open"], language) if window["open"] else ("全天关闭", "closed")[language]
    return f"{'周' if language == 0 else ''}{days} {spans}"
