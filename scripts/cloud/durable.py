"""Makes the emulator keep its promises through a kill: every acknowledged write is in the journal before the answer.

The emulator saves most state only when it is stopped in good order. Here each change of an item, a queue's messages or
an object's lock is written to the journal as what is now so, in the same step in which the emulator makes the change.
Definitions (tables, queues, keys, functions, stacks) change seldom and are saved whole by the launcher.
"""

import copy
import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from scripts.cloud.journal import Entry, Journal, read

Scope = tuple[str, str, str]


class Recorder:
    """Writes entries to the journal: at once, or those of one request together as one line."""

    def __init__(self, journal: Journal) -> None:
        """Take the journal."""
        self._journal = journal
        self._open = threading.local()

    def add(self, entry: Entry) -> None:
        """Record one change."""
        pending = getattr(self._open, "entries", None)
        if pending is None:
            self._journal.append([entry])
        else:
            pending.append(entry)

    def begin(self) -> None:
        """Hold back the entries of this thread until ``end``; there is no waiting in between."""
        self._open.entries = []

    def end(self) -> None:
        """Write what was held back, also when the request failed half way: it is what the emulator now holds."""
        entries, self._open.entries = self._open.entries, None
        if entries:
            self._journal.append(entries)

    def last(self) -> Entry | None:
        """Return the latest entry that is held back in this thread."""
        pending = getattr(self._open, "entries", None)
        return pending[-1] if pending else None


# Tables


