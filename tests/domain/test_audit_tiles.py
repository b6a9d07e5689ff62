"""The layout of tlog-tiles: names, widths, bundles, and that the tiles of any growth carry the same tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.audit import merkle, tiles
from chalicelib.domain.audit.tiles import ENTRIES, Edge, Tile, TileReader

LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(70_000)]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(0, 1000), "tile/0/x001/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(3, 1234067, 8), "tile/3/x001/x234/067.p/8"),
        (Tile(ENTRIES, 0, 1), "tile/entries/000.p/1"),
        (Tile(ENTRIES, 123456789), "tile/entries/x123/x456/789"),
        (Tile(63, 5, 255), "tile/63/005.p/255"),
    ],
)
def test_a_tile_has_one_path_and_the_path_names_the_tile(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert tiles.tile_at(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "checkpoint",
        "tile/0",
        "tile/0/1",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/64/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p",
        "tile/0/001/002",
        "tile/0/-01",
        "tile/0/\u0661\u0661\u0661",
        "tile/data/001",
        "tile/entries/001/",
        "tile/0/" + "x999/" * 9 + "999",
        "../tile/0/001",
    ],
)
def test_any_other_spelling_names_no_tile(path: str) -> None:
    assert tiles.tile_at(path) is None


@given(level=st.integers(-1, 63), index=st.integers(0, 2**55), width=st.integers(1, 256))
def test_every_tile_is_found_again_by_its_path(level: int, index: int, width: int) -> None:
    assert tiles.tile_at(Tile(level, index, width).path) == Tile(level, index, width)


@pytest.mark.parametrize(
    ("size", "paths"),
    [
        (0, []),
        (1, ["tile/0/000.p/1"]),
        (255, ["tile/0/000.p/255"]),
        (256, ["tile/0/000", "tile/1/000.p/1"]),
        (257, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
        (520, ["tile/0/000", "tile/0/001", "tile/0/002.p/8", "tile/1/000.p/2"]),
    ],
)
def test_a_log_of_a_size_consists_of_these_tiles(size: int, paths: list[str]) -> None:
    assert [tile.path for tile in tiles.tiles_between(0, size)] == paths


def test_the_second_level_begins_at_its_256th_full_tile() -> None:
    paths = [tile.path for tile in tiles.tiles_between(65_535, 65_536)]
    assert paths == ["tile/0/255", "tile/1/000", "tile/2/000.p/1"]


def test_growth_writes_only_what_is_new() -> None:
    assert [tile.path for tile in tiles.tiles_between(300, 310)] == ["tile/0/001.p/54"]
    assert [tile.path for tile in tiles.bundles_between(300, 600)] == ["tile/entries/001", "tile/entries/002.p/88"]
    assert tiles.tiles_between(300, 300) == tiles.bundles_between(300, 300) == []


def test_a_tile_knows_where_its_entries_begin() -> None:
    assert [Tile(0, 3).first_entry, Tile(ENTRIES, 3).first_entry, Tile(1, 3).first_entry] == [768, 768, 196_608]


def test_a_bundle_gives_its_entries_back() -> None:
    entries = [b"", b"a", b"x" * 65_535]
    assert tiles.entries_of(tiles.bundle(entries)) == entries
    assert tiles.bundle([b"ab"]) == b"\x00\x02ab"


def test_an_entry_beyond_two_bytes_of_length_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        tiles.bundle([b"x" * 65_536])


@pytest.mark.parametrize("raw", [b"\x00", b"\x00\x02a", b"\x00\x01a\x00"])
def test_a_bundle_cut_within_an_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="ends within"):
        tiles.entries_of(raw)


def grown(*sizes: int) -> tuple[dict[str, bytes], Edge]:
    files: dict[str, bytes] = {}
    edge, size = Edge(0, []), 0
    for target in sizes:
        for tile, raw in edge.append(LEAVES[size:target]):
            assert files.setdefault(tile.path, raw) == raw
        size = target
    return files, edge


@pytest.mark.parametrize("size", [1, 255, 256, 257, 300, 511, 512, 65_535, 65_536, 65_537, 66_000])
def test_the_tiles_carry_the_tree(size: int) -> None:
    files, edge = grown(size)
    assert set(files) == {tile.path for tile in tiles.tiles_between(0, size)}
    assert edge.frontier() == merkle.Frontier().extended(LEAVES[:size])
    reader = TileReader(size, lambda tile: files[tile.path])
    assert merkle.root_at(size, reader) == merkle.root_of(LEAVES[:size])


@given(st.lists(st.integers(1, 1_500), min_size=1, max_size=12, unique=True))
@settings(max_examples=60, deadline=None)
def test_however_a_log_grew_its_tiles_prove_every_step(sizes: list[int]) -> None:
    steps = sorted(sizes)
    files, edge = grown(*steps)
    last = steps[-1]
    assert edge.frontier() == merkle.Frontier().extended(LEAVES[:last])
    reader = TileReader(last, lambda tile: files[tile.path])
    root = merkle.root_of(LEAVES[:last])
    for step in steps:
        proof = merkle.consistency_proof(step, last, reader)
        assert merkle.consistency_holds(step, merkle.root_of(LEAVES[:step]), last, root, proof)
    whole, _ = grown(last)
    assert whole.items() <= files.items()


def test_an_edge_is_taken_up_from_its_partial_tiles() -> None:
    files, _ = grown(66_000)
    rows = {tile.level: tiles.hashes_of(files[tile.path]) for tile in tiles.edge_tiles(66_000)}
    edge = Edge(66_000, [rows.get(level, []) for level in range(3)])
    assert edge.frontier() == merkle.Frontier().extended(LEAVES[:66_000])
    added = dict(edge.append(LEAVES[66_000:66_100]))
    assert {tile.path for tile in added} == {tile.path for tile in tiles.tiles_between(66_000, 66_100)}


def test_an_edge_with_the_wrong_number_of_hashes_is_refused() -> None:
    with pytest.raises(ValueError, match="loose hashes"):
        Edge(3, [LEAVES[:2]])
    with pytest.raises(ValueError, match="levels"):
        Edge(256, [[]])


def test_a_tile_of_the_wrong_width_is_refused() -> None:
    files, _ = grown(300)
    reader = TileReader(300, lambda tile: files[tile.path][32:])
    with pytest.raises(ValueError, match="holds 255 hashes"):
        reader(0, 0)
    with pytest.raises(ValueError, match="within a hash"):
        tiles.hashes_of(b"short")
