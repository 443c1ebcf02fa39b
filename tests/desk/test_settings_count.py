"""Numbers of the exits and the regime are settings: a desk that says another one behaves so."""

from datetime import timedelta
from decimal import Decimal as D

import msgspec
import pytest

from tests.desk.venues import Fake, alerts, buy, refusal
from tests.desk.world import NO_COSTS, World, at, passes
from tradekit.desk.monitor_exits import _trigger_price, monitor_exits
from tradekit.desk.pauses import paused
from tradekit.desk.state import risk_book
from tradekit.market.context import regime
from tradekit.model import Quote


@pytest.fixture
def opened(tmp_path):
    """`with opened("exits: {...}") as desk`."""

    def make(settings=""):
        world = World(tmp_path / "d", NO_COSTS + settings)
        world.add("AAA", [100] * 10 + [None] * 3 + [100] * 40)
        return world.desk("09:31")

    return make


def quote_of(last, bid, ask, age_s):
    now = at("09:35")
    return Quote(
        symbol="AAA",
        at=now,
        last_at=now - timedelta(seconds=age_s),
        last=D(last),
        bid=D(bid),
        ask=D(ask),
        source="t",
        assumed=True,
    )


@pytest.mark.parametrize(("settings", "seen", "price"), [
    ("", ("100", "99.9", "100.1", 10), 100.0),  # fresh and inside
    ("", ("100.05", "99.9", "100.1", 11), 100.0),  # too old: the mid
    ("exits: {trade_fresh_s: 30}", ("100.05", "99.9", "100.1", 11), 100.05),
    ("", ("100", "99", "100.1", 11), None),  # 1.1 % wide
    ("exits: {widest_quote: 0.02}", ("100", "99", "100.1", 11), 99.55),
])  # fmt: skip
def test_the_trigger_price(opened, settings, seen, price):
    with opened(settings) as desk:
        found = _trigger_price(desk, quote_of(*seen), at("09:35"))
        assert found == price if price is None else found == pytest.approx(price)


@pytest.mark.parametrize(("settings", "tries"), [("", 3), ("exits: {stop_tries: 1}", 1), ("exits: {stop_tries: 5}", 5)])
def test_refused_stops_until_it_is_unprotected(opened, settings, tries):
    with opened(settings) as desk:
        fake = Fake(desk)
        buy(desk, stop=0.02, target=0.5)
        fake.submits = [refusal("not now")] * 9
        for minute in range(36, 36 + tries):
            assert alerts(desk, "unprotected") == []
            desk.clock.set(at(f"09:{minute}"))
            monitor_exits(desk)
        assert len(alerts(desk, "unprotected")) == 1
        assert len([order for order in desk.store.orders.all() if order.status == "rejected"]) == tries


@pytest.mark.parametrize(("settings", "halted"), [("", False), ("market: {tick: 0.01, silence_s: 120}", True)])
def test_silence_that_is_a_halt(tmp_path, settings, halted):
    world = World(tmp_path / "d", NO_COSTS.replace("market: {tick: 0.01}", settings))
    world.add("AAA", [100] * 10)
    with world.desk("09:43") as desk:
        assert paused(desk, "AAA", desk.calendar.day(desk.clock.now()))[0] is halted


def test_recent_volume_is_as_long_as_it_says(opened, tmp_path):
    with opened() as desk:
        passes(desk, "09:38", "09:38")
        assert risk_book(desk, ["AAA"], regime="up", entries_this_scan=0).recent_volume == {"AAA": 500_000.0}


@pytest.mark.parametrize(("price", "band", "word"), [
    (101.0, 0.01, "sideways"), (101.1, 0.01, "up"), (101.1, 0.02, "sideways"), (98.9, 0.01, "down"),
    (98.9, 0.02, "sideways"),
])  # fmt: skip
def test_the_band_of_the_regime(price, band, word):
    assert regime(price, 100.0, band) == word


def test_the_word_of_the_venue_from_before_the_fill_does_not_stay(opened):
    with opened() as desk:
        buy(desk, stop=0.02, target=0.5)
        passes(desk, "09:36", "09:37")
        (entry,) = [order for order in desk.store.orders.all() if order.purpose == "entry"]
        assert (entry.status, entry.raw_status) == ("filled", None)


ARMED = {"stop": 0.02, "target": 0.05, "after_target": "arm-trail", "trail": 0.03}


def quoted(desk, monkeypatch, *prices, **plan):
    """A position, and a quote (last, bid, ask) of 09:36:01 that the pass a second later sees."""
    Fake(desk)
    buy(desk, **plan)
    desk.clock.set(at("09:36"))
    seen = msgspec.structs.replace(quote_of(*prices, 1), at=at("09:36") + timedelta(seconds=1))
    desk.clock.sleep(2)
    monkeypatch.setattr(desk.market, "quote", lambda symbol, now: seen)
    return seen


def test_without_bars_a_quote_raises_the_watermark_for_the_next_pass(opened, monkeypatch):
    with opened() as desk:
        seen = quoted(desk, monkeypatch, "106", "105.95", "106.05", **ARMED)
        monkeypatch.setattr(desk.market, "bar_seconds", lambda symbol, day: None)
        assert monitor_exits(desk) == []  # 105 arms the trail, which counts from the next look on
        (mark,) = desk.store.marks.all()
        assert (mark.high, mark.target_hit, mark.last_price) == (D(106), True, D(106))
        seen = msgspec.structs.replace(seen, last=D("102.8"), bid=D("102.75"), ask=D("102.85"), at=at("09:37"))
        later = msgspec.structs.replace(seen, last_at=at("09:37"))
        monkeypatch.setattr(desk.market, "quote", lambda symbol, now: later)
        desk.clock.set(at("09:37"))
        (order,) = monitor_exits(desk)  # 106 less 3 % is 102.82
        assert (order.purpose, order.reason) == ("exit", "trailing-stop")


def test_a_quote_lowers_the_low_too(opened, monkeypatch):
    """What raises MFE counts for MAE: the best price of a quote was in the trade's record, the worst was not."""
    with opened() as desk:
        quoted(desk, monkeypatch, "99", "98.95", "99.05", stop=0.02, target=0.05)
        monkeypatch.setattr(desk.market, "bar_seconds", lambda symbol, day: None)
        assert monitor_exits(desk) == []
        (mark,) = desk.store.marks.all()
        assert (mark.high, mark.low) == (D("100.01"), D(99))


def test_with_bars_a_quote_moves_no_mark_that_the_running_bar_is_judged_by(opened, monkeypatch):
    """The quote of 106 may come after the low of 102.5 in one minute: a trail set by it must not sell at that low."""
    with opened() as desk:
        quoted(desk, monkeypatch, "106", "105.95", "106.05", **ARMED)
        assert monitor_exits(desk) == []
        (mark,) = desk.store.marks.all()
        assert (mark.high, mark.target_hit, mark.last_price) == (D("100.01"), False, D(106))
