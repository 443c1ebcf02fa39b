"""Do the desk's books and the exchange's agree, to the cent? Reads desk.db and paper.db and nothing else.

Plain SQL on purpose: a checker that shares code with what it checks repeats its mistakes.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tradekit.errors import StoreError
from tradekit.model import Record
from tradekit.money import ZERO, dec

CENT = Decimal("0.005")  # half of one: sums that are this close show the same cents
SHARE = Decimal("0.000000001")
MOVES = {"adopt": 1, "release": -1, "external": -1, "cash-in-lieu": -1, "correction": 1}
OUTFLOWS = ("withdrawal", "fee")
RECONCILE = "tradekit reconcile"
Row = dict[str, Any]


class Finding(Record, frozen=True):
    """One thing that is not as it should be: which check, of what, what was found, what mends it."""

    check: str
    subject: str
    found: str
    fix: str


DESK = {
    "orders": "SELECT id, client_order_id, broker_order_id, symbol, status, filled_qty, fees FROM orders",
    "fills": """SELECT broker_fill_id AS id, order_id, symbol, side, qty, price, fee, position_id, reversed_into
                FROM fills WHERE order_id IS NOT NULL""",
    "imported": "SELECT symbol, side, qty, price, fee FROM fills WHERE order_id IS NULL",
    "adjustments": "SELECT id, kind, symbol, qty, amount, ref FROM adjustments",
    "positions": "SELECT id, symbol, side, qty FROM positions WHERE closed_at IS NULL",
    "trades": "SELECT id, symbol, side, gross, fees, net FROM trades",
    "cash": "SELECT value FROM meta WHERE key = 'cash'",
}
PAPER = {
    "orders": "SELECT id, client_order_id, symbol, status, filled_qty FROM orders",
    "fills": "SELECT id, order_id, symbol, side, qty, price, fee FROM fills",
    "ledger": "SELECT n, kind, ref, symbol, qty, amount FROM ledger",
    "holdings": "SELECT symbol, qty FROM holdings",
    "cash": "SELECT value FROM meta WHERE key = 'cash'",
}


def foot(desk_db: Path, paper_db: Path) -> list[Finding]:
    """Everything in which the two files disagree with each other or with themselves; empty: they foot.

    StoreError where one of them cannot be read.
    """
    desk, paper = _read(desk_db, DESK), _read(paper_db, PAPER)  # nobody waits for what is computed from here on
    return list(_findings(Books(desk, paper)))


def foot_day(desk_db: Path, paper_db: Path, day: date) -> list[Finding]:
    """`foot` in a small part of its time: the orders and fills of one session by id, all others by their totals.

    Where anything is off, everything is compared. StoreError where a file cannot be read.
    """
    session = (day.isoformat(),)
    desk = _read(desk_db, {name: (sql, session if "?" in sql else ()) for name, sql in DESK_DAY.items()})
    paper = _read(paper_db, {name: (sql, session if "?" in sql else ()) for name, sql in PAPER_DAY.items()})
    return [] if _same_day(desk, paper) and _same_totals(desk, paper) else foot(desk_db, paper_db)


DESK_DAY = {
    "orders": """SELECT client_order_id, broker_order_id, filled_qty FROM orders
                 WHERE session = ? AND broker_order_id IS NOT NULL""",
    "fills": """SELECT broker_fill_id AS id, symbol, side, qty, price, fee FROM fills
                WHERE session = ? AND order_id IS NOT NULL""",
    "filled": """SELECT filled_qty AS qty, fees AS fee, (SELECT total(qty) FROM fills WHERE order_id = o.id) AS of_qty,
                 (SELECT total(fee) FROM fills WHERE order_id = o.id) AS of_fee FROM orders AS o WHERE session = ?""",
    "trades": """SELECT t.gross, t.fees, t.net, total(f.fee) AS of_fee,
                 total(CASE f.side WHEN 'sell' THEN f.qty * f.price ELSE -f.qty * f.price END - f.fee) AS of_net
                 FROM trades AS t JOIN fills AS f
                 ON f.symbol = t.symbol AND f.at BETWEEN t.entry_at AND t.exit_at AND f.position_id = t.id
                 WHERE t.session = ? GROUP BY t.id""",
    "imported": """SELECT total(CASE side WHEN 'sell' THEN qty * price ELSE -qty * price END - fee) AS cash
                   FROM fills WHERE order_id IS NULL""",
    "adjustments": DESK["adjustments"],
    "positions": DESK["positions"],
    "cash": DESK["cash"],
}
PAPER_DAY = {
    "orders": """SELECT client_order_id, id AS broker_order_id, filled_qty FROM orders
                 WHERE substr(submitted_at, 1, 10) = ?""",
    "fills": "SELECT id, symbol, side, qty, price, fee FROM fills WHERE session = ?",
    "flows": "SELECT total(amount) AS cash, total(qty <> 0) AS shares FROM ledger WHERE kind NOT IN ('fill', 'fee')",
    "holdings": PAPER["holdings"],
    "cash": PAPER["cash"],
}


def _same_day(desk: Mapping[str, list[Row]], paper: Mapping[str, list[Row]]) -> bool:
    """The session's fills are the same on both sides, its orders are known there, its trades are net of their fees."""
    sides = [
        ({row["client_order_id"]: row for row in rows["orders"]}, {row["id"]: row for row in rows["fills"]})
        for rows in (desk, paper)
    ]
    return (
        sides[0] == sides[1]
        and len(sides[0][1]) == len(desk["fills"])
        and all(abs(row["qty"] - row["of_qty"]) <= SHARE and _near(row["fee"], row["of_fee"]) for row in desk["filled"])
        and all(_near(row["net"], row["gross"] - row["fees"]) for row in desk["trades"])
        and all(_near(row["net"], row["of_net"]) and _near(row["fees"], row["of_fee"]) for row in desk["trades"])
    )


