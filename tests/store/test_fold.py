from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.make import D, at, make_adjustment, make_fill
from tradekit.model import Fill
from tradekit.store.booking import trade_of
from tradekit.store.fold import Opening, cash_of, exit_prices, fold, from_adjustment, from_fill


def fills(text: str) -> list[Fill]:
    """`b10@100 s4@102/target`: buys and sells a minute apart; a trailing `=` keeps the time of the one before."""
    found, minute = [], 0
    for n, word in enumerate(text.split()):
        body, _, reason = word.rstrip("=").partition("/")
        qty, _, price = body[1:].partition("@")
        minute += 0 if word.endswith("=") else 1
        side = {"b": "buy", "s": "sell"}[body[0]]
        found.append((make_fill(broker_fill_id=f"x{n:03d}", at=at(minute), side=side, qty=qty, price=price), reason))
    return found


def folded(text: str, adjustments: Sequence = (), opening: Opening | None = None):
    moves = [from_fill(fill, reason=reason, opening=opening) for fill, reason in fills(text)]
    moves += [m for m in (from_adjustment(row) for row in adjustments) if m is not None]
    return fold("AAPL", moves)


def test_a_round_trip():
    (found,) = folded("b10@100 s10@102/target")
    trade = trade_of(found, None, D(99))
    assert (trade.qty, trade.entry_price, trade.exit_price, trade.gross, trade.net) == (10, 100, 102, 20, 20)
    assert (trade.planned_risk, trade.r_multiple, trade.return_pct) == (10, 2.0, 0.02)
    assert (trade.exit_reason, trade.hold_s, trade.side) == ("target", 60, "long")
    assert trade.exits == [
        {"at": "2026-02-13T14:32:00Z", "qty": D(10), "price": D(102), "reason": "target", "order_id": None}
    ]


def test_prices_are_weighted_by_quantity():
    # in: 4 x 100 + 6 x 101 = 1006; out: 5 x 103 + 3 x 102 + 2 x 99 = 1019; gross 13
    (found,) = folded("b4@100 b6@101 s5@103/target s3@102/trailing-stop s2@99/hard-stop")
    trade = trade_of(found, None, None)
    assert (trade.qty, trade.entry_price, trade.exit_price, trade.gross) == (10, D("100.6"), D("101.9"), 13)
    assert trade.exit_reason == "target"  # 5 of 10
    assert len(trade.exits) == 3
    assert trade.planned_risk is None
    assert trade.r_multiple is None


def test_an_open_position_shows_its_average_cost():
    # 10 at 100, half sold, then 5 at 110: 5 x 100 + 5 x 110 = 1050 for 10
    (found,) = folded("b10@100 s5@120 b5@110")
    assert (found.qty, found.avg_price, found.cost, found.closed_at) == (10, 105, 1050, None)


def test_thirds_are_not_rounded_into_the_profit():
    (found,) = folded("b1@100 b1@100 b1@100.01 s1@100 s2@100")
    assert found.entry_price == D("100.003333333")  # for show
    assert trade_of(found, None, None).gross == D("-0.01")  # from the sums


def test_the_average_of_one_fill_is_its_price():
    # in 9973.3184465169968276, out 10413.7003185712440446; money is booked to 1e-6, the price is none of that
    (found,) = folded("b6307.39763383@1.58120972 s6307.39763383@1.65102962")
    trade = trade_of(found, None, None)
    assert (trade.entry_price, trade.exit_price, trade.exits[0]["price"]) == (
        D("1.58120972"),
        D("1.65102962"),
        D("1.65102962"),
    )
    assert trade.gross == D("440.381872")  # 10413.700319 - 9973.318447
    (held,) = folded("b6307.39763383@1.58120972 s6000.1@1.65102962")
    assert (held.avg_price, *exit_prices([held])) == (D("1.58120972"), D("1.65102962"))


def test_a_short_statement():
    (found,) = folded("s10@100 b4@95 b6@101")
    trade = trade_of(found, None, D(102))
    # sold for 1000, bought for 380 + 606 = 986
    assert (trade.side, trade.gross, trade.planned_risk, trade.r_multiple) == ("short", 14, 20, 0.7)


def test_a_fill_that_closes_and_reverses_opens_another():
    long, short = folded("b10@100 s15@102 b5@101")
    assert (long.side, long.in_qty, long.gross) == ("long", 10, 20)
    assert (short.side, short.in_qty, short.gross) == ("short", 5, 5)
    assert short.id == "AAPL-20260213T1432"
    assert long.moves == ["x000", "x001"]
    assert short.moves == ["x001", "x002"]


def test_buys_come_first_in_one_instant():
    (found,) = folded("b10@100 s10@101 b5@100=")  # otherwise this would be two trades
    assert (found.qty, found.closed_at) == (5, None)


def test_the_rest_of_an_entry_after_the_exit_opens_another_position():
    first, second = folded("b6@100 s6@99 b4@100", opening=Opening(position_id="AAPL-1"))
    assert (first.id, second.id, second.qty) == ("AAPL-1", "AAPL-1-2", 4)


