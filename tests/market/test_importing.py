"""Files in: each fault of faults.md 4.3 that a file can carry, injected once."""

import builtins
import random
from datetime import UTC, date, datetime

import numpy as np
import pytest

from tests.market.tape import CALENDAR, DAY, NOW, SHARED, et, market, needs_shared, new_store
from tradekit.calendar import AllDayCalendar
from tradekit.errors import Findings, MissingExtra, UsageError
from tradekit.market.bars import doubles
from tradekit.market.files import read
from tradekit.market.importing import import_files, read_files, span

HEADER = "symbol,ts,open,high,low,close,volume"


@pytest.fixture
def store(tmp_path):
    with new_store(tmp_path) as store:
        yield store


def lines(count=100, symbol="AAPL", start="2026-02-13T14:30:00Z", step=60, price=10.0):
    """Good bars, one a step."""
    first = datetime.fromisoformat(start)
    out = []
    for k in range(count):
        at = datetime.fromtimestamp(first.timestamp() + step * k, UTC)
        out.append(f"{symbol},{at:%Y-%m-%dT%H:%M:%SZ},{price},{price + 1},{price - 1},{price},{100 + k}")
    return out


def write(tmp_path, rows, name="bars.csv", header=HEADER):
    path = tmp_path / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def load(store, paths, timeframe="1m", calendar=CALENDAR, zone=None, replace=False, now=NOW, dry_run=False):
    paths = paths if isinstance(paths, list) else [paths]
    tables = read_files(paths, timeframe, zone)
    return import_files(
        store, tables, calendar, timeframe=timeframe, source="file", replace=replace, now=now, dry_run=dry_run
    )


def closes(store, symbol="AAPL", day=DAY):
    return np.array(doubles(store.intraday(symbol, day.isoformat())[0][2])).reshape(-1, 6)[:, 4].tolist()


def test_columns_are_found_by_name_and_others_ignored(store, tmp_path):
    path = write(
        tmp_path, ["1,12,AAPL,2026-02-13T14:30:00Z,9,10,11,100"], header="n,High,Symbol,TS,low,open,close,volume"
    )
    [row] = load(store, path)
    assert (row.bars, row.symbols, row.sessions, row.dropped, row.first) == (1, 1, 1, {}, DAY)
    bar = market(store).last("AAPL", et(10))
    assert (bar.open, bar.high, bar.low, bar.close, bar.volume) == (10, 12, 9, 11, 100)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [(f, v, "price") for f in (2, 3, 4, 5) for v in ("NaN", "inf", "-1", "0", "", "ten")]
    + [(6, v, "volume") for v in ("NaN", "inf", "-1", "", "many")]
    + [(3, "9.9", "high-low"), (4, "10.1", "high-low"), (0, "aapl", "symbol"), (0, "", "symbol"), (0, "=A1", "symbol")]
    + [(1, "yesterday", "time"), (1, "", "time"), (1, "2026-02-13T14:30:00.250Z", "time")]
    + [(1, "2026-02-13T14:30:30Z", "off-grid"), (1, "2026-02-14T15:00:00Z", "no-session")],
)
def test_a_bad_row_is_dropped_and_counted_and_the_others_stay(store, tmp_path, field, value, reason):
    rows = lines(100)
    bad = rows[50].split(",")
    bad[field] = value
    rows[50] = ",".join(bad)
    [row] = load(store, write(tmp_path, rows))
    assert row.dropped == {reason: 1} and row.bars == 99 and len(closes(store)) == 99


def test_too_many_bad_rows_refuse_the_whole_file(store, tmp_path):
    rows = lines(94) + ["AAPL,2026-02-13T17:00:00Z,NaN,1,1,1,1"] * 6
    with pytest.raises(Findings, match=r"6 of 100 rows are no bars \(price 6\)"):
        load(store, write(tmp_path, rows))
    assert store.series() == []


def test_disorder_and_repeats_give_the_same_bars(store, tmp_path):
    rows = lines(60) + lines(60, symbol="MSFT")
    shuffled = rows + rows[10:20]
    random.Random(1).shuffle(shuffled)
    [row] = load(store, write(tmp_path, shuffled))
    assert row.dropped == {"duplicate": 10} and row.disordered > 10 and row.bars == 120
    assert load(store, write(tmp_path, rows))[0].known == 120


def test_a_bar_that_is_there_twice_with_different_values_refuses_the_file(store, tmp_path):
    rows = lines(60)
    with pytest.raises(Findings, match="1 bars are there twice .* AAPL of 2026-02-13"):
        load(store, write(tmp_path, [*rows, rows[7][:-1] + "99"]), replace=True)


def test_a_conflict_with_stored_bars_refuses_all_files(store, tmp_path):
    load(store, write(tmp_path, lines(60)))
    other = write(tmp_path, lines(60, symbol="MSFT"), "other.csv")
    changed = write(tmp_path, lines(60, price=10.5), "changed.csv")
    with pytest.raises(Findings, match="60 bars differ"):
        load(store, [other, changed])
    assert [s.symbol for s in store.series()] == ["AAPL"] and closes(store)[0] == 10
    assert [r.replaced for r in load(store, [other, changed], replace=True)] == [0, 60]
    assert closes(store) == [10.5] * 60


