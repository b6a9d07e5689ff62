#!/usr/bin/env python3
"""Recompute every key figure from a downloaded audit archive, and compare with what the system says.

    python scripts/recompute_kpis.py ARCHIVE [--tenant ID] [--zone ZONE] [--against EXPORT.json]

ARCHIVE is a directory that holds one or more logs of a lender (``<tenant>/<yyyy>/tile/entries/...``). The entries are
loaded into a database in memory and every counter is one query over them; every figure is then made from the counters
under the formulas of ``docs/kpis.md``, which are stated here a second time. Nothing is shared with the system but that
page: only the standard library is used, so that agreement means something. Whether the entries are the ones that the
log's signed checkpoint covers is for the archive's verifier to say, not for this program.

Without ``--against`` the counters and figures are printed as JSON. With it, each difference is one line on standard
output. Exit status: 0 no difference, 1 differences, 2 the archive or the export cannot be read.
"""

import argparse
import json
import math
import sqlite3
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

BUNDLE = 256
"""Entries in a full bundle."""


class Unreadable(Exception):
    """The archive or the export is not what it should be."""


# --- Reading the archive -----------------------------------------------------------------------------------------


def bundle_name(number: int) -> str:
    """Return the path of an entry bundle: three-digit groups, all but the last with an x (1234067 -> x001/x234/067)."""
    groups = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        groups.insert(0, f"x{number % 1000:03d}")
    return "/".join(groups)


def entries_of_bundle(raw: bytes, where: Path) -> list[bytes]:
    """Return the entries of a bundle, each prefixed by its length in two bytes, the greater first."""
    entries, place = [], 0
    while place < len(raw):
        start = place + 2
        place = start + int.from_bytes(raw[place:start], "big")
        if start > len(raw) or place > len(raw):
            raise Unreadable(f"{where} ends within an entry")
        entries.append(raw[start:place])
    return entries


def log_size(log: Path) -> int | None:
    """Return the size in the log's checkpoint (its second line), or None when the download has no checkpoint."""
    note = log / "checkpoint"
    if not note.exists():
        return None
    try:
        return int(note.read_text(encoding="utf-8").split("\n")[1])
    except (IndexError, ValueError) as error:
        raise Unreadable(f"{note} is no checkpoint") from error


def read_bundle(log: Path, number: int, least: int) -> list[bytes]:
    """Return the entries of the fullest copy of a bundle; none when there is no copy. At least ``least`` must be there."""
    full = log / "tile" / "entries" / bundle_name(number)
    partial = full.with_name(full.name + ".p")
    widths = sorted((int(each.name) for each in partial.iterdir() if each.name.isdigit()) if partial.is_dir() else ())
    path, width = (full, BUNDLE) if full.is_file() else (partial / str(widths[-1]), widths[-1]) if widths else (full, 0)
    entries = entries_of_bundle(path.read_bytes(), path) if width else []
    if len(entries) != width or width < least:
        raise Unreadable(f"{path} holds {len(entries)} entries; {max(width, least)} are needed")
    return entries


def read_log(log: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a log in order, checked for form, version and number."""
    size, seq, number = log_size(log), 0, 0
    while size is None or seq < size:
        wanted = 0 if size is None else min(BUNDLE, size - seq)
        entries = read_bundle(log, number, wanted)
        for raw in entries[: wanted or None]:
            try:
                record = json.loads(raw)
                ok = record["v"] == 1 and record["seq"] == seq and isinstance(record["event"], dict)
            except (ValueError, KeyError, TypeError) as error:
                raise Unreadable(f"entry {seq} of {log} is no record") from error
            if not ok:
                raise Unreadable(f"entry {seq} of {log} is not version 1, or not number {seq}")
            yield record
            seq += 1
        number += 1
        if size is None and len(entries) < BUNDLE:
            return


# --- Loading -----------------------------------------------------------------------------------------------------

COLUMNS = {
    "currency": "currency",
    "placed": "placed_minor",
    "amount": "amount_minor",
    "paid": "paid_minor",
    "was": "was",
    "channel": "channel",
    "action": "action",
    "from_state": "from",
    "to_state": "to",
    "kind": "kind",
    "outcome": "outcome",
    "result": "result",
    "contact": "contact",
    "person": "person",
    "attempt": "attempt",
    "connect": "connect",
    "connected": "connected",
    "right_party": "right_party",
    "keyword": "keyword",
    "org": "org",
    "agency": "agency",
    "collector": "collector",
    "stage": "stage",
    "region": "region",
    "portfolio": "portfolio",
    "payment": "payment",
    "received_on": "received_on",
    "reversal_of": "reversal_of",
    "commissionable": "commissionable",
    "promise": "promise",
    "duty": "duty",
    "duty_kind": "duty_kind",
    "subject": "subject",
    "late": "late",
    "done_at": "done_at",
    "score": "score",
    "exam_attempt": "exam_attempt",
    "passed": "passed",
    "faultless": "faultless",
    "points": "points",
    "survey": "survey",
    "counted": "counted",
    "was_sent": "was_sent",
    "minutes": "minutes",
    "is_gone": "left",
    "zone": "zone",
    "strategy": "strategy",
    "strategy_number": "number",
}
"""Column of the table of events -> member of an event's open data."""

BOOKINGS = ("case.placed", "case.changed", "payment.posted", "payment.reversed", "pause.recorded", "pause.cancelled")
"""What says where a case stands on a day."""


def load(archive: Path) -> sqlite3.Connection:
    """Return a database with one row an event, and one row for each rule that a ruling names."""
    if not archive.is_dir():
        raise Unreadable(f"{archive} is no directory")
    logs = sorted(entries.parent.parent for entries in archive.rglob("tile/entries") if entries.is_dir())
    if not logs:
        raise Unreadable(f"no log (tile/entries) lies under {archive}")
    base = sqlite3.connect(":memory:")
    base.execute(
        f"create table event (tenant, stream, seq, type, at, verdict, {', '.join(COLUMNS)},"
        " primary key (tenant, stream, seq))"
    )
    base.execute("create table booking (tenant, stream, seq, type, at, data, primary key (tenant, stream, seq))")
    base.execute("create table reason (tenant, stream, seq, rule, primary key (tenant, stream, seq, rule))")
    marks = ", ".join("?" * (6 + len(COLUMNS)))
    for log in logs:
        for record in read_log(log):
            event, tenant = record["event"], record["log"].split("/")[-2]
            data, decision = event.get("data") or {}, event.get("decision") or {}
            identity = (tenant, event["case"], event["case_seq"])
            row = [*identity, event["type"], event["at"], decision.get("outcome")]
            row += [data.get(member) for member in COLUMNS.values()]
            # An event counts once, even if the log should hold it twice.
            base.execute(f"insert or ignore into event values ({marks})", [v if _plain(v) else None for v in row])
            if event["type"] in BOOKINGS:
                booked = (*identity, event["type"], event["at"], json.dumps(data))
                base.execute("insert or ignore into booking values (?, ?, ?, ?, ?, ?)", booked)
            rules = [(*identity, rule) for rule in decision.get("reasons", ())]
            base.executemany("insert or ignore into reason values (?, ?, ?, ?)", rules)
    return base


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int)


