"""Values for looking at a template before it is used: invented ones, and the masked form of real ones."""

from collections.abc import Mapping

from chalicelib.domain.outreach.templates import PLACEHOLDERS, Template, base_language

_ZH: Mapping[str, str] = {
    "addressee": "张*", "masked_name": "张*", "lender": "示例汽车金融", "agency": "示例资产服务", "collector": "A001",
    "contract_tail": "6271", "amount_due": "12,645.30元", "amount_as_of": "2026年11月23日", "days_overdue": "45",
    "pay_to": "示例汽车金融官方还款通道", "callback": "400-800-0002", "complaint_line": "400-800-0001",
    "agency_address": "示例市示例区示例路1号", "agency_email": "service@example.com", "promise_amount": "3,000.00元",
    "due_on": "2026年11月27日", "promise_due_on": "2026年11月27日", "itemization_on": "2026年8月31日", "itemization_amount": "12,000.00元",
    "itemization_interest": "410.67元", "itemization_fees": "35.00元", "itemization_payments": "100.00元",
    "validation_end_on": "2026年12月31日", "letter_on": "2026年11月23日", "visit_on": "2026年11月25日", "ticket": "K001",
}  # fmt: skip
_EN: Mapping[str, str] = {
    "addressee": "J*** R***", "masked_name": "J*** R***", "lender": "Sample Auto Finance", "agency": "Sample Servicing",
    "collector": "A001", "contract_tail": "6271", "amount_due": "USD 12,645.30", "amount_as_of": "November 23, 2026",
    "days_overdue": "45", "pay_to": "www.example.com/pay", "callback": "+13125550142", "complaint_line": "+13125550100",
    "agency_address": "1 Sample Street, Springfield, IL 62701", "agency_email": "service@example.com",
    "promise_amount": "USD 3,000.00", "due_on": "November 27, 2026", "promise_due_on": "November 27, 2026", "itemization_on": "August 31, 2026",
    "itemization_amount": "USD 12,000.00", "itemization_interest": "USD 410.67", "itemization_fees": "USD 35.00",
    "itemization_payments": "USD 100.00", "validation_end_on": "December 31, 2026", "letter_on": "November 23, 2026",
    "visit_on": "November 25, 2026", "ticket": "K001",
}  # fmt: skip

MASKED = {"addressee": "masked_name"}
"""Placeholders that hold a person's own data in the open, and the one that shows the same masked."""


def sample_values(template: Template) -> dict[str, str]:
    """Return an invented value for every placeholder, as the template's language writes it."""
    return dict(_ZH if base_language(template.language) == "zh" else _EN)


def asked_values(template: Template) -> dict[str, str]:
    """Return an invented value for each placeholder of the template that a caller's parameters would fill."""
    text = f"{template.subject or ''}{template.text}"
    return {
        name: value
        for name, value in sample_values(template).items()
        if PLACEHOLDERS[name].asked and f"{{{name}}}" in text
    }


def masked(values: Mapping[str, str]) -> dict[str, str]:
    """Return real values with a person's open name masked.

    >>> masked({"addressee": "张伟", "masked_name": "张*"})
    {'addressee': '张*', 'masked_name': '张*'}
    """
    return {name: values.get(MASKED.get(name, name), value) for name, value in values.items()}
