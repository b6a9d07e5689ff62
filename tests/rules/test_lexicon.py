"""The word lists on texts of their own: nothing lawful is held up, nothing of the forbidden gets through in disguise."""

import copy
import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.compliance import PackSet, gates, load_packs, rule
from chalicelib.domain.compliance.case import Case
from chalicelib.domain.compliance.lexicon import Lexicon
from chalicelib.domain.compliance.packs import COMPILED
from chalicelib.domain.compliance.scene import Answer, Finding, Scene
from chalicelib.domain.compliance.timeline import NEVER, day_of, instant_of, zone
from scripts import lexicons
from tests.rules.casebook import dossier_of

HERE = Path(__file__).parent
LISTS = {
    "impersonation": "CN-BAN-1", "threat": "CN-BAN-2", "publicity": "CN-BAN-3", "falsehood": "CN-BAN-4",
    "process": "CN-BAN-5", "lawyer": "CN-BAN-5", "charges": "CN-BAN-6", "private_line": "CN-BAN-8",
    "diversion": "CN-BAN-9", "vehicle": "CN-BAN-11", "assembly": "CN-BAN-12", "illegal": "CN-BAN-13",
    "marketing": "CN-BAN-14", "pressure": "CN-BAN-15", "as_lawyer": "CN-BAN-1",
}  # fmt: skip


def _lines(name: str) -> list[str]:
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


LAWFUL = _lines("lexicon_lawful.txt")
EVASIONS = [tuple(line.split("\t")) for line in _lines("lexicon_evasions.tsv")]


@pytest.fixture(scope="module")
def packs() -> PackSet:
    return load_packs()


@pytest.fixture(scope="module")
def china(packs: PackSet) -> Lexicon:
    return packs.pack("CN").lexicon


def fired(text: str, packs: PackSet, *, base: str = "cn.sms", at: str = "2026-06-10T02:00:00Z") -> dict[str, Any]:
    vector = {"rule": "lexicon", "base": base, "at": at, "set": {"act.content.text": text}}
    return {each["id"]: each for each in rule(dossier_of(vector), packs)["rules"]}


# Both sides of every category


def test_no_lawful_text_is_held_up(packs: PackSet) -> None:
    held = {text: {name: each["observed"] for name, each in fired(text, packs).items()} for text in LAWFUL}
    assert {text: rules for text, rules in held.items() if any(name.startswith("CN-BAN") for name in rules)} == {}


def caught(category: str, text: str, packs: PackSet) -> bool:
    if category == "debt":
        rule_id, base = "CN-PARTY-3", "cn.sms.ec1"
    else:
        rule_id, base = LISTS[category], "cn.sms"
    return fired(text, packs, base=base).get(rule_id, {"effect": None})["effect"] == "deny"


def test_every_forbidden_text_is_caught_in_its_category(packs: PackSet) -> None:
    assert [(category, text) for category, text in EVASIONS if not caught(category, text, packs)] == []


def test_the_corpus_is_large_enough_and_covers_each_category(china: Lexicon) -> None:
    assert len(LAWFUL) >= 60 and len(EVASIONS) >= 120
    assert {category for category, _ in EVASIONS} == china.names == {*LISTS, "debt"}
    assert min(Counter(category for category, _ in EVASIONS).values()) >= 6
    headed = {line[2:] for line in (HERE / "lexicon_lawful.txt").read_text().splitlines() if line.startswith("# ")}
    assert {name.replace("_", " ") for name in LISTS} <= headed


def test_precision_and_recall_are_told(packs: PackSet, record_property: Any) -> None:
    wrong = sum(any(name.startswith("CN-BAN") for name in fired(text, packs)) for text in LAWFUL)
    right = sum(caught(category, text, packs) for category, text in EVASIONS)
    record_property("precision", right / (right + wrong))
    record_property("recall", right / len(EVASIONS))
    assert (wrong, right) == (0, len(EVASIONS))


# What a ruling says