def choose_tenant(base: sqlite3.Connection, tenant: str | None) -> str:
    """Return the lender to recompute: the one asked for, or the only one there is."""
    known = [name for (name,) in base.execute("select distinct tenant from event order by tenant")]
    if tenant is None and len(known) == 1:
        return str(known[0])
    if tenant is None or tenant not in known:
        raise Unreadable(f"the archive holds {', '.join(known) or 'no events'}; name one with --tenant")
    return tenant


def choose_zone(base: sqlite3.Connection, tenant: str, zone: str | None) -> str:
    """Return the lender's zone: the one asked for, or the one that its registration states."""
    query = "select zone from event where tenant = ? and type = 'lender.registered' and zone is not null order by at"
    found = base.execute(query, (tenant,)).fetchone()
    name = zone or (found[0] if found else None)
    if name is None:
        raise Unreadable("no entry states the lender's zone; name it with --zone")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Unreadable(f"{name} is no zone that this machine knows") from error
    return name


# --- Counters ----------------------------------------------------------------------------------------------------

PREPARE = """
create temp table happened as
  select *, local_date(at) as day, week(local_date(at)) as week, substr(local_date(at), 1, 7) as month,
    case when coalesce(case when type glob 'contact.*' or type = 'activity.recorded' then org else agency end, tenant)
         = tenant then '-'
         when type glob 'contact.*' or type = 'activity.recorded' then org
         else agency end as who
  from event where tenant = (select value from setting where name = 'tenant');

create index temp.by_type on happened (type);
create index temp.by_stream on happened (stream, seq);

create temp table placement as
  select stream, min(seq), day as placed_on, currency as placed_currency, placed as placed_amount,
         stage as placed_stage, region as placed_region, portfolio as batch
  from happened where type = 'case.placed' group by stream;

create temp table slice as
  select stream, 'stage:' || placed_stage as name from placement where placed_stage is not null
  union all select stream, 'region:' || placed_region from placement where placed_region is not null;

create temp table crowd as
  select distinct stream, '*' as name from happened union all select stream, name from slice;
create index temp.crowd_of on crowd (stream);

create temp table step as
  select stream, seq, case when type = 'contact.requested' then strategy else strategy || '@' || strategy_number end as followed
  from happened where type = 'plan.step_settled' or type = 'contact.requested' and strategy is not null;
create index temp.step_of on step (stream, seq);

create temp table voice as
  select stream, seq, 'strategy:' || followed as name from (
    select stream, seq, (select followed from step s where s.stream = h.stream and s.seq < h.seq order by s.seq desc limit 1)
      as followed from happened h where type not glob 'duty.*') where followed is not null
  union all select stream, seq, who as name from happened
  union all select stream, seq, name from happened join slice using (stream)
  union all select stream, seq, 'collector:' || who || '/' || collector from happened where collector is not null;
create index temp.voice_of on voice (stream, seq);

create temp table attempt as
  select stream, seq, day, week, month, who, person, channel, 0 as human, 0 as answered, 0 as reached, 0 as promised
  from happened
  where type = 'contact.sent'
     or type in ('contact.delivered', 'contact.failed') and from_state in ('sending', 'unknown')
  union all
  select stream, seq, day, week, month, who, person, channel, 1, connected, right_party,
         right_party and result in ('RPC-PTP', 'RPC-PLAN')
  from happened where type = 'contact.reported' and outcome <> 'not_made'
  union all
  select stream, seq, day, week, month, who, person, action, 1, connect, right_party,
         right_party and result in ('RPC-PTP', 'RPC-PLAN')
  from happened where type = 'activity.recorded' and attempt and contact is null;

create temp table spoken as
  select stream, seq, week, month, who, person from attempt where reached
  union all
  select stream, seq, week, month, who, person from happened where type = 'activity.recorded' and right_party;

create temp table tried as
  select distinct period, name, person from (
    select month as period, who as name, person from attempt union all select month, '*', person from attempt
    union all select week, who, person from attempt union all select week, '*', person from attempt);

create temp table spoke as
  select distinct period, name, person from (
    select month as period, who as name, person from spoken union all select month, '*', person from spoken
    union all select week, who, person from spoken union all select week, '*', person from spoken
    union all select month, '*', person from happened
      where type = 'inbound.received' and upper(coalesce(keyword, '')) <> 'STOP'
    union all select week, '*', person from happened
      where type = 'inbound.received' and upper(coalesce(keyword, '')) <> 'STOP');

create temp table touch as
  select 'cases_attempted' as counter, stream, day, week, month, who from attempt
  union all select 'cases_dialled', stream, day, week, month, who from attempt where human
  union all select 'cases_right_party', stream, day, week, month, who from attempt where reached
  union all select 'cases_contactable', stream, day, week, month, who from attempt where human and answered
  union all select 'cases_contactable', stream, day, week, month, who from happened where type = 'contact.delivered'
  union all select 'trainees_assessed', stream, day, week, month, who from happened where type = 'exam.marked'
  union all select 'trainees_passed', stream, day, week, month, who from happened where type = 'exam.marked' and passed;

create temp table end_of as
  select stream, min(seq) as seq from happened
  where type = 'case.changed' and to_state in ('settled', 'recalled', 'returned', 'legal', 'written_off') group by stream;

create temp table ended as
  select happened.*, placed_on, placed_amount, placed_currency, julianday(day) - julianday(placed_on) as age,
    (select who from happened a where a.stream = happened.stream and a.type = 'case.assigned' and a.seq < happened.seq
     order by a.seq desc limit 1) as holder,
    exists (select 1 from happened t where t.stream = happened.stream and t.seq < happened.seq
      and (t.type = 'contact.reported' and (t.connected or t.right_party)
           or t.type = 'activity.recorded' and (t.connect or t.right_party))) as was_spoken_to
  from end_of join happened using (stream, seq) left join placement using (stream);

create temp table standing as
  select stream, payment, received_on from happened p where type = 'payment.posted'
    and not exists (select 1 from happened r where r.stream = p.stream and r.seq > p.seq
      and (r.type = 'payment.reversed' and r.reversal_of = p.payment or r.type = 'payment.posted' and r.payment = p.payment));

create temp table finding as
  select stream, seq, day, currency, paid, was,
    lag(paid, 1, 0) over (partition by stream, promise order by seq) as before
  from happened where type in ('promise.kept', 'promise.broken');

create temp table closing as
  select * from (
    select happened.*, lag(type) over (partition by stream, duty order by seq) as previous from happened
    where type in ('duty.opened', 'duty.fulfilled', 'duty.lapsed', 'duty.waived'))
  where previous = 'duty.opened' and type <> 'duty.opened';

create temp table staffing as
  select day, month, who, case when is_gone then 'collectors_left' else 'collectors_joined' end as name from (
    select day, month, case when org = (select value from setting where name = 'tenant') then '-' else org end as who,
      is_gone, coalesce(lag(is_gone) over (partition by stream, collector order by seq), 1) as was_gone
    from happened where type = 'collector.registered')
  where is_gone <> was_gone;

create temp table item as
  select stream, subject, min(seq) as seq, at as received_at, day, who from happened
  where type = 'duty.opened' and duty_kind in ('complaint_answer', 'complaint_first_reply', 'credit_dispute_answer',
    'dispute_answer', 'dispute_investigation', 'dispute_verification', 'original_creditor_answer', 'substantiation')
  group by stream, subject;

create temp table answer as
  select stream, subject, min(seq) as seq, done_at from (
    select f.stream, f.seq, f.done_at, o.subject, row_number() over (partition by f.stream, f.seq order by o.seq desc) as place
    from happened f join happened o on o.stream = f.stream and o.duty = f.duty and o.seq < f.seq and o.type = 'duty.opened'
    where f.type = 'duty.fulfilled' and o.duty_kind in ('complaint_answer', 'complaint_first_reply',
      'credit_dispute_answer', 'dispute_answer', 'dispute_investigation', 'dispute_verification',
      'original_creditor_answer', 'substantiation'))
  where place = 1 group by stream, subject;

create temp table feedback as
  select stream, subject, min(seq) as seq, at as received_at, day, who from happened
  where type = 'duty.opened' and duty_kind in ('feedback_answer', 'complaint_answer', 'complaint_first_reply',
    'credit_dispute_answer', 'dispute_answer', 'dispute_investigation', 'dispute_verification', 'original_creditor_answer',
    'substantiation')
  group by stream, subject;

create temp table handled as
  select stream, subject, min(seq) as seq, done_at from (
    select f.stream, f.seq, f.done_at, o.subject, row_number() over (partition by f.stream, f.seq order by o.seq desc) as place
    from happened f join happened o on o.stream = f.stream and o.duty = f.duty and o.seq < f.seq and o.type = 'duty.opened'
    where f.type = 'duty.fulfilled' and o.duty_kind in ('feedback_answer', 'complaint_answer', 'complaint_first_reply',
      'credit_dispute_answer', 'dispute_answer', 'dispute_investigation', 'dispute_verification',
      'original_creditor_answer', 'substantiation'))
  where place = 1 group by stream, subject;

create temp table asked as
  select stream, survey, min(seq) as seq, day, who, channel from happened where type = 'survey.sent' group by stream, survey;

create temp table asked_by as
  select stream, survey, seq, day, channel, who as name from asked
  union all select stream, survey, seq, day, channel, name from asked join slice using (stream);

create temp table asked_end as
  select h.stream, h.survey, min(h.seq) as seq, h.type, h.score from happened h join asked using (stream, survey)
  where h.seq > asked.seq and (h.type = 'survey.answered' and h.counted or h.type = 'survey.ended' and h.was_sent)
  group by h.stream, h.survey;

create temp table asked_move as
  select stream, survey, 'surveys_sent' as counter, 1 as value from asked
  union all select stream, survey, 'surveys_sent', -1 from asked_end where type = 'survey.ended'
  union all select stream, survey, 'surveys_answered', 1 from asked_end where type = 'survey.answered'
  union all select stream, survey, 'surveys_good', 1 from asked_end where type = 'survey.answered' and score >= 4;

create temp table counter (who, period, name, value);

insert into counter select name, day, counter, sum(value) from asked_move join asked_by using (stream, survey) group by 1, 2, 3;
insert into counter select name, day, 'channel_' || counter || ':' || channel, sum(value)
  from asked_move join asked_by using (stream, survey) group by 1, 2, 3;

insert into counter select name, day, counter, count(distinct stream) from touch join crowd using (stream) group by 1, 2, 3;
insert into counter select name, week, counter, count(distinct stream) from touch join crowd using (stream) group by 1, 2, 3;
insert into counter select name, month, counter, count(distinct stream) from touch join crowd using (stream) group by 1, 2, 3;
insert into counter select who, day, counter, count(distinct stream) from touch group by 1, 2, 3;
insert into counter select who, week, counter, count(distinct stream) from touch group by 1, 2, 3;
insert into counter select who, month, counter, count(distinct stream) from touch group by 1, 2, 3;

insert into counter select name, month, 'cases_paid_after_contact', count(distinct stream)
  from attempt join crowd using (stream) where reached and exists (select 1 from standing s where s.stream = attempt.stream
    and s.received_on between day and date(day, '+7 days')) group by 1, 2;
insert into counter select who, month, 'cases_paid_after_contact', count(distinct stream)
  from attempt where reached and exists (select 1 from standing s where s.stream = attempt.stream
    and s.received_on between day and date(day, '+7 days')) group by 1, 2;

insert into counter select who, day, name, count(*) from staffing group by 1, 2, 3;
insert into counter select name, day, 'entered', count(*) from happened join crowd using (stream)
  where type = 'case.placed' group by 1, 2;
insert into counter select who, day, 'entered', count(*) from happened where type = 'case.assigned' group by 1, 2;
insert into counter select name, day, 'left', count(*) from ended join crowd using (stream) group by 1, 2;
insert into counter select holder, day, 'left', count(*) from ended where holder is not null group by 1, 2;

insert into counter select name, placed_on, 'settled_in_' || pool.days, count(*)
  from ended join (select stream, '-' as name from placement union all select stream, name from slice) using (stream)
  join (select 30 as days union all select 60 union all select 90) pool
  where to_state = 'settled' and age <= pool.days group by 1, 2, 3;
insert into counter select name, placed_on, 'self_settled_in_30', count(*)
  from ended join (select stream, '-' as name from placement union all select stream, name from slice) using (stream)
  where to_state = 'settled' and age <= 30 and not was_spoken_to group by 1, 2;
insert into counter select name, placed_on, 'recalled_in_30', count(*)
  from ended join (select stream, '-' as name from placement union all select stream, name from slice) using (stream)
  where to_state = 'recalled' and age <= 30 group by 1, 2;
insert into counter select name, placed_on, 'recalled_in_30_minor:' || placed_currency, sum(placed_amount)
  from ended join (select stream, '-' as name from placement union all select stream, name from slice) using (stream)
  where to_state = 'recalled' and age <= 30 group by 1, 2, 3;

insert into counter select name, item.day, case when julianday(done_at) - julianday(received_at) <= 2 + 1e-9
    then 'feedback_in_48h' else 'feedback_late' end, count(*)
  from item join answer using (stream, subject)
  join (select stream as at_stream, subject as at_subject, who as name from item
        union all select item.stream, subject, name from item join slice using (stream)) on at_stream = item.stream
    and at_subject = item.subject
  group by 1, 2, 3;
insert into counter select name, item.day, 'feedback_received', count(*) from item join voice using (stream, seq) group by 1, 2;

insert into counter select name, feedback.day, case when julianday(done_at) - julianday(received_at) <= 2 + 1e-9
    then 'items_in_48h' else 'items_late' end, count(*)
  from feedback join handled using (stream, subject)
  join (select stream as at_stream, subject as at_subject, who as name from feedback
        union all select feedback.stream, subject, name from feedback join slice using (stream)) on at_stream = feedback.stream
    and at_subject = feedback.subject
  group by 1, 2, 3;
insert into counter select name, feedback.day, 'items_received', count(*)
  from feedback join voice using (stream, seq) group by 1, 2;

insert into counter select 'portfolio:' || batch, month, 'placed', count(*) from happened join placement using (stream)
  where type = 'case.placed' and batch is not null group by 1, 2;
insert into counter select 'portfolio:' || batch, month, 'placed_cases:' || currency, count(*)
  from happened join placement using (stream) where type = 'case.placed' and batch is not null group by 1, 2, 3;
insert into counter select 'portfolio:' || batch, month, 'placed_minor:' || currency, sum(placed)
  from happened join placement using (stream) where type = 'case.placed' and batch is not null group by 1, 2, 3;
insert into counter select 'portfolio:' || batch, month,
    case type when 'payment.posted' then 'payments:' else 'reversals:' end || currency, count(*)
  from happened join placement using (stream) where type in ('payment.posted', 'payment.reversed') and batch is not null
  group by 1, 2, 3;
insert into counter select 'portfolio:' || batch, month,
    case type when 'payment.posted' then 'paid_minor:' else 'reversed_minor:' end || currency, sum(amount)
  from happened join placement using (stream) where type in ('payment.posted', 'payment.reversed') and batch is not null
  group by 1, 2, 3;
insert into counter select 'portfolio:' || batch, month, 'commissionable_minor:' || currency,
    sum(case type when 'payment.posted' then amount else -amount end)
  from happened join placement using (stream)
  where type in ('payment.posted', 'payment.reversed') and commissionable and batch is not null group by 1, 2, 3;
insert into counter select 'portfolio:' || batch, month, 'ended:' || to_state, count(*)
  from ended join placement using (stream) where batch is not null group by 1, 2, 3;
"""

