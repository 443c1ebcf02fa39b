"""Fills and adjustments in, positions and trades out: a pure fold, so that a late fill amends what was written.

Moves are sorted by (the broker's time, splits, buys, sells, id) and counted once. An episode runs from flat to flat:
while it is open it is a position, afterwards a trade. Prices are quantity-weighted; money is rounded
once, when a fill becomes a move, so the sums foot exactly.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal, NamedTuple, cast

from tradekit.clock import iso
from tradekit.ids import position_id
from tradekit.model import Adjustment, Fill, Intent, Record
from tradekit.money import ONE, ZERO, averages, book, booked, plain, shown_average, wire

BUY_RANK, SELL_RANK = 1, 2  # of one instant: splits (0), buys, sells


class Opening(Record, frozen=True, kw_only=True):
    """What the first fill of an entry opens; it travels with the fill, so a refold finds it again."""

    position_id: str | None = None
    strategy: str | None = None
    cap: str | None = None
    intent: Intent = "swing"
    plan: dict[str, Any] = {}
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    decision_id: str | None = None
    master: bool = False
    regime: str | None = None
    strategy_version: str | None = None
    because: str = ""


NOTHING_SAID = Opening()  # what an imported fill opens


class Move(NamedTuple):
    """One thing that changes a quantity. `notional` and `fee` are booked money, None: at the average cost.

    `dust` is what booking rounded off the notional: money ignores it, average prices do not.
    """

    at: datetime
    rank: int  # splits before buys before sells of the same instant
    id: str  # broker_fill_id or the adjustment's id
    kind: Literal["buy", "sell", "add", "remove", "split"]
    qty: Decimal  # > 0; of a split the factor: 4 is four for one
    notional: Decimal | None
    fee: Decimal
    session: date
    reason: str
    order_id: str | None
    opening: Opening | None
    dust: Decimal = ZERO


_move = cast(Callable[[tuple[Any, ...]], Move], partial(tuple.__new__, Move))  # as _make, in a third of the time


@dataclass(slots=True)
class Episode:
    """A position from its first fill on; `closed_at` is set when its quantity reached 0. Quantities follow splits."""

    id: str
    symbol: str
    side: Literal["long", "short"]
    opening: Opening
    opened_at: datetime
    session: date
    qty: Decimal = ZERO
    cost: Decimal = ZERO  # of what is still held, at the running average
    in_qty: Decimal = ZERO
    in_notional: Decimal = ZERO
    out_qty: Decimal = ZERO
    out_notional: Decimal = ZERO
    fees: Decimal = ZERO
    dust: Decimal = ZERO  # what booking rounded off the cost of what is held, off what came in and off what went out
    in_dust: Decimal = ZERO
    out_dust: Decimal = ZERO
    split: Decimal = ONE  # product of the split factors since the opening
    closed_at: datetime | None = None
    closed_session: date | None = None
    exits: list[dict[str, Any]] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)  # ids of its moves, splits left out

    @property
    def avg_price(self) -> Decimal:
        """Average cost of what is held, 12 digits; of a closed episode the average entry."""
        return shown_average(self.cost + self.dust, self.qty) if self.qty else self.entry_price

    @property
    def entry_price(self) -> Decimal:
        return plain(entry_prices([self])[0])

    @property
    def gross(self) -> Decimal:
        """Money won by closed and open parts together; meaningful when the episode is closed."""
        won = self.out_notional - self.in_notional
        return won if self.side == "long" else -won

    @property
    def exit_reason(self) -> str:
        """The reason of the largest part; of equal ones the first."""
        if len(self.exits) == 1:
            only: str = self.exits[0]["reason"]
            return only
        parts: dict[str, Decimal] = {}
        for part in self.exits:
            parts[part["reason"]] = parts.get(part["reason"], ZERO) + part["qty"]
        return max(parts, key=lambda reason: parts[reason])


def entry_prices(episodes: Sequence[Episode]) -> list[Decimal]:
    """Average entries."""
    return averages([each.in_notional + each.in_dust for each in episodes], [each.in_qty for each in episodes])


def exit_prices(episodes: Sequence[Episode]) -> list[Decimal]:
    """Average exits of episodes that had one."""
    return averages([each.out_notional + each.out_dust for each in episodes], [each.out_qty for each in episodes])


def from_fill(fill: Fill, *, currency: str = "USD", reason: str = "", opening: Opening | None = None) -> Move:
    """A fill as a move. A fee in the base asset changes the quantity and is valued at the fill's price."""
    qty, price, side, fee = fill.qty, fill.price, fill.side, ZERO
    if fill.fee:
        if fill.fee_asset == currency:
            fee = booked(fill.fee, currency)
        else:
            fee, less = _fee_in_kind(fill, currency)
            qty += less if side == "sell" else -less
    rank = BUY_RANK if side == "buy" else SELL_RANK
    exact = qty * price
    money = booked(exact, currency)
    return _move(
        (fill.at, rank, fill.broker_fill_id, side, qty, money, fee, fill.session, reason, fill.order_id, opening,
         exact - money)
    )  # fmt: skip