def test_a_ruling_names_category_word_and_place_and_not_the_message(packs: PackSet) -> None:
    text = "王*您好，随时 t u o 車 到您家"
    found = fired(text, packs)["CN-BAN-11"]
    assert found["observed"] == ["vehicle: 拖车 at 8"]
    assert found["because"] == "vehicle: 拖车 at 8"
    assert text.index("t") == 8
    assert "您好" not in json.dumps(found, ensure_ascii=False)


def test_a_lawful_phrase_excuses_what_lies_in_it_and_nothing_beside_it(china: Lexicon) -> None:
    assert china.hits("diversion", "请勿向个人账户转账。") == ()
    (hit,) = china.hits("diversion", "请勿向个人账户转账。请转个人账户。")
    assert (hit.word, hit.at) == ("个人账户", 12)
    (hit,) = china.hits("diversion", "请勿向个人账户转账，转给我。")
    assert hit.word == "转给我"


def test_a_name_in_latin_letters_is_no_spelt_out_word(china: Lexicon) -> None:
    assert china.scan("Dear Pan Xing, Tong Ji University and Bao Guang write to you.")[1] == {}


def test_short_words_of_letters_are_whole_words(china: Lexicon) -> None:
    assert china.hits("private_line", "请联系QQ") != () and china.hits("private_line", "acqqd 编号") == ()
    assert china.hits("threat", "usb接口") == ()
    assert china.hits("debt", "He owes us money") != () and china.hits("debt", "however, the tower") == ()


@pytest.mark.parametrize("text", ["拖車", "托 车", "tuo-che 吧", "ｔｕｏ车", "тuo车", "🅣🅤🅞 🚗", "tuō​chē"])
def test_where_a_word_was_found_is_a_place_in_the_text(text: str, china: Lexicon) -> None:
    (hit,) = china.hits("vehicle", f"您好。{text}")
    assert (hit.word, hit.at) == ("拖车", 3)


# Where letters, characters and words begin and end

LISTS_OF_ITS_OWN: dict[str, Any] = {
    "lists": {
        "words": {
            "words": [
                {"word": "owe"}, {"word": "owed"}, {"word": "a款"}, {"word": "q号"},
                {"word": "他妈", "sounds": ["ta", "ma"]},
                {"word": "拖车走", "sounds": ["tuo", "che", "zou"], "alike": True},
                {"word": "甲乙丙丁", "sounds": ["jia", "yi", "bing", "ding"]},
                {"word": "加v", "sounds": ["jia", "v"]}, {"word": "女人", "sounds": ["nv", "ren"]},
                {"word": "好好"},
            ],
            "lawful": ["您说好好", "好好好", "拖车走吗", "请他妈"],
        },
    },
    "simple": ("車", "车"),
    "signs": {},
    "sounds": {
        "ta": "他她", "ma": "妈马", "tuo": "拖脱", "che": "车", "zou": "走奏", "jia": "甲加", "yi": "乙", "bing": "丙",
        "ding": "丁", "v": "v", "nv": "女", "ren": "人",
    },
}  # fmt: skip


def seen_in(text: str) -> list[tuple[str, int, str]]:
    return [(hit.word, hit.at, hit.way) for hit in Lexicon(LISTS_OF_ITS_OWN).hits("words", text)]


@pytest.mark.parametrize(
    ("first", "last", "after"),
    [
        (0x1F130, 0x1F149, "hv"),
        (0x1F150, 0x1F169, "mc"),
        (0x1F170, 0x1F189, ""),
        (0x1F1E6, 0x1F1FF, "ほか"),
    ],
)
def test_letters_in_boxes_and_circles_are_letters_from_the_first_to_the_last(first: int, last: int, after: str) -> None:
    fold = Lexicon(LISTS_OF_ITS_OWN).fold
    assert [fold(chr(code)).text for code in range(first, last + 1)] == [
        chr(code) for code in range(ord("a"), ord("z") + 1)
    ]
    assert fold(chr(last + 1)).text == after and len(fold(chr(first - 1)).text) != 1


