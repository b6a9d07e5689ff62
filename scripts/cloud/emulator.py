"""Runs the emulator of AWS on loopback, with what it forgets written down.

Start it with ``python -m scripts.cloud.emulator --port N --home DIR``.

It runs in the emulator's own environment (``requirements-emulator.txt``). It reaches into the emulator's modules, so the version is
pinned and checked, and ``tests/contracts/test_local_cloud_kill.py`` kills it and looks what is left.
"""

import argparse
import asyncio
import contextlib
import fcntl
import functools
import importlib.metadata
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.cloud import key_conditions, outbox, stream
from scripts.cloud.durable import Durable, Scope
from scripts.cloud.journal import Journal
from scripts.cloud.processes import end_with_parent
from scripts.cloud.spawner import Spawner

VERSION = "1.5.33"
"""The emulator's version whose inner functions this module knows."""

ACCOUNT = "000000000000"
REGION = "us-east-1"
_IDLE_GAP_SECONDS = 0.005
"""How long the poller rests after a look for work that found none."""

COMPACT_BYTES = 32 * 1024 * 1024
"""A journal longer than this is written anew at the next start."""

_DATA_PLANE = {
    "DynamoDB_20120810": (
        "Get",
        "Query",
        "Scan",
        "Batch",
        "Transact",
        "Put",
        "Delete",
        "UpdateItem",
        "Describe",
        "List",
    ),
    "AmazonSQS": ("Send", "Receive", "DeleteMessage", "ChangeMessage", "Get", "List", "Purge"),
    "TrentService": ("Sign", "Verify", "Encrypt", "Decrypt", "Generate", "Get", "Describe", "List"),
    "Logs_20140328": ("",),
    "GraniteServiceVersion20100801": ("",),
}
"""Per target: the beginnings of actions that change no definition."""

_TABLE_ACTIONS = ("DeleteTable", "PutResourcePolicy", "DeleteResourcePolicy")


def main() -> None:
    """Serve until a signal or the parent's end."""
    options = argparse.ArgumentParser(prog="scripts.cloud.emulator")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--home", type=Path, required=True, help="where state, journal and logs are kept")
    options.add_argument("--outbox", type=Path, help="the carriers' record (default: HOME/outbox.jsonl)")
    options.add_argument("--concurrency", type=int, default=2, help="batches in flight for each queue")
    known = options.parse_args()
    end_with_parent()
    home = known.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    _alone(home)
    _prepare(home, known.port)
    try:
        import uvloop  # type: ignore[import-not-found]

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(home, known.port, known.outbox or home / "outbox.jsonl", known.concurrency))
    except KeyboardInterrupt:
        sys.exit(130)


def _alone(home: Path) -> None:
    """Wait until no other emulator writes here; one whose parent was killed is about to end."""
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    for _ in range(100):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return  # held as long as this process lives
    sys.exit(f"another emulator works in {home}")