@pytest.mark.parametrize(
    ("step", "timeframe", "message"),
    [
        (300, "1m", "300 s apart"),
        (60, "5m", "off-grid"),
        (3600, "5m", "3600 s apart"),
        (300, "1h", "off-grid"),
        (1800, "1h", "1800 s apart"),
        (60, "1d", "not-a-date"),
        (120, "1m", "120 s apart"),
    ],
)
def test_bars_of_another_timeframe_are_refused(store, tmp_path, step, timeframe, message):
    with pytest.raises(Findings, match=message):
        load(store, write(tmp_path, lines(40, step=step)), timeframe, AllDayCalendar())


def test_one_symbol_of_another_timeframe_is_found_among_many(store, tmp_path):
    rows = [row for k in range(5) for row in lines(100, symbol=f"S{k}")] + lines(30, symbol="SLOW", step=300)
    with pytest.raises(Findings, match="SLOW: bars are 300 s apart"):
        load(store, write(tmp_path, rows))


def test_a_thin_symbol_with_missing_minutes_is_fine(store, tmp_path):
    [row] = load(store, write(tmp_path, lines(300)[::7] + lines(300)[3:4] + lines(390, symbol="MSFT")))
    assert row.dropped == {} and row.symbols == 2


def test_unfinished_bars_wait(store, tmp_path):
    [row] = load(store, write(tmp_path, lines(10)), now=et(9, 37, DAY))
    assert row.dropped == {"unfinished": 3} and row.bars == 7
    assert load(store, write(tmp_path, lines(10)))[0].bars == 3
    day = write(tmp_path, ["AAPL,2026-02-13,10,10,10,10,5", "AAPL,2026-02-12,10,10,10,10,5"], "d.csv")
    assert load(store, day, "1d", now=et(15, 59))[0].dropped == {"unfinished": 1}
    assert load(store, day, "1d", now=et(16))[0].bars == 1


def test_a_file_of_the_future_is_refused(store, tmp_path):
    with pytest.raises(Findings, match="no finished bar"):
        load(store, write(tmp_path, lines(10)), now=et(9, 0))


def test_weekends_are_no_sessions_of_an_exchange_and_are_of_a_24_7_desk(store, tmp_path):
    rows = lines(60, start="2026-02-14T15:00:00Z", symbol="BTC/USD")
    with pytest.raises(Findings, match="no-session 60"):
        load(store, write(tmp_path, rows))
    assert load(store, write(tmp_path, rows), calendar=AllDayCalendar())[0].sessions == 1


def test_the_session_is_the_exchanges_date(store, tmp_path):
    rows = [
        "AAPL,2026-02-13T00:59:00Z,10,10,10,10,1",  # 19:59 of the 12th in New York
        "AAPL,2026-02-13T09:00:00Z,11,11,11,11,1",  # 04:00 of the 13th
    ]
    load(store, write(tmp_path, rows))
    assert store.sessions("AAPL") == ["2026-02-12", "2026-02-13"]


@pytest.mark.parametrize(
    ("first", "zone"),
    [
        ("2026-02-13 09:30:00", "America/New_York"),
        ("2026-02-13T23:30:00", "Asia/Tokyo"),
        ("2026-02-13T14:30", "UTC"),
        ("2026-02-13T09:30:00-05:00", None),
        ("2026-02-13 14:30:00+0000", None),
        ("2026-02-13T14:30:00.000Z", None),
        ("1770993000", None),
        ("1770993000000", None),
        ("1770993000000000", None),
    ],
)
def test_times_in_every_way_they_are_written(store, tmp_path, first, zone):
    load(store, write(tmp_path, [f"AAPL,{first},10,10,10,10,1"]), zone=zone)
    assert market(store).last("AAPL", et(12)).start == et(9, 30)


def test_times_without_a_zone_want_to_be_told(store, tmp_path):
    path = write(tmp_path, ["AAPL,2026-02-13 09:30:00,10,10,10,10,1"])
    with pytest.raises(UsageError, match="without a zone"):
        load(store, path)
    with pytest.raises(UsageError, match="Nowhere"):
        load(store, path, zone="Nowhere/City")
    both = write(tmp_path, ["A,2026-02-13 09:30:00,1,1,1,1,1", "A,2026-02-13T14:31:00Z,1,1,1,1,1"])
    with pytest.raises(UsageError, match="some have none"):
        load(store, both)