@pytest.mark.parametrize("sign", ["\u3400", "\u9fff", "\u3007", "字"])
def test_spelt_words_are_heard_beside_any_chinese_character(sign: str) -> None:
    assert seen_in(f"{sign} ta ma") == [("他妈", 2, "sound")]


@pytest.mark.parametrize("sign", ["\ua000", "が", "й", "ꥠ", "x", "!", "\x7f", "ß"])
def test_spelt_words_are_not_heard_beside_anything_else(sign: str) -> None:
    assert seen_in(f"{sign} ta ma") == []


@pytest.mark.parametrize("text", ["tā ma", "ta mǎ x", "ta\u0304 ma", "ta ma\u030c.", "Tá mǎ"])
def test_accents_say_that_words_are_spelt_out(text: str) -> None:
    assert [word for word, _, _ in seen_in(text)] == ["他妈"]
    assert Lexicon(LISTS_OF_ITS_OWN).fold(text).tones
    assert not Lexicon(LISTS_OF_ITS_OWN).fold("ta ma ｔａ ⓣ").tones


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("他妈", [("他妈", 0, "word")]),
        ("她马", []),
        ("请他妈", []),
        ("tama 中 x", [("他妈", 0, "sound")]),
        ("x tama x 中", [("他妈", 2, "sound")]),
        ("中 xtama", []),
        ("中 xtama x", []),
        ("中 tamax", []),
        ("中 atama", []),
        ("中 ztama", []),
        ("中 tamaa", []),
        ("中 tamaz", []),
        ("中 x9tama", [("他妈", 4, "sound")]),
        ("中 tama9x", [("他妈", 2, "sound")]),
        ("中 x他ma", [("他妈", 3, "sound")]),
        ("中 ta妈xx", [("他妈", 2, "sound")]),
        ("中 xta妈", []),
        ("中 他max", []),
        ("中tama", [("他妈", 1, "sound")]),
        ("tama中", [("他妈", 0, "sound")]),
        ("脱车奏", [("拖车走", 0, "sound")]),
        ("拖車走", [("拖车走", 0, "word")]),
        ("拖车走吗", []),
        ("脱车", []),
        ("中 xtuochezoux", [("拖车走", 3, "sound")]),
        ("中 xtuoche走", []),
        ("中 tuoche走", [("拖车走", 2, "sound")]),
        ("中 tu0che走", [("拖车走", 2, "sound")]),
        ("中 jia yi bing ding", [("甲乙丙丁", 2, "sound")]),
        ("中 jia yi bing che", []),
        ("中 jia yi bing", []),
        ("中 jia yi ding", []),
        ("中 jia v", [("加v", 2, "sound")]),
        ("中 jia u", []),
        ("中 jia yu", []),
        ("中 nv ren", [("女人", 2, "sound")]),
        ("中 nu ren", [("女人", 2, "sound")]),
        ("中 nyu ren", [("女人", 2, "sound")]),
        ("ta ma", []),
    ],
)
def test_a_word_is_heard_where_its_sounds_are_meant(text: str, hits: list[tuple[str, int, str]]) -> None:
    assert seen_in(text) == hits


