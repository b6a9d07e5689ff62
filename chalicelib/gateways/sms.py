"""Text messages: one SNS publish to a telephone number."""

import re

import phonenumbers
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Outbound, Outcome, Refused, altered
from chalicelib.gateways.clients import client
from chalicelib.gateways.faults import judged

PROVIDER = "sns"
_BYTES = 1600


class SnsTextMessages:
    """Carrier of the channel ``sms``.

    SNS has no time to live for text messages, so a late arrival cannot be prevented here: the approval's ``not_after``
    keeps its distance from the end of the permitted hours. The attempt's ids go along as attributes (``contact``,
    ``tenant``), which the emulator's outbox and a forwarder of delivery logs can read; SNS itself does not return them.
    """

    def send(self, outbound: Outbound) -> Outcome:
        """Publish once. Refuses before any call what is not a valid E.164 number or not what was approved."""
        if altered(outbound):
            return Refused(PROVIDER, "content_altered")
        if not is_reachable_number(outbound.to):
            return Refused(PROVIDER, "invalid_number")
        if not outbound.body or len(outbound.body.encode()) > _BYTES:
            return Refused(PROVIDER, "body_size")
        try:
            answer = client("sns", retries=False).publish(
                PhoneNumber=outbound.to, Message=outbound.body, MessageAttributes=_attributes(outbound)
            )
        except (ClientError, BotoCoreError) as error:
            return judged(PROVIDER, error)
        message_id = answer.get("MessageId")
        return Accepted(PROVIDER, message_id) if message_id else Ambiguous(PROVIDER, "no_message_id")


def is_reachable_number(number: str) -> bool:
    """Tell whether the text is a valid E.164 number, written exactly so (``+8613812345678``)."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False
    written = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return written == number and phonenumbers.is_valid_number(parsed)


def _attributes(outbound: Outbound) -> dict[str, dict[str, str]]:
    values = {
        "AWS.SNS.SMS.SMSType": "Transactional",
        "contact": outbound.contact,
        "tenant": outbound.tenant,
    }
    if outbound.sender is not None and re.fullmatch(r"\+?\d{5,15}", outbound.sender):
        values["AWS.MM.SMS.OriginationNumber"] = outbound.sender
    elif outbound.sender is not None and re.fullmatch(r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}", outbound.sender):
        values["AWS.SNS.SMS.SenderID"] = outbound.sender
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}
