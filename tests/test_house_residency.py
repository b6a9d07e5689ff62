"""A lender's data stay in one region: it decides every name, no client of another can be made, and no other region serves it."""

import ast
import inspect
import json
import re
from dataclasses import asdict, fields
from typing import Any

import pytest

from chalicelib import settings as settings_module
from chalicelib.domain.errors import Misdirected
from chalicelib.domain.residency import ResourceNames, require_home, resource_names
from chalicelib.gateways import clients
from chalicelib.settings import OtherRegion, Settings, names_elsewhere
from tests.conftest import ACCOUNT, QUEUES
from tests.house import ROOT, definitions, sources

HOUSE = sources("chalicelib", "app.py")
OURS, OTHER = "cn-north-1", "eu-central-1"
VALUES = {
    "queue_url_prefix": "https://sqs.{}.amazonaws.com/123456789012/forbear-",
    "data_key": "arn:aws-cn:kms:{}:123456789012:key/1",
    "archive_bucket": "forbear-aws-archive-123456789012-{}",
    "table": "arn:aws:dynamodb:{}:123456789012:table/forbear-record",
    "time_authority_url": "https://stamps.{}.example.com",
}

# Names


@pytest.mark.parametrize(
    ("region", "url", "topic"),
    [
        (
            "eu-central-1",
            "https://sqs.eu-central-1.amazonaws.com/123456789012/forbear-prod-",
            "arn:aws:sns:eu-central-1",
        ),
        (
            "cn-north-1",
            "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/forbear-prod-",
            "arn:aws-cn:sns:cn-north-1",
        ),
        (
            "us-gov-west-1",
            "https://sqs.us-gov-west-1.amazonaws.com/123456789012/forbear-prod-",
            "arn:aws-us-gov:sns:us-gov-west-1",
        ),
    ],
)
def test_a_region_decides_every_name_that_the_service_does_not_part_by_region_itself(
    region: str, url: str, topic: str
) -> None:
    names = resource_names(region=region, stage="prod", account=ACCOUNT)
    assert names.queue_url_prefix == url
    assert names.alarms_topic == f"{topic}:123456789012:forbear-prod-alarms"
    assert names.archive_bucket == f"forbear-prod-archive-123456789012-{region}"
    elsewhere = asdict(resource_names(region="ap-southeast-2", stage="prod", account=ACCOUNT))
    # A table's name and a key's alias mean another thing in each region, and no client can be told a region (below).
    shared = {name for name, value in asdict(names).items() if elsewhere[name] == value}
    regional = {"table", "views_table", "keys_table", "data_key", "approval_key"}
    assert shared == regional | {"archive_key_ed25519", "archive_key_p256"}


@pytest.mark.parametrize(
    "deviation",
    [
        {"region": ""},
        {"region": "local"},
        {"region": "eu-central-1 "},
        {"region": "us-iso-east-1"},
        {"stage": "Prod"},
        {"stage": "a" * 17},
        {"stage": ""},
        {"account": "12345678901"},
        {"account": "12345678901x"},
    ],
)
def test_what_is_no_region_stage_or_account_names_nothing(deviation: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"is no region|a stage is"):
        resource_names(**{"region": OURS, "stage": "prod", "account": ACCOUNT, **deviation})


def _rendered(value: Any, region: str) -> str:
    known = {"Stage": "prod", "AWS::AccountId": ACCOUNT, "AWS::Region": region}
    return re.sub(r"\$\{([A-Za-z:]+)\}", lambda found: known[found[1]], value["Fn::Sub"])


def test_the_template_makes_what_the_names_say_and_nothing_else() -> None:
    template = json.loads((ROOT / "infra" / "template.json").read_text(encoding="utf-8"))
    named: dict[str, set[str]] = {}
    for resource in template["Resources"].values():
        for key in ("TableName", "BucketName", "QueueName", "TopicName", "AliasName"):
            if key in resource.get("Properties", {}):
                named.setdefault(key, set()).add(_rendered(resource["Properties"][key], OURS))
    names = resource_names(region=OURS, stage="prod", account=ACCOUNT)
    own = asdict(names)
    assert named["TableName"] == {own[name] for name in own if name.endswith("table")}
    assert named["BucketName"] == {own[name] for name in own if name.endswith("_bucket")}
    assert named["AliasName"] == {own[name] for name in own if "_key" in name and not name.endswith("_table")} - {OURS}
    assert named["TopicName"] == {own[name].rpartition(":")[2] for name in own if name.endswith("_topic")}
    first = names.queue_url_prefix.rpartition("/")[2]
    assert {name for name in named["QueueName"] if "-dlq" not in name} == {first + queue for queue in QUEUES}
    told = template["Globals"]["Function"]["Environment"]["Variables"]
    assert not [name for name in told if name.endswith(("_TABLE", "_BUCKET", "_KEY", "_TOPIC", "_P256", "_ED25519"))]
    assert (told["FORBEAR_STAGE"], told["FORBEAR_ACCOUNT"]) == ({"Ref": "Stage"}, {"Ref": "AWS::AccountId"})


def test_no_setting_names_a_resource() -> None:
    given = {field.name for field in fields(ResourceNames)} - {"queue_url_prefix"}
    assert given & set(Settings.model_fields) == set()


def test_the_names_of_a_process_follow_from_where_it_runs(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_module.names() == resource_names(region="eu-west-1", stage="test", account=ACCOUNT)
    monkeypatch.setenv("AWS_REGION", OTHER)
    monkeypatch.setenv(f"FORBEAR_{'archive_bucket'.upper()}", "forbear-test-archive-123456789012-eu-west-1")
    for known in (settings_module.settings, settings_module.names):
        known.cache_clear()
    assert settings_module.names().archive_bucket == f"forbear-test-archive-{ACCOUNT}-{OTHER}"
    for known in (settings_module.settings, settings_module.names):
        known.cache_clear()


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


# Clients


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
    # Transactions are sent where the tables are, which are the process's own region's by its names.
    assert naming == {("chalicelib/store/tables.py", "region")}


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


# Lenders


def test_a_lender_of_another_region_is_refused_in_words_that_name_no_data() -> None:
    require_home(None, OURS)
    require_home(OURS, OURS)
    with pytest.raises(Misdirected) as refused:
        require_home(OTHER, OURS)
    assert refused.value.detail == "this lender is served in eu-central-1"


def test_every_scope_is_made_where_the_home_is_looked_at() -> None:
    """Who could make a scope elsewhere would serve a lender without looking at its home."""
    using = {
        (source.path, name)
        for source in HOUSE
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        for name in (node.func.id,)
        if name in ("system_scope", "agency_scopes", "TenantScope")
    }
    assert using == {
        ("chalicelib/domain/principals.py", "TenantScope"),
        ("chalicelib/edge/callers.py", "agency_scopes"),
        ("chalicelib/wiring.py", "system_scope"),
    }