def test_many_letters_are_heard_in_the_middle_of_a_run() -> None:
    data = copy.deepcopy(LISTS_OF_ITS_OWN)
    data["lists"]["words"]["words"] = [
        {"word": "拖车", "sounds": ["tuo", "che"]},
        {"word": "他车", "sounds": ["ta", "che"]},
    ]
    found = {text: [hit.word for hit in Lexicon(data).hits("words", text)] for text in ("中 xtuochex", "中 xtachex")}
    assert found == {"中 xtuochex": ["拖车"], "中 xtachex": []}


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("owe", ["owe"]),
        ("owe x", ["owe"]),
        ("x owe", ["owe"]),
        ("aowe", []),
        ("zowe", []),
        ("owea", []),
        ("owez", []),
        ("x9owe", ["owe"]),
        ("owe9", ["owe"]),
        ("x9owedx", ["owed"]),
        ("xowed", []),
        ("xowe 9", []),
        ("xa款", []),
        ("x a款x", ["a款"]),
        ("q号x", ["q号"]),
        ("xq号", []),
        ("好好", ["好好"]),
        ("您说好好好", []),
        ("您说好好，您好好", ["好好"]),
        ("不好好好", []),
        ("您说好好。x好好", ["好好"]),
        ("您说好，好", []),
        ("好好不", ["好好"]),
    ],
)
def test_a_word_stands_where_it_is_whole_and_not_part_of_what_is_lawful(text: str, hits: list[str]) -> None:
    assert [word for word, _, _ in seen_in(text)] == hits


def test_a_word_is_looked_for_inside_itself() -> None:
    data = copy.deepcopy(LISTS_OF_ITS_OWN)
    data["lists"]["words"]["lawful"] = ["前好好"]
    assert [hit.at for hit in Lexicon(data).hits("words", "前好好好")] == [2]
    data["lists"]["words"]["lawful"] = ["好好"]
    assert Lexicon(data).hits("words", "好好好") == ()


def test_a_lawful_phrase_excuses_no_word_that_begins_before_it() -> None:
    data = copy.deepcopy(LISTS_OF_ITS_OWN)
    data["lists"]["words"]["lawful"] = ["车走吗"]
    assert [hit.at for hit in Lexicon(data).hits("words", "拖车走吗")] == [0]


# Days


def dated(**days: int) -> Lexicon:
    words = [{"word": "拖车", "sounds": ["tuo", "che"], **days}]
    lists = {"lists": {"vehicle": {"words": words, "lawful": []}}, "signs": {}}
    return Lexicon(lexicons.compiled(lists))