def _same_totals(desk: Mapping[str, list[Row]], paper: Mapping[str, list[Row]]) -> bool:
    """Cash and quantities of an account that is the desk's alone; anything else is left to `foot`."""
    flows = paper["flows"][0]
    if flows["shares"] or any(row["kind"] in (*MOVES, "split") for row in desk["adjustments"]) or not desk["cash"]:
        return False
    by_fills = Decimal(desk["cash"][0]["value"]) - _sum(map(_flow, desk["adjustments"])) - desk["imported"][0]["cash"]
    held = {row["symbol"]: row["qty"] for row in paper["holdings"]}
    owned: dict[str, Decimal] = defaultdict(Decimal)
    for row in desk["positions"]:
        owned[row["symbol"]] += row["qty"] if row["side"] == "long" else -row["qty"]
    return _near(Decimal(paper["cash"][0]["value"]), flows["cash"] + by_fills) and all(
        abs(held.get(symbol, ZERO) - owned[symbol]) <= SHARE for symbol in {*held, *owned}
    )


class Books:
    """The rows of both files that the checks need, Decimals for REAL."""

    def __init__(self, desk: Mapping[str, list[Row]], paper: Mapping[str, list[Row]]) -> None:
        self.orders, self.fills, self.imported = desk["orders"], desk["fills"], desk["imported"]
        self.adjustments, self.positions, self.trades = desk["adjustments"], desk["positions"], desk["trades"]
        self.desk_cash = desk["cash"][0]["value"] if desk["cash"] else None
        self.paper_orders, self.paper_fills, self.ledger = paper["orders"], paper["fills"], paper["ledger"]
        self.holdings = {row["symbol"]: row["qty"] for row in paper["holdings"]}
        self.paper_cash = Decimal(paper["cash"][0]["value"])
        clients = {order["client_order_id"] for order in self.orders}
        self.ours = {order["id"] for order in self.paper_orders if order["client_order_id"] in clients}
        self.our_paper_fills = [fill for fill in self.paper_fills if fill["order_id"] in self.ours]


def _findings(books: Books) -> Iterator[Finding]:
    yield from _exchange(books)
    yield from _orders(books)
    yield from _fills(books)
    yield from _trades(books)
    yield from _quantities(books)
    yield from _cash(books)


