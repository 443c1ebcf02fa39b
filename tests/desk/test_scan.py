"""scan: every symbol is stored with its reason, once a minute."""

import msgspec
import pytest

from tests.desk.morning import QUIET, STRONG, TAME, UNSEEN, make_desk, rows_of
from tests.make import at, make_fill, make_order
from tradekit.config import Settings, Symbol
from tradekit.desk.scan import ScanOptions, scan
from tradekit.errors import ConfigError, UsageError
from tradekit.store import Opening

ROWS = {"AAA": STRONG, "BBB": STRONG | {"volume": 2000.0}, "CCC": QUIET, "DDD": UNSEEN, "EEE": TAME, "SPY": STRONG}


def test_a_scan_stores_who_got_how_far(tmp_path):
    desk = make_desk(tmp_path, ROWS)
    found = scan(desk, ScanOptions())
    assert [(c.symbol, c.score) for c in found] == [("AAA", 16.0), ("BBB", 14.0)]  # ROC 2, surge 5 or 3, gap 4, 2, 2, 1
    (row,) = desk.store.scans.all()
    assert row.id == "20260213T1435-momentum-open"
    assert row.counts == {
        "universe": 5, "no_data": 1, "stage1_rejected": 1, "stage1": 3, "stage2_rejected": 1, "stage2": 2, "vetoed": 0,
        "passed": 2, "reject.change": 1, "reject.no-data": 1, "reject.stage-2": 1,
    }  # fmt: skip
    assert row.context["regime"] == "up"
    reasons = {c.symbol: c.reject_reason for c in desk.store.candidates.of_scan(row.id)}
    assert reasons == {"AAA": None, "BBB": None, "CCC": "change", "DDD": "no-data", "EEE": "stage-2"}
    assert desk.store.snapshots.latest(at(5)).breadth == 0.5
    assert [e.kind for e in desk.store.events.all()] == ["scan.done"]


def test_a_candidate_says_why(tmp_path):
    desk = make_desk(tmp_path, ROWS)
    first = scan(desk, ScanOptions())[0]
    assert first.id == "AAA-20260213T1435-momentum"
    assert first.because == (
        "+5.5% on the day, 3.0 x the usual volume, gap +3.0%, +5.5% in ten sessions, at 88% of its range, breakout: yes"
    )
    assert (str(first.price), first.cap, first.features["gap"]) == ("105.5", "mid", 0.03)
    quiet = desk.store.candidates.get("CCC-20260213T1435-momentum")
    assert (quiet.score, quiet.because) == (None, "+0.2% on the day is not enough")


def test_a_repeat_in_the_same_minute_writes_nothing(tmp_path):
    desk = make_desk(tmp_path, ROWS)
    found, before = scan(desk, ScanOptions()), rows_of(desk.store)
    desk.clock.sleep(59)
    assert scan(desk, ScanOptions()) == found
    assert rows_of(desk.store) == before
    assert desk.market.panels == 1
    desk.clock.sleep(1)
    assert len(scan(desk, ScanOptions())) == 2
    assert len(desk.store.scans.all()) == 2


def test_two_scans_of_one_minute_share_their_candidates(tmp_path):
    desk = make_desk(tmp_path, ROWS)
    found = scan(desk, ScanOptions())
    assert scan(desk, ScanOptions(cap="mid")) == found
    assert scan(desk, ScanOptions(cap="mid")) == found
    assert scan(desk, ScanOptions(cap="small")) == []


def test_what_is_held_working_or_was_closed_today_is_not_found_again(tmp_path):
    rows = dict.fromkeys(("AAA", "BBB", "CCC", "EEE"), STRONG)
    # one for ten, and the history was not adjusted
    rows["DDD"] = {"open": 1000.0, "high": 1020.0, "low": 990.0, "price": 1010.0, "volume": 3000.0, "usual": 1000.0}
    desk = make_desk(tmp_path, rows)
    for symbol, sides in (("AAA", ("buy",)), ("BBB", ("buy", "sell"))):
        for side in sides:
            order = make_order(symbol=symbol, side=side, position_id=None)
            desk.store.orders.add(order)
            opens = Opening(
                position_id=f"{symbol}-1", strategy="momentum", cap="mid", intent="day", plan={}, stop_price=None,
                target_price=None, decision_id=None, master=False, regime=None, strategy_version=None, because="",
            )  # fmt: skip
            desk.store.book_fill(
                make_fill(symbol=symbol, side=side, order_id=order.id, at=at(1)), opens if side == "buy" else None
            )
            desk.store.orders.change(order.id, status="filled")
    desk.store.orders.add(make_order(symbol="CCC"))
    assert [c.symbol for c in scan(desk, ScanOptions())] == ["EEE"]
    (row,) = desk.store.scans.all()
    reasons = {c.symbol: c.reject_reason for c in desk.store.candidates.of_scan(row.id)}
    assert reasons == {
        "AAA": "held", "BBB": "closed-today", "CCC": "entry-working", "DDD": "ex-split", "EEE": None,
    }  # fmt: skip
    assert (row.counts["stage2"], row.counts["vetoed"], row.counts["passed"]) == (5, 4, 1)


def test_the_universe_names_symbols_caps_and_dates(tmp_path):
    listed = [
        Symbol(symbol="AAA", cap="small", until="2026-02-12"),
        Symbol(symbol="BBB", cap="small", since="2026-02-13"),
        Symbol(symbol="EEE", kind="leveraged"),
        Symbol(symbol="SPY", cap="large"),  # listed, so it trades
    ]
    desk = make_desk(tmp_path, ROWS, universe=listed)
    assert [(c.symbol, c.cap) for c in scan(desk, ScanOptions())] == [("SPY", "large"), ("BBB", "small")]
    assert desk.store.scans.all()[0].counts["excluded"] == 1
    allowed = msgspec.convert({"scan": {"allow_leveraged": True}}, Settings)
    (tmp_path / "b").mkdir()
    desk = make_desk(tmp_path / "b", ROWS, universe=listed, settings=allowed)
    scan(desk, ScanOptions())
    assert desk.store.scans.all()[0].counts["universe"] == 3


def test_an_empty_universe_finds_nothing(tmp_path):
    desk = make_desk(tmp_path, {})
    assert scan(desk, ScanOptions()) == []
    assert desk.store.scans.all()[0].counts["universe"] == 0


def test_there_is_nothing_to_scan_on_a_holiday(tmp_path):
    desk = make_desk(tmp_path, ROWS, now=at(1440))
    assert scan(desk, ScanOptions()) == []
    assert desk.store.scans.all() == []


@pytest.mark.parametrize(
    ("options", "error", "hint"),
    [
        (ScanOptions(type="opne"), UsageError, "did you mean open?"),
        (ScanOptions(cap="smal"), UsageError, "did you mean small?"),
    ],
)
def test_a_wrong_word_is_refused(tmp_path, options, error, hint):
    with pytest.raises(error) as caught:
        scan(make_desk(tmp_path, ROWS), options)
    assert caught.value.hint == hint


def test_an_unknown_strategy_is_refused(tmp_path):
    from tradekit.desk.open import LazyStrategies

    desk = make_desk(tmp_path, ROWS)
    desk.strategies = LazyStrategies(desk.settings)
    with pytest.raises(ConfigError):
        scan(desk, ScanOptions(strategy="momentun"))
