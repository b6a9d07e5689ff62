"""The package is brought into a fresh emulator as `make run` does it, and what the template promises is there."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from scripts.cloud import front
from scripts.cloud.deploy import Deployed, deploy
from scripts.cloud.processes import free_port
from scripts.package import package
from scripts.run import gateway_responses
from tests.contracts.emulated import EMULATOR_PYTHON, Emulator

pytestmark = pytest.mark.skipif(not EMULATOR_PYTHON.exists(), reason="the emulator's environment is not installed")


def parameters(endpoint: str) -> dict[str, str]:
    """Return the stack's parameters, with nobody behind clock, issuer and carriers."""
    nobody = "http://127.0.0.1:9"
    return {
        "Stage": "local",
        "AuditDomain": "forbear.test",
        "OidcIssuer": nobody,
        "OidcAudience": "forbear-test",
        "OidcJwksUrl": f"{nobody}/jwks.json",
        "SenderEmail": "sender@forbear.test",
        "WechatUrl": nobody,
        "WechatCorpId": "corp",
        "WechatAccount": "account",
        "WechatSecret": "secret",
        "PublicUrl": nobody,
        "QueueUrlPrefix": f"{endpoint}/000000000000/forbear-local-",
        "ArchiveYears": "7",
        "ThrottleRate": "10000",
        "ThrottleBurst": "10000",
    }


class Stage:
    """A deployed stage."""

    def __init__(self, emulator: Emulator, deployed: Deployed, again: Callable[[], Deployed]) -> None:
        self.emulator, self.outputs, self.again = emulator, deployed.outputs, again
        self.client = emulator.client

    def printed(self, function: str) -> str:
        """Return what a function has printed so far."""
        log = self.emulator.home / f"logs/forbear-local-{function}.log"
        return log.read_text() if log.exists() else ""

    def until(self, condition: Callable[[], bool]) -> bool:
        """Wait up to 30 s for something that functions do by themselves."""
        limit = time.monotonic() + 30
        while not condition() and time.monotonic() < limit:
            time.sleep(0.05)
        return condition()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Deploy once for the whole module."""
    emulator = Emulator(tmp_path_factory.mktemp("deployed") / "home")
    emulator.home.mkdir()
    emulator.start()
    endpoint = f"http://127.0.0.1:{emulator.port}"

    def once() -> Deployed:
        return deploy(
            package("local"),
            endpoint,
            parameters(endpoint),
            marker=emulator.home / "deployed.json",
            tell=lambda _: None,
        )

    deployed = once()
    assert deployed.changed
    yield Stage(emulator, deployed, once)
    emulator.kill()


def test_a_second_deployment_of_the_same_changes_nothing(stage: Stage) -> None:
    assert stage.again() == Deployed(stage.outputs, changed=False)


def test_a_deployment_is_still_there_after_a_kill(stage: Stage) -> None:
    stage.emulator.kill()
    stage.emulator.start()
    assert stage.again().changed is False
    resources = json.loads(package("local").template.read_text())["Resources"].values()
    packaged = [each for each in resources if each["Type"] == "AWS::Serverless::Function"]
    assert len(stage.client("lambda").list_functions()["Functions"]) == len(packaged) > 0


def test_a_deployment_that_was_killed_before_it_was_noted_is_finished(stage: Stage) -> None:
    (stage.emulator.home / "deployed.json").unlink()
    assert stage.again() == Deployed(stage.outputs, changed=True)
    assert stage.again() == Deployed(stage.outputs, changed=False)


def test_the_front_door_answers_a_request_without_token_with_a_problem(stage: Stage) -> None:
    views: Any = None
    api = f"http://127.0.0.1:{stage.emulator.port}/restapis/{stage.outputs['RestAPIId']}/local/_user_request_"
    refusals = gateway_responses(json.loads(package("local").template.read_text()))
    door = front.serve(api, views, port=free_port(), refusals=refusals)
    try:
        assert asked(door.server_port, "/v1/cases") == (401, "not_authenticated")
        assert asked(door.server_port, "/v1/nothing") == (404, "not_found")
    finally:
        door.shutdown()
        door.server_close()


def asked(port: int, path: str) -> tuple[int, str]:
    """Return status and problem code of a GET."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    line.request("GET", path)
    answer = line.getresponse()
    body = json.loads(answer.read())
    assert answer.headers["Content-Type"] == "application/problem+json"
    line.close()
    return answer.status, body["code"]


