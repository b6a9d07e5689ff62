import json
import re
import tomllib
from pathlib import Path

import pytest

from chalicelib.domain.outreach.provider_events import parse_provider_events
from chalicelib.domain.outreach.templates import PLACEHOLDERS, Template, TemplateFault, TemplateRefused, faults_of

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")


def snippet(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_template_on_the_page_loads() -> None:
    (version,) = tomllib.loads(snippet("toml"))["version"]
    assert faults_of(Template(id="page", version=1, **version)) == []


def test_the_callback_on_the_page_is_read() -> None:
    (event,) = parse_provider_events(json.loads(snippet("json")))
    assert (event.kind, event.recipient, event.line) == ("inbound", "external user id", "open_kfid")


@pytest.mark.parametrize("kind", sorted({placeholder.kind for placeholder in PLACEHOLDERS.values()}))
def test_the_page_lists_every_placeholder_under_its_kind(kind: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {kind} |"))
    named = set(re.findall(r"`([a-z_]+)`", row.rsplit("|", 2)[1]))
    assert named == {name for name, placeholder in PLACEHOLDERS.items() if placeholder.kind == kind}


def test_the_page_marks_what_a_caller_may_fill() -> None:
    marked = set(re.findall(r"`([a-z_]+)`\\\*", PAGE))
    assert marked == {name for name, placeholder in PLACEHOLDERS.items() if placeholder.asked}


def test_the_page_lists_every_refusal() -> None:
    codes: set[str] = set()
    for value in (TemplateRefused, TemplateFault):
        listed = re.search(r"Codes: (.*?)\.", value.__doc__ or "", re.DOTALL)
        assert listed is not None
        codes |= {code.strip() for code in listed[1].replace("\n", " ").split(",")}
    table = PAGE[PAGE.index("| code | means |") : PAGE.index("## What is hashed")]
    assert codes == set(
        re.findall(r"`([a-z_]+)`", "".join(line.split("|")[1] for line in table.splitlines() if line[:3] == "| `"))
    )
