"""The made-up market: the same words, the same bars; plausible, and alive enough for a demo."""

import numpy as np
import pytest

from tests.market.tape import CALENDAR, DAY, HALF, et, market, new_store
from tradekit.calendar import AllDayCalendar
from tradekit.errors import Findings, UsageError
from tradekit.market.bars import BarStore, doubles
from tradekit.market.market import Market
from tradekit.market.synthetic import NAMES, generate


def make(folder, seed=7, symbols=60, session=DAY, calendar=CALENDAR, **kwargs):
    folder.mkdir(exist_ok=True)
    store = BarStore(folder / "bars.db", create=True)
    return store, generate(store, seed=seed, symbols=symbols, session=session, calendar=calendar, **kwargs)


def everything(store):
    names = sorted(store.axis())
    minutes = [(name, store.intraday(name, DAY.isoformat())) for name in names]
    return minutes, [store.daily("synthetic", f, "2025-01-01", "2026-12-31") for f in ("open", "close", "volume")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    store, row = make(tmp_path_factory.mktemp("world"), symbols=200)
    yield store, row
    store.close()


def test_the_same_seed_makes_the_same_market_and_another_seed_another(tmp_path):
    one, two, three = (make(tmp_path / name, seed)[0] for name, seed in (("a", 7), ("b", 7), ("c", 8)))
    assert everything(one) == everything(two) != everything(three)
    assert generate(one, seed=7, symbols=60, session=DAY, calendar=CALENDAR).bars == 0
    with pytest.raises(Findings):
        generate(one, seed=8, symbols=60, session=DAY, calendar=CALENDAR, benchmark="SPY")


def test_bars_are_bars(world):
    store, row = world
    assert row.symbols == 200 and sum(row.characters.values()) == 199 and set(row.characters) == set(NAMES)
    for name in list(store.axis())[:40]:
        [(seconds, _, blob)] = store.intraday(name, DAY.isoformat())
        bars = np.array(doubles(blob)).reshape(-1, 6)
        start, (o, h, low, c, v) = bars[:, 0], bars[:, 1:].T
        assert seconds == 60 and (np.diff(start) >= 60).all() and (start % 60 == 0).all()
        assert (h >= np.maximum(o, c)).all() and (low <= np.minimum(o, c)).all() and (low > 0).all() and (v >= 1).all()
        assert start[0] >= et(8, 30).timestamp() and start[-1] == et(15, 59).timestamp()


def test_volume_is_heavy_at_both_ends(world):
    store, _ = world
    m = market(store)
    volume = np.array([b.volume for b in m.day_bars("SPY", DAY, et(16))])
    assert len(volume) == 390
    assert volume[:30].sum() > 2 * volume[180:210].sum() and volume[-15:].sum() > 2 * volume[180:195].sum()


def test_there_are_gaps_halts_and_movers_and_the_gate_finds_them_liquid(world):
    store, _ = world
    m = market(store)
    names = m.symbols(et(9, 35))
    p = m.panel(names, et(9, 35), 50, DAY)
    gap = p.today.open[-1] / p.close[-2] - 1
    busy = p.today.volume[-1] / p.today.usual[-1]
    assert (gap > 0.02).sum() >= 10 and (gap < -0.02).sum() >= 5
    assert ((gap > 0.02) & (busy > 2)).sum() >= 10
    assert 0.7 < np.median(busy) < 1.3
    assert min(m.turnover(names, DAY).values()) > 10e6
    pauses = [np.diff([b.start.timestamp() for b in m.day_bars(name, DAY, et(16))]).max() for name in names]
    assert sum(pause >= 300 for pause in pauses) >= 1


def test_gappers_end_in_different_ways(world):
    """Of the gaps up some run more than 2.6 %, some fall 0.9 % first, some do neither until the close."""
    store, _ = world
    m = market(store)
    ends = set()
    for name in m.symbols(et(9, 35)):
        bars = m.day_bars(name, DAY, et(16))
        if bars[0].open / m.last_close_before(name, DAY) < 1.02:
            continue
        entry = bars[6].open
        hit = next(
            (
                "stop" if b.low <= entry * 0.991 else "target"
                for b in bars[6:]
                if b.low <= entry * 0.991 or b.high >= entry * 1.026
            ),
            "close",
        )
        ends.add(hit)
    assert ends == {"stop", "target", "close"}


def test_a_half_day_is_shorter_and_a_closed_day_is_refused(tmp_path):
    store, _ = make(tmp_path / "half", session=HALF, symbols=5, history=30)
    assert len(market(store).day_bars("SPY", HALF, et(20, 0, HALF))) == 210
    with pytest.raises(UsageError, match="not a session"):
        make(tmp_path / "none", session=DAY.replace(day=14))


def test_a_24_7_market_trades_all_day_in_pairs(tmp_path):
    store, _ = make(tmp_path / "coins", calendar=AllDayCalendar(), symbols=5, benchmark="BTC/USD")
    m = Market(store, AllDayCalendar())
    assert all(name.endswith("/USD") for name in store.axis())
    assert len(m.day_bars("BTC/USD", DAY, et(23, 59))) == 1440


def test_the_store_it_is_written_to_may_hold_other_sources(tmp_path):
    with new_store(tmp_path) as store:
        generate(store, seed=1, symbols=3, session=DAY, calendar=CALENDAR, history=20)
        generate(store, seed=2, symbols=3, session=DAY, calendar=CALENDAR, history=20, source="other")
        assert {s.source for s in store.series("SPY")} == {"other", "synthetic"}
