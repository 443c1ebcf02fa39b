"""A tiny market for campaigns: five symbols, a day of one-minute bars with a fall, a rise, a gap, a halt, a crash.

The bars come from fixed shapes and a fixed seed. From 11:35 New York on every price lies far under every stop that an
entry of the morning can have: whoever still holds anything then has a desk that does not sell.
"""

import atexit
import os
import random
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.desk.world import World, at
from tradekit.desk.open import build
from tradekit.market.market import Market
from tradekit.store import open_store

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
START = at("09:35")
CRASH = at("11:35:20")
HOLDINGS = {"DDD": 40}  # foreign shares: nobody may sell them
SETTINGS = """
paper: {{half_spread: 0.0002, slippage: 0.0005, participation: 0.1, cash: 100000, holdings: {{DDD: 40}}}}
market: {{tick: 0.01}}
entry: {{cancel_after_s: 60}}
exits: {{protect: {protect}}}
risk: {{min_turnover: 0, too_late_s: 0, entries_per_symbol: 4, closed_today: false, symbol_cooldown_s: 30,
       reject_streak: 40, consecutive_losses: 40, daily_loss: 0.5, drawdown: 0.9, held_unmanaged: false,
       max_per_cap: 5, max_positions: 5, max_per_scan: 5, strategy_risk: 0.05, entries_per_day: 40,
       room_to_profit: 0, duplicate_s: 0, regime: {{up: 5, sideways: 5, down: 5, dead: 5}}}}
schedule:
  - {{every: 1m, from: open, to: close, run: monitor-exits}}
  - {{name: check, every: 5m, from: open, to: close, run: reconcile}}
"""


def prices() -> dict[str, list[tuple[float, float, float, float] | None]]:
    """(open, high, low, close) for each minute of 09:30-13:00 by symbol; None: no trade in that minute."""
    rng = random.Random(20260213)
    found: dict[str, list[tuple[float, float, float, float] | None]] = {}
    for n, symbol in enumerate(SYMBOLS):
        price, bars = 100.0 - 15 * n, []
        for minute in range(210):
            opened = price
            price *= 1 + _drift(symbol, minute) + rng.uniform(-0.0006, 0.0006)
            high, low = max(opened, price) * 1.0002, min(opened, price) * 0.9998
            quiet = symbol == "CCC" and 40 <= minute < 52  # a halt
            bars.append(None if quiet else tuple(round(x, 2) for x in (opened, high, low, price)))
        found[symbol] = bars  # type: ignore[assignment]
    return found


def _drift(symbol: str, minute: int) -> float:
    if minute >= 115:
        return -0.02 if minute < 125 else 0.0  # the crash at the end
    if symbol == "AAA":
        return 0.0010 if minute < 35 else -0.0025 if minute < 50 else 0.0
    if symbol == "BBB":
        return -0.0040 if 20 <= minute < 26 else 0.0008
    if symbol == "CCC":
        return -0.0200 if minute == 52 else 0.0003  # it gaps down when it trades again
    if symbol == "DDD":
        return 0.0015 if minute < 60 else -0.0020 if minute < 75 else 0.0005
    return 0.0


@dataclass(frozen=True)
class Template:
    """A desk's folder to copy, and the market over its bars, warm."""

    folder: Path
    market: Market


@cache
def template(protect: str) -> Template:
    """Made once a process; children that are forked later share it."""
    base = Path(mkdtemp(prefix="tradekit-campaign-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(base, ignore_errors=True) if os.getpid() == owner else None)
    world = World(base / "desk", SETTINGS.format(protect=protect))
    for symbol, bars in prices().items():
        world.add(symbol, list(bars), volume=30_000.0)
    store = open_store(world.path / "desk.db", synchronous="OFF")
    store.db.script(WITNESS)
    store.meta.set("created_at", at("09:30").isoformat())
    desk = build(world.path, store)
    market = desk.market
    for symbol in SYMBOLS:  # fills the caches
        market.bars(symbol, START - timedelta(minutes=5), at("12:30"))
        market.quote(symbol, START)
        market.turnover(list(SYMBOLS), START.date())
    store.close()
    return Template(world.path, market)


# The checker's own eyes: every change of an order's status and quantity, kept by the database itself.
WITNESS = """
CREATE TABLE campaign_moves (n INTEGER PRIMARY KEY, order_id TEXT, was TEXT, became TEXT, had REAL, has REAL);
CREATE TRIGGER campaign_intent AFTER INSERT ON orders BEGIN
    INSERT INTO campaign_moves (order_id, was, became, had, has) VALUES (new.id, NULL, new.status, 0, new.filled_qty);
END;
CREATE TRIGGER campaign_move AFTER UPDATE OF status, filled_qty ON orders BEGIN
    INSERT INTO campaign_moves (order_id, was, became, had, has)
    VALUES (new.id, old.status, new.status, old.filled_qty, new.filled_qty);
END;
CREATE TABLE campaign_slots (n INTEGER PRIMARY KEY, name TEXT, due_at TEXT, state TEXT, run_id TEXT);
CREATE TRIGGER campaign_slot AFTER INSERT ON slots BEGIN
    INSERT INTO campaign_slots (name, due_at, state, run_id) VALUES (new.name, new.due_at, new.state, new.run_id);
END;
CREATE TRIGGER campaign_slot_again AFTER UPDATE ON slots BEGIN
    INSERT INTO campaign_slots (name, due_at, state, run_id) VALUES (new.name, new.due_at, new.state, new.run_id);
END;
"""


def moment(seconds: float) -> datetime:
    """Seconds after the campaign's start as a time."""
    return START + timedelta(seconds=seconds)
