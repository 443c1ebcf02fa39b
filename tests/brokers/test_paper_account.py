"""Fees by date, cash, holdings, closing equities, and that catching up is the same in one step or in many."""

from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.brokers.tape import DAY, at, bar, order, venue
from tradekit.brokers.base import Broker
from tradekit.brokers.paper.books import Books
from tradekit.brokers.paper.fees import US_TABLE, Done, FeeTable
from tradekit.calendar import AllDayCalendar
from tradekit.config import PaperFee
from tradekit.errors import StoreError, UsageError

D = Decimal
US = FeeTable(US_TABLE, D(0), D(0), "USD")


@pytest.mark.parametrize(
    ("day", "qty", "price", "fee"),
    [
        # sec 23.10 per million x 10,000 = 0.231 -> 0.24; taf 0.000119 x 100 = 0.0119 -> 0.02
        ("2018-02-14", 100, "100", "0.26"),
        # 13.00: 0.13; 0.02
        ("2018-05-22", 100, "100", "0.15"),
        # no sec fee; taf 0.000195 x 100 = 0.0195 -> 0.02
        ("2026-02-13", 100, "100", "0.02"),
        # the sec fee is back: 20.60 x 0.01 = 0.206 -> 0.21
        ("2026-04-06", 100, "100", "0.23"),
        # capped: 0.000195 x 100,000 = 19.50 -> 9.79
        ("2026-02-13", 100_000, "10", "9.79"),
        # 27.80: 0.278 -> 0.28; 0.000166 x 100 -> 0.02
        ("2025-05-13", 100, "100", "0.30"),
        ("2025-05-14", 100, "100", "0.02"),
    ],
)
def test_regulatory_fees_on_sells(day, qty, price, fee):
    assert US.of_fill(date.fromisoformat(day), "sell", Done(), D(qty), D(price), False) == D(fee)
    assert US.of_fill(date.fromisoformat(day), "buy", Done(), D(qty), D(price), False) == 0


def test_slices_of_one_order_cost_what_the_order_costs():
    # 100 at 0.000195 is 0.0195, charged as 0.02 with the first share; the cent after it comes with share 103
    done, paid = Done(), []
    for _ in range(4):
        paid.append(US.of_fill(DAY, "sell", done, D(40), D(10), False))
        done = done.plus(D(40), D(10))
    # 40: 0.0078 -> 0.01, 80: 0.0156 -> 0.02, 120: 0.0234 -> 0.03, 160: 0.0312 -> 0.04
    assert paid == [D("0.01")] * 4


def test_percentages_and_tables_of_ones_own():
    crypto = FeeTable([], D("0.0025"), D("0.004"), "USDT")
    assert crypto.of_fill(DAY, "buy", Done(), D("0.5"), D(3000), False) == D(6)
    assert crypto.of_fill(DAY, "buy", Done(), D("0.5"), D(3000), True) == D("3.75")
    own = FeeTable(
        [
            PaperFee(kind="commission", since="2020-01-01", rate=D("0.005"), per="share", side="both", cap=D(5)),
            PaperFee(kind="ticket", since="2020-01-01", rate=D("0.333"), per="trade", side="sell", rounding="cent"),
        ],
        D(0), D(0), "USD",
    )  # fmt: skip
    assert own.of_fill(DAY, "buy", Done(), D(100), D(10), False) == D("0.5")
    assert own.of_fill(DAY, "sell", Done(), D(2000), D(10), False) == D("5.33")
    assert own.of_fill(DAY, "sell", Done(D(2000), D(20000)), D(1), D(10), False) == 0


def test_a_round_trip_to_the_cent(tmp_path):
    bars = [bar("9:35", 100.0), bar("9:36", 102.0)]
    broker, clock = venue(tmp_path, bars)
    broker.submit(order(qty=100, id="in"))
    clock.set(at("9:36"))
    assert broker.account().cash == D(100000) - D("10007.00")
    assert broker.positions()[0].avg_price == D("100.07")
    assert broker.account().equity == D(100000) - D("10007.00") + D(10000)
    broker.submit(order("sell", qty=100, id="out"))
    clock.set(at("9:37"))
    # 102 - 0.0204 - 0.051 = 101.9286 -> 101.92; taf 0.02
    account = broker.account()
    assert account.cash == account.equity == D(100000) - D("10007.00") + D("10192.00") - D("0.02")
    assert [fill.fee for fill in broker.fills_since(at("9:30"))] == [D(0), D("0.02")]
    assert broker.positions() == []


