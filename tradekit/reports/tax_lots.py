"""Tax lots: which purchase each sale closed, its gain, and wash sales under the US rule (26 U.S.C. 1091).

A loss is disallowed as far as the same security was bought within 30 days before or after the sale; the loss moves to
the basis of those shares and the time that the sold ones were held counts for them. Rest of the block that was sold in
part is no replacement (Rev. Rul. 56-602). Shorts likewise, with a new short sale as the replacement (1091(e)).
Only this desk's fills are seen: other accounts are not.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from tradekit.model import Record
from tradekit.money import ZERO

WINDOW = timedelta(days=30)
Method = Literal["fifo", "lifo", "hifo", "lofo", "specific"]
WASHES = frozenset({"stock", "etf", "option"})  # by asset class; crypto and others are no securities here


class Deal(NamedTuple):
    """One thing that changes lots, in the order it happened. `amount` and `fee` in money; of a split `qty` is the
    factor; an `add` brings shares with their basis, a `remove` takes them away without a sale.
    """

    id: str
    symbol: str
    day: date  # trade date, exchange's zone
    kind: Literal["buy", "sell", "split", "add", "remove"]
    qty: Decimal
    amount: Decimal = ZERO
    fee: Decimal = ZERO


@dataclass(slots=True)
class Lot:
    """Shares bought (or sold short) together. `basis` is what they cost with fees; of a short what it brought."""

    id: str
    symbol: str
    side: Literal["long", "short"]
    acquired: date
    held_from: date  # earlier than `acquired` where a wash sale carried a holding period over
    qty: Decimal
    basis: Decimal
    washed: Decimal = ZERO  # disallowed losses in `basis`
    replaces: Decimal = ZERO  # quantity that already served as a replacement
    block: str = ""

    def part(self, qty: Decimal) -> "Lot":
        """Take `qty` off as a lot of its own."""
        share = qty / self.qty
        found = Lot(self.id, self.symbol, self.side, self.acquired, self.held_from, qty, self.basis * share,
                    self.washed * share, self.replaces * share, self.block)  # fmt: skip
        self.basis -= found.basis
        self.washed -= found.washed
        self.replaces -= found.replaces
        self.qty -= qty
        return found


class ClosedLot(Record, frozen=True, kw_only=True):
    """A lot, or part of one, that a sale closed. `gain` is before, `taxable` after the wash sale rule."""

    symbol: str
    asset_class: str
    side: str
    qty: Decimal
    acquired: date
    held_from: date
    disposed: date
    proceeds: Decimal  # after fees
    basis: Decimal  # with fees, and with disallowed losses of earlier sales
    gain: Decimal
    wash_disallowed: Decimal
    taxable: Decimal
    wash: bool
    term: Literal["short", "long"]
    year: int
    lot_id: str
    close_id: str
    wash_carried: Decimal  # the part of `basis` that earlier wash sales put there
    replaced_by: list[str]


class OpenLot(Record, frozen=True, kw_only=True):
    """A lot that is still held; `deferred` is a disallowed loss inside its basis."""

    symbol: str
    asset_class: str
    side: str
    qty: Decimal
    acquired: date
    held_from: date
    basis: Decimal
    deferred: Decimal
    lot_id: str


class Deferred(Record, frozen=True, kw_only=True):
    """A loss of one year that sat in a lot at the year's end: it counts when that lot is sold."""

    year: int
    symbol: str
    lot_id: str
    qty: Decimal
    deferred: Decimal


class TaxYear(Record, frozen=True, kw_only=True):
    """A year's sums by asset class and term."""

    year: int
    asset_class: str
    term: str
    lots: int
    proceeds: Decimal
    basis: Decimal
    gain: Decimal
    wash_disallowed: Decimal
    taxable: Decimal


