"""Trades: positions that are closed, one row each."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from tradekit.metrics import Tally
from tradekit.model import Trade
from tradekit.money import dec, wire
from tradekit.store.connection import Db
from tradekit.store.rows import Codec, json_of
from tradekit.store.table import Table

SCHEMA = """
CREATE TABLE trades (
    id               TEXT NOT NULL REFERENCES positions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    symbol           TEXT NOT NULL,
    side             TEXT NOT NULL CHECK (side IN ('long', 'short')),
    strategy         TEXT,
    qty              REAL NOT NULL CHECK (qty > 0),  -- all that was ever in it
    entry_at         TEXT NOT NULL,                  -- first fill
    entry_price      REAL NOT NULL,                  -- quantity-weighted
    exit_at          TEXT NOT NULL,                  -- last fill
    exit_price       REAL NOT NULL,                  -- quantity-weighted
    exit_reason      TEXT NOT NULL,                  -- of the largest part
    exits            TEXT NOT NULL,                  -- JSON: each part's at, qty, price, reason, order_id
    gross            REAL NOT NULL,
    fees             REAL NOT NULL,
    net              REAL NOT NULL,                  -- gross - fees
    return_pct       REAL,                           -- fraction: net / what the entry cost
    planned_risk     REAL,                           -- (entry - first stop) x qty
    r_multiple       REAL,                           -- net / planned risk
    mfe              REAL,                           -- fraction: the best price since entry against it
    mae              REAL,                           -- fraction: the worst
    hold_s           INTEGER NOT NULL,
    regime           TEXT,                           -- at entry
    session          TEXT NOT NULL,                  -- in which it closed
    decision_id      TEXT,
    strategy_version TEXT,
    because          TEXT NOT NULL                   -- why it was entered
) STRICT;
CREATE UNIQUE INDEX trades_id ON trades (id);
CREATE INDEX trades_exit ON trades (exit_at);
CREATE INDEX trades_session ON trades (session);
CREATE INDEX trades_symbol ON trades (symbol);
"""


def _exits(text: str) -> list[dict[str, object]]:
    """Parts with quantities and prices as Decimal; their times stay ISO text."""
    return [part | {"qty": dec(part["qty"]), "price": dec(part["price"])} for part in json_of(text)]


_CODEC = None


class Trades(Table[Trade]):
    """Written by booking only."""

    name = "trades"
    kind = Trade
    time = "exit_at"

    @property
    def _codec(self) -> Codec[Trade]:
        return trade_codec()

    def net_total(self) -> Decimal:
        """Net result of all closed trades, in the quote currency."""
        return wire(self._db.value("SELECT coalesce(sum(net), 0.0) FROM trades"))

    def closed_on(self, session: date) -> list[Trade]:
        """The trades that closed in a session, oldest first."""
        return self.all(session=session)

    def last(self, n: int) -> list[Trade]:
        """The n trades that closed last, oldest first."""
        return self.all(limit=n)


def trade_codec() -> Codec[Trade]:
    """The codec of trades, made when it is first asked for."""
    global _CODEC
    if _CODEC is None:
        _CODEC = Codec(Trade, {"exits": _exits})
    return _CODEC


KEYS = {
    "strategy": "t.strategy",
    "version": "t.strategy_version",
    "cap": "p.cap",
    "regime": "t.regime",
    "hour": "substr(t.entry_at, 1, 13)",  # UTC; reports turn it into the exchange's hour and weekday
    "hold": (
        "CASE WHEN t.hold_s < 300 THEN 0 WHEN t.hold_s < 1800 THEN 1 WHEN t.hold_s < 7200 THEN 2 "
        "WHEN t.hold_s < 86400 THEN 3 WHEN t.hold_s < 432000 THEN 4 ELSE 5 END"
    ),
    "reason": "t.exit_reason",
    "symbol": "t.symbol",
    "session": "t.session",
    "side": "t.side",
}
_CAPS = "SELECT id, cap FROM positions WHERE cap IS NOT NULL LIMIT -1"  # LIMIT: read once, instead of once a trade
_SUMS = """count(*), sum(t.net > 0), sum(t.net < 0), sum(t.gross), sum(t.fees), sum(t.net), sum(max(t.net, 0)),
    sum(min(t.net, 0)), sum(t.net * t.net), sum(t.hold_s), count(t.r_multiple), coalesce(sum(t.r_multiple), 0),
    max(t.net), min(t.net)"""


def tallies(
    db: Db,
    keys: Sequence[str],
    *,
    first: date | None = None,
    last: date | None = None,
    strategy: str | None = None,
    symbol: str | None = None,
) -> list[Tally]:
    """Trades of the sessions from `first` to `last`, counted and summed in SQL by `keys` (of KEYS), in their order."""
    columns = [KEYS[key] for key in keys]
    asked = [("t.session >= ?", first and first.isoformat()), ("t.session <= ?", last and last.isoformat()),
             ("t.strategy = ?", strategy), ("t.symbol = ?", symbol)]  # fmt: skip
    where = [(text, value) for text, value in asked if value is not None]
    sql = f"SELECT {', '.join([*columns, _SUMS])} FROM trades t"
    if "cap" in keys:
        sql += f" LEFT JOIN ({_CAPS}) p ON p.id = t.id"
    sql += (" WHERE " + " AND ".join(text for text, _ in where)) if where else ""
    sql += f" GROUP BY {', '.join(columns)} ORDER BY {', '.join(columns)}" if columns else ""
    n = len(keys)
    rows = db.rows(sql, [value for _, value in where])
    return [Tally(tuple(None if x is None else str(x) for x in row[:n]), *row[n:]) for row in rows if row[n]]


def returns(
    db: Db, *, first: date | None = None, last: date | None = None, strategy: str | None = None,
    symbol: str | None = None,
) -> list[tuple[str, str, str, str, float, str | None]]:  # fmt: skip
    """(id, symbol, entry_at, exit_at, return, regime) of trades, oldest first; times are ISO text."""
    asked = [("session >= ?", first and first.isoformat()), ("session <= ?", last and last.isoformat()),
             ("strategy = ?", strategy), ("symbol = ?", symbol)]  # fmt: skip
    where = [(text, value) for text, value in asked if value is not None]
    sql = "SELECT id, symbol, entry_at, exit_at, return_pct, regime FROM trades WHERE return_pct IS NOT NULL"
    sql += "".join(f" AND {text}" for text, _ in where) + " ORDER BY exit_at, rowid"
    return [tuple(row) for row in db.rows(sql, [value for _, value in where])]


def overshoots(
    db: Db, *, first: date | None = None, last: date | None = None, strategy: str | None = None,
    symbol: str | None = None,
) -> list[tuple[str, str, float, float]]:  # fmt: skip
    """(exit rule, side of the order, level, average fill) of exits at a level: the stops and the target."""
    asked = [("t.session >= ?", first and first.isoformat()), ("t.session <= ?", last and last.isoformat()),
             ("t.strategy = ?", strategy), ("t.symbol = ?", symbol)]  # fmt: skip
    where = [(text, value) for text, value in asked if value is not None]
    sql = (
        "SELECT o.reason, o.side, coalesce(o.decision_price, o.stop_price), o.avg_price "
        "FROM trades t JOIN orders o ON o.position_id = t.id WHERE o.purpose <> 'entry' AND o.avg_price > 0 "
        "AND coalesce(o.decision_price, o.stop_price) > 0 AND o.reason IN ('hard-stop', 'trailing-stop', 'target')"
    ) + "".join(f" AND {text}" for text, _ in where)
    return [tuple(row) for row in db.rows(sql, [value for _, value in where])]