class Tables:
    """The items of all tables, and what of their streams was not read yet."""

    def __init__(self, dynamodb: Any, responses: Any, recorder: Recorder) -> None:
        """Take the emulator's module and put recording functions in the place of its own."""
        self._module, self._responses, self._recorder = dynamodb, responses, recorder
        self._set, self._remove, self._state = dynamodb._set_item, dynamodb._remove_item, dynamodb.get_state
        self.checkpoints: dict[str, str] = {}
        dynamodb._set_item, dynamodb._remove_item = self._recording_set, self._recording_remove
        dynamodb.get_state = self._definitions
        dynamodb.drop_stream_records = _also_before(dynamodb.drop_stream_records, self._dropped)
        dynamodb._build_change_record = self._recording_change(dynamodb._build_change_record)
        dynamodb.handle_request = self._recording_request(dynamodb.handle_request)

    def _scope(self, table: dict[str, Any]) -> list[str]:
        _, _, _, region, account, name = table["TableArn"].split(":", 5)
        return [account, region, name.split("/", 1)[1]]

    def _recording_set(self, table: dict[str, Any], pk: Any, sk: Any, item: dict[str, Any]) -> Any:
        old = self._set(table, pk, sk, item)
        self._recorder.add(["item", self._scope(table), pk, sk, item, None])
        return old

    def _recording_remove(self, table: dict[str, Any], pk: Any, sk: Any) -> Any:
        old = self._remove(table, pk, sk)
        self._recorder.add(["item", self._scope(table), pk, sk, None, None])
        return old

    def _dropped(self, name: str, table: dict[str, Any] | None = None) -> None:
        if table is not None and name not in self._module._tables:  # else only its stream was switched off
            self._recorder.add(["dropped", self._scope(table)])

    def _recording_change(self, build: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def change(table: dict[str, Any], *rest: Any) -> dict[str, Any]:
            record = build(table, *rest)
            written = self._recorder.last()
            if written is not None and written[0] == "item":
                # The new image is the item beside it; the rest of the record is small.
                image = record["dynamodb"].get("NewImage") is not None
                inner = {name: value for name, value in record["dynamodb"].items() if name != "NewImage"}
                written[5] = [{**record, "dynamodb": inner}, image]
            return record

        return change

    def _recording_request(self, handle: Callable[..., Any]) -> Callable[..., Any]:
        async def request(*arguments: Any) -> Any:
            self._recorder.begin()
            try:
                return await handle(*arguments)
            finally:
                self._recorder.end()

        return request

    def _definitions(self) -> dict[str, Any]:
        """Return the state without the items, which are in the journal."""
        held = self._module._tables
        bare = self._responses.AccountRegionScopedDict()
        for (account, region, name), table in held.all_items():
            bare.set_scoped(account, region, name, {**table, "items": {}, "ItemCount": 0, "TableSizeBytes": 0})
        self._module._tables = bare
        try:
            state: dict[str, Any] = self._state()
        finally:
            self._module._tables = held
        return state

    def replay(self, entry: Entry) -> None:
        """Take one entry of the journal; entries of tables that were never saved belong to no one."""
        if entry[0] == "read":
            self.checkpoints[entry[1]] = entry[2]
            return
        account, region, name = entry[1]
        table = self._module._tables.get_scoped(account, region, name)
        if table is None:
            return
        if entry[0] == "dropped":
            table["items"] = defaultdict(dict)
            self._module._items_replaced(table)
            return
        _, _, pk, sk, item, change = entry
        if item is None:
            self._remove(table, pk, sk)
        else:
            self._set(table, pk, sk, item)
        if change is not None:
            record, image = change
            if image:
                record["dynamodb"]["NewImage"] = item
            records = self._module._stream_records
            if not records.contains_scoped(account, region, name):
                records.set_scoped(account, region, name, [])
            records.get_scoped(account, region, name).append(record)

    def forget_read(self) -> None:
        """Drop what every reader of a stream has behind it."""
        for scope, records in self._module._stream_records.all_items():
            reached = [mark for reader, mark in self.checkpoints.items() if reader.startswith("/".join(scope) + "/")]
            if reached:
                passed = bisect_right(records, min(reached), key=lambda record: record["dynamodb"]["SequenceNumber"])
                # One step for the interpreter, because another thread may append at the same time.
                del records[:passed]
                trimmed = self._module._stream_trimmed
                trimmed.set_scoped(*scope, trimmed.get_scoped(*scope, 0) + passed)

    def unread(self, scope: Scope, reader: str) -> list[dict[str, Any]]:
        """Return the records of a table's stream that this reader does not have behind it, oldest first."""
        records = self._module._stream_records.get_scoped(*scope) or []
        mark = self.checkpoints.get("/".join((*scope, reader)), "")
        return list(records[bisect_right(records, mark, key=lambda record: record["dynamodb"]["SequenceNumber"]) :])

    def checkpoint(self, scope: Scope, reader: str, sequence: str) -> None:
        """Record that a reader of a table's stream has everything up to this sequence number behind it."""
        name = "/".join((*scope, reader))
        self.checkpoints[name] = sequence
        self._recorder.add(["read", name, sequence])

    def lines(self) -> Any:
        """Yield the journal lines that say what is now so."""
        for scope, table in self._module._tables.all_items():
            for pk, row in table["items"].items():
                for sk, item in row.items():
                    yield [["item", list(scope), pk, sk, item, None]]
        for scope, records in self._module._stream_records.all_items():
            for record in records:
                yield [["unread", list(scope), record]]
        for reader, sequence in self.checkpoints.items():
            yield [["read", reader, sequence]]

    def replay_unread(self, entry: Entry) -> None:
        """Take a stream record that was carried over from an older journal."""
        _, (account, region, name), record = entry
        records = self._module._stream_records
        if not records.contains_scoped(account, region, name):
            records.set_scoped(account, region, name, [])
        records.get_scoped(account, region, name).append(record)


# Queues


class _Messages(list[Any]):
    """The messages of one queue; what comes and goes is recorded, and the list itself never changes identity."""

    def __init__(self, queues: "Queues", url: list[str]) -> None:
        super().__init__()
        self._queues, self._url = queues, url

    def append(self, message: Any) -> None:
        with self._queues.lock:
            super().append(message)
            self._queues.recorder.add(["message", self._url, message])

    def remove(self, message: Any) -> None:
        with self._queues.lock:
            super().remove(message)
            self._queues.recorder.add(["gone", self._url, [message["id"]]])

    def clear(self) -> None:
        self.keep([])

    def keep(self, kept: list[Any]) -> None:
        with self._queues.lock:
            if len(kept) == len(self):
                return
            staying = {message["id"] for message in kept}
            gone = [message["id"] for message in self if message["id"] not in staying]
            self[:] = kept
            self._queues.recorder.add(["gone", self._url, gone])

    def restore(self, message: Any) -> None:
        super().append(message)


class _Queue(dict[str, Any]):
    """A queue whose messages are replaced in place, so that an append from another thread is never lost."""

    def __init__(self, fields: dict[str, Any], messages: _Messages) -> None:
        super().__init__(fields)
        super().__setitem__("messages", messages)

    def __setitem__(self, name: str, value: Any) -> None:
        if name == "messages":
            self["messages"].keep(value)
        else:
            super().__setitem__(name, value)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy({**self, "messages": []}, memo)


class Queues:
    """The messages of all queues."""

    def __init__(self, sqs: Any, responses: Any, recorder: Recorder) -> None:
        """Take the emulator's module; its handlers and its pollers then share one lock."""
        self.recorder, self.lock = recorder, threading.RLock()
        queues = self

        class Held(responses.AccountRegionScopedDict):  # type: ignore[misc]
            """The emulator's queues, each made to record."""

            __slots__ = ()

            def __setitem__(self, url: str, queue: dict[str, Any]) -> None:
                account, region, _ = self._scoped(url)
                self.set_scoped(account, region, url, queue)

            def set_scoped(self, account: str, region: str, url: str, queue: dict[str, Any]) -> None:
                messages = _Messages(queues, [account, region, url])
                for message in queue.get("messages", []):
                    messages.append(message)
                super().set_scoped(account, region, url, _Queue(queue, messages))

            def update(self, other: Any) -> None:
                for (account, region, url), queue in other._data.items():
                    self.set_scoped(account, region, url, queue)

        self._held = Held()
        self._held.update(sqs._queues)
        sqs._queues, sqs._queues_lock = self._held, self.lock
        for name in ("_expire_retained", "_dlq_sweep", "_collect_msgs", "_refresh_counts"):
            setattr(sqs, name, self._locked(getattr(sqs, name)))
        for action, handler in sqs._HANDLERS.items():
            if action != "ReceiveMessage":  # it waits; the steps that it takes are locked above
                sqs._HANDLERS[action] = self._locked(handler)
        sqs._act_send_message = sqs._HANDLERS["SendMessage"]

    def _locked(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def under_lock(*arguments: Any) -> Any:
            with self.lock:
                return step(*arguments)

        return under_lock

    def depths(self) -> dict[str, int]:
        """Return how many messages each queue holds, those in flight and those that wait for their time included."""
        with self.lock:
            return {url.rsplit("/", 1)[-1]: len(queue["messages"]) for (*_, url), queue in self._held.all_items()}

    def replay(self, entry: Entry) -> None:
        """Take one entry of the journal: a message that came, or the ids of messages that went."""
        account, region, url = entry[1]
        queue = self._held.get_scoped(account, region, url)
        if queue is None:
            return
        messages = queue["messages"]
        if entry[0] == "message":
            # Nobody holds it any more: it is given out again at once, which every consumer bears.
            again = {**entry[2], "visible_at": min(entry[2].get("visible_at", 0), entry[2].get("sent_at", 0))}
            messages.restore(again if entry[2].get("receive_count") else entry[2])
            queue["fifo_seq"] = max(queue.get("fifo_seq", 0), int(entry[2].get("seq") or 0))
        else:
            gone = set(entry[2])
            messages[:] = [message for message in messages if message["id"] not in gone]

    def lines(self) -> Any:
        """Yield the journal lines that say what is now so."""
        for scope, queue in self._held.all_items():
            for message in queue["messages"]:
                yield [["message", list(scope), message]]


# Object locks


class Locks:
    """Retention and legal hold of every object version."""

    def __init__(self, s3: Any, responses: Any, recorder: Recorder) -> None:
        """Take the emulator's module and put recording dictionaries in the place of its two."""
        self._kinds = {
            kind: _recording_locks(responses, recorder, kind, getattr(s3, name))
            for kind, name in (("retention", "_object_retention"), ("hold", "_object_legal_hold"))
        }
        s3._object_retention, s3._object_legal_hold = self._kinds["retention"], self._kinds["hold"]

    def replay(self, entry: Entry) -> None:
        """Take one entry of the journal."""
        kind, account, key, value = entry
        held = self._kinds[kind]._data
        if value is None:
            held.pop((account, tuple(key)), None)
        else:
            held[(account, tuple(key))] = value

    def lines(self) -> Any:
        """Yield the journal lines that say what is now so."""
        for kind, held in self._kinds.items():
            for (account, key), value in held._data.items():
                yield [[kind, account, list(key), value]]


def _recording_locks(responses: Any, recorder: Recorder, kind: str, before: Any) -> Any:
    class Held(responses.AccountScopedDict):  # type: ignore[misc]
        """The emulator's locks of one kind."""

        __slots__ = ()

        def __setitem__(self, key: Any, value: Any) -> None:
            super().__setitem__(key, value)
            recorder.add([kind, self._prefix(), list(key), value])

        def __delitem__(self, key: Any) -> None:
            super().__delitem__(key)
            recorder.add([kind, self._prefix(), list(key), None])

        def pop(self, key: Any, *default: Any) -> Any:
            if key in self:
                recorder.add([kind, self._prefix(), list(key), None])
            return super().pop(key, *default)

    held = Held()
    held.update(before)
    return held


# All of it


class Durable:
    """Tables, queues and locks over one journal."""

    def __init__(self, journal: Journal, *, dynamodb: Any, sqs: Any, s3: Any, responses: Any) -> None:
        """Take the journal and the emulator's modules, before their definitions are loaded."""
        self._journal = journal
        recorder = Recorder(journal)
        self.tables = Tables(dynamodb, responses, recorder)
        self.queues = Queues(sqs, responses, recorder)
        self.locks = Locks(s3, responses, recorder)
        self._replay: dict[str, Callable[[Entry], None]] = {
            "item": self.tables.replay,
            "dropped": self.tables.replay,
            "read": self.tables.replay,
            "unread": self.tables.replay_unread,
            "message": self.queues.replay,
            "gone": self.queues.replay,
            "retention": self.locks.replay,
            "hold": self.locks.replay,
        }

    def restore(self, path: Any) -> int:
        """Bring back what the journal says, after the definitions were loaded; return the number of entries."""
        count = 0
        for line in read(path):
            for entry in line:
                self._replay[entry[0]](entry)
                count += 1
        self.tables.forget_read()
        return count

    def compact(self) -> None:
        """Write the journal anew with what is now so; only while nobody writes."""
        self.tables.forget_read()

        def lines() -> Any:
            yield from self.tables.lines()
            yield from self.queues.lines()
            yield from self.locks.lines()

        self._journal.replace(lines())


def _also_before(step: Callable[..., Any], first: Callable[..., Any]) -> Callable[..., Any]:
    def both(*arguments: Any, **named: Any) -> Any:
        first(*arguments, **named)
        return step(*arguments, **named)

    return both
