from tests.make import at, make_fill
from tradekit.store import Opening
from tradekit.store.trades import tallies


def test_trades_are_counted_by_what_their_positions_were(store):
    """The cap is its position's; trades whose position has none are counted too."""
    for n, (cap, won) in enumerate([("mid", 2), ("mid", -1), (None, 5), ("large", 3)]):
        store.book_fill(make_fill(at=at(2 * n)), Opening(position_id=f"P{n}", strategy="momentum", cap=cap))
        store.book_fill(make_fill(side="sell", price=100 + won, at=at(2 * n + 1)), None)
    found = {
        tally.key: (tally.n, tally.wins, tally.losses, tally.net) for tally in tallies(store.db, ("cap", "strategy"))
    }
    assert found == {
        (None, "momentum"): (1, 1, 0, 50),
        ("large", "momentum"): (1, 1, 0, 30),
        ("mid", "momentum"): (2, 1, 1, 10),
    }
