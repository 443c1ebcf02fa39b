import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import make
from tests.make import D, at
from tradekit.errors import UsageError
from tradekit.model import Mark
from tradekit.money import plain, real
from tradekit.store import schema
from tradekit.store.positions import Positions
from tradekit.store.rows import codec, time_of, time_text
from tradekit.store.table import Table

RECORDS = [
    (name, maker)
    for name, maker in vars(make).items()
    if name.startswith("make_") and name not in ("make_session", "make_bar", "make_quote", "make_position")
]


def test_times_sort_as_text():
    times = [at(0), at(0) + timedelta(microseconds=1), at(0) + timedelta(milliseconds=500), at(0, 1)]
    assert sorted(time_text(t) for t in times) == [time_text(t) for t in times]
    assert time_text(at(0)) == "2026-02-13T14:30:00.000000Z"
    east = datetime(2026, 2, 13, 9, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert time_text(east) == "2026-02-13T14:30:00.000000Z"
    assert time_of("2026-02-13T14:30:00.500000Z") == datetime(2026, 2, 13, 14, 30, 0, 500_000, tzinfo=UTC)


def tables(store):
    return {table.kind: table for table in vars(store).values() if isinstance(table, Table)}


@pytest.mark.parametrize(("name", "maker"), RECORDS)
def test_every_record_comes_back_as_it_was(store, name, maker):
    record = maker()
    table = tables(store)[type(record)]
    store.db.run("PRAGMA foreign_keys = 0")
    if name == "make_mark":
        store.marks.save([record])
    elif name == "make_adjustment":
        store.book_adjustment(record)
    elif name == "make_fill":
        store.book_fill(record)
    else:
        assert table.add(record) is True
        assert table.add(record) is (name == "make_account")  # an account row of the same instant is written again
    assert table.all() == [record]


def test_every_field_has_a_column(store):
    for kind, table in tables(store).items():
        columns = {row[1] for row in store.db.rows(f"PRAGMA table_info({table.name})")}
        if isinstance(table, Positions):
            columns |= {"target_hit", "high", "low", "last_price", "unrealized"}  # of its mark
        assert set(kind.__struct_fields__) <= columns, table.name


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**8), max_value=10**8))
def test_fifteen_digits_survive_the_disk(price):
    from tradekit.money import dec, real

    assert dec(real(price)) == price


def test_more_than_fifteen_digits_are_refused(store):
    with pytest.raises(UsageError, match="more than 15 significant digits"):
        store.orders.add(make.make_order(limit_price="100.123456789012345678"))


def test_filters_and_limits(store):
    store.events.add_many(make.make_event(id=str(n), at=at(n), symbol="AAPL" if n % 2 else "MSFT") for n in range(6))

    def ids(**asked):
        return [event.id for event in store.events.all(**asked)]

    assert ids(symbol="AAPL") == ["1", "3", "5"]
    assert ids(since=at(2), until=at(4)) == ["2", "3"]  # until is not included
    assert ids(as_of=at(2)) == ["0", "1", "2"]  # as of is
    assert ids(limit=2) == ["4", "5"]
    assert ids(session=date(2026, 2, 14)) == []


def test_the_schema_page_names_every_column():
    page = schema.markdown()
    for table in re.findall(r"CREATE TABLE (\w+)", schema.ddl()):
        assert f"\n## {table}\n" in page
    assert "| client_order_id | `TEXT NOT NULL UNIQUE` | what the venue gets |" in page
    assert not re.search(r"^\| \w+ \| `[^`]*--", page, re.M)


def test_nan_is_unknown(store):
    store.scans.add(make.make_scan())
    store.candidates.add(make.make_candidate(score=float("nan"), features={"roc": float("nan")}))
    found = store.candidates.all()[0]
    assert found.score is None
    assert found.features == {"roc": None}


def test_decimals_of_the_maker_are_decimals():
    assert make.make_fill(price="100.25").price == D("100.25")
    assert isinstance(make.make_order().qty, Decimal)


numbers = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**8), max_value=10**8),
    st.sampled_from([D(0), D("-0"), D("1E+2"), D("0.1"), D("1e-300"), D("1e300"), D("1234567890.12345"), D("1E-400")]),
    st.sampled_from([D("1.2345678901234567"), D("NaN"), D("1e400")]),  # no double holds those
)
zones = st.sampled_from([UTC, ZoneInfo("Asia/Tokyo")])
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=zones)


@given(st.lists(st.tuples(numbers, numbers, moments, st.one_of(st.none(), numbers)), max_size=5))
def test_many_rows_at_once_are_the_rows_one_by_one(facts):
    """Columns are converted as a whole: the same values, the same refusals."""
    marks = [
        make.make_mark(position_id=str(n), last_price=a, high=b, at=when, judged_to=at(n), low=c, target_hit=n % 2 == 0)
        for n, (a, b, when, c) in enumerate(facts)
    ]
    own = codec(Mark)
    try:
        expected = [own.row(mark) for mark in marks]
    except UsageError:
        with pytest.raises(UsageError, match="more than 15"):
            own.rows(marks)
        return
    assert repr(own.rows(marks)) == repr(expected)


@given(numbers)
def test_a_number_is_refused_where_its_double_is_another_one(number):
    value = float(number)
    if Decimal(repr(value)) == number:
        assert real(number) == value
    else:
        with pytest.raises(UsageError, match="more than 15"):
            real(number)


@given(st.integers(-(10**20), 10**20), st.integers(-12, 6))
def test_plain_numbers_have_neither_zeros_at_the_end_nor_an_exponent(digits, exponent):
    shown = plain(D(digits).scaleb(exponent))
    assert shown == D(digits).scaleb(exponent)
    assert "E+" not in str(shown)
    assert "." not in str(shown) or "E" in str(shown) or not str(shown).endswith("0")
