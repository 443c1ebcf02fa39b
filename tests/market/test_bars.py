"""The bar file: blobs in, blobs out, one transaction, conflicts refused."""

import sqlite3

import numpy as np
import pytest

from tests.market.tape import DAY, flat, new_store, put, put_daily, rows
from tradekit.errors import Busy, Findings, StoreError
from tradekit.market.bars import BarStore, Series, doubles

TODAY = DAY.isoformat()


@pytest.fixture
def store(tmp_path):
    with new_store(tmp_path) as store:
        yield store


def stored(store, symbol="AAPL"):
    return np.array(doubles(store.intraday(symbol, TODAY)[0][2])).reshape(-1, 6)


def test_bars_come_back_as_they_went_in(store):
    put(store, "AAPL", {"9:30": (10, 12, 9, 11, 500), "9:31": 11.5})
    assert (stored(store) == rows({"9:30": (10, 12, 9, 11, 500), "9:31": 11.5})).all()
    assert store.series() == [Series("file", 60, "AAPL", TODAY, TODAY, 1, 2, 1)]


def test_a_second_import_of_the_same_bars_writes_nothing(store):
    put(store, "AAPL", {"9:30": 10, "9:31": 11})
    before, stamp = store.path.read_bytes(), store.series()
    with store.writing() as writer:
        writer.intraday("file", 60, "AAPL", TODAY, rows({"9:30": 10, "9:31": 11}))
    assert (writer.known, writer.added, writer.changed) == (2, 0, False)
    assert store.path.read_bytes() == before and store.series() == stamp


def test_new_minutes_join_the_session_in_order_and_bump_the_version(store):
    put(store, "AAPL", {"9:30": 10, "9:33": 13})
    put(store, "AAPL", {"9:31": 11, "9:32": 12})
    assert stored(store)[:, 4].tolist() == [10, 11, 12, 13]
    assert store.series()[0][5:] == (1, 4, 2)  # sessions, bars, version


def test_a_bar_that_differs_is_refused_unless_it_is_to_be_replaced(store):
    put(store, "AAPL", {"9:30": 10, "9:31": 11})
    with pytest.raises(Findings, match="1 bars differ .* AAPL of 2026-02-13"):
        put(store, "AAPL", {"9:31": 11.01, "9:32": 12})
    assert stored(store)[:, 4].tolist() == [10, 11]
    with store.writing(replace=True) as writer:
        writer.intraday("file", 60, "AAPL", TODAY, rows({"9:31": 11.01, "9:32": 12}))
    assert stored(store)[:, 4].tolist() == [10, 11.01, 12]
    assert (writer.replaced, writer.added) == (1, 1)


def test_sources_and_timeframes_do_not_mix(store):
    put(store, "AAPL", {"9:30": 10})
    put(store, "AAPL", {"9:30": 10.5}, source="other")
    put(store, "AAPL", {"9:30": 10.2}, seconds=300)
    found = [(seconds, source) for seconds, source, _ in store.intraday("AAPL", TODAY)]
    assert found == [(60, "file"), (60, "other"), (300, "file")]


def test_what_breaks_in_the_middle_leaves_nothing_behind(store):
    with pytest.raises(KeyboardInterrupt), store.writing() as writer:
        writer.intraday("file", 60, "AAPL", TODAY, rows({"9:30": 10}))
        raise KeyboardInterrupt
    assert store.series() == [] and store.axis() == {} and store.intraday("AAPL", TODAY) == []
    put(store, "MSFT", {"9:30": 10})
    assert store.axis() == {"MSFT": 0}


def test_a_new_symbol_lengthens_later_days_only(store):
    put_daily(store, "AAPL", [10, 11])
    put_daily(store, "MSFT", [50])
    lengths = [len(blob) // 8 for _, blob in store.daily("file", "close", "2026-02-01", TODAY)]
    assert lengths == [1, 2]
    assert store.series("MSFT")[0].bars == 1


def test_a_daily_conflict_is_refused_and_a_new_symbol_of_that_day_is_not(store):
    put_daily(store, "AAPL", [10])
    put_daily(store, "MSFT", [50])
    with pytest.raises(Findings, match="AAPL of 2026-02-12"):
        put_daily(store, "AAPL", [10.5])


def test_prices_survive_to_the_last_bit(store):
    put(store, "BTC/USD", {"9:30": 0.1 + 0.2, "9:31": 731412.37})
    assert stored(store, "BTC/USD")[:, 4].tolist() == [0.1 + 0.2, 731412.37]


def test_a_missing_file_reads_as_an_empty_store(tmp_path):
    with BarStore(tmp_path / "none.db") as store:
        assert store.series() == [] and store.keys(TODAY) == []
    assert not (tmp_path / "none.db").exists()


def test_a_new_file_is_private(store):
    assert store.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"not a database, but long enough to look at" * 30, None])
def test_a_file_that_is_no_bar_store_is_refused(tmp_path, content):
    path = tmp_path / "bars.db"
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE orders (id)")
        db.close()
    else:
        path.write_bytes(content)
    for create in (False, True):
        with pytest.raises(StoreError):
            BarStore(path, create=create)


def test_a_newer_file_is_refused(store):
    db = sqlite3.connect(store.path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        BarStore(store.path)


def test_a_second_import_at_the_same_time_is_busy(store):
    other = BarStore(store.path, create=True)
    other._db.execute("PRAGMA busy_timeout = 1")
    with store.writing(), pytest.raises(Busy), other.writing():
        pass
    other.close()


def test_a_reader_sees_that_the_file_has_changed(store):
    with BarStore(store.path) as reader:
        before = reader.stamp()
        assert reader.stamp() == before
        put(store, "AAPL", {"9:30": 10})
        assert reader.stamp() != before
        with pytest.raises(StoreError, match="reading"), reader.writing():
            pass


def test_a_prefix_holds_every_bar_that_has_ended(store):
    """The cut in SQL counts as if no bar were missing: never too short."""
    put(store, "AAPL", flat(DAY)[[0, 1, 5, 6, 300]])
    [key] = store.keys(TODAY)
    for until in range(400):
        end = int(key.first_s) + 60 * until
        got = len(store.blobs(TODAY, [key], end)[0]) // 48
        assert got >= (stored(store)[:, 0] + 60 <= end).sum()


def test_the_summary_names_sessions_and_bars(store):
    put(store, "AAPL", {"9:30": 10, "9:31": 11})
    put(store, "MSFT", {"9:30": 10})
    put_daily(store, "AAPL", [10, 11])
    daily, minutes = sorted(store.summary(), key=lambda row: -row["timeframe"])
    assert (daily["symbols"], daily["sessions"], daily["bars"], daily["first"]) == (1, 2, 2, "2026-02-11")
    assert (minutes["symbols"], minutes["sessions"], minutes["bars"], minutes["last"]) == (2, 1, 3, TODAY)
