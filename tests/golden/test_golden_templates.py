import pytest

from chalicelib.domain.outreach.templates import Template
from tests.golden.golden_templates import HERE, newest, page_of


@pytest.mark.parametrize("template", newest(), ids=lambda template: template.id)
def test_a_template_reads_as_it_was_approved(template: Template) -> None:
    assert page_of(template) == (HERE / f"{template.id}.txt").read_text(encoding="utf-8")


def test_every_golden_text_belongs_to_a_template() -> None:
    assert {file.stem for file in HERE.glob("*.txt")} == {template.id for template in newest()}
