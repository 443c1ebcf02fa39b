"""What was decided about candidates and held positions, and what the risk gate said to it."""

from datetime import date

from tradekit.model import Decision, RiskCheck
from tradekit.store.table import Table

SCHEMA = """
CREATE TABLE decisions (
    id           TEXT PRIMARY KEY,
    candidate_id TEXT UNIQUE,       -- a candidate is decided once; NULL: about a position
    position_id  TEXT,              -- what a CLOSE or HOLD is about
    session      TEXT NOT NULL,
    at           TEXT NOT NULL,
    expires_at   TEXT,              -- no order after that
    symbol       TEXT NOT NULL,
    action       TEXT NOT NULL CHECK (action IN ('BUY', 'WATCH', 'SKIP', 'CLOSE', 'HOLD')),
    by           TEXT NOT NULL,     -- rules, human, ...
    score        REAL,
    conviction   REAL,              -- 0 to 1
    intent       TEXT CHECK (intent IN ('day', 'swing')),
    stop_price   REAL,
    target_price REAL,
    order_kind   TEXT NOT NULL,     -- limit or moo
    because      TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('waiting', 'pending', 'used', 'expired', 'refused')),
    strategy     TEXT,
    cap          TEXT,
    price        REAL,              -- what the candidate cost when it was decided
    rvol         REAL,              -- usual volume = 1
    master       INTEGER NOT NULL CHECK (master IN (0, 1)),
    plan         TEXT NOT NULL      -- JSON: the exit plan that an entry will carry
) STRICT;
CREATE INDEX decisions_session ON decisions (session);
CREATE INDEX decisions_open ON decisions (status) WHERE status IN ('waiting', 'pending');

CREATE TABLE risk_checks (
    id          TEXT PRIMARY KEY,
    decision_id TEXT REFERENCES decisions (id) DEFERRABLE INITIALLY DEFERRED,
    order_id    TEXT,           -- an order that was vetoed is never written, so this is no foreign key
    at          TEXT NOT NULL,
    verdict     TEXT NOT NULL CHECK (verdict IN ('approved', 'vetoed')),
    rule        TEXT NOT NULL,
    because     TEXT NOT NULL,  -- what would have to change
    limits      TEXT NOT NULL   -- JSON: the numbers that were compared
) STRICT;
CREATE INDEX risk_checks_decision ON risk_checks (decision_id);
CREATE INDEX risk_checks_order ON risk_checks (order_id);
"""


class Decisions(Table[Decision]):
    """One per candidate, and one per asked close."""

    name = "decisions"
    kind = Decision

    def for_candidate(self, id: str) -> Decision | None:
        """The decision about a candidate, None before it."""
        found = self._where("candidate_id = ?", [id])
        return found[0] if found else None

    def pending(self, session: date | None = None) -> list[Decision]:
        """Decisions that wait to be acted on."""
        return self._with_status("pending", session)

    def waiting(self, session: date | None = None) -> list[Decision]:
        """Decisions that wait for a human."""
        return self._with_status("waiting", session)

    def set_status(self, id: str, status: str) -> None:
        """Waiting, pending, used, expired or refused; StoreError for another word."""
        self._write("UPDATE decisions SET status = ? WHERE id = ?", [status, id])

    def close_used(self, position_id: str) -> None:
        """The sale that pending decisions to close a position asked for is on its way."""
        if position_id in self.asked_to_close():
            where = "position_id = ? AND action = 'CLOSE' AND status = 'pending'"
            self._write(f"UPDATE decisions SET status = 'used' WHERE {where}", [position_id])

    def asked_to_close(self) -> set[str]:
        """Ids of the positions that have a pending decision to close them."""
        sql = "SELECT position_id FROM decisions WHERE action = 'CLOSE' AND status = 'pending'"
        return {id for (id,) in self._db.rows(sql)}

    def _with_status(self, status: str, session: date | None) -> list[Decision]:
        if session is None:
            return self._where(f"status = '{status}'")
        return self._where(f"status = '{status}' AND session = ?", [session.isoformat()])


class RiskChecks(Table[RiskCheck]):
    """Each rule's verdict on each order that was asked for."""

    name = "risk_checks"
    kind = RiskCheck

    def for_decision(self, id: str) -> list[RiskCheck]:
        """The verdicts on a decision."""
        return self._where("decision_id = ?", [id])

    def for_order(self, id: str) -> list[RiskCheck]:
        """The verdicts on an order."""
        return self._where("order_id = ?", [id])


class Watchlist:
    """Symbols whose newest entry decision is WATCH: nothing of its own is stored."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def all(self, *, session: date | None = None, symbol: str | None = None) -> list[Decision]:
        """The WATCH decisions that no later BUY, SKIP or WATCH on the same symbol replaced, oldest first."""
        newest: dict[str, Decision] = {}
        for decision in self._decisions.all(session=session, symbol=symbol):
            if decision.action in ("BUY", "WATCH", "SKIP"):
                newest.pop(decision.symbol, None)
                newest[decision.symbol] = decision
        return [decision for decision in newest.values() if decision.action == "WATCH"]
