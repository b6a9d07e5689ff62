"""Straight-line Python for the rules that can apply to one kind of act.

The closures of ``shapes`` say what a rule means. Here the same rules are written out as one function over a ``Record``:
no calls for what is seldom on file, one look at the clock a pack, constants made beforehand. A shape, or a use of it,
that is not written out below is asked through its closure, so whatever a pack holds can be generated; that both ways
rule alike is what ``tests/rules/test_generated_rules.py`` shows.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from chalicelib.domain.compliance.counts import Count
from chalicelib.domain.compliance.hours import next_open, week_of
from chalicelib.domain.compliance.packs import Bound, Pack
from chalicelib.domain.compliance.record import CLAIMED, DISCLOSED, FACT, HELD, LEDGER, SELDOM, Record, mask
from chalicelib.domain.compliance.scene import Answer, Finding, Scene
from chalicelib.domain.compliance.timeline import DAY, NEVER, Zone, Zones, ends_first

DENY, REVIEW, DEFER = 4, 2, 1
"""Bits of a verdict; none of them is ``allow``."""

_MOST_ENDS = 4_096
_MOST_SHARED = 512

WEIGHT = {"deny": DENY, "require": DENY, "review": REVIEW, "defer": DEFER, "oblige": 0, "nocount": 0}

Row = tuple[str, bool, Any, Any]
"""One rule explained: its id, whether it lets the act through, what was observed and the limit, None where it has none.

Times of day are local seconds, instants and dates as on file.
"""


class Seen(msgspec.Struct, gc=False):
    """What all rules say at an instant.

    ``weight`` holds the bits of the verdict. ``fired`` numbers the rules that spoke, with the finding where one was
    made. ``until`` is the latest end of what holds the act back.
    """

    weight: int
    rows: tuple[Row, ...]
    fired: list[tuple[int, Finding | None]]
    until: int


class Ruled(NamedTuple):
    """One rule of a program: how it is bound, and the pack that it is in."""

    bound: Bound
    pack: Pack
    zones: Zones


def look(bound: Bound, scene: Scene, instant: int) -> Answer:
    """Return what a rule says at an instant, silent outside its time in force, in doubt where it may not apply."""
    check, start, end, unsure, _ = bound
    if instant < start:
        return start
    if instant >= end:
        return NEVER
    answer = check(scene, instant)
    if unsure and isinstance(answer, Finding):
        answer = _doubt(answer, unsure)
    if end == NEVER:
        return answer
    if isinstance(answer, Finding):
        answer.until = min(answer.until, end)
        return answer
    return min(answer, end)


def _doubt(finding: Finding, unsure: tuple[str, ...]) -> Answer:
    """Return what remains of a finding when it cannot be told that the rule applies: a person decides."""
    if not WEIGHT[finding.effect]:
        return NEVER
    because = f"if the rule applies: {finding.because}"
    return Finding("review", finding.until, finding.observed, finding.limit, because, (*unsure, *finding.missing))


def told(
    number: int,
    ident: str,
    finding: Finding,
    fired: list[tuple[int, Finding | None]],
    weight: int,
    until: int,
) -> tuple[Row, int, int]:
    """Note a finding; return its row, and weight and until as they are with it."""
    own = WEIGHT[finding.effect]
    fired.append((number, finding))
    row: Row = (ident, not own, finding.observed, finding.limit)
    return row, weight | own, max(until, finding.until) if own else until


def disturbed(unwelcome: Sequence[tuple[int, int, int]], day: int, second: int) -> bool:
    """Tell whether a local time lies in one of the ``unwelcome`` times of a record."""
    weekday = 1 << (day + 3) % 7
    return any(start <= second < end and weekdays & weekday for weekdays, start, end in unwelcome)


def words_in(bits: int) -> list[str]:
    """Return the disclosures that bits stand for, sorted."""
    return [word for word, bit in DISCLOSED.items() if bit & bits]


FLAT = FACT.keys() | SELDOM.keys()
"""Every flat fact that a rule may be written out to read."""


class _Ends(dict[str, int]):
    """Instant from which a stated end has passed in one of some zones, by its text; remembers some thousands."""

    def __init__(self, zones: Zones) -> None:
        super().__init__()
        self._zones = zones

    def __missing__(self, text: str) -> int:
        if len(self) >= _MOST_ENDS:
            self.clear()
        end = self[text] = ends_first(text, self._zones)
        return end


def opens(week: Mapping[int, Any], zone: Zone, instant: int) -> int:
    """Return the first instant after a closed one at which a week's windows are open."""
    return next_open(lambda _, day: week[(day + 3) % 7 + 1], zone, instant)