def test_an_hour_that_happens_twice_is_no_time(store, tmp_path):
    """01:30 on 2026-11-01 is two instants in New York; 02:30 on 2026-03-08 is none."""
    rows = [f"AAPL,2026-02-13 {9 + k // 60:02d}:{k % 60:02d}:00,10,10,10,10,1" for k in range(30, 90)]
    rows += ["AAPL,2026-11-01 01:30:00,10,10,10,10,1", "AAPL,2026-03-08 02:30:00,10,10,10,10,1"]
    assert load(store, write(tmp_path, rows), zone="America/New_York")[0].dropped == {"time": 2}


@pytest.mark.parametrize("label", ["2026-02-12", "2026-02-12T00:00:00Z", "2026-02-12 05:00:00+00:00", "1770854400"])
def test_a_daily_bar_carries_its_sessions_date(store, tmp_path, label):
    """00:00 UTC is a label; midnight in New York names the same date."""
    load(store, write(tmp_path, [f"AAPL,{label},10,10,10,10,1"]), "1d")
    assert store.daily_days("file") == ["2026-02-12"]


def test_a_ticker_named_na_is_no_missing_value(store, tmp_path):
    rows = lines(5, symbol="NA") + lines(5, symbol="TRUE") + lines(5, symbol="NULL")
    load(store, write(tmp_path, rows))
    assert sorted(store.axis()) == ["NA", "NULL", "TRUE"]


def test_prices_keep_every_digit(store, tmp_path):
    load(store, write(tmp_path, ["BTC/USD,2026-02-13T14:30:00Z,0.1,731412.37000000011,0.1,0.30000000000000004,1e-8"]))
    bar = market(store).last("BTC/USD", et(12))
    assert (bar.high, bar.close, bar.volume) == (731412.37000000011, 0.30000000000000004, 1e-8)


def test_a_high_that_is_out_by_a_rounding_is_put_right(store, tmp_path):
    load(store, write(tmp_path, ["AAPL,2026-02-13T14:30:00Z,10,10.999999999999,9,11,1"]))
    assert market(store).last("AAPL", et(12)).high == 11


def test_a_broken_parquet_file_was_called_a_broken_csv(store, tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"cut off before the magic bytes")
    with pytest.raises(UsageError, match="not a readable Parquet"):
        load(store, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable CSV"),
        (b"\x00\xff\xfe garbage \x80", "not a readable CSV|no column"),
        (b"PAR1 but not really", "not a readable Parquet"),
        (b"symbol,ts,open\n", "no column high, low, close, volume"),
        (b'symbol,ts,open,high,low,close,volume\n"unclosed,1\n', "not a readable CSV|rows are no bars"),
    ],
)
def test_files_that_cannot_be_read_say_so(store, tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises((UsageError, Findings), match=message):
        load(store, path)
    assert store.series() == []


def test_an_empty_table_and_a_missing_file_are_named(store, tmp_path):
    with pytest.raises(Findings, match="no rows"):
        load(store, write(tmp_path, []))
    with pytest.raises(UsageError, match="no such file"):
        load(store, tmp_path / "none.csv")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1....PAR1")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name, name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="pyarrow"):
        read(tmp_path / "x.parquet")


def test_a_wrong_source_name_is_refused(store, tmp_path):
    tables = read_files([write(tmp_path, lines(5))], "1m", None)
    with pytest.raises(UsageError, match="--source"):
        import_files(store, tables, CALENDAR, timeframe="1m", source="../x", replace=False, now=NOW)


def test_a_dry_run_counts_and_writes_nothing(store, tmp_path):
    assert load(store, write(tmp_path, lines(10)), dry_run=True)[0].bars == 10
    assert store.series() == [] and store.axis() == {}


def test_an_interrupted_import_leaves_nothing_half_written(store, tmp_path, monkeypatch):
    from tradekit.market import importing

    real, calls = importing.write, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(importing, "write", interrupted)
    paths = [write(tmp_path, lines(10, symbol=s), f"{s}.csv") for s in ("A", "B")]
    with pytest.raises(KeyboardInterrupt):
        load(store, paths)
    assert store.series() == [] and store.axis() == {}


def test_the_span_is_a_week_wider_than_the_times(tmp_path):
    tables = read_files([write(tmp_path, lines(10))], "1m", None)
    assert span(tables) == (date(2026, 2, 6), date(2026, 2, 20))
    assert span([]) is None


@needs_shared
def test_real_parquet_files_come_in_whole_and_once(store):
    path = SHARED / "market" / "us" / "m1_2026_mar.parquet"
    [row] = load(store, path)
    assert (row.rows, row.bars, row.symbols, row.sessions, row.dropped) == (46717, 46717, 40, 3, {})
    assert load(store, path)[0].known == 46717
    with pytest.raises(Findings, match="off-grid"):
        load(store, path, "5m")


@needs_shared
@pytest.mark.parametrize(("name", "timeframe"), [("h1_kraken_2019_2020", "1h"), ("d1_2024_26", "1d")])
def test_real_crypto_files_come_in_whole(store, name, timeframe):
    [row] = load(store, SHARED / "market" / "crypto" / f"{name}.parquet", timeframe, AllDayCalendar())
    assert row.bars == row.rows and row.dropped == {}