def test_a_word_is_forbidden_from_its_first_day_to_its_last(packs: PackSet, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = day_of("2026-05-27"), day_of("2026-05-28")
    monkeypatch.setattr(packs.pack("CN"), "lexicon", dated(first=first, last=last))
    monkeypatch.setattr(packs, "programs", {})
    fires = {
        at: fired("随时拖车", packs, at=at).get("CN-BAN-11", {}).get("until")
        for at in ("2026-05-26T02:00:00Z", "2026-05-27T02:00:00Z", "2026-05-28T02:00:00Z", "2026-05-29T02:00:00Z")
    }
    # Shanghai is eight hours ahead of UTC, so its 28th of May ends at 16:00 there.
    assert list(fires.values()) == [None, "2026-05-28T16:00:00Z", "2026-05-28T16:00:00Z", None]


def test_before_its_first_day_a_word_is_quiet_until_that_days_midnight(packs: PackSet) -> None:
    vector = {"rule": "lexicon", "base": "cn.sms", "at": "2026-05-26T02:00:00Z", "set": {"act.content.text": "拖车"}}
    shanghai, first = (zone("Asia/Shanghai"),), day_of("2026-05-27")
    scene = Scene(Case(dossier_of(vector)), shanghai, {}, dated(first=first))
    midnight = instant_of("2026-05-26T16:00:00Z")
    assert scene.words("vehicle", midnight - 1) == ((), 0, midnight)
    assert scene.words("vehicle", midnight).seen == ("vehicle: 拖车 at 0",)


def test_only_words_have_an_end() -> None:
    """A word is forbidden until its last day is over; a claim beside it, a pattern or an exposure is so for ever."""
    shanghai, last = (zone("Asia/Shanghai"),), day_of("2026-06-10")
    params = {"lexicon": "vehicle", "claims": ["arrest"], "exposures": ["public"], "patterns": ["车辆"]}
    check = gates.words(params)

    def answer(**content: Any) -> Answer:
        vector = {"rule": "lexicon", "base": "cn.sms", "at": "2026-06-10T02:00:00Z"}
        dossier = dossier_of({**vector, "set": {f"act.content.{key}": value for key, value in content.items()}})
        case = Case(dossier)
        return check(Scene(case, shanghai, {}, dated(last=last)), case.at)

    ends = {}
    for what in ({}, {"claims": ["arrest"]}, {"exposure": "public"}, {"claims": ["arrest"], "exposure": "public"}):
        found = answer(text="随时拖车", **what)
        assert isinstance(found, Finding)
        ends[found.because] = found.until
    assert ends == {
        "vehicle: 拖车 at 2": instant_of("2026-06-10T16:00:00Z"),
        "arrest, vehicle: 拖车 at 2": NEVER,
        "exposure public, vehicle: 拖车 at 2": NEVER,
        "arrest, exposure public, vehicle: 拖车 at 2": NEVER,
    }
    found = answer(text="拖车 车 辆")
    assert isinstance(found, Finding) and (found.because, found.until) == (
        "a forbidden pattern, vehicle: 拖车 at 0",
        NEVER,
    )
    assert answer(text="您好", exposure="envelope_reveals") == NEVER


# What is compiled is what the libraries say, and all that is needed


def test_the_service_needs_no_dictionary_at_run_time() -> None:
    source = (Path(lexicons.__file__).parents[1] / "chalicelib/domain/compliance/lexicon.py").read_text()
    assert "import opencc" not in source and "import pypinyin" not in source
    data = json.loads((COMPILED / "cn.json").read_text())["lexicon"]
    assert data.keys() == {"lists", "signs", "simple", "sounds"}
    assert len(data["simple"][0]) == len(data["simple"][1]) > 200
    assert "车" in data["sounds"]["che"] and "車" in data["sounds"]["che"]


def test_every_word_is_found_as_it_stands_and_in_traditional_characters(china: Lexicon) -> None:
    from opencc import OpenCC

    data = json.loads((COMPILED / "cn.json").read_text())["lexicon"]
    traditional = OpenCC("s2t").convert
    for name, each in data["lists"].items():
        for entry in each["words"]:
            for text in (entry["word"], traditional(entry["word"]), " ".join(entry["word"])):
                assert entry["word"] in {hit.word for hit in china.hits(name, f"：{text}。")}, (name, entry["word"])


def test_every_word_of_two_sounds_is_found_half_spelt(china: Lexicon) -> None:
    data = json.loads((COMPILED / "cn.json").read_text())["lexicon"]
    for name, each in data["lists"].items():
        for entry in each["words"]:
            if "sounds" in entry and "\u4e00" <= entry["word"][-1] <= "\u9fff":
                spelt = entry["sounds"][-1]
                text = f"的 {entry['word'][:-1]} {spelt}"
                assert entry["word"] in {hit.word for hit in china.hits(name, text)}, (name, entry["word"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"words": []}, "no word"),
        ({"words": ["拖车", "拖车"]}, "one twice"),
        ({"words": ["拖车", "拖 车"]}, "when folded"),
        ({"words": ["！！"]}, "when folded"),
        ({"alike": ["收车"]}, "no words of it"),
        ({"weight": 3}, "keys are"),
    ],
)
def test_a_malformed_list_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    table = {"list": "vehicle", "rule": "CN-BAN-11", "source": "x", "checked": "x", "words": ["拖车"], **change}
    path = tmp_path / "lexicon.toml"
    path.write_text(
        "[[category]]\n" + "".join(f"{k} = {json.dumps(v, ensure_ascii=False)}\n" for k, v in table.items())
    )
    with pytest.raises(lexicons.Malformed, match=says):
        lexicons.compiled(lexicons.authored(path))


def test_folding_keeps_what_unicode_calls_the_same_the_same(china: Lexicon) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        text = unicodedata.normalize(form, "Tuō chē ｔｕｏ拖車㊙")
        assert china.fold(text).text == china.fold("Tuō chē ｔｕｏ拖車㊙").text
