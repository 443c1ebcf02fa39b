"""Close managed positions now, because a human says so. Unmanaged holdings are never touched."""

from dataclasses import dataclass

from tradekit.desk.desk import Desk
from tradekit.desk.events import event
from tradekit.desk.orders import cancel_and_wait
from tradekit.desk.reconcile import catch_up
from tradekit.desk.sell import sell, working_exit
from tradekit.desk.state import in_hours
from tradekit.errors import UsageError
from tradekit.model import FINAL_STATUSES, Order, Position


@dataclass(frozen=True)
class LiquidateOptions:
    """Which positions: `symbols`, those opened `today`, or `all_`. An empty choice selects nothing."""

    symbols: tuple[str, ...] = ()
    today: bool = False
    all_: bool = False
    at_open: bool = False
    max_discount: float | None = None


def liquidate(desk: Desk, options: LiquidateOptions) -> list[Order]:
    """Sell the chosen positions. Run again it sells only what is left; working sells are kept."""
    catch_up(desk)
    cancel_entries(desk, options)
    return [order for position in chosen(desk, options) if (order := _close(desk, position, options))]


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
    for order in desk.store.orders.live():
        if order.purpose == "entry" and (options.all_ or options.today or order.symbol in options.symbols):
            cancel_and_wait(desk, order, "liquidate")


def _close(desk: Desk, position: Position, options: LiquidateOptions) -> Order | None:
    working = working_exit(desk, position)
    resting = working is not None and working.type == "limit" and in_hours(desk)
    if working is not None and resting and not _gone(desk, working):
        return None
    order = sell(
        desk,
        position,
        purpose="liquidate",
        reason="liquidate",
        because="asked by the operator" + (", at the open" if options.at_open else ""),
        level=position.last_price,
        on_open=options.at_open or not (in_hours(desk) or desk.broker.capabilities.extended_hours),
        discount=options.max_discount,
    )
    if order is not None:
        event(desk, "liquidate", symbol=position.symbol, ref=order.id)
    return order


def _gone(desk: Desk, order: Order) -> bool:
    """Whether a limit that was working has made room for the market order."""
    return cancel_and_wait(desk, order, "liquidate at market").status in FINAL_STATUSES