def test_last_equity_is_that_of_the_previous_close(tmp_path):
    bars = [bar("9:35", 100.0), bar("15:59", 110.0), bar("16:30", 120.0, regular=False), bar("17 9:30", 90.0)]
    broker, clock = venue(tmp_path, bars, holdings={"AAPL": D(10)})
    assert broker.account().last_equity == D(101000)  # 10 foreign shares at yesterday's 100
    broker.submit(order(qty=10))
    clock.set(at("16:01"))
    assert broker.account().last_equity == D(101000)
    clock.set(at("17 9:31"))
    account = broker.account()
    assert account.last_equity == D(100000) - D("1000.70") + 20 * D(110)
    assert account.equity == D(100000) - D("1000.70") + 20 * D(90)


def test_deposits_holds_and_a_reset(tmp_path):
    broker, clock = venue(tmp_path, [bar("9:35", 100.0)], holdings={"AAPL": D(5)})
    assert broker.deposit(D(500)).cash == D(100500)
    assert broker.deposit(D("-200.25")).cash == D("100299.75")
    with pytest.raises(UsageError, match="100299.75"):
        broker.deposit(D(-100300))
    broker.hold("AAPL", D(7))
    with pytest.raises(UsageError, match="only 12"):
        broker.hold("AAPL", D(-13))
    with pytest.raises(UsageError, match="no bars"):
        broker.hold("NOPE", D(1))
    flows = [(f.ref, f.kind, f.symbol, f.qty, f.amount) for f in broker.cash_flows_since(at("9:00"))]
    assert flows == [
        ("L1", "deposit", None, None, D(100000)),
        ("L2", "hold", "AAPL", D(5), None),
        ("L3", "deposit", None, None, D(500)),
        ("L4", "withdrawal", None, None, D("-200.25")),
        ("L5", "hold", "AAPL", D(7), None),
    ]
    broker.submit(order(type="limit", limit_price="90"))
    assert broker.reset(dry_run=True).cash == D(100000)
    assert (broker.account().cash, len(broker.open_orders())) == (D("100299.75"), 1)
    account = broker.reset()
    assert (account.cash, broker.open_orders()) == (D(100000), [])
    assert [(p.symbol, p.qty) for p in broker.positions()] == [("AAPL", D(5))]
    assert broker.order("c1").reason == "paper reset"
    assert broker.submit(order(id="c2")).broker_order_id == "P2"  # no id is ever used twice


def test_the_clock_never_goes_back(tmp_path):
    broker, _ = venue(tmp_path, [], now="9:40")
    broker.account()
    early, _ = venue(tmp_path, [], now="9:39")
    with pytest.raises(UsageError, match="played to"):
        early.account()


def test_two_processes_share_the_account(tmp_path):
    bars = [bar("9:35", 100.0), bar("9:36", 100.0)]
    one, clock = venue(tmp_path, bars)
    two, other = venue(tmp_path, bars)
    one.submit(order(id="a"))
    assert [o.client_order_id for o in two.open_orders()] == ["a"]
    two.submit(order(id="b"))
    clock.set(at("9:36"))
    other.set(at("9:37"))
    assert len(one.fills_since(at("9:30"))) == 2
    assert one.account().cash == two.account().cash == D(100000) - 2 * D("1000.70")


def test_an_account_survives_its_process(tmp_path):
    bars = [bar("9:35", 100.0, volume=50), bar("9:36", 100.0, high=110.0), bar("9:37", 109.0, low=107.0)]
    broker, clock = venue(tmp_path, bars, holdings={"AAPL": D(10)})
    broker.submit(order("sell", type="trailing_stop", trail_pct="0.02", id="t"))
    clock.set(at("9:37"))
    broker.account()
    broker.close()
    again, _ = venue(tmp_path, bars, now="9:38")
    assert again.order("t").status == "filled"
    assert [(str(f.price), f.at) for f in again.fills_since(at("9:30"))] == [("107.74", at("9:38"))]


def test_files_that_are_no_account(tmp_path):
    with pytest.raises(StoreError, match="no paper account"):
        Books(tmp_path / "none.db", create=False)
    (tmp_path / "text.db").write_text("hello, this is no database at all, just words" * 20)
    with pytest.raises(StoreError, match="not a database"):
        Books(tmp_path / "text.db", create=False)
    venue(tmp_path, [])[0].close()
    assert (tmp_path / "paper.db").stat().st_mode & 0o777 == 0o600


