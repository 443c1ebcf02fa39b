"""tradekit paper deposit, hold, reset"""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradekit.brokers.base import BrokerAccount
    from tradekit.brokers.paper import PaperBroker
    from tradekit.desk.desk import Desk

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]


def deposit(
    ctx: typer.Context,
    amount: Annotated[str, typer.Argument(help="Money in, in the desk's currency; out: -500.")],
    dry_run: DryRun = False,
) -> None:
    """Pay cash into the paper account, or out of it.

    Each call moves money: running it twice pays twice.
    """
    money = _number(amount, "AMOUNT")
    _change(ctx, "paper deposit", lambda desk, broker: broker.deposit(money, dry_run=dry_run), dry_run)


def hold(
    ctx: typer.Context,
    symbol: Annotated[str, typer.Argument(help="Whose shares.")],
    qty: Annotated[str, typer.Argument(help="Shares in; out: -10.")],
    dry_run: DryRun = False,
) -> None:
    """Give the paper account shares that are not the desk's: they are never sold.

    Each call moves shares: running it twice gives twice.
    """
    shares = _number(qty, "QTY")
    _change(ctx, "paper hold", lambda desk, broker: broker.hold(symbol.upper(), shares, dry_run=dry_run), dry_run)


def reset(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Also while the desk has open positions.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Start the paper account again with the cash and holdings of desk.yaml; its history stays.

    Refused while the desk has open positions, whose shares would be gone; --yes does it all the same.
    """
    from tradekit.errors import UsageError

    def start_again(desk: "Desk", broker: "PaperBroker") -> "BrokerAccount":
        if desk.store.positions.open() and not yes:
            symbols = ", ".join(position.symbol for position in desk.store.positions.open())
            raise UsageError(
                f"paper reset: the desk has open positions: {symbols}", "tradekit liquidate --all, or --yes"
            )
        return broker.reset(dry_run=dry_run)

    _change(ctx, "paper reset", start_again, dry_run)


def _change(
    ctx: typer.Context, command: str, work: "Callable[[Desk, PaperBroker], BrokerAccount]", dry_run: bool
) -> None:
    """Open the desk, do `work` on its paper account and show the account as it is then."""
    from tradekit.brokers.paper import PaperBroker
    from tradekit.commands._output import show
    from tradekit.desk.open import open_desk
    from tradekit.errors import UsageError

    with open_desk(ctx.obj, command=command) as desk:
        broker = desk.broker
        if not isinstance(broker, PaperBroker):
            raise UsageError(f"{command}: this desk trades at {broker.name}", "tradekit config set desk.broker paper")
        show(work(desk, broker), ctx.obj.format, dry_run=dry_run)


def _number(text: str, name: str) -> Decimal:
    """What was typed, as a Decimal that the books can keep. Raises UsageError."""
    from tradekit.errors import UsageError
    from tradekit.money import DIGITS, wire

    try:
        value = Decimal(text)
    except InvalidOperation:
        raise UsageError(f"{name}: {text} is not a number", "write it like 2500 or 2500.50") from None
    if not value.is_finite() or value == 0:
        raise UsageError(f"{name}: {text} moves nothing", "write it like 2500, or -2500 for the other way")
    if wire(value) != value:
        raise UsageError(f"{name}: {text} has more than {DIGITS} significant digits", "round it and try again")
    return value
