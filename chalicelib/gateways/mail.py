"""Mail: one SES ``SendEmail`` of plain text."""

import re
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Outbound, Outcome, Refused, altered
from chalicelib.gateways.clients import client
from chalicelib.gateways.faults import judged

PROVIDER = "ses"
_MAILBOX = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9.-]{1,255}")


class SesMail:
    """Carrier of the channel ``email``: plain text without links to follow and without anything that is loaded.

    The attempt's ids go along as message tags, which every SES event of the message carries back (``mail.tags``).
    """

    def __init__(self, sender: str, *, configuration_set: str = "") -> None:
        """Take the verified address that mail comes from, and the configuration set that publishes events ("" = none)."""
        self._sender = sender
        self._configuration_set = configuration_set

    def send(self, outbound: Outbound) -> Outcome:
        """Send once. Refuses before any call what is no single mailbox, has no subject, or is not what was approved."""
        if altered(outbound):
            return Refused(PROVIDER, "content_altered")
        if not _MAILBOX.fullmatch(outbound.to):
            return Refused(PROVIDER, "invalid_mailbox")
        if not outbound.subject or re.search(r"[\r\n]", outbound.subject):
            return Refused(PROVIDER, "invalid_subject")
        try:
            answer = client("sesv2", retries=False).send_email(**self._request(outbound))
        except (ClientError, BotoCoreError) as error:
            return judged(PROVIDER, error)
        message_id = answer.get("MessageId")
        return Accepted(PROVIDER, message_id) if message_id else Ambiguous(PROVIDER, "no_message_id")

    def _request(self, outbound: Outbound) -> dict[str, Any]:
        request: dict[str, Any] = {
            "FromEmailAddress": self._sender,
            "Destination": {"ToAddresses": [outbound.to]},
            "Content": {
                "Simple": {
                    "Subject": {"Data": outbound.subject, "Charset": "UTF-8"},
                    "Body": {"Text": {"Data": outbound.body, "Charset": "UTF-8"}},
                    # RFC 2369: mail programs show it as a button; the answer is an inbound "unsubscribe" like any other.
                    "Headers": [
                        {"Name": "List-Unsubscribe", "Value": f"<mailto:{self._sender}?subject=unsubscribe>"},
                        {"Name": "Content-Language", "Value": outbound.language},
                    ],
                }
            },
            "EmailTags": [
                {"Name": "contact", "Value": outbound.contact},
                {"Name": "tenant", "Value": outbound.tenant},
            ],
        }
        if outbound.sender is not None:
            request["ReplyToAddresses"] = [outbound.sender]
        if self._configuration_set:
            request["ConfigurationSetName"] = self._configuration_set
        return request