DAILY = (
    # (name, key, value, source, condition)
    ("placed", "", "1", "happened", "type = 'case.placed'"),
    ("placed_cases", "currency", "1", "happened", "type = 'case.placed'"),
    ("placed_minor", "currency", "placed", "happened", "type = 'case.placed'"),
    ("assigned", "", "1", "happened", "type = 'case.assigned'"),
    ("assigned_cases", "currency", "1", "happened", "type = 'case.assigned'"),
    ("assigned_minor", "currency", "placed", "happened", "type = 'case.assigned'"),
    ("payments", "currency", "1", "happened", "type = 'payment.posted'"),
    ("paid_minor", "currency", "amount", "happened", "type = 'payment.posted'"),
    ("reversals", "currency", "1", "happened", "type = 'payment.reversed'"),
    ("reversed_minor", "currency", "amount", "happened", "type = 'payment.reversed'"),
    ("promises_made", "currency", "1", "happened", "type = 'promise.made'"),
    ("promised_minor", "currency", "amount", "happened", "type = 'promise.made'"),
    ("promises_kept", "", "1", "happened", "type = 'promise.kept'"),
    ("promises_kept", "", "-1", "happened", "type = 'promise.broken' and was = 'kept'"),
    ("promises_broken", "", "1", "happened", "type = 'promise.broken'"),
    ("promises_broken", "", "-1", "happened", "type = 'promise.kept' and was = 'broken'"),
    ("kept_cases", "currency", "1", "happened", "type = 'promise.kept'"),
    ("kept_cases", "currency", "-1", "happened", "type = 'promise.broken' and was = 'kept'"),
    ("kept_minor", "currency", "amount", "happened", "type = 'promise.kept'"),
    ("kept_minor", "currency", "-amount", "happened", "type = 'promise.broken' and was = 'kept'"),
    ("broken_cases", "currency", "1", "happened", "type = 'promise.broken'"),
    ("broken_cases", "currency", "-1", "happened", "type = 'promise.kept' and was = 'broken'"),
    ("broken_minor", "currency", "amount", "happened", "type = 'promise.broken'"),
    ("broken_minor", "currency", "-amount", "happened", "type = 'promise.kept' and was = 'broken'"),
    ("decided", "", "1", "happened", "type = 'contact.decided'"),
    ("allowed", "", "1", "happened", "type = 'contact.decided' and verdict = 'allow'"),
    ("deferred", "", "1", "happened", "type = 'contact.decided' and verdict = 'defer'"),
    ("reviewed", "", "1", "happened", "type = 'contact.decided' and verdict = 'review'"),
    ("denied", "", "1", "happened", "type = 'contact.decided' and verdict = 'deny'"),
    ("deferred_by_rule", "rule", "1", "ruled", "verdict = 'defer'"),
    ("reviewed_by_rule", "rule", "1", "ruled", "verdict = 'review'"),
    ("denied_by_rule", "rule", "1", "ruled", "verdict = 'deny'"),
    ("attempts", "", "1", "attempt", "1"),
    ("channel_attempts", "channel", "1", "attempt", "1"),
    ("human_attempts", "", "1", "attempt", "human"),
    ("channel_human_attempts", "channel", "1", "attempt", "human"),
    ("connected", "", "1", "attempt", "answered"),
    ("channel_connected", "channel", "1", "attempt", "answered"),
    ("right_party", "", "1", "attempt", "reached"),
    ("channel_right_party", "channel", "1", "attempt", "reached"),
    ("promised_contacts", "", "1", "attempt", "promised"),
    ("lost", "", "1", "happened", "type = 'contact.unknown'"),
    ("complaints", "", "1", "happened", "type = 'complaint.received'"),
    ("risk_events", "", "1", "happened", "type = 'risk_event.raised'"),
    ("risk_events_confirmed", "", "1", "happened", "type = 'risk_event.confirmed'"),
    ("risk_events_dismissed", "", "1", "happened", "type = 'risk_event.dismissed'"),
    ("risk_points", "", "points", "happened", "type = 'risk_event.confirmed'"),
    ("quality_checked", "", "1", "happened", "type = 'quality.checked'"),
    ("quality_faultless", "", "1", "happened", "type = 'quality.checked' and faultless"),
    ("scores", "", "1", "happened", "type = 'feedback.received' and score is not null"),
    ("scores_good", "", "1", "happened", "type = 'feedback.received' and score >= 4"),
    (
        "channel_scores",
        "channel",
        "1",
        "happened",
        "type = 'feedback.received' and score is not null and channel is not null",
    ),
    (
        "channel_scores_good",
        "channel",
        "1",
        "happened",
        "type = 'feedback.received' and score >= 4 and channel is not null",
    ),
    ("channel_delivered", "channel", "1", "happened", "type = 'contact.delivered'"),
    ("channel_delivered", "channel", "-1", "happened", "type = 'contact.failed' and from_state = 'delivered'"),
    ("channel_failed", "channel", "1", "happened", "type = 'contact.failed'"),
    ("commissionable_minor", "currency", "amount", "happened", "type = 'payment.posted' and commissionable"),
    ("commissionable_minor", "currency", "-amount", "happened", "type = 'payment.reversed' and commissionable"),
    ("promise_paid_minor", "currency", "paid - case was when 'open' then 0 else before end", "finding", "1"),
    ("exams", "", "1", "happened", "type = 'exam.marked'"),
    ("exams_passed", "", "1", "happened", "type = 'exam.marked' and passed"),
    ("exams_first", "", "1", "happened", "type = 'exam.marked' and exam_attempt = 1"),
    ("exams_first_passed", "", "1", "happened", "type = 'exam.marked' and exam_attempt = 1 and passed"),
    ("training_minutes", "", "minutes", "happened", "type = 'training.credited'"),
    ("disputes", "", "1", "happened", "type = 'hold.placed' and kind = 'dispute'"),
    ("disputes_resolved", "", "1", "happened", "type = 'hold.released' and kind = 'dispute'"),
    ("ended", "to_state", "1", "ended", "1"),
    ("duties_opened", "duty_kind", "1", "happened", "type = 'duty.opened'"),
    ("duties_in_time", "duty_kind", "1", "closing", "type = 'duty.fulfilled' and not late"),
    ("duties_overdue", "duty_kind", "1", "closing", "type = 'duty.lapsed' or type = 'duty.fulfilled' and late"),
    ("duties_waived", "duty_kind", "1", "closing", "type = 'duty.waived'"),
)