@dataclass(slots=True)
class TaxLots:
    """The answer. `realized` is what cash and open lots say was made: `gain` less carried losses foots to it."""

    closed: list[ClosedLot] = field(default_factory=list)
    open: list[OpenLot] = field(default_factory=list)
    deferred: list[Deferred] = field(default_factory=list)
    years: list[TaxYear] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    realized: Decimal = ZERO
    difference: Decimal = ZERO  # 0: the lots foot to the fills

    @property
    def notes(self) -> list[str]:
        """What to know before this is used."""
        return [
            "other accounts (a spouse's, an IRA) are not seen: purchases there can make a wash sale too",
            *self.unmatched,
        ]


def tax_lots(
    deals: Iterable[Deal],
    *,
    method: Method = "fifo",
    chosen: Mapping[str, Sequence[tuple[str, Decimal]]] | None = None,
    asset_class: Callable[[str], str] = lambda symbol: "stock",
    through: date | None = None,
) -> TaxLots:
    """Match every disposal with lots. `chosen` (specific): disposal id -> (lot id, quantity) in order; what it leaves
    open goes by fifo. `through`: the day up to which the year-end lists go (default: the last deal's).
    """
    found = TaxLots()
    by_symbol: dict[str, list[Deal]] = defaultdict(list)
    for deal in deals:
        by_symbol[deal.symbol].append(deal)
    last = through or max((deal.day for each in by_symbol.values() for deal in each), default=None)
    for symbol in sorted(by_symbol):
        _Book(symbol, asset_class(symbol), method, chosen or {}, found, last).run(by_symbol[symbol])
    found.closed.sort(key=lambda lot: (lot.disposed, lot.symbol, lot.close_id))
    found.deferred.sort(key=lambda lot: (lot.year, lot.symbol, lot.lot_id))
    found.years = years(found.closed)
    return found


def years(closed: Sequence[ClosedLot]) -> list[TaxYear]:
    """Sums by year, asset class and term."""
    groups: dict[tuple[int, str, str], list[ClosedLot]] = defaultdict(list)
    for lot in closed:
        groups[lot.year, lot.asset_class, lot.term].append(lot)
    return [
        TaxYear(
            year=year,
            asset_class=kind,
            term=term,
            lots=len(lots),
            proceeds=sum((lot.proceeds for lot in lots), ZERO),
            basis=sum((lot.basis for lot in lots), ZERO),
            gain=sum((lot.gain for lot in lots), ZERO),
            wash_disallowed=sum((lot.wash_disallowed for lot in lots), ZERO),
            taxable=sum((lot.taxable for lot in lots), ZERO),
        )
        for (year, kind, term), lots in sorted(groups.items())
    ]


@dataclass(slots=True)
class _Closing:
    """A loss to be: its numbers before the wash rule is applied."""

    lot: Lot
    deal: Deal
    amount: Decimal  # proceeds (a short: what it cost to buy back), fees in


