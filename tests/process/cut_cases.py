"""What is recorded for the power cuts, and what must hold of every image."""

import sqlite3
from pathlib import Path

from tests.process.day import DAY, clock, make_desk, quick, rows, whole
from tests.process.power import Recording, record

BOOK = """
import sys
from pathlib import Path
from tests.make import make_event, make_fill, make_order
from tradekit.store import open_store
store = open_store(Path(sys.argv[1]) / "desk.db", synchronous=sys.argv[2])
for n in range(int(sys.argv[3])):
    order = make_order(id=f"o{n}", client_order_id=f"c{n}", symbol=f"S{n}", decision_id=None)
    with store.transaction():
        store.orders.add(order)
        store.events.add(make_event(id=f"of-o{n}"))
    print(f"o{n}", flush=True)
    store.book_fill(make_fill(id=f"f{n}", broker_fill_id=f"f{n}", order_id=f"o{n}", symbol=f"S{n}"))
    print(f"f{n}", flush=True)
store.close()
"""
COMMAND = """
import sys
from tradekit.cli import main
main(["-q", "-C", *sys.argv[1:]])
"""


def bookings(folder: Path, synchronous: str, many: int) -> Recording:
    """Orders and fills written one after another, each acknowledged on stdout once its commit came back."""
    from tradekit.store import open_store

    desk = folder / f"books-{synchronous}"
    desk.mkdir()
    open_store(desk / "desk.db", create=True).close()
    return record(desk, BOOK, str(desk), synchronous, str(many), before=folder / f"before-{synchronous}")


def command(folder: Path, step: int) -> Recording:
    """A command of the paper day; its orders are acknowledged by the venue's own file."""
    desk = make_desk(folder / f"desk-{step}")
    for when, words in DAY[:step]:
        assert quick(desk, clock(when), *words).returncode == 0
    when, words = DAY[step]
    return record(desk, COMMAND, str(desk), *words, when=clock(when), before=folder / f"before-{step}")


def judge_bookings(image: Path, acks: list[str]) -> list[str]:
    """Sound, whole transactions only, and every acknowledged row there."""
    path = image / "desk.db"
    try:
        wrong = [] if (found := rows(path, "PRAGMA integrity_check(1)")[0][0]) == "ok" else [found]
        orders = {row[0] for row in rows(path, "SELECT id FROM orders")}
        events = {row[0].removeprefix("of-") for row in rows(path, "SELECT id FROM events")}
        fills = {row[0] for row in rows(path, "SELECT broker_fill_id FROM fills")}
        held = {row[0] for row in rows(path, "SELECT symbol FROM positions")}
    except sqlite3.DatabaseError as error:
        return [f"damaged: {error}"]
    if orders != events or {f"S{fill[1:]}" for fill in fills} != held:
        wrong.append(f"half a transaction: {orders ^ events}")
    if lost := [ack for ack in acks if ack not in orders | fills]:
        wrong.append(f"acknowledged and lost: {lost}")
    return wrong


def judge_command(image: Path, _acks: list[str]) -> list[str]:
    """Both files are sound, and the venue has no order that is not written down."""
    try:
        return whole(image)
    except sqlite3.DatabaseError as error:
        return [f"damaged: {error}"]