OF_WHOLE = {"entered", "left", "persons_attempted", "persons_reached", "cases_attempted", "cases_dialled"}
OF_WHOLE |= {
    "cases_right_party",
    "cases_contactable",
    "cases_paid_after_contact",
    "trainees_assessed",
    "trainees_passed",
}
"""Counters that the lender as a whole has of its own; all others are the sum over its agencies."""

Counters = dict[str, dict[str, dict[str, int]]]
"""Period -> who (an agency, ``-`` none, ``*`` the lender as a whole, or a slice) -> counter -> value."""


def recompute(base: sqlite3.Connection, tenant: str, zone: str) -> Counters:
    """Return every counter that is not 0, by one query each."""
    place = ZoneInfo(zone)

    def local_date(at: str) -> str:
        return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(place).strftime("%Y-%m-%d")

    def week(day: str) -> str:
        year, number, _ = date.fromisoformat(day).isocalendar()
        return f"{year}-W{number:02d}"

    base.create_function("local_date", 1, local_date, deterministic=True)
    base.create_function("week", 1, week, deterministic=True)
    base.execute("create temp table setting (name, value)")
    base.execute("insert into setting values ('tenant', ?)", (tenant,))
    base.executescript(PREPARE)
    base.execute(
        "create temp view ruled as select stream, seq, day, verdict, rule from happened"
        " join reason using (tenant, stream, seq) where type = 'contact.decided'"
    )
    for name, key, value, source, condition in DAILY:
        label = f"'{name}:' || {key}" if key else f"'{name}'"
        base.execute(
            f"insert into counter select voice.name, day, {label}, sum({value}) from {source} join voice using (stream, seq)"
            f" where {condition} group by 1, 2, 3"
        )
    base.execute("insert into counter select name, period, 'persons_attempted', count(*) from tried group by 1, 2")
    base.execute(
        "insert into counter select name, period, 'persons_reached', count(*)"
        " from tried join spoke using (period, name, person) group by 1, 2"
    )
    found: Counters = {}
    for who, period, name, value in base.execute(
        "select who, period, name, sum(value) from counter group by 1, 2, 3 having sum(value) <> 0 order by 2, 1, 3"
    ):
        found.setdefault(period, {}).setdefault(who, {})[name] = value
    return found