def tally(record: Record, scene: Scene, counter: Count, low: int, high: int, cap: int) -> tuple[int, int]:
    """Return how many events of ``times[low:high]`` count, and the instant of the ``cap``-th last of them, else 0.

    Only for a count whose tests look at the kind of an event and never at its instant.
    """
    codes = record.codes[low:high]
    keep = counter.tests(scene, None)
    spared = counter.left_out(scene, scene.zones[0], record.at) if counter.leave_out else None
    wanted = bytearray()
    total = 0
    for code in set(codes):
        event = record.kind_events[code]
        if keep(event) and (spared is None or spared(event) is None):
            wanted.append(code)
            total += codes.count(code)
    if total < cap:
        return total, 0
    left = cap
    for place in range(len(codes) - 1, -1, -1):
        if codes[place] in wanted:
            left -= 1
            if not left:
                break
    at: int = memoryview(record.times).cast("q")[low + place]
    return total, at


class _Writer:
    """The lines of one function and the values that they name."""

    def __init__(self, ruled: Sequence[Ruled], kind: "Kind", at: int) -> None:
        self.ruled = ruled
        self.kind = kind
        self.at = at
        self.windows: dict[str, list[int]] = {}
        self.head: list[str] = []
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "NEVER": NEVER, "Scene": Scene, "Seen": Seen, "disturbed": disturbed, "told": told, "words_in": words_in, "bisect_left": bisect_left, "bisect_right": bisect_right,
            "look": look, "opens": opens, "tally": tally,
        }  # fmt: skip
        self.rows = [f"e{number}" for number in range(len(ruled))]
        self.placed: dict[str, Any] = {}
        self._known: dict[int, tuple[str, Any]] = {}
        self._begun: set[str] = set()
        self._silent: dict[int, Row] = {}

    def name(self, value: Any) -> str:
        """Return a name for a value that is the same wherever the same rules are written out for the same kind."""
        return self._named(value, self.names)

    def place(self, value: Any) -> str:
        """Return a name for a value that depends on the zones."""
        return self._named(value, self.placed)

    def _named(self, value: Any, names: dict[str, Any]) -> str:
        # The value is kept, so that no other one gets its identity.
        name, _ = self._known.setdefault(id(value), (f"K{len(self._known)}", value))
        names[name] = value
        return name

    def once(self, key: str, *lines: str) -> None:
        """Write lines that several rules need, once and before all rules."""
        if key not in self._begun:
            self._begun.add(key)
            self.head.extend(lines)

    def scene(self, number: int, indent: str) -> str:
        """Write what makes the scene of a rule's pack at its first use; return its name."""
        _, pack, zones = self.ruled[number]
        name = f"s_{self.name(pack)}"
        self.once(name, f"{name} = None")
        parts = f"r, {self.place(zones)}, {self.name(pack.calendars)}, {self.name(pack.lexicon)}"
        self.lines.append(f"{indent}if {name} is None: {name} = Scene({parts})")
        return name

    def clock(self, number: int) -> tuple[str, str]:
        """Write the look at the one clock of a rule; return the names of its day and second of the day."""
        zone = self.place(self.ruled[number].zones[0])
        day, second = f"day_{zone}", f"sec_{zone}"
        self.once(f"clock {zone}", f"{day}, {second} = divmod({zone}.local(t), {DAY})")
        return day, second

    def fact(self, path: str) -> str:
        """Return what reads a flat fact."""
        name, number = _place_of(path)
        self.once(name, f"{name} = r.{name}")
        return f"{name}[{number}]"

    def ask(self, number: int, indent: str = "") -> None:
        """Write the question to the closure of a rule."""
        bound = self.ruled[number].bound
        check, start, end, unsure, law = bound
        scene = self.scene(number, indent)
        steady = start <= self.at and end == NEVER and not unsure
        self.lines += [
            f"{indent}a = {self.name(check)}({scene}, t)"
            if steady
            else f"{indent}a = look({self.place(bound)}, {scene}, t)",
            f"{indent}if type(a) is int: e{number} = {self.silent(number)}",
            f"{indent}else: e{number}, v, u = told({number}, {law.ident!r}, a, f, v, u)",
        ]

    def silent(self, number: int) -> str:
        """Return the name of the row of a rule that has nothing to look at."""
        return self.name(self._silent.setdefault(number, (self.ruled[number].bound[4].ident, True, None, None)))

    def fire(
        self, number: int, effect: str, observed: str, limit: str, until: str = "NEVER", indent: str = " "
    ) -> None:
        """Write what happens where a rule fires."""
        ident = self.ruled[number].bound[4].ident
        weight = WEIGHT[effect]
        self.lines += [
            f"{indent}e{number} = ({ident!r}, {not weight}, {observed}, {limit})",
            f"{indent}f.append(({number}, None))",
        ]
        if weight:
            self.lines.append(f"{indent}v |= {weight}")
            if until == "NEVER":
                self.lines.append(f"{indent}u = NEVER")
            else:
                self.lines += [f"{indent}a = {until}", f"{indent}if a > u: u = a"]


