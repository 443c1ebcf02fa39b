"""Open positions on a desk that has made-up bars, through the store: `_positions.py DESK N`; started by the benches.

The paper account holds the same shares, so the books agree; the stops are far away, so that nothing is sold.
"""

import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from tradekit.base.settings_file import changed
from tradekit.desk.open import open_desk
from tradekit.market.bars import BarStore
from tradekit.model import Adjustment, Mark
from tradekit.money import dec
from tradekit.store import Opening, open_store

DAY = date(2026, 2, 13)
AT = datetime(2026, 2, 13, 14, 31, tzinfo=UTC)
PLAN = {"intent": "swing", "stop": 0.3, "target": 5.0, "trail": 0.3, "flat_before_close_s": None}


def main(desk: Path, n: int) -> None:
    """Positions of 10 shares each, bought at the last close."""
    names = symbols_of(desk, n)
    prices = prices_of(desk, names)
    settings = desk / "desk.yaml"
    holdings = "{" + ", ".join(f"{name}: 10" for name in names) + "}"
    settings.write_text(changed(settings.read_text(), "paper.holdings", holdings, settings))
    store = open_store(desk / "desk.db", synchronous="OFF")
    with store.transaction():
        for name in names:
            opens = Opening(
                position_id=f"{name}-20260213T1431", strategy="momentum", cap="mid", intent="swing", plan=PLAN,
                stop_price=prices[name] * 7 / 10, target_price=prices[name] * 6,
            )  # fmt: skip
            row = Adjustment(
                id=f"a-{name}", at=AT, kind="adopt", symbol=name, qty=Decimal(10), amount=10 * prices[name], ref=None
            )
            store.book_adjustment(row, opens)
    store.marks.save(
        [
            Mark(
                position_id=f"{name}-20260213T1431", at=AT, judged_to=AT, last_price=prices[name], high=prices[name],
                low=prices[name], stop_price=prices[name] * 7 / 10,
            )
            for name in names
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
    """The last closes before the day; 100 on a desk without bars."""
    if not (desk / "bars.db").exists():
        return dict.fromkeys(names, Decimal(100))
    with open_desk(desk) as found:
        return {name: dec(found.market.last_close_before(name, DAY) or 100) for name in names}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
