"""Open positions on a desk that has made-up bars, through the store: `_positions.py DESK N`; started by the benches.

The paper account holds the same shares, so the books agree; the stops are far away, so that nothing is sold.
"""

import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tradekit.base.settings_file import changed
from tradekit.clock import ManualClock
from tradekit.desk.open import open_desk
from tradekit.desk.reconcile import book_cash_flows
from tradekit.market.bars import BarStore
from tradekit.model import Fill, Mark
from tradekit.money import dec
from tradekit.store import Opening, open_store

DAY, BEFORE = date(2026, 2, 13), date(2026, 2, 12)
OPENED = datetime(2026, 2, 12, 15, 0, tzinfo=UTC)
PLAN = {"intent": "swing", "stop": 0.3, "target": 5.0, "trail": 0.3, "flat_before_close_s": None}


def main(desk: Path, n: int) -> None:
    """Positions of 10 shares each, bought the day before at the last close."""
    names = symbols_of(desk, n)
    settings = desk / "desk.yaml"
    holdings = "{" + ", ".join(f"{name}: 10" for name in names) + "}"
    settings.write_text(changed(settings.read_text(), "paper.holdings", holdings, settings))
    prices = prices_of(desk, names)
    store = open_store(desk / "desk.db", synchronous="OFF")
    with store.transaction():
        for name in names:
            price = prices[name]
            opens = Opening(
                position_id=f"{name}-20260212T1500", strategy="momentum", cap="mid", intent="swing", plan=PLAN,
                stop_price=price * 7 / 10, target_price=price * 6,
            )  # fmt: skip
            fill = Fill(
                id=f"f-{name}", broker_fill_id=name, order_id=None, at=OPENED, symbol=name, side="buy", qty=Decimal(10),
                price=price, fee=Decimal(0), fee_asset="USD", fee_estimated=False, session=BEFORE,
            )  # fmt: skip
            store.book_fill(fill, opens)
    at = OPENED + timedelta(hours=6)
    store.marks.save(
        [
            Mark(
                position_id=f"{name}-20260212T1500", at=at, judged_to=at, last_price=price, high=price, low=price,
                stop_price=price * 7 / 10,
            )
            for name, price in prices.items()
        ]
    )  # fmt: skip
    found = len(store.positions.open())
    store.close()
    if found != n:
        raise SystemExit(f"{found} positions instead of {n}")


def symbols_of(desk: Path, n: int) -> list[str]:
    """The first n made-up symbols, or made-up names on a desk without bars."""
    if not (desk / "bars.db").exists():
        return [f"S{k:03d}" for k in range(n)]
    with BarStore(desk / "bars.db") as bars:
        return sorted({one.symbol for one in bars.series() if one.symbol != "SPY"})[:n]


def prices_of(desk: Path, names: list[str]) -> dict[str, Decimal]:
    """The last closes before the day; 100 on a desk without bars. The paper account is opened on the way."""
    if not (desk / "bars.db").exists():
        return dict.fromkeys(names, Decimal(100))
    clock = ManualClock(OPENED)
    with open_desk(desk, clock=clock, synchronous="OFF") as found:
        found.broker.account()
        clock.set(OPENED + timedelta(hours=5))
        found.broker.deposit(Decimal(1))  # type: ignore[attr-defined]  # the desk asks for flows since the last one
        book_cash_flows(found)
        return {name: dec(found.market.last_close_before(name, DAY) or 100) for name in names}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