def _fee_in_kind(fill: Fill, currency: str) -> tuple[Decimal, Decimal]:
    """A fee that is not in the desk's currency: its worth, and how much of the base asset it took."""
    base, _, quoted = fill.symbol.replace("-", "/").partition("/")
    if fill.fee_asset == quoted:
        return book(fill.fee, currency), ZERO
    if fill.fee_asset == base:
        return book(fill.fee * fill.price, currency), fill.fee
    return ZERO, ZERO


def from_adjustment(
    row: Adjustment, *, currency: str = "USD", opening: Opening | None = None, session: date | None = None
) -> Move | None:
    """An adjustment as a move; None for those that are money only.

    adopt adds `qty` that cost `amount` in all; release, external and cash-in-lieu take `qty` away for `amount`
    (None: at cost); a split multiplies by `qty`; a correction adds or takes away by the sign of `qty`.
    """
    if row.symbol is None or not row.qty or row.kind not in _MOVES:
        return None
    kind = _MOVES[row.kind]
    if row.kind == "correction":
        kind = "add" if row.qty > 0 else "remove"
    return Move(
        at=row.at,
        rank={"split": 0, "add": 1, "remove": 2}[kind],
        id=row.id,
        kind=kind,
        qty=abs(row.qty),
        notional=None if row.amount is None else book(abs(row.amount), currency),
        fee=ZERO,
        session=session or row.at.date(),
        reason=row.kind,
        order_id=None,
        opening=opening,
    )


_MOVES: dict[str, Literal["add", "remove", "split"]] = {
    "adopt": "add",
    "release": "remove",
    "external": "remove",
    "cash-in-lieu": "remove",
    "correction": "add",
    "split": "split",
}


def cash_of(fill: Fill, *, currency: str = "USD") -> Decimal:
    """What a fill does to the account's cash: booked notional and fee."""
    return cash_of_move(from_fill(fill, currency=currency))


def cash_of_move(move: Move) -> Decimal:
    """The same of a fill's move."""
    notional = move.notional or ZERO
    return (notional if move.kind == "sell" else -notional) - move.fee


def cash_of_adjustment(row: Adjustment, *, currency: str = "USD") -> Decimal:
    """What an adjustment does to cash. Withdrawals and fees are money out whatever their sign."""
    if row.amount is None or row.kind in ("adopt", "release", "external", "split"):
        return ZERO
    amount = book(row.amount, currency)
    return -abs(amount) if row.kind in ("withdrawal", "fee") else amount


def fold(symbol: str, moves: Iterable[Move], taken: Callable[[str], bool] = lambda name: False) -> list[Episode]:
    """Episodes of one symbol in their order, the last one possibly open. Starts flat; `taken` knows ids in use."""
    used: set[str] = set()
    done: list[Episode] = []
    held: Episode | None = None
    for move in sorted(_once(moves), key=lambda m: (m.at, m.rank, m.id)):
        held = advance(symbol, held, move, done, used, taken)
    return [*done, held] if held is not None else done