class _Book:
    """One symbol's lots as time goes by."""

    def __init__(
        self,
        symbol: str,
        kind: str,
        method: Method,
        chosen: Mapping[str, Sequence[tuple[str, Decimal]]],
        out: TaxLots,
        last: date | None,
    ) -> None:
        self.symbol, self.kind, self.method, self.chosen, self.out, self.last = symbol, kind, method, chosen, out, last
        self.lots: list[Lot] = []
        self.pending: dict[str, list[tuple[Decimal, Decimal, int]]] = defaultdict(list)  # for lots to come
        self.openings: dict[str, tuple[str, Decimal]] = {}
        self.cash = ZERO

    def run(self, deals: Sequence[Deal]) -> None:
        """Play the deals; fill in what they closed and left open."""
        self.openings = _openings(deals)
        day: date | None = None
        for i, deal in enumerate(deals):
            if day is not None and deal.day.year > day.year:
                self._year_ends(day.year, deal.day.year)
            day = deal.day
            if deal.kind == "split":
                self._split(deal.qty)
            elif deal.kind == "remove":
                self._remove(deal)
            elif deal.kind == "add":
                self._open(deal, "long", deal.qty, deal.amount)
            else:
                self._trade(deal, deals[i + 1 :])
        if day is not None and self.last is not None:
            self._year_ends(day.year, self.last.year)
        self._finish()

    def _trade(self, deal: Deal, later: Sequence[Deal]) -> None:
        buy = deal.kind == "buy"
        money = deal.amount + deal.fee if buy else deal.amount - deal.fee
        self.cash += -money if buy else money
        held = "short" if buy else "long"
        rest = deal.qty
        for lot in self._matched(deal, held):
            share = money * lot.qty / deal.qty
            self._close(_Closing(lot, deal, share), later)
            rest -= lot.qty
        if rest > 0:
            self._open(deal, "long" if buy else "short", rest, money * rest / deal.qty)

    def _matched(self, deal: Deal, side: str) -> list[Lot]:
        """The lots, or parts, that this deal closes, in the order of the method; taken out of the book."""
        rest = deal.qty
        found: list[Lot] = []
        wanted = list(self.chosen.get(deal.id, ())) if self.method == "specific" else []
        for lot_id, qty in wanted:
            for lot in [lot for lot in self.lots if lot.id == lot_id and lot.side == side]:
                take = min(qty, lot.qty, rest)
                if take > 0:
                    found.append(self._take(lot, take))
                    rest, qty = rest - take, qty - take
            if qty > 0 and rest > 0:
                self.out.unmatched.append(f"{deal.id}: lot {lot_id} has not {qty} more; the rest went by fifo")
        for lot in sorted((lot for lot in self.lots if lot.side == side), key=self._rank):
            if rest <= 0:
                break
            take = min(lot.qty, rest)
            found.append(self._take(lot, take))
            rest -= take
        return found

    def _rank(self, lot: Lot) -> tuple[Decimal | int, int]:
        place = next(i for i, each in enumerate(self.lots) if each is lot)
        each = lot.basis / lot.qty
        ranks: dict[str, Decimal | int] = {"lifo": -place, "hifo": -each, "lofo": each}
        return ranks.get(self.method, 0), place

    def _take(self, lot: Lot, qty: Decimal) -> Lot:
        if qty == lot.qty:
            self.lots = [each for each in self.lots if each is not lot]
            return lot
        return lot.part(qty)

    def _open(self, deal: Deal, side: Literal["long", "short"], qty: Decimal, basis: Decimal) -> None:
        lot = Lot(deal.id, self.symbol, side, deal.day, deal.day, qty, basis, block=deal.id)
        for matched, loss, days in self.pending.pop(deal.id, []):
            part = lot.part(matched) if matched < lot.qty else lot
            _carry(part, loss, days)
            part.replaces = part.qty
            self.lots.append(part)
            if part is lot:
                return
        self.lots.append(lot)

    def _close(self, closing: _Closing, later: Sequence[Deal]) -> None:
        lot, deal = closing.lot, closing.deal
        long = lot.side == "long"
        proceeds, basis = (closing.amount, lot.basis) if long else (lot.basis, closing.amount)
        gain = proceeds - basis
        disallowed: Decimal = ZERO
        names: list[str] = []
        if gain < 0 and self.kind in WASHES:
            disallowed, names = self._wash(lot, deal, -gain, later)
        opened, closed = lot.held_from, deal.day
        self.out.closed.append(
            ClosedLot(
                symbol=self.symbol,
                asset_class=self.kind,
                side=lot.side,
                qty=lot.qty,
                acquired=lot.acquired,
                held_from=lot.held_from,
                disposed=deal.day,
                proceeds=proceeds,
                basis=basis,
                gain=gain,
                wash_disallowed=disallowed,
                taxable=gain + disallowed,
                wash=disallowed > 0,
                term="long" if long and closed > _a_year_after(opened) else "short",
                year=deal.day.year,
                lot_id=lot.id,
                close_id=deal.id,
                wash_carried=lot.washed,
                replaced_by=names,
            )
        )

    def _wash(self, lot: Lot, deal: Deal, loss: Decimal, later: Sequence[Deal]) -> tuple[Decimal, list[str]]:
        """The part of a loss that is disallowed: it moves to the replacements, the earliest bought first."""
        first, last = deal.day - WINDOW, deal.day + WINDOW
        each, rest = loss / lot.qty, lot.qty
        names: list[str] = []
        days = (deal.day - lot.held_from).days
        held = [x for x in self.lots if x.side == lot.side and first <= x.acquired <= last and x.block != lot.block]
        for other in sorted(held, key=lambda x: x.acquired):
            take = min(rest, other.qty - other.replaces)
            if take <= 0:
                continue
            part = other
            if take < other.qty:
                part = other.part(take)
                other.replaces, part.replaces = other.replaces + part.replaces, ZERO
                self.lots.insert(next(i for i, x in enumerate(self.lots) if x is other), part)
            _carry(part, each * take, days)
            part.replaces = part.qty
            rest -= take
            names.append(other.id)
        for following in later:
            if rest <= 0 or following.day > last:
                break
            side, opened = self.openings.get(following.id, ("", ZERO))
            if side != lot.side:
                continue
            free = opened - sum((matched for matched, _, _ in self.pending[following.id]), ZERO)
            take = min(rest, free)
            if take > 0:
                self.pending[following.id].append((take, each * take, days))
                rest -= take
                names.append(following.id)
        return each * (lot.qty - rest), names

    def _split(self, factor: Decimal) -> None:
        for lot in self.lots:
            lot.qty *= factor
            lot.replaces *= factor

    def _remove(self, deal: Deal) -> None:
        rest = deal.qty
        for lot in list(self.lots):
            if rest > 0 and lot.side == "long":
                take = min(lot.qty, rest)
                gone = self._take(lot, take)
                self.cash += gone.basis - gone.washed  # goes away at its cost: no gain, no loss
                rest -= take

    def _year_ends(self, first: int, last: int) -> None:
        for year in range(first, last):
            self.out.deferred += [
                Deferred(year=year, symbol=lot.symbol, lot_id=lot.id, qty=lot.qty, deferred=lot.washed)
                for lot in self.lots
                if lot.washed > 0
            ]

    def _finish(self) -> None:
        mine = [lot for lot in self.out.closed if lot.symbol == self.symbol]
        for lot in self.lots:
            self.out.open.append(
                OpenLot(symbol=lot.symbol, asset_class=self.kind, side=lot.side, qty=lot.qty, acquired=lot.acquired,
                        held_from=lot.held_from, basis=lot.basis, deferred=lot.washed, lot_id=lot.id)
            )  # fmt: skip
        bought = sum((lot.basis - lot.washed for lot in self.lots if lot.side == "long"), ZERO)
        sold = sum((lot.basis + lot.washed for lot in self.lots if lot.side == "short"), ZERO)
        realized = self.cash + bought - sold
        self.out.realized += realized
        self.out.difference += sum((lot.gain + lot.wash_carried for lot in mine), ZERO) - realized


def _carry(part: Lot, loss: Decimal, days: int) -> None:
    """A disallowed loss into a replacement: its basis and its holding period."""
    part.basis += loss if part.side == "long" else -loss
    part.washed += loss
    part.held_from -= timedelta(days=days)


def _openings(deals: Sequence[Deal]) -> dict[str, tuple[str, Decimal]]:
    """How much of each deal opens something, and on which side: a quantity that crosses 0 does both."""
    held = ZERO
    found: dict[str, tuple[str, Decimal]] = {}
    for deal in deals:
        if deal.kind == "split":
            held *= deal.qty
            continue
        signed = deal.qty if deal.kind in ("buy", "add") else -deal.qty
        after = held + signed
        if deal.kind != "remove":
            if signed > 0 and after > 0:
                found[deal.id] = ("long", min(signed, after))
            elif signed < 0 and after < 0:
                found[deal.id] = ("short", min(-signed, -after))
        held = max(ZERO, after) if deal.kind == "remove" else after
    return found


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:  # 29 February
        return day.replace(year=day.year + 1, month=2, day=28)