def test_an_upload_starts_its_function_and_what_fails_comes_again(stage: Stage) -> None:
    objects = stage.client("s3")
    objects.put_object(Bucket=stage.outputs["UploadsBucketName"], Key="incoming/len-none/pf_none/x.csv", Body=b"a,b\n")
    assert stage.until(lambda: stage.printed("start_portfolio").count("REPORT") >= 2)


def test_an_upload_elsewhere_in_the_bucket_starts_nothing(stage: Stage) -> None:
    told = stage.client("s3").get_bucket_notification_configuration(Bucket=stage.outputs["UploadsBucketName"])
    (configuration,) = told["QueueConfigurations"]
    rules = configuration["Filter"]["Key"]["FilterRules"]
    assert [(rule["Name"].lower(), rule["Value"]) for rule in rules] == [("prefix", "incoming/")]


def test_the_stream_calls_the_projections_for_events_only(stage: Stage) -> None:
    table, tables = stage.outputs["RecordTableName"], stage.client("dynamodb")
    tables.put_item(TableName=table, Item={"pk": {"S": "T#len-none"}, "sk": {"S": "LENDER"}})
    status = f"http://127.0.0.1:{stage.emulator.port}/_forbear/status"
    assert stage.until(lambda: unread(status) == 0)
    assert "REPORT" not in stage.printed("project_events")
    event = {"pk": {"S": "T#len-none#CASE#case_x"}, "sk": {"S": "EV#00000001"}, "e": {"B": b"no event"}}
    tables.put_item(TableName=table, Item=event)
    assert stage.until(lambda: "FAILED" in stage.printed("project_events"))


def unread(url: str) -> int:
    """Return how many stream records are still to be read."""
    parts = urlsplit(url)
    line = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    line.request("GET", parts.path)
    answer = json.loads(line.getresponse().read())
    line.close()
    return int(answer["unread"])


def test_what_is_put_into_the_archive_without_a_lock_is_locked_all_the_same(stage: Stage) -> None:
    objects, bucket = stage.client("s3"), stage.outputs["ArchiveBucketName"]
    put = objects.put_object(Bucket=bucket, Key="a/tile/0/000", Body=b"hash")
    kept = objects.get_object_retention(Bucket=bucket, Key="a/tile/0/000", VersionId=put["VersionId"])["Retention"]
    assert kept["Mode"] == "COMPLIANCE"
    with pytest.raises(ClientError, match="AccessDenied"):
        objects.delete_object(Bucket=bucket, Key="a/tile/0/000", VersionId=put["VersionId"])


def test_the_keys_are_of_the_kinds_that_verifiers_expect(stage: Stage) -> None:
    keys = stage.client("kms")
    specs = {
        name: keys.get_public_key(KeyId=f"alias/forbear-local-{name}")["KeySpec"]
        for name in ("approval", "archive-ed25519", "archive-p256")
    }
    assert specs == {
        "approval": "ECC_NIST_P256",
        "archive-ed25519": "ECC_NIST_EDWARDS25519",
        "archive-p256": "ECC_NIST_P256",
    }


def test_the_emulators_own_schedules_are_off(stage: Stage) -> None:
    for function in ("release_due", "compute_kpis", "archive_events"):
        assert stage.printed(function) == ""


def test_nothing_is_kept_outside_the_home_folder(stage: Stage) -> None:
    kept = {path.name for path in stage.emulator.home.iterdir()}
    assert {"journal.jsonl", "state", "s3", "logs", "deployed.json"} <= kept
    assert Path(stage.emulator.home, "tmp").is_dir()
