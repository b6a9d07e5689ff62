"""C2SP tlog-tiles: which files a log of a given size consists of, their names and their bytes.

A hash tile holds up to 256 hashes of one level: level 0 the leaf hashes, level L+1 the roots of full tiles of level L.
An entry bundle holds the entries under a level 0 tile. A tile or bundle that is not full carries its width in its name,
so nothing is ever overwritten by a longer one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chalicelib.domain.audit.merkle import HASH_BYTES, Frontier, perfect_root, perfect_subtrees

TILE_WIDTH = 256
TILE_HEIGHT = 8
MOST_ENTRY_BYTES = 65_535
"""The longest entry that a bundle can hold: its length stands before it in two bytes."""

ENTRIES = -1
"""The level under which ``Tile`` names entry bundles."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A hash tile, or an entry bundle when ``level`` is ``ENTRIES``; ``width`` is 256 for a full one, else 1 to 255."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Return the path below the log: ``tile/<L>/<N>[.p/<W>]`` or ``tile/entries/<N>[.p/<W>]``."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{index_path(self.index)}{partial}"

    @property
    def first_entry(self) -> int:
        """Return the number of the first entry that the tile covers."""
        return self.index << TILE_HEIGHT * (max(self.level, 0) + 1)


def index_path(index: int) -> str:
    """Return the tile number in three-digit groups, all but the last with an x: 1234067 is ``x001/x234/067``."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def tile_at(path: str) -> Tile | None:
    """Return the tile that a path below the log names, or None when the path is no tile's in its one valid spelling."""
    parts = path.split("/")
    if len(parts) < 3 or parts[0] != "tile":
        return None
    level = ENTRIES if parts[1] == "entries" else _number(parts[1])
    numbers, width = parts[2:], TILE_WIDTH
    if len(numbers) >= 2 and numbers[-2].endswith(".p"):
        width = _number(numbers[-1]) or 0
        numbers = [*numbers[:-2], numbers[-2].removesuffix(".p")]
    digits = "".join(group.removeprefix("x") for group in numbers)
    # A log of 2**63 entries has tile numbers of 17 digits: more is nobody's tile, and not worth converting.
    if level is None or level > 63 or not digits.isascii() or not digits.isdigit() or len(digits) > 21:
        return None
    tile = Tile(level, int(digits), width)
    return tile if 1 <= width <= TILE_WIDTH and tile.path == path else None


def tiles_between(old: int, new: int) -> list[Tile]:
    """Return the hash tiles that a log of ``new`` entries needs and one of ``old`` entries does not have, lowest first."""
    found: list[Tile] = []
    level = 0
    while new >> TILE_HEIGHT * level:
        before, after = old >> TILE_HEIGHT * level, new >> TILE_HEIGHT * level
        if after > before:
            found += _level_tiles(level, before, after)
        level += 1
    return found


def bundles_between(old: int, new: int) -> list[Tile]:
    """Return the entry bundles that a log of ``new`` entries needs and one of ``old`` entries does not have."""
    return _level_tiles(ENTRIES, old, new) if new > old else []


