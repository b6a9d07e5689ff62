"""Verifies logs with aics-tlog, or recomputes their roots with pymerkle; needs Python 3.12 and nothing of this project.

    python audit.py aics VKEYFILE < directories        python audit.py pymerkle VKEYFILE < directories
    python audit.py aics-proofs VKEYFILE < directories

Each line of standard input is the directory of a log; printed is a line a log: ``ok <size> <root>``, or ``refused <why>``.
With ``aics-proofs`` it is a directory of entries (``<stream>/<number>.json``), each with its ``.tlog-proof`` beside it, and
printed is ``ok <how many>``.
"""

import base64
import sys
from pathlib import Path
from typing import Any


def by_aics(log: Path, vkey: str) -> tuple[int, bytes]:
    """Return (size, root) after a full walk and a proof from every earlier note. Raises whatever aics-tlog raises."""
    import aics_tlog

    key = aics_tlog.parse_vkey(vkey)
    newest = _checkpoint(log / "checkpoint", key)
    reader = aics_tlog.FileSystemTileReader(log)
    aics_tlog.audit_tiles(reader, newest.size, newest.root)
    for path in sorted((log / "checkpoints").iterdir()):
        old = _checkpoint(path, key)
        if 0 < old.size < newest.size:
            proof = aics_tlog.consistency_proof_from_tiles(reader, old.size, newest.size)
            if not aics_tlog.verify_consistency(old.size, newest.size, old.root, newest.root, proof):
                raise ValueError(f"{path.name} is not what the log began with")
    return newest.size, newest.root


def _checkpoint(path: Path, key: Any) -> Any:
    import aics_tlog

    found = aics_tlog.verify_checkpoint(aics_tlog.parse_note(path.read_bytes()), key, expected_origin=key.name)
    if not found.ok:
        raise ValueError(found.error)
    return found


def proofs_by_aics(folder: Path, vkey: str) -> tuple[int]:
    """Return how many entries there are, each proved under a note of the key's log. Raises whatever aics-tlog raises."""
    import aics_tlog

    key, count = aics_tlog.parse_vkey(vkey), 0
    for path in sorted(folder.glob("*/*.json")):
        head, _, note = path.with_suffix(".tlog-proof").read_bytes().partition(b"\n\n")
        form, index, *lines = head.decode().split("\n")
        found = aics_tlog.verify_checkpoint(aics_tlog.parse_note(note), key, expected_origin=key.name)
        if not found.ok or form != "c2sp.org/tlog-proof@v1" or not index.startswith("index "):
            raise ValueError(found.error or f"{path.name} has no proof")
        proof = [base64.b64decode(line, validate=True) for line in lines]
        place = int(index.removeprefix("index "))
        if not aics_tlog.verify_leaf_inclusion(path.read_bytes(), place, found.size, proof, found.root):
            raise ValueError(f"{path.name} is not in the log")
        count += 1
    return (count,)


def by_pymerkle(log: Path, vkey: str) -> tuple[int, bytes]:
    """Return (size, root) as computed from the entries alone. Raises ValueError when a note says otherwise."""
    import pymerkle

    notes = [path.read_text(encoding="utf-8").split("\n") for path in sorted((log / "checkpoints").iterdir())]
    notes.append((log / "checkpoint").read_text(encoding="utf-8").split("\n"))
    size, tree = int(notes[-1][1]), pymerkle.InmemoryTree(algorithm="sha256")
    for index in range((size + 255) // 256):
        width, name = min(256, size - 256 * index), f"{index:03d}"
        raw = (log / "tile/entries" / (name if width == 256 else f"{name}.p/{width}")).read_bytes()
        for _ in range(width):
            end = 2 + int.from_bytes(raw[:2], "big")
            if len(raw) < end:
                raise ValueError("a bundle ends within an entry")
            tree.append_entry(raw[2:end])
            raw = raw[end:]
        if raw:
            raise ValueError("a bundle is too long")
    for _, told, root, *_ in notes:
        if tree.get_root(int(told)) != base64.b64decode(root):
            raise ValueError(f"another root at size {told}")
    return size, tree.get_root()


def main() -> None:
    """Verify every directory on standard input."""
    verify: Any = {"aics": by_aics, "pymerkle": by_pymerkle, "aics-proofs": proofs_by_aics}[sys.argv[1]]
    vkey = Path(sys.argv[2]).read_text(encoding="utf-8").strip()
    for line in sys.stdin:
        try:
            size, *roots = verify(Path(line.rstrip("\n")), vkey)
        except Exception as error:
            # Whatever such a tool raises is its refusal.
            print("refused", type(error).__name__, str(error).replace("\n", " ")[:200], flush=True)
        else:
            print("ok", size, *(base64.b64encode(root).decode() for root in roots), flush=True)


if __name__ == "__main__":
    main()
