"""Fees by date: regulatory ones of the US stock market, percentages of a crypto venue, or what desk.yaml lists.

Sources of the built-in table: SEC, Section 31 fee rate advisories (per million dollars sold) and FINRA, Schedule A
section 1, Trading Activity Fee for covered equity securities with the steps of SR-FINRA-2024-019 (per share sold,
capped per trade). A broker that passes the Consolidated Audit Trail fee on needs a line of its own in desk.yaml.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from tradekit.config import PaperFee, PaperSettings
from tradekit.model import Side
from tradekit.money import ZERO, book, dec

CENT = Decimal("0.01")
_MILLION = Decimal(1_000_000)

_SEC_PER_MILLION = (
    ("2016-02-16", "21.80"),
    ("2017-07-04", "23.10"),
    ("2018-05-22", "13.00"),
    ("2019-04-16", "20.70"),
    ("2020-02-18", "22.10"),
    ("2021-02-25", "5.10"),
    ("2022-05-14", "22.90"),
    ("2023-02-27", "8.00"),
    ("2024-05-22", "27.80"),
    ("2025-05-14", "0"),
    ("2026-04-04", "20.60"),
)
_TAF_PER_SHARE = (
    ("2012-07-01", "0.000119", "5.95"),
    ("2022-01-01", "0.000130", "6.49"),
    ("2023-01-01", "0.000145", "7.27"),
    ("2024-01-01", "0.000166", "8.30"),
    ("2026-01-01", "0.000195", "9.79"),
    ("2027-01-01", "0.000232", "11.61"),
    ("2028-01-01", "0.000240", "12.05"),
    ("2029-01-01", "0.000249", "12.50"),
)
US_TABLE: tuple[PaperFee, ...] = (
    *(PaperFee(kind="sec", since=since, rate=Decimal(rate) / _MILLION, per="notional")
      for since, rate in _SEC_PER_MILLION),
    *(PaperFee(kind="taf", since=since, rate=Decimal(rate), per="share", cap=Decimal(cap))
      for since, rate, cap in _TAF_PER_SHARE),
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What an order has traded in one session so far."""

    qty: Decimal = ZERO
    notional: Decimal = ZERO

    def plus(self, qty: Decimal, price: Decimal) -> "Done":
        return Done(self.qty + qty, self.notional + qty * price)


@dataclass(frozen=True)
class FeeTable:
    """Fees of an order: each kind is summed, capped and rounded per order and session, so slices cost no more."""

    rows: Sequence[PaperFee]
    maker: Decimal
    taker: Decimal
    currency: str

    def of_fill(
        self,
        day: date,
        side: Side,
        before: Done,
        qty: Decimal,
        price: Decimal,
        maker: bool,
    ) -> Decimal:
        """What this fill adds to the fees of its order, in the quote currency; `before`: its earlier fills that day."""
        after = before.plus(qty, price)
        added = sum(
            (_charge(row, after) - _charge(row, before) for row in self._in_force(day, side)),
            ZERO,
        )
        rate = self.maker if maker else self.taker
        return book(added + book(qty * price * rate, self.currency), self.currency)

    def _in_force(self, day: date, side: Side) -> list[PaperFee]:
        """The latest row of each kind and side that has begun by `day`."""
        latest: dict[tuple[str, str], PaperFee] = {}
        for row in sorted(self.rows, key=lambda row: row.since):
            if row.since <= day.isoformat():
                latest[row.kind, row.side] = row
        return [row for row in latest.values() if row.side in ("both", side)]


def _charge(row: PaperFee, done: Done) -> Decimal:
    """One kind's fee for everything an order traded in a session."""
    if not done.qty:
        return ZERO
    base = {"share": done.qty, "notional": done.notional, "trade": Decimal(1)}[row.per]
    amount = row.rate * base
    if row.cap is not None:
        amount = min(amount, row.cap)
    if row.rounding == "none":
        return amount
    return amount.quantize(CENT, rounding=ROUND_CEILING if row.rounding == "cent-up" else ROUND_HALF_EVEN)


def fee_table(settings: PaperSettings, currency: str, around_the_clock: bool) -> FeeTable:
    """What desk.yaml lists, else the US regulatory table on a dollar desk that keeps exchange hours."""
    rows = settings.fees
    if rows is None:
        rows = list(US_TABLE) if currency == "USD" and not around_the_clock else []
    return FeeTable(rows, dec(settings.maker), dec(settings.taker), currency)