def edge_tiles(size: int) -> list[Tile]:
    """Return the partial hash tiles at the right edge of a log of this size, by level; a level without one is left out."""
    levels = range((size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT)
    return [
        Tile(level, count >> TILE_HEIGHT, count % TILE_WIDTH)
        for level in levels
        if (count := size >> TILE_HEIGHT * level) % TILE_WIDTH
    ]


def bundle(entries: Iterable[bytes]) -> bytes:
    """Return the bytes of an entry bundle. Raises ValueError for an entry longer than 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MOST_ENTRY_BYTES:
            raise ValueError(f"an entry of {len(entry)} bytes does not fit into a bundle")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def entries_of(raw: bytes) -> list[bytes]:
    """Return the entries of a bundle. Raises ValueError when it ends within one."""
    entries, place = [], 0
    while place < len(raw):
        start = place + 2
        place = start + int.from_bytes(raw[place:start], "big")
        if start > len(raw) or place > len(raw):
            raise ValueError("the bundle ends within an entry")
        entries.append(raw[start:place])
    return entries


def hashes_of(raw: bytes) -> list[bytes]:
    """Return the hashes of a tile. Raises ValueError when it ends within one."""
    if len(raw) % HASH_BYTES:
        raise ValueError("the tile ends within a hash")
    return [raw[place : place + HASH_BYTES] for place in range(0, len(raw), HASH_BYTES)]


class Edge:
    """The right edge of a log: the hashes of each level's unfinished tile. Appending yields the tiles that become due."""

    def __init__(self, size: int, rows: Sequence[Sequence[bytes]]) -> None:
        """Take the size and, by level from 0, the hashes of the partial tile. Raises ValueError when widths do not fit."""
        self.size = size
        self._rows = [list(row) for row in rows]
        for level, row in enumerate(self._rows):
            if len(row) != (size >> TILE_HEIGHT * level) % TILE_WIDTH:
                raise ValueError(f"level {level} of a log of {size} entries cannot have {len(row)} loose hashes")
        if size >> TILE_HEIGHT * len(self._rows):
            raise ValueError(f"a log of {size} entries has more than {len(self._rows)} levels")

    def append(self, leaves: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Append leaf hashes; return each tile of ``tiles_between`` the sizes before and after, with its bytes."""
        before, self.size = self.size, self.size + len(leaves)
        finished: dict[Tile, bytes] = {}
        rising, level = list(leaves), 0
        while rising or level < len(self._rows):
            if level == len(self._rows):
                self._rows.append([])
            row = self._rows[level] + rising
            index = (before >> TILE_HEIGHT * level) // TILE_WIDTH
            rising = []
            while len(row) >= TILE_WIDTH:
                full, row = row[:TILE_WIDTH], row[TILE_WIDTH:]
                finished[Tile(level, index)] = b"".join(full)
                rising.append(perfect_root(full))
                index += 1
            if row:
                finished[Tile(level, index, len(row))] = b"".join(row)
            self._rows[level] = row
            level += 1
        return [(tile, finished[tile]) for tile in tiles_between(before, self.size)]

    def frontier(self) -> Frontier:
        """Return the frontier of the whole log."""
        hashes: list[bytes] = []
        for row in reversed(self._rows):
            for height, index in perfect_subtrees(0, len(row)):
                hashes.append(perfect_root(row[index << height : (index + 1) << height]))
        return Frontier(self.size, tuple(hashes))


class TileReader:
    """Reads roots of perfect subtrees out of a log's tiles; fetches each tile at most once."""

    def __init__(self, size: int, fetch: Callable[[Tile], bytes]) -> None:
        """Take the log's size and what fetches a tile's bytes."""
        self._size = size
        self._fetch = fetch
        self._known: dict[Tile, list[bytes]] = {}

    def __call__(self, height: int, index: int) -> bytes:
        """Return the root of the perfect subtree (see ``merkle.ReadSubtree``). Raises ValueError for a wrong tile."""
        level, within = divmod(height, TILE_HEIGHT)
        first = index << within
        number, place = divmod(first, TILE_WIDTH)
        count = self._size >> TILE_HEIGHT * level
        tile = Tile(level, number, min(TILE_WIDTH, count - number * TILE_WIDTH))
        if tile not in self._known:
            hashes = hashes_of(self._fetch(tile))
            if len(hashes) != tile.width:
                raise ValueError(f"{tile.path} holds {len(hashes)} hashes")
            self._known[tile] = hashes
        return perfect_root(self._known[tile][place : place + (1 << within)])


def _level_tiles(level: int, before: int, after: int) -> list[Tile]:
    full = [Tile(level, index) for index in range(before // TILE_WIDTH, after // TILE_WIDTH)]
    width = after % TILE_WIDTH
    return [*full, Tile(level, after // TILE_WIDTH, width)] if width else full


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 3 and str(int(text)) == text else None
