"""What a person who writes back wants, as far as words alone can tell.

A stop must not be missed, so it is looked for first and in many words; yet a message that merely holds the letters of
a keyword ("I will stop by the bank") is none. What no table knows is None and is read by people.
"""

import re
import unicodedata
from enum import StrEnum


class Intent(StrEnum):
    """What an inbound message asks for, in the order in which it is looked for."""

    STOP = "stop"
    COMPLAINT = "complaint"
    DISPUTE = "dispute"
    PAID = "paid"
    HELP = "help"


STOP_WORDS = frozenset(
    {
        # 47 CFR 64.1200(a)(10) names the first seven; carriers' filters know the rest.
        "stop", "quit", "end", "revoke", "opt out", "cancel", "unsubscribe",
        "stopall", "stop all", "optout", "opt-out", "arret", "arrêt", "alto", "baja", "remove",
        "t", "td", "退订", "退訂", "停止", "取消", "取消订阅", "取消訂閱", "拒收", "勿扰", "勿擾", "别发了", "別發了",
        "不要", "不要了", "停", "滚", "滾",
    }
)  # fmt: skip
"""Whole messages that are a stop (after normalisation)."""

_STOP_HEADS = frozenset(
    {"stop", "stopall", "unsubscribe", "quit", "end", "cancel", "revoke", "optout", "opt-out", "td"}
)
_STOP_TAILS = frozenset(
    {
        "please", "pls", "plz", "now", "it", "this", "that", "these", "all", "any", "sending", "send",
        "texting", "texts", "text", "messaging", "messages", "message", "sms", "emails", "email", "e-mails",
        "mail", "calling", "calls", "contacting", "contact", "me", "us", "at", "to", "my", "number", "phone",
        "thanks", "thank", "you", "immediately", "today", "right", "away", "already", "bothering", "consent",
    }
)  # fmt: skip

_STOP_PHRASES = re.compile(
    r"""
      \bstop\ (?:all\ |any\ |the\ |these\ |your\ |sending\ (?:me\ )?)*
        (?:text|message|messaging|sms|email|e-mail|mail|call|contact|bother|harass|writ|send)
    | \b(?:do\ not|don't|dont|never|no\ longer)\ (?:ever\ )?(?:text|message|email|e-mail|call|contact|write|send|bother|disturb)
    | \b(?:no\ more|enough\ of\ (?:these|your)|cease)\ (?:texts|messages|sms|emails|e-mails|calls|contact|all\ contact|and\ desist|communication)
    | \bcease\ and\ desist\b | \bleave\ me\ alone\b | \bunsubscribe\b | \bopt(?:\ me)?[\ -]?out\b
    | \b(?:remove|take)\ (?:me|my\ (?:number|email|e-mail))\ (?:from|off)\b | \btake\ me\ off\b
    | \b(?:revoke|withdraw)\ (?:my\ |all\ )?(?:consent|permission)\b | \bwrong\ number\b
    """,
    re.VERBOSE,
)

_STOP_PHRASES_ZH = re.compile(
    r"退订|退訂|取消订阅|取消訂閱|拒收"
    r"|停止(?:发|發|发送|發送|联系|聯繫|短信|简讯|骚扰|騷擾|打扰|推送|打|拨打|致电|催)"
    r"|(?:不要|别|別|不许|不准|请勿|請勿|勿|莫)(?:再|老|总|一直)?(?:给我|給我|跟我|和我|向我)?(?:发|發|联系|聯繫|打|拨|骚扰|騷擾|打扰|打擾|烦|煩|催|来短信|来电)"
    r"|(?:以后|今后)(?:不要|别|別)"
    r"|不(?:想|希望|愿意?)(?:再)?(?:收到|接到|被联系|被打扰)"
)
_COMPLAINT = re.compile(
    r"""
      \bcomplain(?:t|ts|ing|ed)?\b | \bcfpb\b | \battorney\ general\b | \bharass(?:ment|ing|ed|es)?\b | \bombudsman\b
    | \bsue\ you\b | \bmy\ (?:lawyer|attorney)\b | \bbbb\b | \bfdcpa\b | \babusive\b
    """,
    re.VERBOSE,
)
# The hotlines' numbers stand alone: a telephone number or an amount may have their digits inside.
_COMPLAINT_ZH = re.compile(
    r"投诉|投訴|举报|舉報|信访|(?<![0-9])(?:12378|12321|12315|12345)(?![0-9])|金融监管|银保监|曝光|骚扰|騷擾|暴力催收|维权|律师"
)

_DISPUTE = re.compile(
    r"""
      \bdisput(?:e|es|ed|ing)\b | \b(?:not|isn't|isnt|never\ was)\ (?:my|mine)\b
    | \b(?:do\ not|don't|dont|never)\ owe\b | \bwrong\ (?:amount|person|balance)\b
    | \b(?:amount|balance)\ is\ (?:wrong|incorrect|not\ right)\b
    | \bidentity\ theft\b | \bstolen\ identity\b | \bfraud(?:ulent)?\b
    | \b(?:who\ is\ this|validate|verification|validation|prove\ it)\b | \boriginal\ creditor\b
    """,
    re.VERBOSE,
)
_DISPUTE_ZH = re.compile(
    r"异议|異議|有争议|不是(?:我|本人)|非本人|(?:金额|余额|数目|账)(?:有误|不对|不符|有问题|错)"
    r"|(?:没有?|从未|没)(?:借|贷|办)(?:过|款)|不欠|冒名|冒用|盗用|被盗|不认识(?:你们|这)|打错|发错|找错|认错人"
)

