"""One renderer: table, JSON, JSON lines, CSV."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal as D

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradekit.commands import _output
from tradekit.commands._output import as_array, as_csv, as_object, as_table, csv_cell, human, plain, show
from tradekit.model import Halt, Session

AT = datetime(2026, 2, 13, 14, 35, tzinfo=UTC)
HALT = Halt(id="h-1", at=AT, kind="manual", reason="lunch", flatten=False, by="me")


@pytest.mark.parametrize(("value", "text"), [
    (D("1E+2"), "100"), (D("1.50"), "1.5"), (D("0.00000001"), "0.00000001"), (D("-0"), "0"), (D("NaN"), "null"),
    (0.1 + 0.2, "0.3"), (float("nan"), "null"), (float("inf"), "null"), (2.0, "2.0"), (1 / 3, "0.333333333333"),
    (AT, '"2026-02-13T14:35:00Z"'),
    (datetime(2026, 2, 13, 9, 35, tzinfo=timezone(timedelta(hours=-5))), '"2026-02-13T14:35:00Z"'),
    (date(2026, 2, 13), '"2026-02-13"'), (None, "null"), (True, "true"), ("a\nb", '"a\\nb"'),
    ({"a": D("1.0")}, '{"a":1}'),
    ([D(1), None], "[1,null]"), (Session(date(2026, 2, 13), AT, AT, False).half, "false"),
])  # fmt: skip
def test_values_as_json(value, text):
    assert as_object({"x": value}) == f'{{"x":{text}}}'


def test_json_is_one_array_and_one_object_for_a_single_record(capsys):
    show([HALT, HALT], "json")
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["h-1", "h-1"]
    show([], "json")
    assert capsys.readouterr().out == "[]\n"
    show(HALT, "json")
    assert json.loads(capsys.readouterr().out)["cleared_at"] is None
    show([HALT, HALT], "jsonl")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_dry_run_says_so_in_every_record(capsys):
    show([HALT], "json", dry_run=True)
    assert json.loads(capsys.readouterr().out)[0]["dry_run"] is True


def test_an_empty_table_is_talk_not_data(capsys):
    show([], "table", empty="no orders")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no orders\n")


def test_quiet_is_quiet(capsys, monkeypatch):
    monkeypatch.setattr(_output, "quiet", True)
    show([], "table", empty="no orders")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("value", "cell"), [
    ("=1+1", "'=1+1"), ("+cmd", "'+cmd"), ("-x", "'-x"), ("@x", "'@x"), ("\t=1", "'=1"), ("-5", "-5"), ("+1.5", "+1.5"),
    (D("-5"), "-5"), (-0.5, "-0.5"), ("a,b", '"a,b"'), ('say "x"', '"say ""x"""'), ("a\nb\x1b[31m", "a b [31m"),
    (None, ""), (True, "true"), ({"a": 1}, '"{""a"":1}"'), (AT, "2026-02-13T14:35:00Z"), ("-inf", "'-inf"),
])  # fmt: skip
def test_cells_of_csv(value, cell):
    assert csv_cell(value) == cell


@settings(max_examples=100)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), st.text(), min_size=2), min_size=1, max_size=3))
def test_no_text_runs_as_a_formula_or_breaks_a_line(rows):
    read = list(csv.reader(io.StringIO(as_csv(rows), newline="")))
    assert len(read) == len(rows) + 1
    for cell in (c for row in read[1:] for c in row if c[:1] in tuple("=+-@")):
        float(cell)


@settings(max_examples=100)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**15), max_value=10**15))
def test_a_decimal_keeps_its_value(x):
    assert D(plain(x)) == x
    assert "E" not in plain(x).upper()


def test_a_table_aligns_numbers_to_the_right():
    rows = [{"symbol": "A", "price": D("1.5")}, {"symbol": "LONG", "price": D("100")}]
    assert as_table(rows) == "symbol  price\nA         1.5\nLONG      100\n"


@pytest.mark.parametrize(("value", "name", "text"), [
    (D("123.456789"), "price", "123.4568"), (D("0.000123456"), "price", "0.0001235"),
    (D("1.23456789"), "qty", "1.23456789"),
    (0.1 + 0.2, "", "0.3"), (None, "", "-"), (True, "", "yes"), ("a\x1b[31mb", "", "a [31mb"),
])  # fmt: skip
def test_cells_of_a_table(value, name, text):
    assert human(value, name) == text


def test_an_array_has_a_record_a_line():
    assert as_array([{"a": 1}, {"a": 2}]) == '[\n{"a":1},\n{"a":2}\n]\n'
