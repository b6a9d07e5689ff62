"""How a case may move: a total table over every state and every event."""

from enum import StrEnum

from chalicelib.domain.state_table import Move, Refuse, Reply, StateTable, Stay


class CaseState(StrEnum):
    """Where a case stands. The last five are final."""

    PLACED = "placed"
    ASSIGNED = "assigned"
    IN_WORK = "in_work"
    PROMISED = "promised"
    ON_PLAN = "on_plan"
    ON_HOLD = "on_hold"
    DISPUTED = "disputed"
    RECALL_REQUESTED = "recall_requested"
    SETTLED = "settled"
    RECALLED = "recalled"
    RETURNED = "returned"
    LEGAL = "legal"
    WRITTEN_OFF = "written_off"


FINAL = frozenset({CaseState.SETTLED, CaseState.RECALLED, CaseState.RETURNED, CaseState.LEGAL, CaseState.WRITTEN_OFF})
"""States in which nobody works the case any more; each also ends every queued message."""

WORKABLE = frozenset(
    {
        CaseState.ASSIGNED,
        CaseState.IN_WORK,
        CaseState.PROMISED,
        CaseState.ON_PLAN,
        CaseState.DISPUTED,
        CaseState.ON_HOLD,
    }
)
"""States in which the assigned agency may ask for contact; holds and disputes are weighed by the ruling itself."""


class CaseEvent(StrEnum):
    """What can happen to a case."""

    ASSIGN = "assign"
    WORK = "work"
    PROMISE = "promise"
    BREAK_PROMISE = "break_promise"
    KEEP_PROMISE = "keep_promise"
    AGREE_PLAN = "agree_plan"
    END_PLAN = "end_plan"
    HOLD = "hold"
    RELEASE = "release"
    DISPUTE = "dispute"
    RESOLVE_DISPUTE = "resolve_dispute"
    SETTLE = "settle"
    REQUEST_RECALL = "request_recall"
    OBJECT_TO_RECALL = "object_to_recall"
    RECALL = "recall"
    RETURN = "return"
    REFER_TO_LEGAL = "refer_to_legal"
    WRITE_OFF = "write_off"


_S, _E = CaseState, CaseEvent
_HELD = (_S.ASSIGNED, _S.IN_WORK, _S.PROMISED, _S.ON_PLAN, _S.ON_HOLD, _S.DISPUTED)
_OPEN = (_S.PLACED, *_HELD, _S.RECALL_REQUESTED)

_MOVES: dict[CaseEvent, dict[CaseState, CaseState]] = {
    _E.ASSIGN: {_S.PLACED: _S.ASSIGNED},
    _E.WORK: {_S.ASSIGNED: _S.IN_WORK},
    _E.PROMISE: dict.fromkeys((_S.ASSIGNED, _S.IN_WORK, _S.PROMISED), _S.PROMISED),
    _E.BREAK_PROMISE: {_S.PROMISED: _S.IN_WORK},
    _E.KEEP_PROMISE: {_S.PROMISED: _S.IN_WORK},
    _E.AGREE_PLAN: dict.fromkeys((_S.ASSIGNED, _S.IN_WORK, _S.PROMISED), _S.ON_PLAN),
    _E.END_PLAN: {_S.ON_PLAN: _S.IN_WORK},
    _E.HOLD: dict.fromkeys((_S.ASSIGNED, _S.IN_WORK, _S.PROMISED, _S.ON_PLAN), _S.ON_HOLD),
    _E.RELEASE: {_S.ON_HOLD: _S.IN_WORK},
    _E.DISPUTE: dict.fromkeys((_S.ASSIGNED, _S.IN_WORK, _S.PROMISED, _S.ON_PLAN, _S.ON_HOLD), _S.DISPUTED),
    _E.RESOLVE_DISPUTE: {_S.DISPUTED: _S.IN_WORK},
    _E.SETTLE: dict.fromkeys(_OPEN, _S.SETTLED),
    _E.REQUEST_RECALL: dict.fromkeys(_HELD, _S.RECALL_REQUESTED),
    _E.OBJECT_TO_RECALL: {_S.RECALL_REQUESTED: _S.IN_WORK},
    _E.RECALL: dict.fromkeys((_S.PLACED, _S.RECALL_REQUESTED), _S.RECALLED),
    _E.RETURN: dict.fromkeys((*_HELD, _S.RECALL_REQUESTED), _S.RETURNED),
    _E.REFER_TO_LEGAL: dict.fromkeys(_OPEN, _S.LEGAL),
    _E.WRITE_OFF: dict.fromkeys(_OPEN, _S.WRITTEN_OFF),
}

_REPEATS: dict[CaseEvent, frozenset[CaseState]] = {
    _E.ASSIGN: frozenset(_HELD),
    _E.WORK: frozenset((_S.IN_WORK, _S.PROMISED, _S.ON_PLAN)),
    _E.BREAK_PROMISE: frozenset((_S.IN_WORK, _S.ON_PLAN, _S.ON_HOLD, _S.DISPUTED, _S.RECALL_REQUESTED)),
    _E.KEEP_PROMISE: frozenset((_S.IN_WORK, _S.ON_PLAN, _S.ON_HOLD, _S.DISPUTED, _S.RECALL_REQUESTED)),
    _E.AGREE_PLAN: frozenset((_S.ON_PLAN,)),
    _E.END_PLAN: frozenset((_S.IN_WORK,)),
    _E.HOLD: frozenset((_S.ON_HOLD, _S.DISPUTED)),
    _E.RELEASE: frozenset((_S.ASSIGNED, _S.IN_WORK, _S.PROMISED, _S.ON_PLAN, _S.DISPUTED)),
    _E.DISPUTE: frozenset((_S.DISPUTED,)),
    _E.RESOLVE_DISPUTE: frozenset((_S.IN_WORK, _S.PROMISED, _S.ON_PLAN)),
    _E.REQUEST_RECALL: frozenset((_S.RECALL_REQUESTED,)),
}

_SAME_END: dict[CaseEvent, CaseState] = {
    _E.SETTLE: _S.SETTLED,
    _E.RECALL: _S.RECALLED,
    _E.RETURN: _S.RETURNED,
    _E.REFER_TO_LEGAL: _S.LEGAL,
    _E.WRITE_OFF: _S.WRITTEN_OFF,
}


def _rule(state: CaseState, event: CaseEvent) -> Reply[CaseState]:
    target = _MOVES[event].get(state)
    if target is not None:
        return Move(target)
    if _SAME_END.get(event) == state:
        return Stay(f"the case is already {state}")
    if state in FINAL:
        late = event in (_E.BREAK_PROMISE, _E.KEEP_PROMISE, _E.END_PLAN, _E.RELEASE, _E.RESOLVE_DISPUTE, _E.ASSIGN)
        return Stay(f"the case is {state}") if late else Refuse(f"the case is {state}, which is final")
    if state in _REPEATS.get(event, frozenset()):
        return Stay(f"nothing to do: the case is {state}")
    return Refuse(f"a case that is {state} cannot {event}")


TABLE = StateTable.ruled(CaseState, CaseEvent, _rule)
answer = TABLE.answer
