"""Time one way of deciding, in a process of its own, beside hand-written Python in the same process.

    python -m scripts.peers.measure PEER SECONDS        one line of JSON a number of contacts: 0, 20, 200
    python -m scripts.peers.measure bytes SECONDS       from stored bytes to the decision, ours and plain Python's
    python -m scripts.peers.measure population SECONDS  reading and deciding records one after the other
    python -m scripts.peers.measure cold-pack|cold-yaml 1   loading the pack in this fresh process

Both sides take turns, all requests each time, so what slows the machine slows both. A request's time is the least of
its rounds: the rest is what other work on the machine took; p99 is over all rounds, with that in it. Every peer must name the same broken
rules as plain Python on every dossier, else the process fails.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

CONTACTS = (0, 20, 200)
DOSSIERS = 200
_now = time.perf_counter_ns


def _figures(rounds: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return p50 and mean over requests of each one's least time, and p99 over all times, in microseconds."""
    least = [min(times) for times in zip(*rounds, strict=True)]
    every = sorted(each for times in rounds for each in times)
    return {
        "p50": statistics.median(least) / 1e3,
        "mean": statistics.fmean(least) / 1e3,
        "p99": every[len(every) * 99 // 100] / 1e3,
    }


def _round(decide: Callable[[Any], Any], requests: Sequence[Any]) -> list[int]:
    times = []
    for request in requests:
        begin = _now()
        decide(request)
        times.append(_now() - begin)
    return times


def _race(
    ours: Callable[[Any], Any], mine: Sequence[Any], anchor: Callable[[Any], Any], theirs: Sequence[Any], seconds: float
) -> dict[str, Any]:
    """Return the figures of both, taking turns over the same requests, and how many decisions were measured."""
    for one, other in zip(mine[:20], theirs[:20], strict=True):
        ours(one), anchor(other)
    taken: list[list[int]] = []
    anchored: list[list[int]] = []
    end = time.perf_counter() + seconds
    gc.collect()
    while time.perf_counter() < end or len(taken) < 3:
        anchored.append(_round(anchor, theirs))
        taken.append(_round(ours, mine))
    return {"own": _figures(taken), "anchor": _figures(anchored), "decisions": len(taken) * len(mine)}


def _cases(contacts: int) -> tuple[list[Any], list[Any]]:
    from chalicelib.domain.compliance import check_dossier
    from scripts.peers import cases, plain

    dossiers = [dict(check_dossier(each)) for each in cases.dossiers(DOSSIERS, contacts)]
    return dossiers, [plain.flattened(each) for each in dossiers]


def _same(found: Any, wanted: Any, what: str) -> None:
    if sorted(found) != sorted(wanted):
        raise SystemExit(f"{what} names {sorted(found)} where plain Python names {sorted(wanted)}")


def _peer(name: str, seconds: float) -> None:
    from scripts.peers import engines, plain

    begin = _now()
    decide = engines.PEERS[name]()
    cold = (_now() - begin) / 1e6
    for contacts in CONTACTS:
        _, requests = _cases(contacts)
        for request in requests:
            _same(decide(request), plain.decide(request), name)
        print(
            json.dumps(
                {"contacts": contacts, "cold_ms": cold, **_race(decide, requests, plain.decide, requests, seconds)}
            )
        )


def _forbear(seconds: float) -> None:
    from chalicelib.domain.compliance.record import prepare, read
    from scripts.peers import ours, plain

    decide = ours.decider()
    for contacts in CONTACTS:
        dossiers, requests = _cases(contacts)
        records = [read(prepare(each).stored()) for each in dossiers]
        for record, request in zip(records, requests, strict=True):
            _, rows, _ = decide(record)
            _same([row[0] for row in rows if not row[1]], plain.decide(request), "Forbear")
            if len({row[0] for row in rows}) != 26:
                raise SystemExit("Forbear does not explain each of the 26 rules")
        for _ in range(3):
            list(map(decide, records))
        flat = _race(decide, records, plain.decide, requests, seconds)
        whole = _race(decide, records, plain.decide_dossier, dossiers, seconds / 2)
        # Nobody else's data comes between the rounds here: how the past weighs on us is no question of the anchor's.
        alone = _figures([_round(decide, records) for _ in range(60)])
        print(json.dumps({"contacts": contacts, **flat, "dossier": whole["anchor"], "alone": alone}))


def _bytes(seconds: float) -> None:
    import orjson

    from chalicelib.domain.compliance.record import prepare, read
    from scripts.peers import ours, plain

    decide = ours.decider()
    for contacts in CONTACTS:
        dossiers, requests = _cases(contacts)
        stored = [prepare(each).stored() for each in dossiers]
        for _ in range(3):
            list(map(decide, map(read, stored)))
        flat = [orjson.dumps(each) for each in requests]
        whole = [orjson.dumps(each) for each in dossiers]
        raced = _race(
            lambda each: decide(read(each)), stored, lambda each: plain.decide(orjson.loads(each)), flat, seconds
        )
        beside = _race(
            lambda each: decide(read(each)), stored, lambda each: plain.decide_dossier(orjson.loads(each)), whole,
            seconds / 2,
        )  # fmt: skip
        sizes = {"own": len(stored[0]), "flat": len(flat[0]), "dossier": len(whole[0])}
        print(json.dumps({"contacts": contacts, **raced, "dossier": beside["anchor"], "bytes": sizes}))


def _population(seconds: float) -> None:
    from chalicelib.domain.compliance.record import prepare, read
    from scripts.peers import ours

    decide = ours.decider()
    for contacts in CONTACTS:
        stored = [prepare(each).stored() for each in _cases(contacts)[0]]
        records = [read(each) for each in stored]
        alone: list[float] = []
        whole: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(alone) < 3:
            begin = time.process_time_ns()
            for _ in range(10):
                for record in records:
                    decide(record)
            middle = time.process_time_ns()
            for _ in range(10):
                for each in stored:
                    decide(read(each))
            whole.append((time.process_time_ns() - middle) / 10 / len(stored) / 1e3)
            alone.append((middle - begin) / 10 / len(stored) / 1e3)
        ratio = statistics.median(one / other for one, other in zip(whole, alone, strict=True))
        print(json.dumps({"contacts": contacts, "alone_us": statistics.median(alone), "ratio": ratio}))


def _cold_pack(path: str) -> None:
    from chalicelib.domain.compliance.packs import Pack

    begin = time.process_time_ns()
    with open(path, encoding="utf-8") as stream:
        pack = Pack(json.load(stream), "0" * 64)
    print(json.dumps({"ms": (time.process_time_ns() - begin) / 1e6, "rules": len(pack.rules)}))


def _cold_yaml(path: str) -> None:
    begin = time.process_time_ns()
    from scripts.peers import yaml_pydantic

    pack = yaml_pydantic.load(path)
    print(json.dumps({"ms": (time.process_time_ns() - begin) / 1e6, "rules": len(pack.rules)}))


def main() -> int:
    """Measure what is asked for; return the exit status."""
    name, argument = sys.argv[1], sys.argv[2]
    if name in ("cold-pack", "cold-yaml"):
        (_cold_pack if name == "cold-pack" else _cold_yaml)(argument)
        return 0
    own = {"forbear": _forbear, "bytes": _bytes, "population": _population}
    if name in own:
        own[name](float(argument))
    else:
        _peer(name, float(argument))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