# --- Figures -----------------------------------------------------------------------------------------------------

FORMULAS = (
    # (id@version, whom: L lender A agency, unit, key, numerator, denominator, sample, Wilson interval)
    ("placed_cases@1", "L", "count", None, "placed", "", "placed", False),
    ("placed_amount@1", "L", "minor", "currency", "placed_minor:*", "", "placed_cases:*", False),
    ("assigned_cases@1", "LA", "count", None, "assigned", "", "assigned", False),
    ("assigned_amount@1", "LA", "minor", "currency", "assigned_minor:*", "", "assigned_cases:*", False),
    ("collected@1", "LA", "minor", "currency", "paid_minor:* - reversed_minor:*", "", "payments:*", False),
    (
        *("liquidation@1", "L", "ratio", "currency", "paid_minor:* - reversed_minor:*"),
        *("placed_minor:*", "placed_cases:*", False),
    ),
    (
        *("agency_liquidation@1", "A", "ratio", "currency", "paid_minor:* - reversed_minor:*"),
        *("assigned_minor:*", "assigned_cases:*", False),
    ),
    ("promise_to_pay@1", "LA", "ratio", None, "promised_contacts", "right_party", "right_party", True),
    (
        *("kept_promise@1", "LA", "ratio", None, "promises_kept"),
        *("promises_kept + promises_broken", "promises_kept + promises_broken", True),
    ),
    (
        *("kept_promise_amount@2", "LA", "ratio", "currency", "promise_paid_minor:*"),
        *("kept_minor:* + broken_minor:*", "kept_cases:* + broken_cases:*", False),
    ),
    ("right_party_contact@1", "LA", "ratio", None, "right_party", "attempts", "attempts", True),
    (
        *("right_party_contact_by_channel@1", "LA", "ratio", "channel", "channel_right_party:*"),
        *("channel_human_attempts:*", "channel_human_attempts:*", True),
    ),
    (
        *("connect_by_channel@1", "LA", "ratio", "channel", "channel_connected:*"),
        *("channel_human_attempts:*", "channel_human_attempts:*", True),
    ),
    ("contact_success@1", "LA", "ratio", None, "persons_reached", "persons_attempted", "persons_attempted", True),
    ("attempts@1", "LA", "count", None, "attempts", "", "attempts", False),
    ("attempts_by_channel@1", "LA", "count", "channel", "channel_attempts:*", "", "channel_attempts:*", False),
    ("deferred@1", "LA", "ratio", None, "deferred", "decided", "decided", True),
    ("reviewed@1", "LA", "ratio", None, "reviewed", "decided", "decided", True),
    ("denied@1", "LA", "ratio", None, "denied", "decided", "decided", True),
    ("deferred_by_rule@1", "LA", "ratio", "rule", "deferred_by_rule:*", "decided", "decided", True),
    ("reviewed_by_rule@1", "LA", "ratio", "rule", "reviewed_by_rule:*", "decided", "decided", True),
    ("denied_by_rule@1", "LA", "ratio", "rule", "denied_by_rule:*", "decided", "decided", True),
    ("complaint_rate@1", "LA", "per_10000", None, "complaints", "attempts", "attempts", True),
    ("risk_event_rate@2", "LA", "ratio", None, "risk_events_confirmed", "attempts", "attempts", True),
    ("conduct_deduction@1", "LA", "per_1000", None, "risk_points", "attempts", "attempts", False),
    ("quality_pass_rate@1", "LA", "ratio", None, "quality_faultless", "quality_checked", "quality_checked", True),
    ("risk_events_raised@1", "LA", "count", None, "risk_events", "", "risk_events", False),
    ("commissionable_collected@1", "LA", "minor", "currency", "commissionable_minor:*", "", "payments:*", False),
    (
        *("recall_adjusted_placed@1", "L", "minor", "currency", "placed_minor:* - recalled_in_30_minor:*"),
        *("", "placed_cases:*", False),
    ),
    (
        *("recall_adjusted_liquidation@1", "L", "ratio", "currency", "paid_minor:* - reversed_minor:*"),
        *("placed_minor:* - recalled_in_30_minor:*", "placed_cases:*", False),
    ),
    ("cases_in_scope@1", "LA", "count", None, "in_scope", "", "in_scope", False),
    ("ended_cases@1", "LA", "count", "state", "ended:*", "", "ended:*", False),
    ("cure_30@1", "L", "ratio", None, "settled_in_30", "placed", "placed", True),
    ("cure_60@1", "L", "ratio", None, "settled_in_60", "placed", "placed", True),
    ("cure_90@1", "L", "ratio", None, "settled_in_90", "placed", "placed", True),
    ("self_cure_30@1", "L", "ratio", None, "self_settled_in_30", "placed", "placed", True),
    (
        *("delivery_by_channel@1", "LA", "ratio", "channel", "channel_delivered:*"),
        *("channel_attempts:* - channel_human_attempts:*", "channel_attempts:* - channel_human_attempts:*", True),
    ),
    ("coverage@1", "LA", "ratio", None, "cases_dialled", "in_scope", "in_scope", True),
    ("intensity@1", "LA", "ratio", None, "human_attempts", "in_scope", "in_scope", False),
    ("right_party_penetration@1", "LA", "ratio", None, "cases_right_party", "in_scope", "in_scope", True),
    ("contactable@1", "LA", "ratio", None, "cases_contactable", "in_scope", "in_scope", True),
    ("uncontactable@1", "LA", "ratio", None, "in_scope - cases_contactable", "in_scope", "in_scope", True),
    ("paid_after_contact@1", "LA", "ratio", None, "cases_paid_after_contact", *("cases_right_party",) * 2, True),
    ("contact_success_week@1", "LA", "ratio", None, "persons_reached", *("persons_attempted",) * 2, True),
    ("complaints_per_case@1", "LA", "per_1000", None, "complaints", "in_scope", "in_scope", True),
    ("dispute_rate@1", "LA", "ratio", None, "disputes", "in_scope", "in_scope", True),
    (
        *("duties_in_time@1", "LA", "ratio", "duty", "duties_in_time:*"),
        *("duties_in_time:* + duties_overdue:*", "duties_in_time:* + duties_overdue:*", True),
    ),
    ("feedback_in_48h@2", "LA", "ratio", None, "items_in_48h", "items_received", "items_received", True),
    ("satisfaction@1", "LA", "ratio", None, "scores_good", "scores", "scores", True),
    (
        *("satisfaction_by_channel@1", "LA", "ratio", "channel", "channel_scores_good:*"),
        *("channel_scores:*", "channel_scores:*", True),
    ),
    ("first_attempt_pass_rate@1", "LA", "ratio", None, "exams_first_passed", "exams_first", "exams_first", True),
    (
        *("training_hours_per_collector@1", "LA", "hours_a_year", None, "training_minutes"),
        *("collector_days", "collector_days", False),
    ),
    ("people_passed@1", "LA", "ratio", None, "trainees_passed", "trainees_assessed", "trainees_assessed", True),
    ("survey_response_rate@1", "LA", "ratio", None, "surveys_answered", "surveys_sent", "surveys_sent", True),
    (
        *("survey_response_rate_by_channel@1", "LA", "ratio", "channel", "channel_surveys_answered:*"),
        *("channel_surveys_sent:*", "channel_surveys_sent:*", True),
    ),
    ("survey_satisfaction@1", "LA", "ratio", None, "surveys_good", "surveys_answered", "surveys_answered", True),
    (
        *("survey_satisfaction_by_channel@1", "LA", "ratio", "channel", "channel_surveys_good:*"),
        *("channel_surveys_answered:*", "channel_surveys_answered:*", True),
    ),
)

