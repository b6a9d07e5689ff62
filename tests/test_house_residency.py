"""A lender's data stay in one region: no setting names another, and no client of another can be made."""

import ast
import inspect

import pytest

from chalicelib import settings as settings_module
from chalicelib.gateways import clients
from chalicelib.settings import OtherRegion, Settings, names_elsewhere
from tests.house import ROOT, definitions, sources

HOUSE = sources("chalicelib", "app.py")
OURS, OTHER = "cn-north-1", "eu-central-1"
VALUES = {
    "queue_url_prefix": "https://sqs.{}.amazonaws.com/123456789012/forbear-",
    "data_key": "arn:aws-cn:kms:{}:123456789012:key/1",
    "archive_bucket": "forbear-aws-archive-123456789012-{}",
    "table": "arn:aws:dynamodb:{}:123456789012:table/forbear-record",
}


@pytest.mark.parametrize("name", VALUES)
def test_a_name_of_another_region_is_found(name: str) -> None:
    assert names_elsewhere({name: VALUES[name].format(OTHER)}, OURS) == [name]
    assert names_elsewhere({name: VALUES[name].format(OURS)}, OURS) == []


@pytest.mark.parametrize("name", sorted(set(VALUES) & set(Settings.model_fields)))
def test_a_process_with_a_resource_of_another_region_does_not_start(
    environment: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert settings_module.settings().stage == "test"
    monkeypatch.setenv(f"FORBEAR_{name.upper()}", VALUES[name].format(OTHER))
    settings_module.settings.cache_clear()
    with pytest.raises(OtherRegion, match=name):
        settings_module.settings()
    settings_module.settings.cache_clear()


def test_who_makes_a_client_cannot_name_a_region() -> None:
    assert list(inspect.signature(clients.client).parameters) == ["service", "retries"]
    naming = {
        (source.path, keyword.arg)
        for source in HOUSE
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in ("region_name", "endpoint_url")
        # A place of residence is a region as well, but no room that talks to AWS knows one.
        or (
            keyword.arg == "region"
            and source.path.startswith(("chalicelib/store", "chalicelib/gateways", "chalicelib/wiring"))
        )
    }
    # The tables are told the process's own region, which settings alone reads.
    assert naming == {("chalicelib/store/tables.py", "region"), ("chalicelib/wiring.py", "region")}


def test_clients_and_sessions_are_made_in_one_place() -> None:
    making = {
        (source.path, name.split(".")[-1])
        for source in HOUSE
        for name in source.uses
        if name.startswith("boto3.")
        and name.split(".")[-1] in ("client", "resource", "Session", "setup_default_session")
    }
    assert {path for path, _ in making} <= {"chalicelib/gateways/clients.py"}
    assert any(
        path.endswith("clients.py") for path in {source.path for source in HOUSE if definitions(source.tree.body)}
    )


def test_buckets_carry_account_and_region_in_their_names() -> None:
    template = (ROOT / "infra" / "template.json").read_text(encoding="utf-8")
    for kind in ("uploads", "letters", "archive"):
        assert f"forbear-${{Stage}}-{kind}-${{AWS::AccountId}}-${{AWS::Region}}" in template
