"""A portfolio: one upload of a lender from its announcement to the last of its rows, and how far it has come."""

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.intake.rejections import Rejection
from chalicelib.domain.intake.scan import CSV, JSONL, XLSX, Chunk, Control


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PortfolioState(StrEnum):
    """Where an upload stands; ``refused`` and ``loaded`` are final."""

    REQUESTED = "requested"
    REFUSED = "refused"
    LOADING = "loading"
    LOADED = "loaded"


FORMATS = (CSV, JSONL, XLSX)

Minor = Annotated[int, Field(strict=True, ge=0, le=2**53 - 1)]
Sha256Text = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]


class Kind(StrEnum):
    """What the rows of an upload are: debts that are placed, or changes to persons that are known."""

    PORTFOLIO = "portfolio"
    CUSTOMER_UPDATES = "customer_updates"


class Wish(_Value):
    """What a lender announces: the format and what must be found in the file, or a few rows themselves.

    ``totals`` maps a money column to minor units by currency. ``encoding`` is found out when it is not stated. ``columns`` maps the lender's own headers to column
    names, or to ``ignore``. ``rows_inline`` are documents of ``docs/portfolio-format.md``; then nothing is uploaded.
    """

    kind: ClassVar[Kind] = Kind.PORTFOLIO

    format: Annotated[str, Field(pattern=r"^(csv|jsonl|xlsx)$")] = CSV
    rows: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    totals: Annotated[
        dict[Annotated[str, Field(max_length=60)], dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Minor]],
        Field(max_length=40),
    ] = {}
    sha256: Sha256Text | None = None
    size: Annotated[int, Field(strict=True, ge=1, le=2 * 1024**3)] | None = None
    encoding: Annotated[str, Field(pattern=r"^(utf-8|gb18030)$")] | None = None
    columns: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=100)]], Field(max_length=500)
    ] = {}
    rows_inline: Annotated[tuple[dict[str, Any], ...], Field(max_length=200)] = ()


class UpdatesWish(_Value):
    """What a lender, or an agency for ``lender``, announces of a file of customer updates, or a few rows themselves.

    As with a portfolio, without totals: there is no money in it. ``rows_inline`` are documents of ``docs/customer-updates-format.md``.
    """

    kind: ClassVar[Kind] = Kind.CUSTOMER_UPDATES
    totals: ClassVar[dict[str, dict[str, int]]] = {}

    lender: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] | None = None
    format: Annotated[str, Field(pattern=r"^(csv|jsonl|xlsx)$")] = CSV
    rows: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] | None = None
    sha256: Sha256Text | None = None
    size: Annotated[int, Field(strict=True, ge=1, le=2 * 1024**3)] | None = None
    encoding: Annotated[str, Field(pattern=r"^(utf-8|gb18030)$")] | None = None
    columns: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=100)]], Field(max_length=500)
    ] = {}
    rows_inline: Annotated[tuple[dict[str, Any], ...], Field(max_length=200)] = ()


class Uploader(_Value):
    """Who announced an upload, as events name who acts; ``org`` is the agency on whose behalf, None for the lender's side."""

    kind: str
    id: str
    auth: str
    org: str | None = None


class Portfolio(_Value):
    """One upload. ``announced`` is the sender's control record; the rest is found. Holds no personal data.

    ``kind`` says what its rows are. Updates of customers are made in the name of ``by``, who announced them.

    ``accepted`` counts rows that made a case or changed a person, ``unchanged`` rows that were taken before with the same content,
    ``rejected`` the others; ``codes`` counts rejections by their first code. They are complete when it is loaded.
    ``due_at`` is when the clock must see whether a wake-up of one of its chunks was lost.
    """

    id: str
    state: PortfolioState
    format: str
    kind: Kind = Kind.PORTFOLIO
    by: Uploader | None = None
    announced: dict[str, Any]
    columns: dict[str, str] = {}
    key: str
    object_version: str | None = None
    requested_at: str
    started_at: str | None = None
    loaded_at: str | None = None
    encoding: str | None = None
    delimiter: str = ""
    titles: tuple[str, ...] = ()
    size: int | None = None
    sha256: str | None = None
    rows: int | None = None
    totals: dict[str, dict[str, int]] = {}
    uncounted: int = 0
    chunks: int = 0
    chunks_loaded: int = 0
    accepted: int = 0
    unchanged: int = 0
    rejected: int = 0
    codes: dict[str, int] = {}
    refusal: dict[str, Any] | None = None
    due_at: str | None = None
    version: int = 1

    @property
    def progress(self) -> float:
        """Return the share of chunks that are loaded, from 0 to 1 (both closed)."""
        if self.state in (PortfolioState.LOADED, PortfolioState.REFUSED):
            return 1.0
        return round(self.chunks_loaded / self.chunks, 4) if self.chunks else 0.0

    @property
    def control(self) -> Control:
        """Return what the lender announced, for the scan to compare."""
        return Control(
            rows=self.announced.get("rows"),
            totals=self.announced.get("totals", {}),
            sha256=self.announced.get("sha256"),
            size=self.announced.get("size"),
        )


CHUNKS_PER_PAGE = 1_000


class PlanPage(_Value):
    """Up to ``CHUNKS_PER_PAGE`` planned chunks; each is [first_row, rows, first_line, start, end, blob]."""

    chunks: tuple[tuple[int, int, int, int, int, str | None], ...]
    version: int = 1

    def chunk(self, number: int) -> Chunk:
        """Return the chunk with this number (over all pages)."""
        first_row, rows, first_line, start, end, blob = self.chunks[number % CHUNKS_PER_PAGE]
        return Chunk(number, first_row, rows, first_line, start, end, blob)


def pages(chunks: tuple[Chunk, ...]) -> list[PlanPage]:
    """Return a plan's chunks in pages."""
    listed = [(c.first_row, c.rows, c.first_line, c.start, c.end, c.blob) for c in chunks]
    return [
        PlanPage(chunks=tuple(listed[start : start + CHUNKS_PER_PAGE]))
        for start in range(0, len(listed), CHUNKS_PER_PAGE)
    ]


class Found(_Value):
    """An uploaded file that lies in the bucket; ``version`` is None where the bucket keeps none."""

    version: str | None


class UpdateMark(_Value):
    """That a row of customer updates was taken: the keyed digest of what it says, in which upload, and at which data row."""

    digest: str
    upload: str
    row: int
    version: int = 1


class LoadedChunk(_Value):
    """The result of one chunk; it exists when the chunk is done. ``rejections`` are in ``Rejection.compact`` form."""

    number: int
    accepted: int
    unchanged: int
    rejected: int
    codes: dict[str, int]
    rejections: tuple[list[Any], ...]
    version: int = 1

    @classmethod
    def of(cls, number: int, refused: Iterable[Rejection], *, accepted: int, unchanged: int) -> "LoadedChunk":
        """Return the result of a chunk from its refused rows, in any order, and how many rows made or changed nothing."""
        rejections = sorted(refused, key=lambda each: each.row)
        return cls(
            number=number,
            accepted=accepted,
            unchanged=unchanged,
            rejected=len(rejections),
            codes=dict(Counter(each.code for each in rejections)),
            rejections=tuple(each.compact() for each in rejections),
        )

    def listed(self) -> list[Rejection]:
        """Return the rejections in file order."""
        return [Rejection.from_compact(stored) for stored in self.rejections]