_PAID = re.compile(
    r"""
      ^paid(?:\ (?:it|already|today|yesterday|off|in\ full))*$
    | \b(?:i|i've|ive|we|we've|have|has|already|just|was|been|is|it's|its)\ (?:already\ |just\ |been\ )*paid\b
    | \bpayment\ (?:was\ |has\ been\ |is\ )?(?:made|sent|done|completed)\b | \bpaid\ (?:off|in\ full)\b
    """,
    re.VERBOSE,
)
_NOT_PAID = re.compile(
    r"\b(?:not|n't|never|haven't|havent|hasn't|didn't|can't|cannot|won't|will|when|until|once|if|to\ be|get|gets|getting)"
    r"\ (?:\w+\ ){0,3}paid\b|\bunpaid\b"
)
_PAID_ZH = re.compile(
    r"(?:已|已经|刚|刚刚|刚才|昨天|今天|早就|都)(?:还|還|付|缴|结清|清|打款|转账|转过去|存进去)"
    r"|还清(?:了|啦)?$|(?:还|還|付|缴|交)(?:过)?(?:款|钱)?了|结清了"
)
_NOT_PAID_ZH = re.compile(
    r"(?:没|沒|未|不|没法|无法|无力|怎么|等|再|如果|要是)(?:有|能|会|想|是|已经)?(?:还|還|付|缴|交|结)|停止还|还不了|还不起|还没|(?:还|付)[^,，。]{0,4}吗"
)

_MOST = 4000
"""How many characters of a message are looked at."""

_HELP_WORDS = frozenset({"help", "info", "?", "帮助", "幫助", "人工", "客服", "h", "bz"})
_HELP = re.compile(
    r"\bhardship\b|\blost\ my\ job\b|\bcan(?:'t|not)\ (?:pay|afford)\b|\bpayment\ plan\b|\bneed\ help\b|\bhelp\ me\b"
    r"|\bunemployed\b|\bin\ (?:the\ )?hospital\b|\bcall\ me\ back\b"
)
_HELP_ZH = re.compile(
    r"困难|困難|失业|失業|下岗|生病|住院|分期|延期|缓一缓|宽限|减免|协商|没钱|还不起|还不上|转人工|人工客服|怎么还|如何还"
)


def intent_of(text: str) -> Intent | None:
    """Return what the message asks for, or None when no table knows it.

    Full-width letters, case, punctuation and spaced-out letters make no difference.

    >>> intent_of("Ｓ Ｔ Ｏ Ｐ！"), intent_of("I will stop by the bank"), intent_of("退 订")
    (<Intent.STOP: 'stop'>, None, <Intent.STOP: 'stop'>)
    """
    words = _normalised(text)
    if not words:
        return Intent.HELP if text.strip() and set(unicodedata.normalize("NFKC", text).strip()) <= {"?"} else None
    joined = words.replace(" ", "")
    if _is_stop(words, joined):
        return Intent.STOP
    if _COMPLAINT.search(words) or _COMPLAINT_ZH.search(joined):
        return Intent.COMPLAINT
    if _DISPUTE.search(words) or _DISPUTE_ZH.search(joined):
        return Intent.DISPUTE
    if (_PAID.search(words) and not _NOT_PAID.search(words)) or (
        _PAID_ZH.search(joined) and not _NOT_PAID_ZH.search(joined)
    ):
        return Intent.PAID
    if words in _HELP_WORDS or joined in _HELP_WORDS or _HELP.search(words) or _HELP_ZH.search(joined):
        return Intent.HELP
    return None


def _is_stop(words: str, joined: str) -> bool:
    if words in STOP_WORDS or joined in STOP_WORDS:
        return True
    head, *tail = words.split(" ")
    if head in _STOP_HEADS and all(word in _STOP_TAILS for word in tail):
        return True
    return bool(_STOP_PHRASES.search(words)) or bool(_STOP_PHRASES_ZH.search(joined))


def _normalised(text: str) -> str:
    """Return the words in lower case, one space between them; punctuation gone, letters that were spaced out joined."""
    head = text[:_MOST] if len(text) <= _MOST else text[:_MOST].rpartition(" ")[0] or text[:_MOST]
    plain = unicodedata.normalize("NFKC", head).casefold().replace("\u2019", "'")
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zs", "Zl", "Zp") else c for c in plain)
    kept = re.sub(r"[^\w'\- ]", " ", plain)
    tokens = [token.strip("'-_") for token in kept.split()]
    tokens = [token for token in tokens if token]
    if len(tokens) > 1 and all(len(token) == 1 and token.isascii() for token in tokens):
        return "".join(tokens)
    return " ".join(tokens)
