"""Close managed positions now, because a human says so. Unmanaged holdings are never touched."""

from collections.abc import Sequence
from dataclasses import dataclass

from tradekit.base.deadline import left
from tradekit.desk.desk import Desk
from tradekit.desk.dust import is_dust
from tradekit.desk.events import event
from tradekit.desk.extended import gives_way, has_room, keep_bound, trades_now
from tradekit.desk.in_time import in_time, one_symbol
from tradekit.desk.orders import cancel_and_wait
from tradekit.desk.prices import in_hours
from tradekit.desk.sell import sell, was_refused, working_exit
from tradekit.desk.trouble import try_to_catch_up
from tradekit.errors import AuthError, BrokerError, UsageError
from tradekit.ids import close_id
from tradekit.model import Decision, Order, Position


@dataclass(frozen=True)
class LiquidateOptions:
    """Which positions: `symbols`, those opened `today`, or `all_`. An empty choice selects nothing."""

    symbols: tuple[str, ...] = ()
    today: bool = False
    all_: bool = False
    at_open: bool = False
    max_discount: float | None = None


def liquidate(desk: Desk, options: LiquidateOptions) -> list[Order]:
    """Sell the chosen positions. Run again it sells only what is left; working sells are kept.

    Outside regular hours the limits give way step by step. What is done, left and unknown is said at the end.
    """
    if options.max_discount is not None and in_hours(desk):
        desk.say("--max-discount is for extended hours; regular hours are running, so market orders go out without it")
    trouble = try_to_catch_up(desk)
    cancel_entries(desk, options)
    positions = chosen(desk, options)
    orders = _pass(desk, positions, options)
    if not in_hours(desk) and not options.at_open:
        orders += give_way(desk, positions, options)
    summary(desk, positions)
    if trouble.problem is not None:
        raise trouble.problem
    return orders


def _pass(desk: Desk, positions: Sequence[Position], options: LiquidateOptions) -> list[Order]:
    """One try at every position that is still there; one that fails stops no other."""
    orders = []
    for before in in_time(desk, positions):
        position = desk.store.positions.get(before.id)
        if position is None or position.qty <= 0:
            continue
        with one_symbol(desk, position.symbol):
            order = _close(desk, position, options)
            if order is not None:
                orders.append(order)
    return orders


def give_way(desk: Desk, positions: Sequence[Position], options: LiquidateOptions) -> list[Order]:
    """Re-price what rests every 10 s, down to the largest discount, for as long as the market moves."""
    orders: list[Order] = []
    most = _at_most(desk, options)
    pause_s = desk.settings.exits.reprice_s
    steps = int(most / max(desk.settings.exits.limit_offset, 0.0005)) + 1
    for _ in range(3 * steps):  # a cancel may take its time
        if left(pause_s) < pause_s or not any(_may_give_way(desk, position, most) for position in positions):
            break
        desk.clock.sleep(pause_s)
        try_to_catch_up(desk)
        orders += _pass(desk, positions, options)
    return orders


def _at_most(desk: Desk, options: LiquidateOptions) -> float:
    return desk.settings.exits.max_discount if options.max_discount is None else options.max_discount


def _may_give_way(desk: Desk, position: Position, most: float) -> bool:
    """Its limit is out, or was just taken back, and the next one asks less."""
    known = desk.store.positions.get(position.id)
    if known is None or known.qty <= 0 or not trades_now(desk, position.symbol):
        return False
    return has_room(desk, position, most)


def summary(desk: Desk, positions: Sequence[Position]) -> None:
    """Done, left, unknown: one line each on stderr, and for what rests what will become of it."""
    found: dict[str, list[str]] = {"done": [], "left": [], "unknown": []}
    for before in positions:
        position = desk.store.positions.get(before.id) or before
        working = working_exit(desk, position)
        if position.qty <= 0:
            found["done"].append(position.symbol)
        elif working is not None and working.status in ("unknown", "intended"):
            found["unknown"].append(f"{position.symbol} {position.qty} ({working.id})")
        else:
            found["left"].append(f"{position.symbol} {position.qty} ({_what_next(desk, position, working)})")
            if working is None and not is_dust(desk, position):
                desk.count("unsold")
    for word, names in found.items():
        if names:
            desk.say(f"liquidate: {word}: {', '.join(names)}")


