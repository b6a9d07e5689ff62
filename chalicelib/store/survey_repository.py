"""Surveys, the lists that they are found by, and the lender's rules for them: ids and codes, nothing personal.

- ``T#<lender>#SRV#<id>`` | ``SURVEY`` (record table): where a survey stands; the due index wakes it
- ``T#<lender>#SRVRULES#survey_rules`` | ``V#<nnnnn>`` (record table): a version of the rules
- ``T#<lender>#SURVEYS`` | ``<status>#<drawn at>#<id>`` (view table): lists by status, which can be rebuilt
"""

import json
from collections.abc import Sequence

from chalicelib.domain import keys
from chalicelib.domain.feedback.survey import Survey, SurveyState
from chalicelib.domain.feedback.survey_rules import RulesVersion
from chalicelib.store.repository import ForeignItem, Scope
from chalicelib.store.tables import Record, View

_BATCH_GET = 100
_LAST = "~"
"""Sorts behind every character of an instant or id."""


class SurveyRepository:
    """Implements ``chalicelib.usecases.surveys.Surveys``."""

    def versions(self, scope: Scope) -> list[RulesVersion]:
        """Return every version of the lender's rules by number, by strongly consistent reads."""
        found = Record.query(keys.survey_rules_pk(scope.tenant), Record.sk.startswith("V#"), consistent_read=True)
        return [RulesVersion.model_validate({**json.loads(item.d), "version": item.v}) for item in found]

    def rules_record(self, scope: Scope, version: RulesVersion) -> Record:
        """Return the record of a version of the rules."""
        pk, sk = keys.survey_rules_pk(scope.tenant), keys.survey_rules_sk(version.number)
        return Record(pk, sk, v=version.version, s=version.state.value, d=version.model_dump_json(exclude={"version"}))

    def survey(self, scope: Scope, survey: str) -> Survey | None:
        """Return the survey by a strongly consistent read, or None."""
        try:
            return _opened(Record.get(keys.survey_pk(scope.tenant, survey), "SURVEY", consistent_read=True), scope)
        except Record.DoesNotExist:
            return None

    def many(self, scope: Scope, surveys: Sequence[str]) -> list[Survey]:
        """Return those surveys that exist, in the order asked for."""
        found: dict[str, Survey] = {}
        for start in range(0, len(surveys), _BATCH_GET):
            wanted = [(keys.survey_pk(scope.tenant, each), "SURVEY") for each in surveys[start : start + _BATCH_GET]]
            for item in Record.batch_get(wanted, consistent_read=True):
                survey = _opened(item, scope)
                found[survey.id] = survey
        return [found[each] for each in surveys if each in found]

    def record(self, survey: Survey) -> Record:
        """Return the record of the survey at its version; the due index holds it while the clock has something to do."""
        body = survey.model_dump_json(exclude_defaults=True, exclude={"version"})
        pk = keys.survey_pk(survey.tenant, survey.id)
        record = Record(pk, "SURVEY", v=survey.version, s=survey.status.value, d=body)
        if survey.due_at is not None:
            record.due_shard, record.due_at = keys.due_shard(survey.id), survey.due_at
        return record

    def index(self, survey: Survey) -> None:
        """Bring the lists up to the survey as it stands: its row is put, and every other that it may have had is dropped."""
        pk = keys.survey_list_pk(survey.tenant)
        with View.batch_write() as batch:
            for status in SurveyState:
                row = View(pk, f"{status.value}#{survey.drawn_at}#{survey.id}")
                if status is survey.status:
                    batch.save(row)
                else:
                    batch.delete(row)

    def page(self, scope: Scope, status: SurveyState, *, after: str | None, limit: int) -> list[str]:
        """Return up to ``limit`` places of a list by the instant of the draw, after a place; the last part is the survey."""
        first = after + "\0" if after is not None else f"{status.value}#"
        pk = keys.survey_list_pk(scope.tenant)
        found = View.query(pk, View.sk.between(first, f"{status.value}#{_LAST}"), limit=limit, consistent_read=True)
        return [row.sk for row in found]


def _opened(item: Record, scope: Scope) -> Survey:
    if keys.tenant_of(item.pk) != scope.tenant:
        raise ForeignItem(f"an item of another lender answered a read of {scope.tenant}")
    return Survey.model_validate({**json.loads(item.d), "version": item.v})