def test_around_the_clock(tmp_path):
    bars = [bar("20:00", 3000.123, symbol="ETH", volume=10.0), bar("20:01", 3000.0, symbol="ETH", volume=100.0)]
    broker, clock = venue(
        tmp_path, [bar("19:00", 3000.0, symbol="ETH"), *bars], now="20:00", calendar=AllDayCalendar(), currency="USD",
        tick="0.001", lot="0.0001", maker=0.0025, taker=0.004,
    )  # fmt: skip
    broker.submit(order(qty="1.5", symbol="ETH"))
    clock.set(at("20:02"))
    fills = broker.fills_since(at("19:00"))
    # 3000.123 + 0.6000246 + 1.5000615 = 3002.2230861 -> 3002.224; 3000 + 0.6 + 1.5 = 3002.1; 0.4 % of each
    assert [(str(f.qty), str(f.price), str(f.fee)) for f in fills] == [
        ("1", "3002.224", "12.008896"),
        ("0.5", "3002.1", "6.0042"),
    ]
    assert "opg" not in broker.capabilities.tifs


def test_it_is_a_broker(tmp_path):
    broker: Broker = venue(tmp_path, [])[0]
    assert (broker.name, broker.capabilities.live) == ("paper", False)


# properties: a random tape, random orders, random moments to ask

PRICES = st.integers(9000, 11000).map(lambda cents: cents / 100)


@st.composite
def tapes(draw):
    bars = []
    for minute in range(12):
        for symbol in ("AAPL", "MSFT"):
            if draw(st.booleans()):
                low, open_, close, high = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
                volume = draw(st.sampled_from([0.0, 40.0, 333.0, 5000.0]))
                start = f"9:{35 + minute}"
                bars.append(bar(start, open_, high, low, close, symbol=symbol, volume=volume))
    return bars


REQUESTS = st.builds(
    lambda symbol, side, qty, kind, cents, tif: (symbol, side, qty, kind, D(cents) / 100, tif),
    st.sampled_from(["AAPL", "MSFT"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 400),
    st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
    st.integers(9000, 11000),
    st.sampled_from(["day", "gtc", "ioc"]),
)


def play(folder: Path, bars, requests, stops):
    """Send the requests at 9:35, cancel the second at 9:38; ask at each of `stops`; the books at the end."""
    yesterday = bar("12 15:59", 100.0, symbol="MSFT")
    broker, clock = venue(folder, [yesterday, *bars], holdings={"AAPL": D(200), "MSFT": D(300)})
    sent = []
    for n, (symbol, side, qty, kind, price, tif) in enumerate(requests):
        prices = {
            "market": {}, "limit": {"limit_price": price}, "stop": {"stop_price": price},
            "stop_limit": {"stop_price": price, "limit_price": price}, "trailing_stop": {"trail_pct": D("0.01")},
        }[kind]  # fmt: skip
        try:
            sent.append(broker.submit(order(side, qty, kind, id=f"c{n}", symbol=symbol, tif=tif, **prices)))
        except Exception as error:
            assert "insufficient" in str(error)
    cancelled = False
    for moment in [*sorted(stops), at("9:38"), at("16:00")]:
        if moment >= at("9:38") and not cancelled and len(sent) > 1:
            clock.set(at("9:38"))
            broker.cancel(sent[1].broker_order_id)
            cancelled = True
        clock.set(moment)
        broker.open_orders()
    fills = [(f.broker_fill_id, f.at, f.qty, f.price, f.fee) for f in broker.fills_since(at("11 0:00"))]
    orders = [(o.broker_order_id, o.status, o.filled_qty, o.updated_at) for o in broker.orders_since(at("11 0:00"))]
    account, held = broker.account(), {p.symbol: p.qty for p in broker.positions()}
    signed = [(f.symbol, f.side, f.qty, f.price, f.fee) for f in broker.fills_since(at("11 0:00"))]
    used: Counter[tuple[str, datetime]] = Counter()
    for fill in broker._books.fills("TRUE"):
        used[fill.symbol, fill.bar_start] += fill.qty
    broker.close()
    return fills, orders, account.cash, held, signed, used


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tapes(), st.lists(REQUESTS, min_size=1, max_size=6), st.lists(st.integers(0, 800), max_size=6))
def test_catching_up_in_one_step_or_in_many_is_the_same_and_cash_foots(bars, requests, seconds):
    stops = [at("9:35") + timedelta(seconds=s) for s in seconds]
    with TemporaryDirectory() as folder:
        once = play(Path(folder) / "once", bars, requests, [])
        often = play(Path(folder) / "often", bars, requests, stops)
    assert once == often
    _, _, cash, held, signed, used = once
    moved = sum(((q * p if side == "sell" else -q * p) - fee for _, side, q, p, fee in signed), D(0))
    assert cash == D(100000) + moved
    for symbol, start in (("AAPL", 200), ("MSFT", 300)):
        net = sum((q if side == "buy" else -q for s, side, q, _, _ in signed if s == symbol), D(0))
        assert held.get(symbol, D(0)) == start + net >= 0
    for (symbol, start), qty in used.items():
        assert qty <= next(b.volume for b in bars if b.symbol == symbol and b.start == start) / 10