SCALES = {"per_1000": Fraction(1_000), "per_10000": Fraction(10_000), "hours_a_year": Fraction(365, 60)}

MADE_OF = {
    "contact_success@1": "month",
    "paid_after_contact@1": "month",
    "contact_success_week@1": "week",
    "coverage@1": "day week month",
    "right_party_penetration@1": "day week month",
    "contactable@1": "day week month",
    "uncontactable@1": "day week month",
    "people_passed@1": "day week month",
}
"""The periods whose cells a formula is over; all others are over a day's."""

Z = Fraction(1959963984540054, 10**15)
"""The two-sided 95 % point of the normal distribution, to 15 decimals."""


def evaluate(expression: str, counts: dict[str, int], key: str | None) -> int:
    """Return the value of ``a - b:* + c`` over counters, where ``:*`` stands for the figure's key."""
    total, sign = 0, 1
    for word in expression.split():
        if word in "+-":
            sign = 1 if word == "+" else -1
        else:
            total += sign * counts.get(word[:-1] + str(key) if word.endswith(":*") else word, 0)
    return total


def keys_in(expression: str, counts: dict[str, int]) -> set[str]:
    """Return every key that the families in the expression have a counter for."""
    families = [word[:-1] for word in expression.split() if word.endswith(":*")]
    return {name[len(family) :] for name in counts for family in families if name.startswith(family)}


def six_places(value: Fraction) -> str:
    """Return the decimal text with six places, half to even."""
    millionths = round(value * 10**6)
    whole, rest = divmod(abs(millionths), 10**6)
    return f"{'-' if millionths < 0 else ''}{whole}.{rest:06d}"