def _prepare(home: Path, port: int) -> None:
    """Set what the emulator reads from the environment while it is imported, and clear what it left behind."""
    found = importlib.metadata.version("ministack")
    if found != VERSION:
        sys.exit(f"The emulator is version {found}; this launcher knows {VERSION}. Run `make setup`.")
    rubbish = home / "tmp"
    shutil.rmtree(rubbish, ignore_errors=True)
    packages = sorted((home / "code").glob("*"), key=lambda place: place.stat().st_mtime)
    for old in packages[:-2]:
        shutil.rmtree(old)
    for folder in (rubbish, home / "state", home / "s3", home / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(home / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(home / "s3"),
            "TMPDIR": str(rubbish),
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "LOG_LEVEL": os.environ.get("EMULATOR_LOG_LEVEL", "WARNING"),
            "LAMBDA_WARM_TTL_SECONDS": "90",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )


async def _serve(home: Path, port: int, record: Path, concurrency: int) -> None:
    import uvicorn  # type: ignore[import-not-found]

    class Server(uvicorn.Server):  # type: ignore[misc]
        """The server without its own ways with signals, which would end the process by the signal and not in good order."""

        def capture_signals(self) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext()

    emulator = _Emulator(home, record, concurrency)
    server = Server(
        uvicorn.Config(
            emulator.application,
            host="127.0.0.1",
            port=port,
            # The emulator's own server reads a request in pure Python, which took more than half of its time.
            http="httptools",
            interface="asgi3",
            lifespan="on",
            ws="none",
            access_log=False,
            log_level="warning",
            # The application sends the headers that AWS would.
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
    )

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await server.serve()
    # Pollers and workers are daemons of this process; waiting for them would only delay the end.
    logging.shutdown()
    os._exit(0 if server.started else 1)


class _Emulator:
    """The emulator's modules with the launcher's parts put in."""

    def __init__(self, home: Path, record: Path, concurrency: int) -> None:
        from ministack import app
        from ministack.core import concurrency as threads
        from ministack.core import iam_actions, lambda_runtime, responses
        from ministack.services import dynamodb, eventbridge, kms, lambda_svc, s3, scheduler, ses_v2, sns, sqs

        self._app, self._home, self._outbox = app, home, record
        self._functions, self._runtime, self._responses = lambda_svc, lambda_runtime, responses
        self._dynamodb, self._sqs, self._threads = dynamodb, sqs, threads
        self._path = home / "journal.jsonl"
        self._journal = Journal(self._path)
        self._durable = Durable(self._journal, dynamodb=dynamodb, sqs=sqs, s3=s3, responses=responses)
        self._restored = threading.Event()
        self._pumping: set[str] = set()
        # Loading and saving: the emulator's own ways, with the journal after and without what only grows.
        self._load = app._load_persisted_state
        app._load_persisted_state = self._restore
        app.save_all = self._final_save
        # Schedules run on the local clock, see ``schedules.py``.
        eventbridge.start_scheduler = scheduler.start_scheduler = lambda: None
        # Functions.
        poll = lambda_svc._poll_loop
        lambda_svc._poll_loop = lambda: self._restored.wait() and poll()
        lambda_svc._poll_dynamodb_streams = self._poll_streams
        lambda_svc._ESM_SQS_DEFAULT_CONCURRENCY = concurrency
        # Between two steps of one message lies a look that finds nothing; the way through the queues is seven steps long.
        lambda_svc._ESM_IDLE_WAKE_GAP_SECONDS = _IDLE_GAP_SECONDS
        lambda_svc._run_sqs_batch = self._hurrying(lambda_svc._run_sqs_batch)
        lambda_svc._emit_lambda_logs = self._write_log
        lambda_runtime.zipfile = _Unpacked(home / "code")
        lambda_runtime.subprocess = Spawner()
        lambda_runtime._PYTHON_WORKER_SCRIPT = _WATCH_PARENT + lambda_runtime._PYTHON_WORKER_SCRIPT
        # With AUTH=true every role is held to its policy; as on AWS, a key goes by itself, whatever name it was asked
        # for by, and sending a batch of messages is sending messages.
        iam_actions.extract_iam_action = _without_batch(iam_actions.extract_iam_action)
        iam_actions.extract_resource_arn = _by_key(iam_actions.extract_resource_arn, kms)
        # A query parses its condition for each item that it looks at; once is enough.
        for step in ("_check_redundant_parens", "_check_reserved_keyword_usage", "_condition_syntax_error"):
            setattr(dynamodb, step, _once(getattr(dynamodb, step)))
        dynamodb._tokenize = _remembered(dynamodb._tokenize)
        dynamodb._evaluate_condition = _parsed_once(dynamodb)
        # Carriers.
        sns._publish = self._recording_publish(sns._publish, sns)
        ses_v2.handle_request = self._recording_mail(ses_v2.handle_request)
        s3._persist_object = self._recording_letters(s3._persist_object)

    # Requests

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request; a change of definitions is saved before it is answered."""
        if scope["type"] != "http":
            await self._app.app(scope, receive, send)
        elif scope["path"].startswith("/_forbear/"):
            await self._own(scope, send)
        elif _changes_definitions(scope):
            await self._app.app(scope, receive, self._saving(send))
        else:
            await self._app.app(scope, receive, send)

    async def _own(self, scope: Any, send: Any) -> None:
        if scope["path"] == "/_forbear/save":
            self.save()
        # What one look finds empty may have moved between its two halves; what two looks find empty is.
        queues, unread = self._waiting()
        if not unread and not any(queues.values()):
            queues, unread = self._waiting()
        told = {
            "ready": self._restored.is_set(),
            "unread": unread,
            "queues": queues,
            "journal_bytes": self._journal.size(),
        }
        body = json.dumps(told).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _waiting(self) -> tuple[dict[str, int], int]:
        """Return how many messages are in each queue, those in flight included, and how many records are not read yet."""
        queues = self._durable.queues.depths()
        return queues, sum(len(self._durable.tables.unread(table, name)) for table, name, _ in self._stream_mappings())

    def _saving(self, send: Any) -> Any:
        async def after(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] < 400:
                self.save()
            await send(message)

        return after

    # State

    def _restore(self) -> None:
        started = time.perf_counter()
        self._load()
        count = self._durable.restore(self._path)
        if self._journal.size() > COMPACT_BYTES:
            self._durable.compact()
        self._restored.set()
        self._threads.spawn_background(self._warm, thread_name="warm")
        logging.getLogger("launcher").info("restored %d entries in %.2f s", count, time.perf_counter() - started)

    def _warm(self) -> None:
        """Start one process for each function that is always needed, while nobody waits for it yet."""
        for name in _ALWAYS_NEEDED:
            for (account, region, deployed), function in self._functions._functions.all_items():
                if deployed.endswith(f"-{name}") and function.get("code_zip"):
                    self._responses.set_request_account_id(account)
                    self._responses.set_request_region(region)
                    worker, _ = self._runtime.acquire_worker(deployed, function["config"], function["code_zip"])
                    try:
                        self._runtime.ensure_spawned(worker)
                    finally:
                        self._runtime.release_worker(worker)

    def save(self) -> None:
        """Save every definition. Runs on the event loop, so that no request sees half of it."""
        from ministack.core.persistence import save_state

        for name, state in self._app._build_persistence_save_dict().items():
            if name not in _ONLY_GROWS:
                current = state()
                if current is not None:
                    save_state(name, current)

    def _final_save(self, _: Any) -> None:
        self.save()
        self._durable.compact()

    # Functions

    def _write_log(
        self, func: Any, request_id: str, text: str, error: bool, milliseconds: int, *, log_source: Any = None
    ) -> None:
        """Append what a function printed to a file of its own; the emulator would keep it in memory for ever."""
        config = func.get("config") or func
        name = str(config.get("FunctionName", "unknown"))
        end = f"REPORT {request_id} {milliseconds} ms{' FAILED' if error else ''}\n"
        with (self._home / "logs" / f"{name}.log").open("a", encoding="utf-8") as log:
            log.write(f"{text.rstrip()}\n{end}" if text else end)

    def _hurrying(self, run: Any) -> Any:
        """Let messages that failed come back after seconds. On AWS it takes their visibility timeout, many minutes."""

        def batch_run(mapping: Any, function: Any, event: Any, batch: list[dict[str, Any]], *queue: str) -> None:
            run(mapping, function, event, batch, *queue)
            with self._durable.queues.lock:
                for message in batch:
                    message["visible_at"] = min(
                        message["visible_at"], time.time() + 2 ** (message["receive_count"] - 1)
                    )

        return batch_run

    def _stream_mappings(self) -> Iterator[tuple[Scope, str, dict[str, Any]]]:
        """Yield table, function and terms of every enabled mapping of a stream."""
        for account, region, mapping in self._functions._iter_all_esms():
            arn = mapping.get("EventSourceArn", "")
            if ":dynamodb:" in arn and "/stream/" in arn and mapping.get("Enabled", True):
                table = arn.split("/stream/")[0].split("/")[-1]
                yield (account, region, table), mapping["FunctionName"], mapping

    def _poll_streams(self) -> bool:
        """Start a pump for each mapping of a stream that has records and none running. Called by the emulator's poller."""
        for scope, function, mapping in self._stream_mappings():
            key = "/".join((*scope, function))
            if key in self._pumping or not self._durable.tables.unread(scope, mapping["FunctionName"]):
                continue
            self._pumping.add(key)
            self._threads.spawn_background(self._pump, scope, key, mapping, thread_name="stream-pump")
        return False

    def _pump(self, scope: Scope, key: str, mapping: dict[str, Any]) -> None:
        account, region, _ = scope
        self._responses.set_request_account_id(account)
        self._responses.set_request_region(region)
        function, _ = self._functions._get_func_record_for_qualifier(mapping["FunctionName"], mapping.get("Qualifier"))
        try:
            while function is not None and (records := self._durable.tables.unread(scope, mapping["FunctionName"])):
                self._pump_of(scope, mapping, function).run(records)
                self._durable.tables.forget_read()
        finally:
            self._pumping.discard(key)
            self._threads.esm_wake.set()

    def _pump_of(self, scope: Scope, mapping: dict[str, Any], function: Any) -> stream.Pump:
        def invoke(records: Any) -> stream.Answer:
            result = self._functions._execute_function(function, {"Records": list(records)})
            if result.get("error") or result.get("throttle"):
                return stream.Answer(error=json.dumps(result.get("body"), default=str)[:200])
            body = result.get("body")
            failures = body.get("batchItemFailures", []) if isinstance(body, dict) else []
            return stream.Answer(failed=tuple(str(failure.get("itemIdentifier", "")) for failure in failures))

        def set_aside(records: Any, condition: str) -> None:
            target = ((mapping.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination", "")
            told = stream.note(
                records, condition, stream=mapping["EventSourceArn"], function=mapping.get("FunctionArn", "")
            )
            name = target.split(":")[-1]
            if name:
                url = self._sqs._queue_url(name)
                self._sqs._act_send_message({"QueueUrl": url, "MessageBody": json.dumps(told)}, url)

        return stream.Pump(
            stream.Terms(
                batch_size=int(mapping.get("BatchSize", 100)),
                retries=int(mapping.get("MaximumRetryAttempts", -1)),
                age_seconds=int(mapping.get("MaximumRecordAgeInSeconds", -1)),
                halve=bool(mapping.get("BisectBatchOnFunctionError", False)),
                partial="ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []),
            ),
            wanted=lambda record: bool(self._functions._apply_filter_criteria([record], mapping)),
            invoke=invoke,
            set_aside=set_aside,
            checkpoint=lambda number: self._durable.tables.checkpoint(scope, mapping["FunctionName"], number),
            pause=lambda tries: time.sleep(min(5.0, 0.2 * 2**tries)),
            now=time.time,
        )

    # Carriers

    def _recording_publish(self, publish: Any, sns: Any) -> Any:
        def accepting(params: Any) -> Any:
            answer = publish(params)
            to = sns._p(params, "PhoneNumber")
            if answer[0] == 200 and to and not (sns._p(params, "TopicArn") or sns._p(params, "TargetArn")):
                attributes = sns._parse_message_attributes(params)
                text = answer[2] if isinstance(answer[2], str) else answer[2].decode()
                outbox.accept(
                    self._outbox,
                    carrier="sns",
                    channel="sms",
                    provider_id=text.split("<MessageId>")[1].split("</MessageId>")[0],
                    to=to,
                    body=sns._p(params, "Message"),
                    contact=_attribute(attributes, "contact"),
                    tenant=_attribute(attributes, "tenant"),
                )
            return answer

        return accepting

    def _recording_mail(self, handle: Any) -> Any:
        async def accepting(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
            answer = await handle(method, path, headers, body, query)
            if method == "POST" and path.rstrip("/").endswith("/outbound-emails") and answer[0] == 200:
                sent = json.loads(body)
                simple = sent.get("Content", {}).get("Simple", {})
                tags = {tag["Name"]: tag["Value"] for tag in sent.get("EmailTags", [])}
                outbox.accept(
                    self._outbox,
                    carrier="ses",
                    channel="email",
                    provider_id=json.loads(answer[2])["MessageId"],
                    to=",".join(sent.get("Destination", {}).get("ToAddresses", [])),
                    subject=simple.get("Subject", {}).get("Data"),
                    body=simple.get("Body", {}).get("Text", {}).get("Data", ""),
                    contact=tags.get("contact"),
                    tenant=tags.get("tenant"),
                )
            return answer

        return accepting

    def _recording_letters(self, persist: Any) -> Any:
        def filing(bucket: str, key: str, stored: Any) -> Any:
            pages = stored.get("body") if isinstance(stored, dict) else stored
            answer = persist(bucket, key, stored)
            if "-letters-" in bucket and pages is not None:
                marks = {name.lower(): value for name, value in stored.get("metadata", {}).items()}
                outbox.accept(
                    self._outbox,
                    carrier="letter",
                    channel="letter",
                    provider_id=key,
                    to="",
                    body=bytes(pages),
                    place=key,
                    content=_mark(marks, "content"),
                    contact=_mark(marks, "contact"),
                    tenant=key.split("/", 1)[0],
                )
            return answer

        return filing


class _Tokens(list[Any]):
    """The tokens of one expression, told from others by identity; nobody changes them."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other


def _remembered(tokenize: Any) -> Any:
    @functools.lru_cache(4096)
    def tokens(expression: str) -> _Tokens:
        return _Tokens(tokenize(expression))

    return tokens


def _once(check: Any) -> Any:
    """Remember a check of an expression, or of its tokens where they are remembered themselves."""
    remembering = functools.lru_cache(4096)(check)

    def checked(subject: Any, *rest: Any) -> Any:
        return (remembering if isinstance(subject, str | _Tokens) else check)(subject, *rest)

    return checked


def _parsed_once(dynamodb: Any) -> Any:
    """Look at the key condition of a query without parsing it for each item of the partition."""
    evaluate, compare = dynamodb._evaluate_condition, dynamodb._compare_ddb

    @functools.lru_cache(4096)
    def clauses(expression: str) -> Any:
        return key_conditions.clauses_of(dynamodb._tokenize(expression))

    last = threading.local()

    def evaluated(
        expression: str, item: Any, values: Any, names: Any, slot: str = "ConditionExpression", **more: Any
    ) -> Any:
        found = clauses(expression) if slot == "KeyConditionExpression" and expression else None
        if found is None:
            return evaluate(expression, item, values, names, slot=slot, **more)
        # The items of a query come one after the other with the same two objects, which are held here while they are told by.
        if getattr(last, "values", None) is not values or last.names is not names or last.clauses is not found:
            last.values, last.names, last.clauses = values, names, found
            last.holds = key_conditions.matcher(found, values, names, compare)
        return last.holds(item)

    return evaluated


def _by_key(resource: Any, kms: Any) -> Any:
    def named(service: str, *request: Any, **more: Any) -> Any:
        arn = resource(service, *request, **more)
        key = kms._resolve_key(arn) if ":alias/" in arn else None
        return arn if key is None else key["Arn"]

    return named


def _without_batch(action: Any) -> Any:
    def named(service: str, *request: Any, **more: Any) -> Any:
        found = action(service, *request, **more)
        return found.removesuffix("Batch") if service == "sqs" and found else found

    return named


def _mark(marks: dict[str, str], name: str) -> str | None:
    return marks.get(name) or marks.get(f"x-amz-meta-{name}")


def _attribute(attributes: dict[str, Any], name: str) -> str | None:
    found = attributes.get(name) or {}
    return found.get("StringValue") or found.get("Value")


def _changes_definitions(scope: Any) -> bool:
    """Tell whether a request may change what is saved whole: tables, queues, keys, buckets, functions, stacks."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    headers = dict(scope["headers"])
    service, _, action = headers.get(b"x-amz-target", b"").decode("latin-1").partition(".")
    if service in _DATA_PLANE:
        return action in _TABLE_ACTIONS or not action.startswith(_DATA_PLANE[service])
    if service:
        return True
    path = scope["path"].strip("/")
    if "s3" in headers.get(b"authorization", b"").decode("latin-1").split("/")[3:4]:
        return "/" not in path
    if path.startswith(("2015-03-31", "2017-10-31", "2019-09-30", "v2/email")):
        return not path.endswith(("invocations", "outbound-emails"))
    return "/cloudformation/" in headers.get(b"authorization", b"").decode("latin-1")


_ALWAYS_NEEDED = (
    "api_handler",
    "authorize",
    "project_events",
    "release_due",
    "check_compliance",
    "dispatch_messages",
    "settle_provider_events",
)

_ONLY_GROWS = frozenset({"cloudwatch_logs", "cloudwatch", "cloudtrail"})
"""State that grows with use and that nothing here needs after a restart."""


class _Unpacked:
    """Stands for ``zipfile`` in the emulator's worker: a package is unpacked once and then linked."""

    BadZipFile = zipfile.BadZipFile

    def __init__(self, cache: Path) -> None:
        self._cache, self._lock = cache, threading.Lock()

    def ZipFile(self, path: str) -> Any:
        """Return what the emulator needs of a zip: a context manager that can unpack."""
        return _Package(Path(path), self._cache, self._lock)


class _Package:
    def __init__(self, path: Path, cache: Path, lock: threading.Lock) -> None:
        self._path, self._cache, self._lock = path, cache, lock

    def __enter__(self) -> "_Package":
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)

    def extractall(self, target: str) -> None:
        """Link the target to the unpacked package."""
        import hashlib

        with self._lock:
            place = self._cache / hashlib.sha256(self._path.read_bytes()).hexdigest()[:24]
            if not place.exists():
                fresh = place.with_suffix(".new")
                shutil.rmtree(fresh, ignore_errors=True)
                with zipfile.ZipFile(self._path) as package:
                    package.extractall(fresh)
                fresh.rename(place)
        os.rmdir(target)
        os.symlink(place, target)


_WATCH_PARENT = """
import os as _w_os, threading as _w_threading, time as _w_time
def _watch_parent(parent):
    while _w_os.getppid() == parent:
        _w_time.sleep(0.5)
    _w_os._exit(1)
_w_threading.Thread(target=_watch_parent, args=(_w_os.getppid(),), daemon=True).start()
"""
"""Workers are started by threads that end, so the kernel's own signal at a parent's death cannot be used for them."""


if __name__ == "__main__":
    main()
