"""The weekly review pack as blocks, in Chinese or English: one content, set as a page or as a PDF by whoever shows it.

It holds figures, codes and ids; no person is named in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from chalicelib.domain.pages import html_page, text

LANGUAGES = ("zh", "en")


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart: one bar a label; ``values`` are not negative."""

    title: str
    labels: tuple[str, ...]
    values: tuple[int, ...]


Block = Heading | Words | Table | Bars

_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("每周回顾", "Weekly review"),
    "draft": ("本周尚未结束，数字仍会变化。", "The week is not over; the figures will change."),
    "targets": ("目标与现状", "Targets"),
    "changes": ("与上周相比的变化", "What changed against the week before"),
    "agencies": ("各机构", "By agency"),
    "rules": ("按规则未放行的触达", "Held back, by rule"),
    "strategies": ("策略胜负", "Strategies that won or lost"),
    "no_strategies": ("本周没有结束的策略实验。", "No experiment on a strategy ended."),
    "feedback": ("逾期未复的反馈", "Overdue feedback"),
    "risks": ("法律风险事件", "Legal-risk events"),
    "complaints": ("投诉", "Complaints"),
    "duties": ("七日内到期的义务", "Duties due within seven days"),
    "none": ("无。", "None."),
    "figure": ("指标", "figure"),
    "this": ("本周", "this week"),
    "before": ("上周", "week before"),
    "change": ("变化", "change"),
    "target": ("目标", "target"),
    "value": ("现值（95%区间）", "value (95 % interval)"),
    "state": ("判断", "verdict"),
    "agency": ("机构", "agency"),
    "rule": ("规则", "rule"),
    "deferred": ("暂缓", "deferred"),
    "reviewed": ("复核", "to review"),
    "denied": ("拒绝", "denied"),
    "stream": ("案件或人员编号", "case or person"),
    "duty": ("义务", "duty"),
    "due": ("到期", "due"),
    "owner": ("责任方", "owed by"),
    "strategy": ("策略", "strategy"),
    "metric": ("指标", "metric"),
    "answer": ("结论", "answer"),
    "lift": ("提升（区间，随时可看）", "lift (interval, valid at any look)"),
    "goal": ("目标 +10 %", "goal +10 %"),
    "measured": ("已测人数 / 计划", "persons measured / planned"),
    "better": ("更好", "won"),
    "worse": ("更差", "lost"),
    "no_difference_found": ("未见差异", "no difference found"),
    "goal_met": ("达到", "met"),
    "goal_missed": ("未达到", "missed"),
    "goal_open": ("尚无定论", "open"),
    "met": ("达标", "met"),
    "not_met": ("未达标", "not met"),
    "not_enough_data": ("数据不足", "not enough data"),
    "not_measured": ("尚无数据来源", "not measured yet"),
    "attempts_by_day": ("每日触达尝试数", "Attempts by day"),
    "paid_by_day": ("每日入账回款", "Collected by day"),
    "more": ("另有", "and more:"),
}


def word(name: str, language: str) -> str:
    """Return a fixed word of the pack."""
    return _WORDS[name][LANGUAGES.index(language)]


def value_text(value: str | None, unit: str) -> str:
    """Return a figure's value for people: shares in percent, amounts with two decimals, a dash for none.

    >>> value_text("0.123456", "ratio"), value_text("123456", "minor"), value_text(None, "ratio")
    ('12.3 %', '1,234.56', '–')
    """
    if value is None:
        return "–"
    if unit == "ratio":
        return f"{Decimal(value) * 100:.1f} %"
    if unit == "minor":
        return f"{Decimal(value) / 100:,.2f}"
    return f"{Decimal(value):,.1f}" if unit.startswith(("per_", "hours_")) else f"{Decimal(value):,}"