def wilson(successes: int, n: int, scale: int) -> list[str] | None:
    """Return the 95 % Wilson score interval of a share, times ``scale``; None when it is no share of a sample."""
    if n <= 0 or successes < 0 or successes > n:
        return None
    under_root = Fraction(successes * (n - successes), n) + Z * Z / 4
    digits = 10**50
    root = Fraction(math.isqrt(under_root.numerator * digits * digits // under_root.denominator), digits)
    middle, half, size = successes + Z * Z / 2, Z * root, n + Z * Z
    low = Fraction(0) if successes == 0 else (middle - half) / size
    high = Fraction(1) if successes == n else (middle + half) / size
    return [six_places(low * scale), six_places(high * scale)]


def figures_of(counts: dict[str, int], whom: str, kind: str) -> dict[str, dict[str, Any]]:
    """Return the figures that one cell's counters make, by ``<id>[:<key>]@<version>``."""
    made: dict[str, dict[str, Any]] = {}
    for reference, levels, unit, split, above, below, sample, share in FORMULAS:
        if whom not in levels or kind not in MADE_OF.get(reference, "day").split():
            continue
        if {"in_scope", "collector_days"} & set(f"{above} {below}".split()) - counts.keys():
            continue
        kpi, version = reference.split("@")
        keys: list[str | None] = [*sorted(keys_in(f"{above} {below}", counts))] if split else [None]
        for key in keys:
            numerator, n = evaluate(above, counts, key), evaluate(sample, counts, key)
            denominator = evaluate(below, counts, key) if below else None
            if not (numerator or denominator or n):
                continue
            scale = SCALES.get(unit, Fraction(1))
            value: str | None = str(numerator)
            if denominator is not None:
                value = six_places(numerator * scale / denominator) if denominator > 0 else None
            made[f"{kpi}:{key}@{version}" if split else reference] = {
                "kpi": kpi,
                "version": int(version),
                "key": key,
                "unit": unit,
                "numerator": numerator,
                "denominator": denominator,
                "n": n,
                "value": value,
                "interval": wilson(numerator, n, int(scale)) if share else None,
            }
    return made


def days_of(period: str) -> tuple[str, str]:
    """Return the first and the last day of a day, an ISO week or a month."""
    if "W" in period:
        monday = date.fromisocalendar(int(period[:4]), int(period[-2:]), 1)
        return monday.isoformat(), (monday + timedelta(days=6)).isoformat()
    if len(period) == len("yyyy-mm"):
        first = date.fromisoformat(f"{period}-01")
        return first.isoformat(), ((first + timedelta(days=31)).replace(day=1) - timedelta(days=1)).isoformat()
    return period, period


def in_scope(counters: Counters) -> dict[str, list[tuple[str, int, int]]]:
    """Return, for each who that cases come to, the days with how many came and how many left."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for period, cells in counters.items():
        for who, counts in cells.items():
            moved = counts.get("entered", 0), counts.get("left", 0)
            if any(moved):
                found.setdefault(who, []).append((period, *moved))
    return found


def collector_days(counters: Counters) -> dict[str, list[tuple[str, int, int]]]:
    """Return, for each who that collectors work for and for the whole (*), the days with how many joined and how many left."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for period, cells in counters.items():
        for who, counts in cells.items():
            moved = counts.get("collectors_joined", 0), counts.get("collectors_left", 0)
            if any(moved):
                for name in (who, "*"):
                    found.setdefault(name, []).append((period, *moved))
    return found


def worked(moves: list[tuple[str, int, int]], first: str, last: str) -> int:
    """Return how many days of a span collectors worked there: the day of joining and that of leaving included."""
    span = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    total = 0
    for day, joined, gone in moves:
        left = (date.fromisoformat(last) - date.fromisoformat(day)).days + 1
        total += joined * max(0, min(span, left)) - gone * max(0, min(span, left - 1))
    return total


def all_figures(counters: Counters) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Return period -> who -> reference -> figure."""
    found: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    moves, staff = in_scope(counters), collector_days(counters)
    for period, cells in counters.items():
        kind = "week" if "W" in period else "month" if len(period) == len("yyyy-mm") else "day"
        first, last = days_of(period)
        whole: dict[str, int] = {}
        for who, counts in cells.items():
            if who != "*" and ":" not in who:
                for name, value in counts.items():
                    whole[name] = whole.get(name, 0) + (0 if name in OF_WHOLE else value)
        made = {}
        for who, counts in {**cells, "*": {**whole, **cells.get("*", {})}}.items():
            known = dict(counts)
            if who in moves:
                known["in_scope"] = sum(
                    (c if d <= last else 0) - (gone if d < first else 0) for d, c, gone in moves[who]
                )
            if days := worked(staff.get(who, []), first, last):
                known["collector_days"] = days
            level = "L" if who == "*" or who.split(":")[0] in ("stage", "region", "portfolio") else "A"
            made[who] = figures_of(known, level, kind)
        found[period] = {who: figures for who, figures in made.items() if figures}
    return {period: cells for period, cells in found.items() if cells}


# --- Roll rates --------------------------------------------------------------------------------------------------

ENDS = ("settled", "recalled", "returned", "legal", "written_off")
LATE_DAYS = 3
CN_ORDER = ("other", "management_fee", "late_fee", "interest", "penalty", "principal")
OTHER_ORDER = ("interest", "principal", "penalty", "late_fee", "management_fee", "other")

Slot = list[Any]
"""What is owed, in pieces: [due date, None for a charge; part; what is left of it]."""


def days_in(pauses: list[dict[str, Any]], kind: str) -> set[date]:
    """Return every day that lies in a pause of the kind."""
    return {
        date.fromisoformat(each["paused_from"]) + timedelta(days=number)
        for each in pauses
        if each["pause_kind"] == kind
        for number in range((date.fromisoformat(each["paused_to"]) - date.fromisoformat(each["paused_from"])).days + 1)
    }


def filled(
    slots: list[Slot], money: int, stated: dict[str, int] | None, received: date, order: tuple[str, ...]
) -> None:
    """Let a payment fill slots: first what the lender says, then what is due by part, then what falls due later."""

    def fill(those: list[Slot], most: int) -> int:
        for slot in those:
            piece = min(slot[2], most)
            slot[2] -= piece
            most -= piece
        return most

    is_due = [slot for slot in slots if slot[0] is not None and slot[0] <= received]
    later = [slot for slot in slots if slot[0] is not None and slot[0] > received]
    charges = [slot for slot in slots if slot[0] is None]
    if stated is not None:
        money = 0
        for part, amount in stated.items():
            money += fill([slot for slot in (*is_due, *charges, *later) if slot[1] == part], amount)
    rank = {part: place for place, part in enumerate(order)}
    money = fill(sorted((*is_due, *charges), key=lambda slot: rank[slot[1]]), money)
    # ``later`` is in the order of the instalments; within one of them the parts are in the order of the law.
    fill(later, money)


def stands(bookings: list[tuple[str, str, dict[str, Any]]], day: date, zone: str) -> tuple[str, int] | None:
    """Return (bucket or final state, what is owed) of a case on a local day; None before it was placed."""

    def on(at: str) -> date:
        return datetime.strptime(at, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(ZoneInfo(zone)).date()

    placed = [(at, data) for kind, at, data in bookings if kind == "case.placed"]
    if not placed or on(placed[0][0]) > day:
        return None
    data = placed[0][1]
    china = data["country"] == "CN"
    order = CN_ORDER if china else OTHER_ORDER
    cancelled = {told["pause"] for kind, _, told in bookings if kind == "pause.cancelled"}
    pauses = [told for kind, _, told in bookings if kind == "pause.recorded" and told["pause"] not in cancelled]
    moved, frozen = days_in(pauses, "deferral"), days_in(pauses, "freeze")
    slots: list[Slot] = []
    for instalment in sorted(data["instalments"], key=lambda each: str(each["due_on"])):
        due = date.fromisoformat(instalment["due_on"])
        while due in moved:
            due += timedelta(days=1)
        slots += [[due, part, instalment["owed"].get(part, 0)] for part in order]
    slots += [[None, part, data["charges"].get(part, 0)] for part in order]
    money = [told for kind, _, told in bookings if kind in ("payment.posted", "payment.reversed")]
    back = {told["reversal_of"] for told in money}
    for told in sorted(money, key=lambda each: (each["received_on"], each["payment"])):
        received = date.fromisoformat(told["received_on"])
        if told["reversal_of"] is None and told["payment"] not in back and received <= day:
            filled(slots, told["amount_minor"], told["stated_split"], received, order)
    owed = sum(slot[2] for slot in slots)
    ends = [
        told["to"] for kind, at, told in bookings if kind == "case.changed" and told["to"] in ENDS and on(at) <= day
    ]
    if ends:
        return str(ends[0]), owed
    oldest = min((slot[0] for slot in slots if slot[0] is not None and slot[2]), default=day)
    late = max(0, (day - oldest).days - sum(oldest < each <= day for each in frozen))
    if china:
        return f"M{min(7, (late + 29) // 30)}", owed
    bounds = ((0, "current"), (29, "1-29"), (59, "30-59"), (89, "60-89"), (119, "90-119"))
    return next((name for most, name in bounds if late <= most), "120+"), owed


def moves_of(
    base: sqlite3.Connection, tenant: str, zone: str, first: date, last: date, *, cutoff: str
) -> list[list[Any]]:
    """Return where cases went between two days by what was written by the cutoff (an instant).

    Each row: currency, CN or US, bucket before (None: came between), bucket or final state after, cases, owed before, owed after.
    """
    cases: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    query = "select stream, type, at, data from booking where tenant = ? and at <= ? order by stream, seq"
    for stream, kind, at, data in base.execute(query, (tenant, cutoff)):
        cases.setdefault(stream, []).append((kind, at, json.loads(data)))
    found: dict[tuple[Any, ...], list[int]] = {}
    for bookings in cases.values():
        before, after = stands(bookings, first, zone), stands(bookings, last, zone)
        if after is None or (before is not None and before[0] in ENDS):
            continue
        placed = next(data for kind, _, data in bookings if kind == "case.placed")
        bucket, owed = before or (None, 0)
        counts = found.setdefault(
            (placed["currency"], "CN" if placed["country"] == "CN" else "US", bucket, after[0]), [0, 0, 0]
        )
        for place, more in enumerate((1, owed, after[1])):
            counts[place] += more
    return [[*move, *counts] for move, counts in sorted(found.items(), key=str)]


def closed_moves(base: sqlite3.Connection, tenant: str, zone: str, month: str) -> list[list[Any]]:
    """Return the moves of a closed month, by what was written up to the midnight after its late days."""
    first, last = (date.fromisoformat(day) for day in days_of(month))
    midnight = datetime.combine(last + timedelta(days=LATE_DAYS + 1), datetime.min.time(), ZoneInfo(zone))
    cutoff = midnight.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return moves_of(base, tenant, zone, first - timedelta(days=1), last, cutoff=cutoff)


def move_differences(theirs: list[list[Any]], ours: list[list[Any]], month: str) -> Iterator[str]:
    """Yield one line for each move in which the export differs from the archive."""
    said, found = ({tuple(row[:4]): row[4:] for row in rows} for rows in (theirs, ours))
    for move in sorted(said.keys() | found.keys(), key=str):
        if said.get(move) != found.get(move):
            yield f"roll {month} {move}: export {said.get(move)}, archive {found.get(move)}"


# --- Comparing ---------------------------------------------------------------------------------------------------


def differences(export: dict[str, Any], counters: Counters, figures: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each cell in which the export differs from the archive, within the export's span."""

    def inside(period: str) -> bool:
        first, last = days_of(period)
        return bool(first <= export["to"] and export["from"] <= last)

    for kind, theirs, ours in (("counter", export["counters"], counters), ("figure", export["figures"], figures)):
        for period in sorted(filter(inside, theirs.keys() | ours.keys())):
            said, found = theirs.get(period, {}), ours.get(period, {})
            for who in sorted(said.keys() | found.keys()):
                one, other = said.get(who, {}), found.get(who, {})
                for name in sorted(one.keys() | other.keys()):
                    if one.get(name, 0) != other.get(name, 0):
                        yield f"{kind} {period} {who} {name}: export {one.get(name)}, archive {other.get(name)}"
    for period in sorted(theirs for theirs in export["counters"] if not inside(theirs)):
        yield f"counter {period}: the export has it outside its own span"


def read_export(path: Path) -> dict[str, Any]:
    """Return the export of the projection."""
    try:
        export = json.loads(path.read_bytes())
        if export["v"] != 2 or not all(isinstance(export[name], str) for name in ("tenant", "zone", "from", "to")):
            raise ValueError("not version 2")
        if not all(isinstance(export[name], dict) for name in ("counters", "figures")):
            raise ValueError("no counters or figures")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{path} is no export of the projection: {error}") from error
    return dict(export)


def run(arguments: argparse.Namespace) -> int:
    """Recompute, then print or compare."""
    export = read_export(arguments.against) if arguments.against else None
    base = load(arguments.archive)
    tenant = choose_tenant(base, arguments.tenant or (export["tenant"] if export else None))
    zone = choose_zone(base, tenant, arguments.zone)
    counters = recompute(base, tenant, zone)
    figures = all_figures(counters)
    if export is None:
        print(json.dumps({"tenant": tenant, "zone": zone, "counters": counters, "figures": figures}, indent=1))
        return 0
    found = list(differences(export, counters, figures))
    for month, moves in sorted(export.get("rolls", {}).items()):
        found += move_differences(moves, closed_moves(base, tenant, zone, month), month)
    if export["tenant"] != tenant:
        found.insert(0, f"tenant: export {export['tenant']}, archive {tenant}")
    if export["zone"] != zone:
        found.insert(0, f"zone: export {export['zone']}, archive {zone}")
    for line in found:
        print(line)
    cells = sum(len(cells) for cells in export["counters"].values())
    print(f"{len(found)} differences in {cells} cells of {export['from']} to {export['to']}", file=sys.stderr)
    return 1 if found else 0


def main(argv: list[str] | None = None) -> int:
    """Parse the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Recompute key figures from a downloaded audit archive.")
    parser.add_argument("archive", type=Path, help="directory with one or more logs of the lender")
    parser.add_argument("--tenant", help="the lender, when the archive holds several")
    parser.add_argument("--zone", help="the lender's IANA zone, when no entry states it")
    parser.add_argument("--against", type=Path, metavar="FILE", help="JSON export of the projection to compare with")
    try:
        return run(parser.parse_args(argv))
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
