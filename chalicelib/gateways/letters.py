"""Letters: one PDF put into the letters bucket, where the print house fetches it."""

import base64
import hashlib
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain.ids import is_id
from chalicelib.domain.outreach.carrying import Accepted, Ambiguous, Outbound, Outcome, Refused, altered
from chalicelib.gateways.clients import client
from chalicelib.gateways.faults import judged

PROVIDER = "letter"
_FILED_ALREADY = "PreconditionFailed"


class LettersBucket:
    """Carrier of the channel ``letter``: ``<tenant>/<contact>.pdf``, written once and never over another."""

    def __init__(self, bucket: str, *, return_address: Sequence[str] = ()) -> None:
        """Take the bucket, and the sender's lines as an envelope may show them: nothing in them may tell of a debt."""
        self._bucket = bucket
        self._return_address = tuple(return_address)

    def send(self, outbound: Outbound) -> Outcome:
        """File the letter. The same letter filed before is ``Accepted``: its bytes are the same."""
        if altered(outbound):
            return Refused(PROVIDER, "content_altered")
        if outbound.reference != f"{outbound.tenant}/{outbound.contact}" or not (
            is_id(outbound.tenant) and is_id(outbound.contact)
        ):
            return Refused(PROVIDER, "invalid_reference")
        if not outbound.to.strip():
            return Refused(PROVIDER, "no_address")
        pdf = self._pages(outbound)
        if isinstance(pdf, Refused):
            return pdf
        key, digest = f"{outbound.reference}.pdf", hashlib.sha256(pdf)
        try:
            client("s3", retries=False).put_object(
                Bucket=self._bucket,
                Key=key,
                Body=pdf,
                ContentType="application/pdf",
                ContentLanguage=outbound.language,
                ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                IfNoneMatch="*",
                Metadata={"contact": outbound.contact, "content": outbound.content, "pdf": digest.hexdigest()},
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == _FILED_ALREADY:
                return self._filed_before(key, digest.hexdigest())
            return judged(PROVIDER, error)
        except BotoCoreError as error:
            return judged(PROVIDER, error)
        return Accepted(PROVIDER, key)

    def _pages(self, outbound: Outbound) -> bytes | Refused:
        # Few dispatchers of a day print anything, and all of them would wait for this import.
        from chalicelib.gateways.letter_pages import NoGlyph, letter_pdf

        try:
            return letter_pdf(
                to=outbound.to,
                body=outbound.body,
                subject=outbound.subject,
                language=outbound.language,
                reference=outbound.contact,
                return_address=self._return_address,
            )
        except NoGlyph as missing:
            return Refused(PROVIDER, f"no glyph {missing.codepoint}")

    def _filed_before(self, key: str, pdf: str) -> Outcome:
        """Tell whether the letter on file is this one. A different one may be in the post: nobody knows."""
        try:
            filed = client("s3", retries=False).head_object(Bucket=self._bucket, Key=key)
        except (ClientError, BotoCoreError) as error:
            return Ambiguous(PROVIDER, f"filed before, unread: {type(error).__name__}")
        if filed.get("Metadata", {}).get("pdf") == pdf:
            return Accepted(PROVIDER, key)
        return Ambiguous(PROVIDER, "another letter is on file")