def advance(
    symbol: str,
    held: Episode | None,
    move: Move,
    done: list[Episode],
    used: set[str],
    taken: Callable[[str], bool] = lambda name: False,
) -> Episode | None:
    """The episode that is open after one more move, which is later than all before it; one that it closes goes to
    `done`. Ids in `used` or `taken` are not given again.
    """
    if move.kind == "split":
        if held is not None:
            _split(held, move.qty)
        return held
    if held is None:
        if move.kind == "remove" or (move.kind == "add" and move.notional is None):
            return None  # nothing is held that could go, nothing is known of what it cost
        held = _open(symbol, move, used, taken)
    if move.kind == _GROWS[held.side] or move.kind == "add":
        _add(held, move)
        return held
    rest = _reduce(held, move)
    if held.qty:
        return held
    done.append(held)
    if rest is None:
        return None
    held = _open(symbol, rest, used, taken)  # sold more than was held: the rest opens the other side
    _add(held, rest)
    return held


def _once(moves: Iterable[Move]) -> list[Move]:
    return list({(move.rank == 0 or move.kind in ("add", "remove"), move.id): move for move in moves}.values())


def _open(symbol: str, move: Move, used: set[str], taken: Callable[[str], bool]) -> Episode:
    opening = move.opening or NOTHING_SAID
    wanted = opening.position_id or position_id(symbol, move.at)
    name, n = wanted, 2
    while name in used or taken(name):  # the rest of an entry, filled after the position was closed, opens another
        name, n = f"{wanted}-{n}", n + 1
    used.add(name)
    side: Literal["long", "short"] = "short" if move.kind == "sell" else "long"
    return Episode(name, symbol, side, opening, move.at, move.session)


_GROWS = {"long": "buy", "short": "sell"}


def _add(held: Episode, move: Move) -> None:
    notional = move.notional
    if notional is None:
        notional = book(held.cost * move.qty / held.qty)
    held.qty += move.qty
    held.cost += notional
    held.in_qty += move.qty
    held.in_notional += notional
    if move.dust:
        held.dust += move.dust
        held.in_dust += move.dust
    held.fees += move.fee
    held.moves.append(move.id)


def _reduce(held: Episode, move: Move) -> Move | None:
    """Take a move's quantity out of an episode; what of a fill is left over comes back as a move."""
    part = move.qty if move.qty < held.qty else held.qty
    cost = held.cost * part / held.qty if part < held.qty else held.cost
    notional, fee, dust = move.notional, move.fee, move.dust
    if notional is None:
        notional = book(cost)
    rest = None
    if move.qty > part:
        whole, whole_fee, exact = notional, fee, notional + dust
        notional, fee = book(whole * part / move.qty), book(whole_fee * part / move.qty)
        dust = exact * part / move.qty - notional
        if move.kind in ("buy", "sell"):
            rest = move._replace(
                qty=move.qty - part, notional=whole - notional, fee=whole_fee - fee, dust=move.dust - dust
            )
    if held.dust:
        held.dust -= held.dust * part / held.qty
    held.qty -= part
    held.cost -= cost
    held.out_qty += part
    held.out_notional += notional
    held.out_dust += dust
    held.fees += fee
    held.moves.append(move.id)
    price = shown_average(notional + dust, part)
    held.exits.append(
        {"at": iso(move.at), "qty": wire(part), "price": price, "reason": move.reason, "order_id": move.order_id}
    )
    if not held.qty:
        held.cost, held.closed_at, held.closed_session = ZERO, move.at, move.session
    return rest


def _split(held: Episode, factor: Decimal) -> None:
    held.qty *= factor
    held.in_qty *= factor
    held.out_qty *= factor
    held.split *= factor
    for part in held.exits:
        part["qty"], part["price"] = wire(part["qty"] * factor), wire(part["price"] / factor)