def change_text(this: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> str:
    """Return the change of a figure from one week to the next: in points for shares, relative for what is counted."""
    if this is None or before is None or this["value"] is None or before["value"] is None:
        return "–"
    new, old = Decimal(this["value"]), Decimal(before["value"])
    if this["unit"] == "ratio":
        return f"{(new - old) * 100:+.1f} pp"
    return f"{new - old:+,.0f}" if old == 0 else f"{(new - old) / abs(old) * 100:+.1f} %"


def blocks(pack: Mapping[str, Any], language: str) -> list[Block]:
    """Return the pack's blocks in ``zh`` or ``en``; ``pack`` is what ``usecases.review_packs`` gathers."""

    def said(name: str) -> str:
        return word(name, language)

    found: list[Block] = []
    if not pack["final"]:
        found.append(Words(said("draft")))
    found += [Heading(said("targets")), _targets(pack["scoreboard"], language)]
    found += [Heading(said("changes")), _changes(pack["figures"], language)]
    for name, chart in pack["charts"].items():
        title = said(name.partition(":")[0]) + (f" ({name.partition(':')[2]})" if ":" in name else "")
        found.append(Bars(title, tuple(chart["labels"]), tuple(chart["values"])))
    found += [Heading(said("agencies")), _agencies(pack["agencies"], language)]
    found += [Heading(said("rules")), _rules(pack["rules"], language)]
    found.append(Heading(said("strategies")))
    if pack["strategies"]:
        found.append(_strategies(pack["strategies"], language))
    else:
        found.append(Words(said("no_strategies")))
    found += [Heading(said("duties")), _duties(pack["duties"], language)]
    for name in ("feedback", "risks", "complaints"):
        found += [Heading(said(name)), _streams(pack[name], language)]
    return found


def _targets(lines: Sequence[Mapping[str, Any]], language: str) -> Table:
    rows = []
    for line in lines:
        figure, shown = line["figure"], "–"
        if line["change"] is not None:
            shown = f"{Decimal(line['change'][0]) * 100:+.1f} % ({Decimal(line['change'][1]) * 100:+.1f}, {Decimal(line['change'][2]) * 100:+.1f})"
        elif figure is not None:
            ends = (
                ""
                if figure["interval"] is None
                else " ({}, {})".format(*(value_text(e, "ratio") for e in figure["interval"]))
            )
            shown = (
                f"{value_text(figure['value'], figure['unit'])}{ends}  {figure['numerator']}/{figure['denominator']}"
            )
        sign = {"at_least": "≥", "at_most": "≤", "every": "=", "rise": "+", "mean": "≥"}[line["sense"]]
        is_mean = line["sense"] == "mean"
        bound = f"{sign} {line['bound']}" if is_mean else f"{sign} {Decimal(line['bound']) * 100:.0f} %"
        rows.append((line["name"][language], bound, shown, word(line["state"], language)))
    return Table(tuple(word(name, language) for name in ("figure", "target", "value", "state")), tuple(rows))


def _strategies(lifts: Sequence[Mapping[str, Any]], language: str) -> Table:
    rows = []
    for each in lifts:
        lift = "–"
        if each["value"] is not None:
            value, low, high = (f"{Decimal(each[name]) * 100:+.1f}" for name in ("value", "low", "high"))
            lift = f"{value} % ({low}, {high})"
        measured = f"{each['n']:,} / {each['planned']:,}"
        answer, goal = word(each["answer"], language), word(f"goal_{each['goal']}", language)
        rows.append((each["strategy"], each["metric"], answer, lift, goal, measured))
    names = ("strategy", "metric", "answer", "lift", "goal", "measured")
    return Table(tuple(word(name, language) for name in names), tuple(rows))


def _changes(figures: Sequence[Mapping[str, Any]], language: str) -> Table:
    rows = tuple(
        (
            each["name"][language] + ("" if each["key"] is None else f" · {each['key']}"),
            value_text(each["this"]["value"] if each["this"] else None, each["unit"]),
            value_text(each["before"]["value"] if each["before"] else None, each["unit"]),
            change_text(each["this"], each["before"]),
        )
        for each in figures
    )
    return Table(tuple(word(name, language) for name in ("figure", "this", "before", "change")), rows)


def _agencies(agencies: Sequence[Mapping[str, Any]], language: str) -> Table | Words:
    if not agencies:
        return Words(word("none", language))
    names = agencies[0]["figures"]
    header = (word("agency", language), *(each["name"][language] for each in names))
    rows = tuple(
        (agency["agency"], *(value_text(each["value"], each["unit"]) for each in agency["figures"]))
        for agency in agencies
    )
    return Table(header, rows)


def _rules(rules: Sequence[Mapping[str, Any]], language: str) -> Table | Words:
    if not rules:
        return Words(word("none", language))
    header = tuple(word(name, language) for name in ("rule", "denied", "deferred", "reviewed"))
    return Table(
        header, tuple((each["rule"], *(str(each[n]) for n in ("denied", "deferred", "reviewed"))) for each in rules)
    )


def _duties(duties: Mapping[str, Any], language: str) -> Table | Words:
    if not duties["items"]:
        return Words(word("none", language))
    header = tuple(word(name, language) for name in ("duty", "due", "owner", "stream"))
    rows = [(each["kind"], each["due_at"], each["owner"], each["about"]) for each in duties["items"]]
    if duties["more"]:
        rows.append((word("more", language), "", "", str(duties["more"])))
    return Table(header, tuple(rows))


def _streams(listed: Mapping[str, Any], language: str) -> Table | Words:
    if not listed["items"]:
        return Words(word("none", language))
    rows = [(each,) for each in listed["items"]]
    if listed["more"]:
        rows.append((f"{word('more', language)} {listed['more']}",))
    return Table((word("stream", language),), tuple(rows))


def title_of(pack: Mapping[str, Any], language: str) -> str:
    """Return the pack's title: lender, week and its days."""
    return f"{word('title', language)} · {pack['lender']} · {pack['week']} ({pack['from']} – {pack['to']})"


def page(pack: Mapping[str, Any], language: str) -> str:
    """Return the pack as one HTML page that loads nothing and runs nothing; its charts are drawn in it."""
    lines = []
    for block in blocks(pack, language):
        match block:
            case Heading():
                lines.append(f"<h2>{text(block.text)}</h2>")
            case Words():
                lines.append(f"<p>{text(block.text)}</p>")
            case Table():
                head = "".join(f"<th>{text(cell)}</th>" for cell in block.header)
                rows = "".join(
                    "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in block.rows
                )
                lines.append(f'<table border="1" cellpadding="4" cellspacing="0"><tr>{head}</tr>{rows}</table>')
            case Bars():
                lines.append(_svg(block))
    return html_page(title_of(pack, language), lines, language)


_BAR, _GAP, _HEIGHT = 48, 12, 120


def _svg(bars: Bars) -> str:
    most = max(bars.values, default=0) or 1
    width = len(bars.values) * (_BAR + _GAP) + _GAP
    parts = []
    for place, (label, value) in enumerate(zip(bars.labels, bars.values, strict=True)):
        height = value * _HEIGHT // most
        left = _GAP + place * (_BAR + _GAP)
        middle = left + _BAR // 2
        parts.append(f'<rect x="{left}" y="{_HEIGHT + 20 - height}" width="{_BAR}" height="{height}" fill="#3b6ea5"/>')
        parts.append(
            f'<text x="{middle}" y="{_HEIGHT + 15 - height}" font-size="11" text-anchor="middle">{value:,}</text>'
        )
        parts.append(f'<text x="{middle}" y="{_HEIGHT + 36}" font-size="11" text-anchor="middle">{text(label)}</text>')
    drawn = "".join(parts)
    size = f'width="{width}" height="{_HEIGHT + 44}"'
    return f'<figure><figcaption>{text(bars.title)}</figcaption><svg xmlns="http://www.w3.org/2000/svg" {size}>{drawn}</svg></figure>'
