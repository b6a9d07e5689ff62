"""Packing: JSON made small for one item, by raw DEFLATE with a preset dictionary of the words that bodies and events hold.

A write costs by the kilobyte begun, and most of a small JSON body is names that every such body has. The dictionary is
part of the format: the first byte of what is packed names it, and its file is never altered. A second one is added
beside it, and what was packed with the first stays readable. It holds words only, nothing of anybody.
"""

import zlib
from functools import cache
from importlib import resources

_FORM = b"\x01"
"""Raw DEFLATE with ``packing_words.txt``."""


class NotPacked(ValueError):
    """The bytes are not of a form that this version knows."""


def pack(plain: bytes) -> bytes:
    """Return the bytes in their packed form.

    >>> unpack(pack(b"[]"))
    b'[]'
    """
    deflate = _primed().copy()
    return _FORM + deflate.compress(plain) + deflate.flush()


def unpack(packed: bytes) -> bytes:
    """Return the plain bytes. Raises NotPacked when they are not whole or of another form."""
    if packed[:1] != _FORM:
        raise NotPacked("of an unknown form")
    inflate = zlib.decompressobj(-15, zdict=_words())
    try:
        plain = inflate.decompress(packed[1:])
    except zlib.error as error:
        raise NotPacked("damaged") from error
    if not inflate.eof or inflate.unused_data:
        raise NotPacked("cut short, or longer than it says")
    return plain


@cache
def _primed() -> "zlib._Compress":
    # Reading the dictionary costs more than packing a body, so it is read once and its state copied.
    return zlib.compressobj(6, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, _words())


@cache
def _words() -> bytes:
    return resources.files("chalicelib.store").joinpath("packing_words.txt").read_bytes()