def _what_next(desk: Desk, position: Position, working: Order | None) -> str:
    if working is None and is_dust(desk, position):
        return f"dust: {desk.broker.name} does not trade so little; tradekit release {position.symbol} lets it go"
    if working is None:
        return "no sell is working yet: the next pass of monitor-exits sells, or run liquidate again"
    if working.tif == "opg" or (working.type == "market" and not in_hours(desk)):
        return f"{working.id} sells at the open"
    if working.extended_hours:
        queue = f"tradekit liquidate {position.symbol} --at-open queues it for the open"
        return f"{working.id} rests at {working.limit_price} and may never fill; {queue}"
    return f"{working.id} is working"


def chosen(desk: Desk, options: LiquidateOptions) -> list[Position]:
    """UsageError where a symbol is no position of this desk and has no foreign shares to explain it."""
    positions = desk.store.positions.open()
    if options.all_:
        return positions
    today = desk.calendar.day(desk.clock.now())
    found = [p for p in positions if options.today and p.session == today]
    by_symbol = {position.symbol: position for position in positions}
    for symbol in options.symbols:
        if symbol not in by_symbol:
            _explain(desk, symbol, sorted(by_symbol))
        elif by_symbol[symbol] not in found:
            found.append(by_symbol[symbol])
    return found


def _explain(desk: Desk, symbol: str, managed: list[str]) -> None:
    if any(trade.symbol == symbol for trade in desk.store.trades.last(1000)):
        return  # closed already: a second call has nothing to do
    if any(p.symbol == symbol and p.qty for p in desk.broker.positions()):
        raise UsageError(
            f"{symbol} is in the account but is not managed by this desk",
            f"tradekit adopt {symbol} takes it under management",
        )
    from difflib import get_close_matches

    near = get_close_matches(symbol.upper(), managed, 3) or managed
    raise UsageError(
        f"{symbol} is no position of this desk",
        f"managed now: {', '.join(near)}" if near else "nothing is held now",
    )


def cancel_entries(desk: Desk, options: LiquidateOptions) -> None:
    """An entry on its way would buy back what is being sold."""
    entries = [order for order in desk.store.orders.live() if order.purpose == "entry"]
    chosen = [order for order in entries if options.all_ or options.today or order.symbol in options.symbols]
    for order in in_time(desk, chosen):
        cancel_and_wait(desk, order, "liquidate")


def _close(desk: Desk, position: Position, options: LiquidateOptions) -> Order | None:
    working = working_exit(desk, position)
    if working is not None and not _gives_way(desk, position, working, options):
        return None
    try:
        order = sell(
            desk,
            position,
            purpose="liquidate",
            reason="liquidate",
            because="asked by the operator" + (", at the open" if options.at_open else ""),
            level=position.last_price,
            instead_of=working,
            on_open=options.at_open or not (in_hours(desk) or desk.broker.capabilities.extended_hours),
            discount=_at_most(desk, options),
        )
    except (BrokerError, AuthError):
        if working_exit(desk, position) is None:
            keep_asking(desk, position, options.max_discount)
        raise
    if order is not None:
        event(desk, "liquidate", symbol=position.symbol, ref=order.id)
    if (order is None or was_refused(order)) and not is_dust(desk, position) and working_exit(desk, position) is None:
        keep_asking(desk, position, options.max_discount)
    return order


def keep_asking(desk: Desk, position: Position, max_discount: float | None) -> None:
    """Its stop was not gone in time, the venue refused or was silent: a pending CLOSE, so that the next pass sells.

    `max_discount` bounds that sale too; None: the setting does.
    """
    now, current = desk.clock.now(), desk.store.positions.get(position.id)
    if current is None or current.qty <= 0:
        return
    keep_bound(desk, position, max_discount)
    if position.id in desk.store.decisions.asked_to_close():
        return
    name = f"{close_id(position.id, now)}-liquidate"
    row = Decision(
        id=name,
        candidate_id=None,
        position_id=position.id,
        session=desk.calendar.day(now),
        at=now,
        expires_at=None,
        symbol=position.symbol,
        action="CLOSE",
        by="human",
        score=None,
        conviction=None,
        intent=position.intent,
        stop_price=None,
        target_price=None,
        order_kind="limit",
        because="asked by the operator: liquidate could not sell it at once",
        status="pending",
        strategy=position.strategy,
        cap=position.cap,
        price=position.last_price,
    )
    with desk.store.transaction():
        desk.store.decisions.add(row)
        event(desk, "liquidate", symbol=position.symbol, ref=row.id)


def _gives_way(desk: Desk, position: Position, working: Order, options: LiquidateOptions) -> bool:
    """Whether a limit that is working makes room: for a market order, for one that asks less, for the open."""
    if working.type != "limit" or working.status in ("intended", "unknown"):
        return False
    asks_less = gives_way(desk, position, working, _at_most(desk, options))
    return in_hours(desk) or asks_less or (options.at_open and working.extended_hours)