class Kind(NamedTuple):
    """What is known of every record of one kind when its function is written."""

    stirs: frozenset[str]
    purpose: str
    has_point: bool
    lone_debt: bool
    third_party_acts: bool


Emit = Callable[[_Writer, int, Mapping[str, Any]], bool]
"""Writes one rule out; False, with nothing written, where its closure must be asked."""


def _constant(writer: _Writer, number: int, limit: Any = None) -> bool:
    row: Row = (writer.ruled[number].bound[4].ident, True, None, limit)
    writer.rows[number] = writer.name(row)
    return True


def _hours(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    zones = writer.ruled[number].zones
    week = week_of(params)
    if len(zones) > 1 or "holidays" in params or params.get("mode", "window") != "window":
        return False
    if any(len(spans) != 1 for spans in week.values()):
        return False
    day, second = writer.clock(number)
    ident = writer.ruled[number].bound[4].ident
    if len(set(week.values())) == 1:
        [(low, high)] = week[1]
        span, limit = f"{low} <= {second} < {high}", writer.name(week[1][0])
        low_text, high_text = str(low), str(high)
    else:
        limit = f"span_{number}"
        table = tuple(week[weekday][0] for weekday in range(1, 8))
        writer.lines.append(f"{limit} = low_{number}, high_{number} = {writer.name(table)}[({day} + 3) % 7]")
        low_text, high_text = f"low_{number}", f"high_{number}"
        span = f"{low_text} <= {second} < {high_text}"
    writer.lines.append(f"if {span}: e{number} = ({ident!r}, True, {second}, {limit})")
    doubts = []
    if params.get("agreed"):
        writer.once("ledger", "ledger = r.ledger")
        doubts.append(f"ledger & {LEDGER['agreed_time']}")
    if params.get("reply_once"):
        doubts.append("r.answers")
    if doubts:
        writer.lines.append(f"elif {' or '.join(doubts)}:")
        writer.ask(number, " ")
    writer.lines.append("else:")
    zone = writer.place(zones[0])
    lows = tuple(week[weekday][0][0] for weekday in range(1, 8))
    tomorrow = str(lows[0]) if len(set(lows)) == 1 else f"{writer.name(lows)}[({day} + 4) % 7]"
    start = f"t - {second} + ({low_text} if {second} < {low_text} else {DAY} + {tomorrow})"
    # A change of the clock on the way is left to who counts days.
    later = f"opens({writer.name(week)}, {zone}, t)"
    writer.fire(number, "defer", second, limit, f"a if (a := {start}) < {zone}.next_change(t) else {later}")
    return True


def _preference(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    if len(writer.ruled[number].zones) > 1:
        writer.lines.append("if r.unwelcome:")
    else:
        day, second = writer.clock(number)
        writer.lines.append(f"if r.unwelcome and disturbed(r.unwelcome, {day}, {second}):")
    writer.ask(number, " ")
    writer.lines.append(f"else: e{number} = {writer.silent(number)}")
    return True


def _quiet_dates(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    _, pack, zones = writer.ruled[number]
    calendar = pack.calendars[params["calendar"]]
    if len(zones) > 1:
        return False
    day, _ = writer.clock(number)
    ident = writer.ruled[number].bound[4].ident
    days, (first, last) = writer.name(calendar.days), calendar.known
    writer.lines += [
        f"if {day} not in {days} and {first} <= {day} < {last}:",
        f" e{number} = ({ident!r}, True, {day}, {params['calendar']!r})",
        "else:",
    ]
    writer.ask(number, " ")
    return True


def _count(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    kind, zones = writer.kind, writer.ruled[number].zones
    counter = Count(params)
    cap = int(params["cap"])
    if counter.same_point and not kind.has_point:
        return False
    if kind.purpose in counter.not_purposes or "history" not in kind.stirs:
        return _constant(writer, number, cap)
    if len(zones) > 1 or type(counter.window) is not int:
        return False
    ident = writer.ruled[number].bound[4].ident
    zone = writer.place(zones[0])
    window = f"low_{zone}_{counter.window}"
    day, _ = writer.clock(number)
    writer.windows.setdefault(zone, [])
    if counter.window not in writer.windows[zone]:
        writer.windows[zone].append(counter.window)
    silent = writer.name((ident, True, 0, cap))
    writer.lines.append(f"if {window} == n: e{number} = {silent}")
    by_kind = (
        not params.keys() & {"after_first", "attempts_review", "unless_granted"}
        and not counter.frees_act
        and counter.leave_out <= {"unconnected", "stranger", "asked"}
        and params.get("per", "all") == "all"
        and (counter.replies or kind.purpose != "reply")
    )
    if not by_kind:
        writer.lines.append("else:")
        writer.ask(number, " ")
        return True
    counted = writer.name(counter)
    writer.lines.append("elif not r.one_byte_codes:")
    writer.ask(number, " ")
    writer.lines.append("else:")
    scene = writer.scene(number, " ")
    writer.lines += [
        f" c, k = tally(r, {scene}, {counted}, {window}, n, {cap})",
        f" if c < {cap}: e{number} = ({ident!r}, True, c, {cap})",
        " else:",
    ]
    writer.fire(number, params.get("effect", "defer"), "c", str(cap), f"{counted}.leaves({zone}, k)", "  ")
    return True


def _hold(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    writer.once("held", "held = r.held")
    writer.lines.append(f"if held & {mask(HELD, params['kinds'])}:")
    writer.ask(number, " ")
    writer.lines.append(f"else: e{number} = {writer.silent(number)}")
    return True


def _stopped(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    if writer.kind.purpose in params.get("exempt", ()):
        return _constant(writer, number)
    spoken = LEDGER["stop_medium"] | (LEDGER["withdrawn"] if params.get("withdrawal") else 0)
    asked = ""
    if params.get("request"):
        asked = f" or {writer.fact('recipient.stop_requested_at')} is not None"
    writer.once("ledger", "ledger = r.ledger")
    writer.lines.append(f"if ledger & {spoken}{asked}:")
    writer.ask(number, " ")
    writer.lines.append(f"else: e{number} = {writer.silent(number)}")
    return True


def _consent(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    if writer.kind.purpose in params.get("exempt", ()):
        return _constant(writer, number)
    writer.once("ledger", "ledger = r.ledger")
    taken = LEDGER["withdrawn"] | LEDGER["stop_medium"]
    writer.lines.append(f"if r.granted and not ledger & {taken}: e{number} = {writer.silent(number)}")
    writer.lines.append(f"elif ledger & {LEDGER['granted']}:")
    writer.ask(number, " ")
    writer.lines.append("else:")
    writer.fire(number, "deny", "None", "None")
    return True


def _place_of(path: str) -> tuple[str, int]:
    return ("facts", FACT[path]) if path in FACT else ("seldom", SELDOM[path])


def _fact(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    path: str = params["path"]
    if path not in FLAT or params.keys() & {"only_place", "if_claims", "unless_surrendered"}:
        return False
    if path.startswith(("debt.", "creditor.")) and not writer.kind.lone_debt:
        return False
    ident = writer.ruled[number].bound[4].ident
    words = next((key for key in ("is", "any_of", "none_of") if key in params), None)
    if words is not None:
        test = f"x not in {writer.name(frozenset(params[words]))}" if words == "none_of" else ""
        limit = writer.name(params[words])
    else:
        signs = {"at_least": ">=", "at_most": "<=", "below": "<"}
        named = [key for key in signs if key in params]
        test = " and ".join(f"x {signs[key]} {writer.name(params[key])}" for key in named)
        limit = writer.name(params[named[0]])
    absent = params.get("absent", "review")
    writer.lines.append(f"x = {writer.fact(path)}")
    if words in ("is", "any_of"):
        # What may be is listed, so the row of each is made beforehand.
        values = [params["is"]] if words == "is" else params["any_of"]
        rows: dict[Any, Row] = {value: (ident, True, value, params[words]) for value in values}
        if absent == "pass":
            rows[None] = (ident, True, None, params[words])
        writer.lines += [f"e{number} = {writer.name(rows.get)}(x)", f"if e{number} is None:"]
        if absent == "pass":
            writer.fire(number, params.get("effect", "deny"), "x", limit)
            return True
        writer.lines.append(" if x is None:")
        writer.fire(number, "review", "None", "None", indent="  ")
        writer.lines.append(" else:")
        writer.fire(number, params.get("effect", "deny"), "x", limit, indent="  ")
        return True
    if absent == "pass":
        writer.lines.append(f"if x is None or {test}: e{number} = ({ident!r}, True, x, {limit})")
    else:
        writer.lines.append("if x is None:")
        writer.fire(number, "review", "None", "None")
        writer.lines.append(f"elif {test}: e{number} = ({ident!r}, True, x, {limit})")
    writer.lines.append("else:")
    writer.fire(number, params.get("effect", "deny"), "x", limit)
    return True


def _span(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    path: str = params.get("to", "")
    if path not in FLAT or "from" in params:
        return False
    if path.startswith(("debt.", "creditor.")) and not writer.kind.lone_debt:
        return False
    _, _, zones = writer.ruled[number]
    ident = writer.ruled[number].bound[4].ident
    silent = f"e{number} = ({ident!r}, True, x, None)"
    ends = writer.place(_Ends(zones))
    writer.lines += [f"x = {writer.fact(path)}", "if x is None:"]
    if params.get("absent_end", "review") == "review":
        writer.fire(number, "review", "None", "None")
    else:
        writer.lines.append(f" {silent}")
    # A record has the empty text where the dossier says null: known not to be.
    writer.lines.append(f"elif x and t < {ends}[x]: {silent}")
    writer.lines.append("else:")
    writer.fire(number, params.get("after", "deny"), "None", "x or None")
    return True


def _require(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    kind = writer.kind
    if kind.purpose in params.get("exempt", ()):
        return _constant(writer, number)
    if params.keys() & {"first", "limited_free", "limited_only", "nothing_but", "unless_on_record", "due_days"}:
        return False
    needed = mask(DISCLOSED, params.get("all", ()))
    if kind.third_party_acts:
        needed |= mask(DISCLOSED, params.get("if_third_party", ()))
    tests = [f"disclosed & {needed} == {needed}"] if needed else []
    if params.get("one_of"):
        tests.append(f"disclosed & {mask(DISCLOSED, params['one_of'])}")
    ident = writer.ruled[number].bound[4].ident
    words = tuple(word for word, bit in DISCLOSED.items() if bit & (needed | mask(DISCLOSED, params.get("one_of", ()))))
    row: Row = (ident, True, words, list(words))
    writer.once("disclosed", "disclosed = r.disclosed")
    bits = mask(DISCLOSED, words)
    writer.lines += [
        f"if {' and '.join(('disclosed > 0', *tests))}: e{number} = {writer.name(row)}",
        "elif disclosed > 0:",
    ]
    writer.fire(number, params.get("effect", "require"), f"words_in(disclosed & {bits})", writer.name(row[3]))
    writer.lines.append("else:")
    writer.ask(number, " ")
    return True


def _words(writer: _Writer, number: int, params: Mapping[str, Any]) -> bool:
    if "content" not in writer.kind.stirs:
        return _constant(writer, number)
    if params.keys() & {"exposures", "lexicon", "patterns"}:
        return False
    writer.lines.append(f"if r.claimed & {mask(CLAIMED, params.get('claims', ()))}:")
    writer.ask(number, " ")
    writer.lines.append(f"else: e{number} = {writer.silent(number)}")
    return True


EMIT: Mapping[str, Emit] = {
    "hours": _hours, "preference": _preference, "quiet_dates": _quiet_dates, "count": _count, "hold": _hold,
    "stopped": _stopped, "consent": _consent, "fact": _fact, "span": _span, "require": _require, "words": _words,
}  # fmt: skip


Written = Callable[[Record, int], Seen]
"""A generated function: what all rules say about a record at an instant."""


def _past(writer: _Writer) -> Iterator[str]:
    """Yield the lines that find where each window of dates begins in the history, the longest window first.

    Most histories are older than the longest window, and then nothing is looked for.
    """
    if not writer.windows:
        return
    yield "last = r.last"
    for zone, windows in writer.windows.items():
        lows = {days: f"low_{zone}_{days}" for days in sorted(windows, reverse=True)}
        yield f"a = {zone}.midnight(day_{zone} - {max(windows) - 1})"
        yield f"if last < a: {' = '.join(lows.values())} = n = 0"
        yield "else:"
        yield " h = memoryview(r.times).cast('q'); n = bisect_right(h, t)"
        for days, low in lows.items():
            yield f" {low} = bisect_left(h, {zone}.midnight(day_{zone} - {days - 1}), 0, n)"


Shared = dict[Any, Callable[..., Written]]
"""What was written out for a kind under some rules, but for the zones."""


def write(
    ruled: Sequence[Ruled], kind: Kind, at: int, apart: tuple[Row, ...], shared: Shared
) -> tuple[Written, str, int]:
    """Return the function of a kind of act, its source, and its begin.

    ``apart`` are the rows of rules that cannot apply. The function holds from its begin on: rules in force by ``at`` are
    written without asking for their date. Code and values that are the same in other zones are taken from ``shared``.
    """
    writer = _Writer(ruled, kind, at)
    begin = -NEVER
    for number, (bound, _, _) in enumerate(ruled):
        _, start, end, unsure, law = bound
        if law.woken_by is not None and law.woken_by not in kind.stirs:
            _constant(writer, number)
            continue
        mark = len(writer.lines)
        emit = EMIT.get(law.data["shape"])
        if unsure or end != NEVER or emit is None or not emit(writer, number, law.data["params"]):
            writer.ask(number)
        elif start > at and len(writer.lines) > mark:
            writer.lines[mark:] = [
                f"if t < {start}:",
                f" e{number} = {writer.silent(number)}",
                "else:",
                *(f" {line}" for line in writer.lines[mark:]),
            ]
        if start <= at:
            begin = max(begin, start)
    rows = "".join(f"{row}, " for row in (*writer.rows, *map(writer.name, apart)))
    lines = [
        f"def share({', '.join(writer.names)}):",
        f" def place({', '.join(writer.placed)}):",
        "  def seen(r, t):",
        "   f = []; v = u = 0",
        *(f"   {line}" for line in (*writer.head, *_past(writer), *writer.lines)),
        f"   return Seen(v, ({rows}), f, u)",
        "  return seen",
        " return place",
    ]
    source = "\n".join(lines) + "\n"
    key = (source, kind, apart, tuple((bound[4], pack) for bound, pack, _ in ruled))
    place = shared.get(key)
    if place is None:
        if len(shared) >= _MOST_SHARED:
            shared.clear()
        # Numbers stand in the lines as such and texts as names or literals: nothing that a rule says becomes code.
        space: dict[str, Any] = {}
        exec(compile(source, "<rules of one kind of act>", "exec"), space)
        place = shared[key] = space["share"](**writer.names)
    return place(**writer.placed), source, begin
