"""Pages for people, made of plain values: every value is escaped, nothing is loaded and nothing is run."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def html_page(title: str, body: Iterable[str], language: str) -> str:
    """Return a whole page in ``zh`` or ``en`` under its title; the lines of ``body`` are HTML already."""
    head = f'<head><meta charset="utf-8"><title>{text(title)}</title></head>'
    lines = "\n".join([f"<h1>{text(title)}</h1>", *body])
    return f'<!doctype html>\n<html lang="{language}">{head}<body>\n{lines}\n</body></html>\n'


def shown(value: Any) -> str:
    """Return JSON values as nested lists; what is None is left out."""
    if isinstance(value, Mapping):
        rows = (f"<dt>{text(name)}</dt><dd>{shown(each)}</dd>" for name, each in value.items() if each is not None)
        told = "".join(rows)
        return f"<dl>{told}</dl>" if told else ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "<ul>" + "".join(f"<li>{shown(each)}</li>" for each in value) + "</ul>" if value else ""
    return text(value)


def text(value: Any) -> str:
    """Return the value as text in which nothing is markup."""
    return html.escape(str(value), quote=True)