def _exchange(books: Books) -> Iterator[Finding]:
    """paper.db against itself: the ledger adds up to the cash, ledger and fills say the same."""
    total = _sum(row["amount"] for row in books.ledger)
    if total != books.paper_cash:
        yield Finding(
            check="paper-cash", subject="paper.db", found=f"cash {books.paper_cash}, its ledger adds up to {total}",
            fix="restore a backup of paper.db",
        )  # fmt: skip
    booked: dict[str, Decimal] = defaultdict(Decimal)
    for row in books.ledger:
        if row["kind"] in ("fill", "fee"):
            booked[row["ref"]] += row["amount"]
    for fill in books.paper_fills:
        if not _near(booked.pop(fill["id"], ZERO), _cash_of(fill)):
            yield Finding(
                check="paper-ledger", subject=fill["id"], found="the ledger has another amount than the fill",
                fix="restore a backup of paper.db",
            )  # fmt: skip
    for ref in booked:
        yield Finding(check="paper-ledger", subject=ref, found="money moved for a fill that is not there",
                      fix="restore a backup of paper.db")  # fmt: skip


def _orders(books: Books) -> Iterator[Finding]:
    """Each order once, on both sides, with the quantity of its fills."""
    for name, rows in (("desk.db", books.orders), ("paper.db", books.paper_orders)):
        seen: dict[str, str] = {}
        for order in rows:
            first = seen.setdefault(order["client_order_id"], order["id"])
            if first != order["id"]:
                yield Finding(check="order-twice", subject=order["id"],
                              found=f"{name}: {first} has the same client id", fix=RECONCILE)  # fmt: skip
    there = {order["client_order_id"]: order for order in books.paper_orders}
    for order in books.orders:
        venue = there.pop(order["client_order_id"], None)
        if venue is None and order["broker_order_id"] is not None:
            yield Finding(check="order-missing", subject=order["id"],
                          found=f"paper.db has no order {order['broker_order_id']}", fix=RECONCILE)  # fmt: skip
        if venue is not None and order["broker_order_id"] not in (None, venue["id"]):
            yield Finding(check="order-missing", subject=order["id"],
                          found=f"paper.db calls it {venue['id']}, the desk {order['broker_order_id']}",
                          fix=RECONCILE)  # fmt: skip
    for order in there.values():
        yield Finding(check="unknown-order", subject=order["id"],
                      found=f"paper.db has a {order['status']} order in {order['symbol']} that the desk never sent",
                      fix=f"tradekit why {order['symbol']}")  # fmt: skip
    for name, orders, fills in (
        ("desk.db", books.orders, books.fills),
        ("paper.db", books.paper_orders, books.paper_fills),
    ):
        filled, fees = _totals(fills, "order_id", "qty"), _totals(fills, "order_id", "fee")
        for order in orders:
            if abs(order["filled_qty"] - filled[order["id"]]) > SHARE:
                yield Finding(check="order-filled", subject=order["id"],
                              found=f"{name}: filled {order['filled_qty']}, its fills add up to {filled[order['id']]}",
                              fix=RECONCILE)  # fmt: skip
            if "fees" in order and not _near(order["fees"], fees[order["id"]]):
                yield Finding(check="order-fees", subject=order["id"],
                              found=f"fees {order['fees']}, its fills paid {fees[order['id']]}",
                              fix=RECONCILE)  # fmt: skip


def _fills(books: Books) -> Iterator[Finding]:
    """Every fill of the desk's orders on both sides, with the same price, quantity and fee."""
    there = {fill["id"]: fill for fill in books.our_paper_fills}
    for fill in books.fills:
        venue = there.pop(fill["id"], None)
        if venue is None:
            yield Finding(check="fill-missing", subject=fill["id"], found="paper.db does not have it",
                          fix="restore the backup of paper.db that goes with desk.db")  # fmt: skip
            continue
        for field in ("symbol", "side", "qty", "price", "fee"):
            if fill[field] != venue[field]:
                yield Finding(check="fill-differs", subject=fill["id"],
                              found=f"{field}: {fill[field]} in desk.db, {venue[field]} in paper.db",
                              fix=RECONCILE)  # fmt: skip
    for fill in there.values():
        yield Finding(check="fill-unbooked", subject=fill["id"],
                      found=f"{fill['side']} {fill['qty']} {fill['symbol']} at {fill['price']} is not in desk.db",
                      fix=RECONCILE)  # fmt: skip


