"""How many parts a text message is carried in: 3GPP TS 23.038 alphabets, TS 23.040 concatenation."""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")
_GSM_ALONE, _GSM_EACH = 160, 153
_UCS2_ALONE, _UCS2_EACH = 70, 67


def is_gsm7(text: str) -> bool:
    """Tell whether every character is in the GSM 7-bit default alphabet or its extension table."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def sms_parts(text: str) -> int:
    """Return the number of parts, at least 1: 160 septets alone and 153 each when joined, or 70 and 67 UTF-16 units.

    A character of two septets or two units is never divided between parts.

    >>> sms_parts("a" * 160), sms_parts("a" * 161), sms_parts("还" * 70), sms_parts("还" * 71)
    (1, 2, 1, 2)
    """
    gsm = is_gsm7(text)
    sizes = [_size(character, gsm=gsm) for character in text]
    if sum(sizes) <= (_GSM_ALONE if gsm else _UCS2_ALONE):
        return 1
    room, parts = (_GSM_EACH if gsm else _UCS2_EACH), 1
    used = 0
    for size in sizes:
        if used + size > room:
            parts, used = parts + 1, 0
        used += size
    return parts


def _size(character: str, *, gsm: bool) -> int:
    if gsm:
        return 2 if character in _EXTENDED else 1
    return 2 if ord(character) > 0xFFFF else 1
