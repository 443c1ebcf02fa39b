"""The books as they were: positions folded from the fills and adjustments up to a time."""

from datetime import datetime

import msgspec

from tradekit.model import Position
from tradekit.money import wire
from tradekit.store.booking import Booking
from tradekit.store.connection import Db
from tradekit.store.fold import Episode, fold
from tradekit.store.rows import codec, time_text


def positions_at(db: Db, currency: str, at: datetime) -> list[Position]:
    """Open positions at `at`, oldest first. Quantities and averages are of then; marks, which are only kept for
    now, are left out, and levels are those of the position's row.
    """
    booking, until = Booking(db, currency), time_text(at)
    found = []
    sql = (
        "SELECT symbol, min(opened_at) FROM positions "
        "WHERE opened_at <= ? AND (closed_at IS NULL OR closed_at > ?) GROUP BY symbol"
    )
    for symbol, _ in db.rows(sql, [until, until]):
        start, _ = booking.episodes_from(symbol, at)
        moves, _ = booking.moves(symbol, start)
        episodes = fold(symbol, [move for move in moves if move.at <= at])
        if episodes and episodes[-1].closed_at is None:
            found.append(_position(db, episodes[-1]))
    return sorted(found, key=lambda position: (position.opened_at, position.id))


def _position(db: Db, episode: Episode) -> Position:
    c, opening = codec(Position), episode.opening
    bare = Position(
        id=episode.id,
        symbol=episode.symbol,
        side=episode.side,
        qty=wire(episode.qty),
        avg_price=episode.avg_price,
        opened_at=episode.opened_at,
        session=episode.session,
        strategy=opening.strategy,
        cap=opening.cap,
        intent=opening.intent,
        plan=opening.plan,
        stop_price=opening.stop_price,
        target_price=opening.target_price,
        target_hit=False,
        high=None,
        low=None,
        last_price=None,
        unrealized=None,
        decision_id=opening.decision_id,
        master=opening.master,
        protected_by=None,
    )
    row = db.row("SELECT plan, stop_price, target_price FROM positions WHERE id = ?", [episode.id])
    if row is None:
        return bare
    levels = dict(zip(("plan", "stop_price", "target_price"), row, strict=True))
    return msgspec.structs.replace(bare, **{name: c.read(name, value) for name, value in levels.items()})
