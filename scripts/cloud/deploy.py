"""Brings a package into the local cloud: uploads it, creates or updates the stack, and mends what the emulator leaves out.

The template is the one that goes to AWS; only its parameters differ. Nothing is done when neither package nor parameters
changed since the last deployment that was completed.
"""

import hashlib
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.cloud.aws import client
from scripts.package import Package

STACK = "forbear-local"
CODE_BUCKET = "forbear-local-code"
_PATIENCE_SECONDS = 60


class DeploymentFailed(Exception):
    """The emulator did not build the stack; the text says which resources and why."""


@dataclass(frozen=True)
class Deployed:
    """What runs: the stack's outputs, and whether this call changed anything."""

    outputs: Mapping[str, str]
    changed: bool


def deploy(
    package: Package, endpoint: str, parameters: Mapping[str, str], *, marker: Path, tell: Callable[[str], None]
) -> Deployed:
    """Make the local cloud run this package with these parameters. Raises DeploymentFailed."""
    wanted = hashlib.sha256(f"{package.digest} {sorted(parameters.items())}".encode()).hexdigest()
    if marker.exists():
        known = json.loads(marker.read_text())
        if known["wanted"] == wanted and _stack(endpoint) is not None:
            return Deployed(known["outputs"], changed=False)
    marker.unlink(missing_ok=True)
    tell("Uploading the package")
    template = _with_code(json.loads(package.template.read_text()), _upload(package, endpoint))
    tell("Building the stack")
    _apply(endpoint, template, parameters)
    outputs = _outputs(endpoint)
    _mend(endpoint, template, outputs, parameters)
    _save(endpoint)
    fresh = marker.with_suffix(".new")
    fresh.write_text(json.dumps({"wanted": wanted, "outputs": outputs}))
    fresh.rename(marker)
    return Deployed(outputs, changed=True)


def _upload(package: Package, endpoint: str) -> dict[str, str]:
    objects = client("s3", endpoint)
    objects.create_bucket(Bucket=CODE_BUCKET)
    key = f"{package.digest}.zip"
    objects.put_object(Bucket=CODE_BUCKET, Key=key, Body=package.archive.read_bytes())
    return {"Bucket": CODE_BUCKET, "Key": key}


def _with_code(template: dict[str, Any], place: dict[str, str]) -> dict[str, Any]:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = place
    return template


def _apply(endpoint: str, template: dict[str, Any], parameters: Mapping[str, str]) -> None:
    stacks = client("cloudformation", endpoint)
    # As on AWS, a template of this size is fetched from a bucket.
    body = json.dumps(template, separators=(",", ":")).encode()
    client("s3", endpoint).put_object(Bucket=CODE_BUCKET, Key="template.json", Body=body)
    existing = _stack(endpoint)
    if existing is not None and existing["StackStatus"] in ("ROLLBACK_COMPLETE", "CREATE_FAILED", "ROLLBACK_FAILED"):
        stacks.delete_stack(StackName=STACK)
        _settled(endpoint)
        existing = None
    call = stacks.create_stack if existing is None else stacks.update_stack
    try:
        call(
            StackName=STACK,
            TemplateURL=f"{endpoint}/{CODE_BUCKET}/template.json",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except stacks.exceptions.ClientError as error:
        # The deployment before this one was killed when the stack stood already, but nobody had noted it.
        if "No updates are to be performed" not in str(error):
            raise
    status = _settled(endpoint)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        events = stacks.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
            for event in events
            if "FAILED" in event["ResourceStatus"] and event.get("ResourceStatusReason")
        ]
        raise DeploymentFailed(f"{status}: " + "; ".join(reasons[:5]))


def _stack(endpoint: str) -> dict[str, Any] | None:
    stacks = client("cloudformation", endpoint)
    try:
        (found,) = stacks.describe_stacks(StackName=STACK)["Stacks"]
    except stacks.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return dict(found)


def _settled(endpoint: str) -> str:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until:
        stack = _stack(endpoint)
        if stack is None or not stack["StackStatus"].endswith("IN_PROGRESS"):
            return "DELETED" if stack is None else str(stack["StackStatus"])
        time.sleep(0.05)
    raise DeploymentFailed(f"the stack is not ready after {_PATIENCE_SECONDS} s")


def _outputs(endpoint: str) -> dict[str, str]:
    stack = _stack(endpoint) or {}
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


# What the emulator leaves out of a template


def _mend(endpoint: str, template: dict[str, Any], outputs: Mapping[str, str], parameters: Mapping[str, str]) -> None:
    """Set by call what the emulator's stacks drop: default retention, the sender's verification.

    Expiry (``ttl``) stays off: the emulator would go by the machine's clock, and the local clock may be set to another day.
    """
    objects = client("s3", endpoint)
    archive = template["Resources"]["ArchiveBucket"]["Properties"]["ObjectLockConfiguration"]
    retention = {**archive["Rule"]["DefaultRetention"], "Years": int(parameters["ArchiveYears"])}
    objects.put_object_lock_configuration(
        Bucket=outputs["ArchiveBucketName"],
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
    )
    if not objects.get_bucket_notification_configuration(Bucket=outputs["UploadsBucketName"]).get(
        "QueueConfigurations"
    ):
        raise DeploymentFailed("the uploads bucket does not tell its queue")
    mail = client("sesv2", endpoint)
    known = [identity["IdentityName"] for identity in mail.list_email_identities()["EmailIdentities"]]
    if parameters["SenderEmail"] not in known:
        mail.create_email_identity(EmailIdentity=parameters["SenderEmail"])


def _save(endpoint: str) -> None:
    request = urllib.request.Request(f"{endpoint}/_forbear/save", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()
