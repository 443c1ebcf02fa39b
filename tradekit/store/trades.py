"""Trades: positions that are closed, one row each."""

from datetime import date

from tradekit.model import Trade
from tradekit.money import dec
from tradekit.store.rows import Codec, json_of
from tradekit.store.table import Table

SCHEMA = """
CREATE TABLE trades (
    id               TEXT PRIMARY KEY REFERENCES positions (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
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
