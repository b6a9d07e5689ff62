"""Lives one day on the local cloud: a lender, three agencies with collectors, and borrowers who answer.

    python -m scripts.day --front http://127.0.0.1:8700 --out var

Everything goes through the API, as it would from outside. The day is planned once and written down, and every write
carries an Idempotency-Key made from its place in the plan, so a day that was killed is lived on from where it stood and
nobody is contacted twice for one wish. What is printed and written holds counts and ids, never a person.
"""

import argparse
import hashlib
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from scripts import day_world as world
from scripts import operate
from scripts.day_api import Api, Cloud, post_form, until
from scripts.day_world import LENDER, Act
from scripts.tokens import make_token

T = TypeVar("T")

HOURS = 28
"""A day runs from midnight UTC (08:00 in Shanghai) to 04:00 UTC of the next (20:00 in Los Angeles)."""

QUEUES = (
    "portfolio-uploads",
    "portfolio-chunks",
    "assignments",
    "compliance.fifo",
    "dispatch",
    "provider-events",
    "simulations",
    "exports",
)
SAMPLE_ROWS = 2_100


class Day:
    """One day and what is known of it so far; ``state`` survives in a file, everything else is asked anew."""

    def __init__(
        self, api: Api, cloud: Cloud, *, folder: Path, out: Path, seed: int, size: int, say: Callable[[str], None]
    ) -> None:
        """Take the API, the cloud beside it, the folder for the day's own file, and the one for what comes of it."""
        self.api, self.cloud, self.seed, self.size, self.say, self.out = api, cloud, seed, size, say, out
        self._file = folder / "day.json"
        self.state: dict[str, Any] = {"day": 0, "done": [], "portfolio": None, "plan": None, "cursors": {}, "held": {}}
        if self._file.exists():
            self.state = json.loads(self._file.read_text())
        self._tokens: dict[tuple[str, str, str], tuple[float, str]] = {}
        self._schedules, self._running = ThreadPoolExecutor(2), dict[str, Future[Any]]()

    def save(self) -> None:
        """Write the state down, whole or not at all."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self.state))
        os.replace(fresh, self._file)

    def step(self, name: str, act: Callable[[], None]) -> None:
        """Do a step unless it was done; it may be done again after a crash, so it must bear that."""
        if name in self.state["done"]:
            return
        started = time.monotonic()
        act()
        self.state["done"].append(name)
        self.save()
        self.say(f"{name}: done in {time.monotonic() - started:.1f} s")

    def token(self, role: str, org: str, subject: str = "") -> str:
        """Return a bearer token, the same one for half of its life."""
        known = self._tokens.get((role, org, subject))
        if known is None or known[0] < time.monotonic():
            token = make_token(role=role, org=org, subject=subject or None, ttl=1_800)
            known = (time.monotonic() + 900, token)
            self._tokens[(role, org, subject)] = known
        return known[1]

    @property
    def midnight(self) -> datetime:
        """Return the day's first instant."""
        first = datetime.combine(world.FIRST_DAY, datetime.min.time(), tzinfo=UTC)
        return first + timedelta(days=self.state["day"])

    def key(self, *parts: object) -> str:
        """Return an Idempotency-Key for a place in the plan."""
        return "-".join(("day", str(self.state["day"]), *map(str, parts)))

    # The houses

    def found(self) -> None:
        """Register lender, agencies and collectors; what is there already stays as it is."""
        platform, lender = self.token("admin", "platform"), self.token("lender", LENDER)
        body: dict[str, Any] = {
            "name": {"zh": "安行汽车金融（示例）", "en": "Anxing Auto Finance (sample)"},
            "country": "CN",
            "zone": "Asia/Shanghai",
            "creditor_kind": "auto_finance",
            "pay_to": {"CN": "安行汽车金融官方还款通道", "US": "Anxing Auto Finance, official payment desk"},
            "complaint_line": "+864008000001",
        }
        self._put(f"/v1/lenders/{LENDER}", platform, body)
        for agency, about in world.AGENCIES.items():
            body = {
                "name": {"zh": about["zh"], "en": about["en"]},
                "listed_from": "2026-01-01",
                "listed_to": "2027-12-31",
                "inspected_on": "2026-06-01",
                "share": about["share"],
                "countries": about["countries"],
                "cases_per_collector": 600,
                "callback": "+864008000002" if about["countries"] == ["CN"] else "+13125550142",
                "sms_line": "+864008000003" if about["countries"] == ["CN"] else "+13125550143",
                "email_from": f"service@{agency}.example.com",
                "address": f"{about['en']}, 1 Sample Street",
            }
            self._put(f"/v1/agencies/{agency}", lender, body)
            for number, collector in enumerate(world.COLLECTORS[agency], start=1):
                path = f"/v1/agencies/{agency}/collectors/{collector}"
                self._put(path, lender, {"staff_no": f"{agency[4:6].upper()}{number:03d}"})
                for country in about["countries"]:
                    self._certify(path, lender, country)

    def _certify(self, path: str, lender: str, country: str) -> None:
        """Record a generated certificate of training outside Forbear; the same one again changes nothing."""
        shown = {
            "country": country,
            "issuer": "Anxing training desk (sample)",
            "evidence_sha256": hashlib.sha256(f"{path} {country}".encode()).hexdigest(),
            "issued_on": "2026-07-01",
            "valid_to": "2027-06-30",
        }
        key = f"founding-certificate-{path.rsplit('/', 1)[1]}-{country}"
        self.api.call("POST", f"{path}/certificates", lender, shown, key=key)

    def name_witnesses(self) -> None:
        """Let the platform's operator set who must have seen the lender's log; its address may be new at each start."""
        policy = os.environ.get("LOCAL_CLOUD_WITNESS_POLICY")
        if policy and operate.main(["witnesses", "--lender", LENDER, "--policy", policy, "--by", "operator-1"]):
            raise RuntimeError("the policy of witnesses was not taken")

    def approve_templates(self) -> None:
        """Let the lender adopt the texts that the day uses and its counsel approve them; until then nothing can be sent."""
        lender, counsel = self.token("lender", LENDER, "ops-1"), self.token("counsel", LENDER, world.COUNSEL)
        known = self.api.call("GET", "/v1/templates", lender).body["items"]
        current = {each["id"] for each in known if each["current"] is not None}
        for name in world.TEMPLATES:
            if name in current:
                continue
            drafted = self.api.call("POST", "/v1/templates", lender, {"library": name}, key=f"founding-draft-{name}")
            number = drafted.body["life"]["number"]
            decision = {"decision": "approve", "reason": "read, compared with the rules, found lawful"}
            path = f"/v1/templates/{name}/versions/{number}/approvals"
            self.api.call("POST", path, counsel, decision, key=f"founding-approval-{name}", expect=(201, 409))

    def adopt_house_rules(self) -> None:
        """Let the lender bind itself to earlier evenings for visits than the law asks; its compliance officer approves."""
        lender = self.token("lender", LENDER, "ops-1")
        officer = self.token("compliance", LENDER, world.COMPLIANCE_OFFICER)
        path = "/v1/compliance/house-rules"
        drafted = self.api.call("POST", path, lender, world.HOUSE_RULES, key="founding-house-rules").body
        decision = {"decision": "approve", "reason": "stricter than the law, as the board decided"}
        path = f"{path}/{drafted['house']}/versions/{drafted['number']}/approvals"
        self.api.call("POST", path, officer, decision, key="founding-house-approval", expect=(201, 409))

    def answer_complaints(self) -> None:
        """Let each agency call back those who complained, and record that as the first reply which it owes them."""
        for agency in world.AGENCIES:
            token = self.token("agency", agency)
            for duty in self.api.call("GET", "/v1/duties?limit=100", token).body["items"]:
                if duty["kind"] == "complaint_first_reply":
                    done = {"at": self.cloud.now().isoformat(), "evidence": "call"}
                    path = f"/v1/duties/{duty['id']}/fulfilments"
                    self.api.call("POST", path, token, done, key=self.key("reply", duty["id"]), expect=(201, 409, 422))

    def give_feedback(self) -> None:
        """Let each agency suggest something and enter two scores of customers; the lender takes up the suggestion of one."""
        for number, agency in enumerate(sorted(self.state["held"])):
            cases = sorted(self.state["held"][agency])
            if not cases:
                continue
            token = self.token("agency", agency)
            said = {
                "kind": "suggestion",
                "source": "agency",
                "case": cases[0],
                "text": "名单中的旧号码太多，请先核对。 Too many old numbers in the list; check them first.",
            }
            told = self._feedback(token, said, "suggestion", agency)
            if told is not None and number == 0:
                self._take_up(told, "adopted", "data_quality")
            for score, case in zip((5, 2), cases[-2:], strict=False):
                scored = {"kind": "survey", "source": "customer", "case": case, "score": score, "channel": "call"}
                self._feedback(token, scored, "score", case)

    def answer_feedback(self) -> None:
        """Let the lender answer and close every other complaint that waits; the rest is escalated after 36 hours."""
        officer = self.token("compliance", LENDER, world.COMPLIANCE_OFFICER)
        waiting = self.api.call("GET", "/v1/feedback?limit=100", officer).body["items"]
        complaints = sorted(item["id"] for item in waiting if item["kind"] == "complaint")
        for complaint in complaints[::2]:
            self._take_up(complaint, "not_upheld", "none_found")

    def _feedback(self, token: str, said: dict[str, Any], *place: str) -> str | None:
        key = self.key("feedback", *place)
        told = self.api.call("POST", "/v1/feedback", token, said, key=key, expect=(201, 404))
        return str(told.body["id"]) if told.status == 201 else None

    def _take_up(self, item: str, outcome: str, root_cause: str) -> None:
        officer = self.token("compliance", LENDER, world.COMPLIANCE_OFFICER)
        words = "已核查并答复。 Looked into and answered."
        steps: dict[str, dict[str, str]] = {
            "assignments": {"owner": world.COMPLIANCE_OFFICER},
            "answers": {"text": words},
            "closures": {"outcome": outcome, "root_cause": root_cause, "text": words},
        }
        for what, body in steps.items():
            key = self.key(what, item)
            self.api.call("POST", f"/v1/feedback/{item}/{what}", officer, body, key=key, expect=(201, 409))

    def send_notices(self) -> None:
        """Let each agency send every other validation notice that it owes by letter; what is sent discharges the duty."""
        for agency in world.AGENCIES:
            token = self.token("agency", agency)
            owed = self.api.call("GET", "/v1/duties?limit=100", token).body["items"]
            wanted = sorted(duty["case"] for duty in owed if duty["kind"] == "validation_notice")
            collector = self.token("collector", agency, world.COLLECTORS[agency][0])
            for case in wanted[::2]:
                wish = {"channel": "letter", "template": "us-letter-validation"}
                path = f"/v1/cases/{case}/messages"
                self.api.call("POST", path, collector, wish, key=self.key("notice", case), expect=(202, 404, 409, 422))
        self.quiet()

    def _put(self, path: str, token: str, body: dict[str, Any]) -> None:
        if self.api.call("GET", path, token, expect=(200, 404)).status == 404:
            self.api.call("PUT", path, token, body, expect=(200, 201))

    def confirm_balances(self) -> None:
        """Let the lender confirm that its balances are up to date, which a message that names an amount needs."""
        body = {"confirmed_at": self.cloud.now().isoformat()}
        path = f"/v1/lenders/{LENDER}/balances-confirmation"
        self.api.call("PUT", path, self.token("lender", LENDER), body)

    # The portfolio

    def upload(self) -> None:
        """Announce the sample portfolio with its control totals and upload it; the upload starts its processing."""
        csv, control = self._sample()
        wish = {"format": "csv", "rows": control["rows"], "totals": control["totals"], "sha256": control["sha256"]}
        told = self.api.call("POST", "/v1/portfolios", self.token("lender", LENDER), wish, key=self.key("portfolio"))
        self.state["portfolio"] = told.body["id"]
        self.save()
        form = told.body["upload"]
        status = post_form(form["url"], form["fields"], csv.read_bytes(), csv.name)
        if status not in (200, 201, 204):
            raise RuntimeError(f"the upload answered {status}")

    def _sample(self) -> tuple[Path, dict[str, Any]]:
        from scripts import sample

        target = self._file.parent / "sample"
        control = target.with_suffix(".control.json")
        if not control.exists():
            sample.main(["--rows", str(SAMPLE_ROWS), "--seed", str(self.seed), "--out", str(target)])
        return target.with_suffix(".csv"), json.loads(control.read_text())

    def wait_loaded(self) -> None:
        """Wait until every row is a case or a rejection, and every case has its agency."""
        lender, path = self.token("lender", LENDER), f"/v1/portfolios/{self.state['portfolio']}"
        shown = ""

        def loaded() -> bool:
            nonlocal shown
            told = self.api.call("GET", path, lender).body
            line = f"portfolio {told['state']}, {told['progress']:.0%}"
            if line != shown:
                self.say(line)
                shown = line
            if told["state"] == "refused":
                raise RuntimeError(f"the portfolio was refused: {told['refusal']}")
            return bool(told["state"] == "loaded")

        if not until(loaded, seconds=300, pause=0.2):
            raise RuntimeError("the portfolio was not loaded within 300 s")
        self.quiet(seconds=900)

    def quiet(self, *, seconds: float = 60) -> None:
        """Wait until queues are empty and everything that was committed is projected."""
        left: dict[str, int] = {}

        def empty() -> bool:
            nonlocal left
            left = self.cloud.waiting(QUEUES)
            return not any(left.values())

        if not until(empty, seconds=seconds, pause=0.01, longest_pause=0.05):
            waiting = {name: depth for name, depth in left.items() if depth}
            raise RuntimeError(f"the queues did not run empty within {seconds:.0f} s: {waiting}")

    # The agencies

    def poll(self) -> None:
        """Let each agency read its change feed to the end and keep what it holds."""
        for agency in world.AGENCIES:
            token, held = self.token("agency", agency), self.state["held"].setdefault(agency, {})
            while True:
                cursor = self.state["cursors"].get(agency)
                query = f"?limit=100&cursor={cursor}" if cursor else "?limit=100"
                page = self.api.call("GET", f"/v1/cases/changes{query}", token).body
                for change in page["items"]:
                    if change["kind"] == "tombstone":
                        held.pop(change["case"], None)
                    else:
                        held[change["case"]] = {"id": change["case"], "state": change["state"]}
                self.state["cursors"][agency] = page["next_cursor"]
                if not page["more"]:
                    break
        self.save()

    def plan(self) -> None:
        """Plan the day once: who tries what, when."""
        held = {agency: list(cases.values()) for agency, cases in self.state["held"].items()}
        acts = world.plan(held, seed=self.seed, day=self.state["day"], size=self.size)
        self.state["plan"] = [[a.hour, a.slot, a.actor, a.kind, a.case, a.detail] for a in acts]

    def hour(self, hour: int) -> None:
        """Live one hour: the clock moves, what is due is released, people act, the world answers."""
        self.cloud.set_clock(max(self.midnight + timedelta(hours=hour), self.cloud.now()))
        # Schedules run beside what people do. The archive's is over before the clock moves on: its notes tell the hour.
        if hour % 2 == 1:
            self._run_beside("archive_events")
        if hour % 4 == 3:
            self._run_beside("compute_kpis")
        released = self.cloud.run("release_due")["moved"]
        acts = [Act(*entry) for entry in self.state["plan"] if entry[0] == hour]
        asks = _side_by_side([(act.actor, partial(self._ask, act)) for act in acts])
        asked = list(zip(acts, asks, strict=True))
        if asked or released:
            self.quiet()
        if any(contact is not None for _, contact in asked):
            self._review(asked)
            made = [(act, contact) for act, contact in asked if contact is not None and act.kind in ("call", "visit")]
            _side_by_side([(act.actor, partial(self._talk, act, contact)) for act, contact in made])
            self.quiet()
        if self._world_answers():
            self.quiet()
        self._ended("archive_events")

    def _run_beside(self, function: str) -> None:
        """Run a scheduled function while the day goes on, as it would in AWS; never twice at once."""
        self._ended(function)
        self._running[function] = self._schedules.submit(self.cloud.run, function)

    def _ended(self, *functions: str) -> None:
        """Wait for those scheduled functions that run (all when none is named); what one of them raised is raised here."""
        for function in functions or list(self._running):
            if running := self._running.pop(function, None):
                running.result()

    def _ask(self, act: Act) -> str | None:
        """Ask for a message or a clearance and return its id; None when the case or person does not allow the wish."""
        collector = world.COLLECTORS[act.actor][act.slot % 3]
        token = self.token("collector", act.actor, collector)
        country = act.detail["country"].lower()
        if act.kind in ("call", "visit"):
            wish: dict[str, Any] = {"channel": act.kind, "template": f"{country}-{act.kind}-demand", "recorded": True}
            if country == "us":
                wish["template"] = "us-call-first"
            if act.kind == "visit":
                wish["visit"] = {"staff": 2, "place": "home", "entry_consent": True, "plan_approved": True}
                visit_on = (self.midnight + timedelta(days=1)).date()
                wish["parameters"] = {"visit_on": f"{visit_on.year}年{visit_on.month}月{visit_on.day}日"}
            path = f"/v1/cases/{act.case}/clearances"
        else:
            template = f"us-{act.kind}-first" if country == "us" else f"cn-{act.kind}-demand"
            if (country, act.kind) == ("us", "letter"):
                template = "us-letter-validation"
            wish = {"channel": act.kind, "template": template}
            path = f"/v1/cases/{act.case}/messages"
        answer = self.api.call("POST", path, token, wish, key=self.key("ask", act.key), expect=(202, 404, 409, 422))
        return str(answer.body["id"]) if answer.status == 202 else None

    def _review(self, asked: list[tuple[Act, str | None]]) -> None:
        """Let the compliance officer look at what the rules leave to a person: every third wish passes."""
        wishes = [(act, contact) for act, contact in asked if contact is not None]
        if any(_side_by_side([(act.actor, partial(self._look_at, act, contact)) for act, contact in wishes])):
            self.quiet()

    def _look_at(self, act: Act, contact: str) -> bool:
        """Decide on a wish that waits for a person; tell whether it passed."""
        token = self.token("compliance", LENDER, world.COMPLIANCE_OFFICER)
        if self.api.call("GET", f"/v1/messages/{contact}", token).body["state"] != "in_review":
            return False
        fit = act.slot % 3 == 0
        body = {
            "decision": "approve" if fit else "deny",
            "reason": "consent seen in the file" if fit else "no consent on file, not worth the risk",
        }
        path = f"/v1/messages/{contact}/review"
        self.api.call("POST", path, token, body, key=self.key("review", act.key), expect=(200, 409))
        return fit

    def _talk(self, act: Act, contact: str) -> None:
        """Make the cleared call or visit and report what came of it; do what the result calls for."""
        collector = world.COLLECTORS[act.actor][act.slot % 3]
        token = self.token("collector", act.actor, collector)
        told = self.api.call("GET", f"/v1/messages/{contact}", token).body
        if told["state"] != "approved":
            return
        result = (world.call_result if act.kind == "call" else world.visit_result)(contact)["result"]
        now = self.cloud.now().isoformat()
        self.api.call(
            "POST",
            f"/v1/messages/{contact}/outcome",
            token,
            {"result": result, "attempted_at": now},
            key=self.key("outcome", act.key),
            expect=(200, 409),
        )
        if result == "RPC-PTP":
            self._promise(act, token, told["person"])

    def _promise(self, act: Act, token: str, person: str) -> None:
        case = self.api.call("GET", f"/v1/cases/{act.case}", token, expect=(200, 404))
        if case.status != 200:
            return
        amount = max(1, case.body["amount_due_minor"] // 2)
        due_on = (self.midnight + timedelta(days=3)).date().isoformat()
        body = {"person": person, "amount_minor": amount, "currency": case.body["currency"], "due_on": due_on}
        path = f"/v1/cases/{act.case}/promises"
        made = self.api.call(
            "POST", path, token, body, key=self.key("promise", act.key), expect=(200, 201, 404, 409, 422)
        )
        if made.status in (200, 201) and world.pays_today(act.case):
            lender = self.token("lender", LENDER)
            payment = {
                "amount_minor": amount,
                "currency": case.body["currency"],
                "received_on": self.midnight.date().isoformat(),
                "method": "transfer",
            }
            path = f"/v1/cases/{act.case}/payments"
            self.api.call("POST", path, lender, payment, key=self.key("payment", act.key), expect=(200, 201, 409, 422))

    # The world outside

    def _world_answers(self) -> bool:
        """Let carriers report on what left in this hour, and some borrowers write back; tell whether anybody did."""
        seen = set(self.state.setdefault("answered", []))
        for left in self.cloud.outbox():
            contact = left.get("contact")
            if not contact or contact in seen or left["carrier"] == "letter":
                continue
            seen.add(contact)
            word = world.carrier_word(contact)
            self.cloud.publish("provider-events", delivery(left, word))
            text = world.reply(contact, "CN" if left["to"].startswith("+86") else "US")
            if text is not None and left["carrier"] == "sns" and word == "delivered":
                self.cloud.publish("inbound", inbound_text(left, text))
        news = len(seen) > len(self.state["answered"])
        self.state["answered"] = sorted(seen)
        self.save()
        return news

    def lender_acts(self) -> None:
        """Let the lender recall two cases, and one agency object to one recall."""
        lender = self.token("lender", LENDER)
        for agency in list(world.AGENCIES)[:2]:
            cases = sorted(self.state["held"].get(agency, {}))
            if not cases:
                continue
            path = f"/v1/cases/{cases[0]}/recall"
            body = {"reason": "sold"}
            asked = self.api.call(
                "POST", path, lender, body, key=self.key("recall", agency), expect=(200, 202, 409, 422)
            )
            if asked.status in (200, 202) and agency == next(iter(world.AGENCIES)):
                objection = {"code": "promise_alive", "reason": "a promise to pay is alive"}
                token = self.token("agency", agency)
                self.api.call(
                    "POST",
                    f"{path}/objection",
                    token,
                    objection,
                    key=self.key("object", agency),
                    expect=(200, 202, 404, 409, 422),
                )

    def close(self) -> None:
        """End the day: figures, archive, and the next day begins."""
        self._ended()
        self.cloud.set_clock(max(self.midnight + timedelta(hours=HOURS), self.cloud.now()))
        self.cloud.run("release_due")
        self.quiet()
        self.cloud.run("compute_kpis")
        self.cloud.run("archive_events")
        self.quiet()

    def export(self) -> None:
        """Let the compliance officer export the day from the archive and download it, as ``audit-export.zip`` in ``out``."""
        officer, day = self.token("compliance", LENDER, world.COMPLIANCE_OFFICER), self.midnight.date()
        last = self.cloud.now().date()
        wish = {"range": {"from": day.isoformat(), "to": last.isoformat()}}
        told = self.api.call("POST", "/v1/audit/exports", officer, wish, key=self.key("export")).body
        path = f"/v1/audit/exports/{told['id']}"
        # Packed by its worker, signed by the archiver's next run, ended by the worker.
        self.quiet()
        self.cloud.run("archive_events")
        self.quiet()
        told = self.api.call("GET", path, officer).body
        if told["state"] != "succeeded":
            raise RuntimeError(f"the export of the day is {told['state']}: {told['problem']}")
        given = self.api.call("POST", f"{path}/downloads", officer, {}, key=self.key("download", time.time_ns())).body
        with urllib.request.urlopen(given["url"], timeout=120) as answer:
            raw = answer.read()
        if hashlib.sha256(raw).hexdigest() != given["sha256"]:
            raise RuntimeError("the export that was downloaded is not the one that was made")
        (self.out / "audit-export.zip").write_bytes(raw)
        self.quiet()
        self.cloud.run("archive_events")
        self.quiet()


def _side_by_side(acts: Sequence[tuple[str, Callable[[], T]]]) -> list[T]:
    """Let agencies act at the same time, each of them one thing after the other; return what came of it, in order."""
    done: dict[int, T] = {}

    def of(agency: str) -> None:
        for place, (actor, act) in enumerate(acts):
            if actor == agency:
                done[place] = act()

    with ThreadPoolExecutor(len(world.AGENCIES)) as working:
        # What one of them raises is raised here, when all have ended.
        list(working.map(of, sorted({actor for actor, _ in acts})))
    return [done[place] for place in range(len(acts))]


def delivery(left: dict[str, Any], word: str) -> dict[str, Any]:
    """Return what a carrier publishes about a message of the outbox: delivered, or bounced for good."""
    at, contact = left["at"], left["contact"]
    if left["carrier"] == "ses":
        mail = {
            "messageId": left["provider_id"],
            "timestamp": at,
            "destination": [left["to"]],
            "tags": {"contact": [contact]},
        }
        if word == "delivered":
            return {"eventType": "Delivery", "mail": mail, "delivery": {"timestamp": at, "recipients": [left["to"]]}}
        recipients = [{"emailAddress": left["to"]}]
        bounce = {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "timestamp": at,
            "bouncedRecipients": recipients,
        }
        return {"eventType": "Bounce", "mail": mail, "bounce": bounce}
    if left["carrier"] == "sns":
        event = "TEXT_DELIVERED" if word == "delivered" else "TEXT_INVALID"
        return {
            "eventType": event,
            "eventVersion": "1.0",
            "eventTimestamp": 0,
            "isFinal": True,
            "destinationPhoneNumber": left["to"],
            "messageId": left["provider_id"],
            "messageStatus": "DELIVERED" if word == "delivered" else "INVALID",
            "context": {"contact": contact},
        }
    return {
        "source": "wechat",
        "event": "delivered" if word == "delivered" else "failed",
        "msgid": left["provider_id"],
        "contact": contact,
        "external_userid": left["to"],
    }


def inbound_text(left: dict[str, Any], text: str) -> dict[str, Any]:
    """Return what the carrier publishes when a borrower texts back."""
    return {
        "originationNumber": left["to"],
        "destinationNumber": "+12065550100",
        "messageKeyword": "KEYWORD",
        "messageBody": text,
        "inboundMessageId": f"in-{left['contact']}",
        "previousPublishedMessageId": left["provider_id"],
    }


def live(day: Day) -> None:
    """Live the day that the state names, or the next one when that is over."""
    day.step("houses", day.found)
    day.name_witnesses()
    day.step("templates", day.approve_templates)
    day.step("house rules", day.adopt_house_rules)
    if day.state["portfolio"] is None or "portfolio" not in day.state["done"]:
        day.cloud.set_clock(max(day.midnight, day.cloud.now()))
        day.step("portfolio", day.upload)
    day.step("loaded", day.wait_loaded)
    number = day.state["day"]
    day.cloud.set_clock(max(day.midnight, day.cloud.now()))
    day.step(f"day {number} balances", day.confirm_balances)
    day.step(f"day {number} feed", day.poll)
    day.step(f"day {number} plan", day.plan)
    for hour in range(HOURS):
        day.step(f"day {number} hour {hour:02d}", lambda hour=hour: day.hour(hour))  # type: ignore[misc]
        if hour == 6:
            day.step(f"day {number} lender", day.lender_acts)
            day.step(f"day {number} complaints", day.answer_complaints)
            day.step(f"day {number} feedback", day.give_feedback)
            day.step(f"day {number} feedback answered", day.answer_feedback)
        if hour == world.US_CLOSE:
            day.step(f"day {number} notices", day.send_notices)
    day.step(f"day {number} end", day.close)
    day.step(f"day {number} export", day.export)


def main(arguments: list[str] | None = None) -> int:
    """Live one day and write the summary; returns the exit status."""
    from scripts import day_summary

    parser = argparse.ArgumentParser(
        prog="python -m scripts.day", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--front", required=True, help="address of the front door")
    parser.add_argument("--out", type=Path, default=Path("var"), help="folder for summary and archive")
    parser.add_argument("--state", type=Path, default=Path(".local"), help="folder for the day's own file")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--size", type=int, default=15, help="contacts an agency tries")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    given.state.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {line}", flush=True)

    cloud = Cloud.from_environment()
    day = Day(Api(given.front), cloud, folder=given.state, out=given.out, seed=given.seed, size=given.size, say=say)
    if f"day {day.state['day']} summary" in day.state["done"]:
        day.state.update({"day": day.state["day"] + 1, "plan": None})
        day.save()
    live(day)
    summary = day_summary.summarise(day, given.out, say=say)
    day.step(f"day {day.state['day']} summary", lambda: None)
    return 0 if day_summary.holds(summary) else 1


if __name__ == "__main__":
    sys.exit(main())
