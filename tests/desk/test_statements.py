"""Statements of several brokers as fills; real ones from ../shared/truth where they are there."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.make import D
from tradekit.desk.statements import parse_columns, read_statement
from tradekit.errors import UsageError

TRUTH = Path(__file__).resolve().parents[3] / "shared" / "truth"
NEW_YORK = ZoneInfo("America/New_York")
needs_truth = pytest.mark.skipif(not TRUTH.is_dir(), reason="../shared/truth is not here")


def read(text, **more):
    return read_statement(text, zone=NEW_YORK, **more)


@needs_truth
def test_a_real_statement_through_the_command_has_the_broker_s_profit(new_desk, line):
    home, file = new_desk(), TRUTH / "ibkr_paper_fills_2023.csv"
    first = json.loads(line("data", "import-fills", file, "--json", "-C", home).stdout)
    assert (first[0]["fills"], first[0]["new"], first[0]["symbols"]) == (208, 208, 60)
    assert json.loads(line("data", "import-fills", file, "--json", "-C", home).stdout)[0]["new"] == 0
    trades = json.loads(line("trades", "--json", "-C", home).stdout)
    assert sum(trade["net"] for trade in trades) == pytest.approx(184.826334, abs=0.01)
    assert json.loads(line("positions", "--json", "-C", home).stdout) == []
    lots = line("export", "tax-lots", "--asset-class", "none", "--json", "-C", home)
    assert lots.returncode == 0
    assert sum(lot["gain"] for lot in json.loads(lots.stdout)) == pytest.approx(184.826334, abs=0.01)


@needs_truth
def test_schwab_s_export():
    found = read((TRUTH / "exports" / "schwab_2023_transactions.csv").read_text())
    assert (found.kind, len(found.fills), found.left_out["moneylink transfer"]) == ("schwab", 6, 1)
    first = found.fills[0]
    assert (first.symbol, first.side, first.qty, first.price, first.fee) == (
        "BAR",
        "buy",
        300,
        D("135.0075"),
        D("1.34"),
    )


@needs_truth
def test_ibkr_s_transaction_history():
    found = read((TRUTH / "exports" / "interactive_brokers_test_basic.csv").read_text())
    buys = [fill for fill in found.fills if fill.symbol == "CNX1"]
    assert [(f.side, f.qty, f.price, f.fee) for f in buys] == [("buy", 4, 1000, 3), ("sell", 2, 1001, 3)]
    assert found.left_out["dividend"] == 1


def test_an_activity_statement():
    text = (
        "Statement,Header,Field Name,Field Value\n"
        "Trades,Header,DataDiscriminator,Asset Category,Currency,Symbol,Date/Time,Quantity,T. Price,Proceeds,Comm/Fee\n"
        'Trades,Data,Order,Stocks,USD,AAPL,"2026-02-13, 09:35:00",-10,"1,100.5",11005,-0.35\n'
        "Trades,Data,SubTotal,Stocks,USD,AAPL,,-10,,11005,-0.35\n"
    )
    found = read(text)
    (fill,) = found.fills
    assert (fill.side, fill.qty, fill.price, fill.fee) == ("sell", 10, D("1100.5"), D("0.35"))
    assert fill.at == datetime(2026, 2, 13, 14, 35, tzinfo=UTC)


def test_a_flex_report_and_its_rebate():
    text = (
        '<FlexQueryResponse><Trades><Trade symbol="AAPL" dateTime="20260213;093500" buySell="BUY" quantity="10" '
        'tradePrice="100" ibCommission="0.10" ibCommissionCurrency="USD" tradeID="7" levelOfDetail="EXECUTION"/>'
        '<Trade symbol="AAPL" dateTime="20260213;093500" buySell="BUY" quantity="10" tradePrice="100" '
        'ibCommission="0.10" tradeID="" levelOfDetail="ORDER"/></Trades></FlexQueryResponse>'
    )
    (fill,) = read(text).fills
    assert (fill.broker_fill_id, fill.qty, fill.fee) == ("ibkr-flex-7", 10, D("-0.10"))  # money back
    with pytest.raises(UsageError):
        read('<!DOCTYPE x [<!ENTITY a "b">]><x/>')


def test_alpaca_s_activities():
    rows = [
        {"activity_type": "FILL", "id": "a::1", "transaction_time": "2026-02-13T14:35:00.5Z", "symbol": "AAPL",
         "side": "sell_short", "qty": "3", "price": "100.1"},
        {"activity_type": "DIV", "id": "d", "net_amount": "1"},
    ]  # fmt: skip
    found = read(json.dumps(rows))
    assert [(f.side, f.qty, f.price) for f in found.fills] == [("sell", 3, D("100.1"))]
    assert found.left_out == {"DIV": 1}


def test_kraken_s_ledgers():
    text = (
        '"txid","refid","time","type","subtype","aclass","asset","amount","fee","balance"\n'
        '"L1","T1","2026-02-13 14:35:00","trade","","currency","ZUSD","-100.00","0.26","0"\n'
        '"L2","T1","2026-02-13 14:35:00","trade","","currency","XXBT","0.002","0","0"\n'
        '"L3","D1","2026-02-13 14:35:00","deposit","","currency","ZUSD","100.00","0","0"\n'
    )
    found = read(text)
    (fill,) = found.fills
    assert (fill.symbol, fill.side, fill.qty, fill.price, fill.fee) == ("BTC/USD", "buy", D("0.002"), 50000, D("0.26"))
    assert fill.at == datetime(2026, 2, 13, 14, 35, tzinfo=UTC)
    assert found.left_out == {"deposit": 1}


def test_a_plain_csv_with_a_map():
    same = "2026-02-13 09:35:00,aapl,10,100\n"
    text = f"When,What,How many,Each\n{same}{same}2026-02-13,aapl,-5,101\n"
    columns = parse_columns(["at=When", "symbol=What", "qty=How many", "price=Each"])
    fills = read(text, columns=columns).fills
    assert [(f.symbol, f.side, f.qty) for f in fills] == [("AAPL", "buy", 10), ("AAPL", "buy", 10), ("AAPL", "sell", 5)]
    assert len({fill.id for fill in fills}) == 3  # equal rows are two fills
    for words in (["x=y"], ["qty"]):
        with pytest.raises(UsageError):
            parse_columns(words)
    with pytest.raises(UsageError, match="no such column"):
        read(text, columns={"qty": "Nope"})
    with pytest.raises(UsageError, match="row 1"):
        read("symbol,side,qty,price,date\nAAPL,buy,1,dear,2026-02-13\n")
    with pytest.raises(UsageError, match="not a time"):
        read("symbol,side,qty,price,date\nAAPL,buy,1,10,soon\n")


ZONES = ("America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
changes = st.sampled_from(
    [
        datetime(2026, 3, 8, 2),
        datetime(2026, 11, 1, 1),
        datetime(2026, 10, 4, 2),
        datetime(2011, 12, 30),
        datetime(2026, 10, 25),
    ]
)
walls = st.one_of(
    st.datetimes(datetime(1980, 1, 1), datetime(2050, 1, 1)),
    st.builds(lambda at, seconds: at + timedelta(seconds=seconds), changes, st.integers(-90_000, 90_000)),
)


@given(st.sampled_from(ZONES), st.lists(walls, min_size=1, max_size=8))
def test_times_in_a_zone_are_those_that_the_zone_says(zone, times):
    """Offsets are looked up once an hour; days of change, half-hour shifts and a day that never was included."""
    here = ZoneInfo(zone)
    text = "id,date,symbol,side,qty,price\n"
    text += "".join(f"{n},{wall.isoformat(' ')},AAPL,buy,1,10\n" for n, wall in enumerate(times))
    text += "".join(f"z{n},{wall.isoformat()}Z,AAPL,buy,1,10\n" for n, wall in enumerate(times))
    expected = {f"csv-{n}": wall.replace(tzinfo=here).astimezone(UTC) for n, wall in enumerate(times)}
    expected |= {f"csv-z{n}": wall.replace(tzinfo=UTC) for n, wall in enumerate(times)}
    fills = read_statement(text, zone=here).fills
    assert {fill.broker_fill_id: fill.at for fill in fills} == expected
    assert all(fill.session == fill.at.astimezone(here).date() for fill in fills)
    assert fills == sorted(fills, key=lambda fill: fill.at)


def test_cells_may_be_missing_too_many_or_elsewhere():
    text = (
        " Trade_ID , ID ,Date,Symbol,Side,Qty,Price,Commission\n"
        "7,8,2026-02-13 09:35:00,AAPL,buy,1,$10.50\n"  # no commission
        ",9,2026-02-13 09:36:00, aapl ,SOLD ,(2),10,-0.35,what,else\n\n"  # one id is empty; then a blank line
        ",,2026-02-13 09:37:00,AAPL,buy,1,10,0.2\n"
        "1,,2026-02-13 09:38:00,-,buy,1,10,0.2\n"
        "1,,2026-02-13 09:38:00,AAPL,dividend,1,10,0.2\n"
    )
    found = read(text)
    ids = [fill.broker_fill_id for fill in found.fills]
    assert ids[:2] == ["csv-8", "csv-9"]
    assert len(ids[2]) == len("csv-") + 16  # a name from the row itself
    assert [(f.side, f.qty, f.price, f.fee) for f in found.fills] == [
        ("buy", 1, D("10.5"), 0),
        ("sell", 2, 10, D("0.35")),
        ("buy", 1, 10, D("0.2")),
    ]
    assert found.left_out == {"buy": 1, "dividend": 1}


def test_a_bad_row_at_the_end_of_a_file_books_nothing(new_desk, line, tmp_path):
    home, file = new_desk(), tmp_path / "fills.csv"
    rows = [f"{n},2026-02-13 09:35:{n:02d},AAPL,buy,1,10" for n in range(40)]
    for bad in ("x,2026-02-13 09:36:00,AAPL,buy,1,0", "x,soon,AAPL,buy,1,10"):
        file.write_text("id,date,symbol,side,qty,price\n" + "\n".join([*rows, bad]) + "\n")
        done = line("data", "import-fills", file, "-C", home)
        assert (done.returncode, "row 41" in done.stderr) == (2, True)
        assert json.loads(line("positions", "--json", "-C", home).stdout) == []