def _trades(books: Books) -> Iterator[Finding]:
    """Net is gross less fees, and both are what the trade's fills say."""
    parts: dict[str, list[Row]] = defaultdict(list)
    shared = set()
    for fill in books.fills:
        parts[fill["position_id"]].append(fill)
        if fill["reversed_into"]:
            shared |= {fill["position_id"], fill["reversed_into"]}
    moved = {row["symbol"] for row in books.adjustments if row["kind"] in (*MOVES, "split")}
    for trade in books.trades:
        if not _near(trade["net"], trade["gross"] - trade["fees"]):
            yield Finding(check="trade-net", subject=trade["id"],
                          found=f"net {trade['net']} is not gross {trade['gross']} less fees {trade['fees']}",
                          fix="tradekit doctor")  # fmt: skip
        if trade["id"] in shared or trade["symbol"] in moved or trade["id"] not in parts:
            continue  # part of it came or went without a fill of its own
        fills = parts[trade["id"]]
        if not _near(trade["net"], _sum(_cash_of(fill) for fill in fills)):
            yield Finding(check="trade-net", subject=trade["id"],
                          found=f"net {trade['net']}, its fills earned {_sum(_cash_of(fill) for fill in fills)}",
                          fix="tradekit doctor")  # fmt: skip
        if not _near(trade["fees"], _sum(fill["fee"] for fill in fills)):
            yield Finding(check="trade-fees", subject=trade["id"],
                          found=f"fees {trade['fees']}, its fills paid {_sum(fill['fee'] for fill in fills)}",
                          fix="tradekit doctor")  # fmt: skip


def _quantities(books: Books) -> Iterator[Finding]:
    """Managed shares: what the desk's fills left, and never more than the account has beside foreign ones."""
    foreign = _totals((row for row in books.ledger if row["qty"] is not None), "symbol", "qty")
    traded, venue_traded = _net(books.fills), _net(books.paper_fills)
    owned: dict[str, Decimal] = defaultdict(Decimal)
    for position in books.positions:
        owned[position["symbol"]] += position["qty"] if position["side"] == "long" else -position["qty"]
    split = {row["symbol"] for row in books.adjustments if row["kind"] == "split"}
    expected, imported = dict(traded), _net(books.imported)
    for row in books.adjustments:
        if row["kind"] in MOVES and row["symbol"] and row["qty"]:
            expected[row["symbol"]] = expected.get(row["symbol"], ZERO) + MOVES[row["kind"]] * row["qty"]
    for symbol in sorted({*books.holdings, *traded, *venue_traded, *owned, *expected} - split):
        has, mine = books.holdings.get(symbol, ZERO), owned[symbol]
        if abs(has - foreign[symbol] - venue_traded[symbol]) > SHARE:
            yield Finding(check="holdings", subject=symbol,
                          found=f"paper.db holds {has}: {foreign[symbol]} foreign, {venue_traded[symbol]} from fills",
                          fix="restore a backup of paper.db")  # fmt: skip
        if symbol not in imported and abs(mine - expected.get(symbol, ZERO)) > SHARE:
            yield Finding(check="managed", subject=symbol,
                          found=f"positions say {mine}, fills and adjustments {expected.get(symbol, ZERO)}",
                          fix="tradekit doctor")  # fmt: skip
        if mine > has + SHARE:
            yield Finding(check="managed", subject=symbol, found=f"the desk manages {mine}, the account holds {has}",
                          fix=RECONCILE)  # fmt: skip