def test_a_split_scales_quantity_and_price_and_nothing_else():
    split = make_adjustment("split", symbol="AAPL", qty=4, at=at(1, 30))
    (found,) = folded("b10@100 s20@26 s20@27", [split])
    trade = trade_of(found, None, D("24.75"))
    assert (trade.qty, trade.entry_price, trade.gross) == (40, 25, 60)  # 520 + 540 - 1000
    assert trade.planned_risk == 10  # 40 x 0.25, as 10 x 1 before the split
    (early,) = folded("b10@100 s5@104", [make_adjustment("split", symbol="AAPL", qty=2, at=at(9))])
    assert (early.qty, early.avg_price, early.exits[0]["qty"], early.exits[0]["price"]) == (10, 50, 10, 52)


@pytest.mark.parametrize(
    ("kind", "amount", "gross"),
    [
        ("release", None, 0),  # at cost
        ("external", "1050", 50),
        ("cash-in-lieu", "1001", 1),
    ],
)
def test_what_leaves_without_a_fill_closes_with_its_kind(kind, amount, gross):
    (found,) = folded("b10@100", [make_adjustment(kind, symbol="AAPL", qty=10, amount=amount, at=at(5))])
    trade = trade_of(found, None, None)
    assert (trade.exit_reason, trade.gross) == (kind, gross)


def test_adopted_shares_cost_what_somebody_said():
    opening = Opening(position_id="AAPL-A", strategy="momentum")
    row = make_adjustment("adopt", symbol="AAPL", qty=10, amount=1000, at=at(1))
    (found,) = fold("AAPL", [from_adjustment(row, opening=opening)])
    assert (found.id, found.qty, found.avg_price, found.opening.strategy) == ("AAPL-A", 10, 100, "momentum")


def test_nothing_held_nothing_leaves():
    assert fold("AAPL", [from_adjustment(make_adjustment("external", symbol="AAPL", qty=3))]) == []


def test_a_fee_in_the_base_asset_takes_from_the_quantity():
    buy = make_fill(symbol="BTC/USD", qty="1", price="50000", fee="0.004", fee_asset="BTC", at=at(1))
    (found,) = fold("BTC/USD", [from_fill(buy)])
    assert (found.qty, found.fees) == (D("0.996"), 200)
    assert cash_of(buy) == -50000  # what left the account
    other = make_fill(symbol="BTC/USD", qty="1", price="50000", fee="0.1", fee_asset="BNB", at=at(1))
    (found,) = fold("BTC/USD", [from_fill(other)])
    assert (found.qty, found.fees) == (1, 0)  # another asset's price is not known here


def test_a_session_is_the_one_of_the_closing_fill():
    buy, sell = make_fill(at=at(1)), make_fill(at=at(2000), side="sell", session=date(2026, 2, 17))
    (found,) = fold("AAPL", [from_fill(sell), from_fill(buy)])
    assert found.session == date(2026, 2, 13)
    assert trade_of(found, None, None).session == date(2026, 2, 17)


PARTS = st.tuples(
    st.integers(0, 6),  # minute
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 5),
    st.integers(9_900, 10_100),
)


def made(parts) -> list[Fill]:
    return [
        make_fill(broker_fill_id=f"p{n:03d}", at=at(minute), side=side, qty=qty, price=D(cents) / 100, fee="0.01")
        for n, (minute, side, qty, cents) in enumerate(parts)
    ]


@given(st.lists(PARTS, max_size=12), st.randoms())
def test_order_and_repetition_do_not_matter(parts, random):
    moves = [from_fill(fill) for fill in made(parts)]
    mixed = moves + random.sample(moves, len(moves) // 2)
    random.shuffle(mixed)
    assert fold("AAPL", mixed) == fold("AAPL", moves)


@given(st.lists(PARTS, max_size=12))
def test_cash_foots(parts):
    book = made(parts)
    episodes = fold("AAPL", [from_fill(fill) for fill in book])
    cash = sum((cash_of(fill) for fill in book), D(0))
    held = [e for e in episodes if e.closed_at is None]
    closed = sum((e.gross - e.fees for e in episodes if e.closed_at is not None), D(0))
    still = sum((e.gross - e.fees for e in held), D(0))
    assert closed + still == cash
    signed = sum((f.qty if f.side == "buy" else -f.qty for f in book), D(0))
    assert sum((e.qty if e.side == "long" else -e.qty for e in held), D(0)) == signed


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PARTS, max_size=8), st.randoms())
def test_booked_one_by_one_in_any_order_the_store_says_the_same(store, parts, random):
    book = made(parts)
    mixed = book + random.sample(book, len(book) // 2)
    random.shuffle(mixed)
    undone = ["DELETE FROM trades", "DELETE FROM positions", "DELETE FROM fills", "DELETE FROM meta"]
    with store.transaction():
        new = sum(store.book_fill(fill, None).new for fill in mixed)
        assert new == len(book)
        episodes = fold("AAPL", [from_fill(fill, reason="imported") for fill in book])
        closed = sorted((e for e in episodes if e.closed_at is not None), key=lambda e: e.id)
        assert sorted(store.trades.all(), key=lambda t: t.id) == [trade_of(e, None, None) for e in closed]
        assert [(p.id, p.qty, p.avg_price) for p in store.positions.open()] == [
            (e.id, e.qty, e.avg_price) for e in episodes if e.closed_at is None
        ]
        homes = {}
        for episode in episodes:
            for move in episode.moves:
                homes.setdefault(move, set()).add(episode.id)
        for fill in book:
            for home in homes[fill.broker_fill_id]:
                assert fill in store.fills.for_position(home)
        assert store.cash_delta() == store.cash_delta(recount=True)
        for sql in undone:
            store.db.run(sql)