def _cash(books: Books) -> Iterator[Finding]:
    """Cash at the exchange is what flowed in plus what the desk's fills and fees did."""
    ours, theirs = _sum(map(_cash_of, books.fills)), _sum(map(_cash_of, books.our_paper_fills))
    others = _sum(_cash_of(fill) for fill in books.paper_fills if fill["order_id"] not in books.ours)
    flows = _sum(row["amount"] for row in books.ledger if row["kind"] not in ("fill", "fee"))
    if not _near(books.paper_cash, flows + others + ours):
        yield Finding(check="cash", subject="account",
                      found=f"{books.paper_cash} at the exchange, {flows + others + ours} by the desk's fills",
                      fix=RECONCILE)  # fmt: skip
    fees, venue_fees = (_sum(fill["fee"] for fill in fills) for fills in (books.fills, books.our_paper_fills))
    if not _near(fees, venue_fees):
        yield Finding(check="fees", subject="account", found=f"{fees} in desk.db, {venue_fees} in paper.db",
                      fix=RECONCILE)  # fmt: skip
    if not _near(ours, theirs):
        yield Finding(check="pnl", subject="account", found=f"fills moved {ours} in desk.db, {theirs} in paper.db",
                      fix=RECONCILE)  # fmt: skip
    by_ref = {f"L{row['n']}": row for row in books.ledger}
    booked = ours + _sum(map(_cash_of, books.imported))
    for row in books.adjustments:
        booked += _flow(row)
        venue = by_ref.get(row["ref"] or "")
        if venue is not None and not _near(_flow(row), venue["amount"]):
            yield Finding(check="cash-flow", subject=row["id"],
                          found=f"{_flow(row)} in desk.db, {venue['amount']} in paper.db", fix=RECONCILE)  # fmt: skip
    if books.desk_cash and not _near(Decimal(books.desk_cash), booked):
        yield Finding(check="cash", subject="desk.db",
                      found=f"running total {books.desk_cash}, fills and adjustments add up to {booked}",
                      fix="tradekit doctor")  # fmt: skip


def _flow(adjustment: Mapping[str, Any]) -> Decimal:
    """What an adjustment did to cash."""
    amount: Decimal | None = adjustment["amount"]
    if amount is None or adjustment["kind"] in ("adopt", "release", "external", "split"):
        return ZERO
    return -abs(amount) if adjustment["kind"] in OUTFLOWS else amount


def _cash_of(fill: Mapping[str, Any]) -> Decimal:
    """Money in (below 0: out), its fee included."""
    notional = fill["qty"] * fill["price"]
    return Decimal((notional if fill["side"] == "sell" else -notional) - fill["fee"])


def _net(fills: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """Bought less sold, by symbol."""
    net: dict[str, Decimal] = defaultdict(Decimal)
    for fill in fills:
        net[fill["symbol"]] += fill["qty"] if fill["side"] == "buy" else -fill["qty"]
    return net


def _totals(rows: Iterable[Mapping[str, Any]], key: str, field: str) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row[key]] += row[field]
    return totals


def _sum(values: Iterable[Decimal]) -> Decimal:
    return sum(values, ZERO)


def _near(a: Decimal, b: Decimal) -> bool:
    return abs(a - b) < CENT


def _read(path: Path, asked: Mapping[str, str | tuple[str, tuple[str, ...]]]) -> dict[str, list[Row]]:
    """The answers of some queries at one moment of a file. Rows become dicts when the file is closed again."""
    if not path.exists():
        raise StoreError(f"{path}: there is no such file", "tradekit init")
    found = {}
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
        try:
            db.execute("BEGIN")  # one moment of the file
            for name, query in asked.items():
                cursor = db.execute(query) if isinstance(query, str) else db.execute(*query)
                found[name] = [column[0] for column in cursor.description], cursor.fetchall()
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}", "tradekit doctor") from error
    return {name: [_row(names, row) for row in rows] for name, (names, rows) in found.items()}


def _row(names: Sequence[str], values: Sequence[Any]) -> Row:
    return {name: dec(x) if isinstance(x, float) else x for name, x in zip(names, values, strict=True)}
