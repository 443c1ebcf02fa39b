"""The equity as a picture: what is drawn where, and what happens with too little to draw."""

import io
import json
import struct
from datetime import date, timedelta

import pytest

from tests.reports.evening import all_desks
from tradekit.reports.picture import FALL, GRID, LINE, OTHER, EquityDay, equity_picture

FIRST = date(2026, 1, 5)


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))


def picture(equity, falls=(), benchmark=()):
    """The pixels of a chart, (x, y) -> colour, from its PNG."""
    from PIL import Image

    days = [
        EquityDay(FIRST + timedelta(days=i), value, falls[i] if falls else 0.0, benchmark[i] if benchmark else None)
        for i, value in enumerate(equity)
    ]
    png = equity_picture(days, title="desk", currency="USD", benchmark="SPY")
    return Image.open(io.BytesIO(png)).convert("RGB")


def columns(image, colour, top=0, bottom=640):
    """x -> mean y of a colour's pixels between two heights."""
    wanted = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
    found = {}
    pixels = image.load()
    for x in range(image.width):
        ys = [y for y in range(top, bottom) if pixels[x, y] == wanted]
        if ys:
            found[x] = sum(ys) / len(ys)
    return found


def test_a_rising_equity_is_a_rising_line_over_its_grid():
    image = picture([100.0, 110.0, 120.0])
    assert image.size == (1000, 640)
    line = columns(image, LINE)
    left, middle, right = line[100], line[520], line[960]
    assert left > middle > right  # y counts from the top
    assert (left - middle) / (520 - 100) == pytest.approx((middle - right) / (960 - 520), rel=0.03)  # straight
    assert columns(image, GRID) and not columns(image, OTHER)


def test_a_fall_is_drawn_below_and_a_gap_is_left_out():
    image = picture([100.0, 120.0, None, 90.0, 95.0], [0.0, 0.0, None, 0.25, 0.2])
    line = columns(image, LINE)
    assert not [x for x in line if 320 < x < 740]  # the third day is unknown, and so are the ways to and from it
    falls = columns(image, FALL, 420)
    assert falls[100] < falls[760]  # a drawdown of 25 % lies deeper than none
    assert not columns(image, FALL, 0, 420)


def test_a_benchmark_runs_from_the_same_start_in_grey():
    image = picture([100.0, 110.0, 121.0], benchmark=[0.0, -0.1, -0.1])
    ours, other = columns(image, LINE), columns(image, OTHER)
    assert other[960] > ours[960]


def test_equal_days_and_thousands_of_them_are_drawn():
    assert columns(picture([100.0, 100.0]), LINE)
    assert len(columns(picture([100.0 + i % 7 for i in range(5000)]), LINE)) > 900


def test_the_command_draws_what_it_lists(desks, line, tmp_path):
    out = tmp_path / "charts" / "e.png"
    done = line("report", "equity", "--out", out, "--json", "-C", desks["mixed"])
    assert done.returncode == 0, done.stderr
    found = [(row["session"], row["desk_equity"]) for row in json.loads(done.stdout)]
    assert found == [("2026-02-11", 100000), ("2026-02-12", 100019.5), ("2026-02-13", 100018.5)]
    assert struct.unpack(">II", out.read_bytes()[16:24]) == (1000, 640)
    assert (out.stat().st_mode & 0o777, "3 sessions" in done.stderr) == (0o600, True)


def test_one_session_is_listed_and_not_drawn(desks, line, tmp_path):
    out = tmp_path / "e.png"
    done = line("report", "equity", "--until", "2026-02-11", "--out", out, "-C", desks["mixed"])
    assert (done.returncode, out.exists()) == (0, False)
    assert "no picture: 1 sessions with an equity" in done.stderr
    done = line("report", "equity", "-C", desks["empty"])
    assert (done.returncode, done.stdout) == (0, "")
    assert "tradekit jobs snapshot" in done.stderr


def test_the_benchmarks_returns_are_multiplied_up_until_one_is_unknown(desks):
    from tests.reports.evening import day_row
    from tradekit.commands.report_equity import points

    days = [day_row(FIRST + timedelta(days=i), 100000, 0, r) for i, r in enumerate((0.5, 0.1, -0.5, None, 0.1))]
    assert [None if p.benchmark is None else round(p.benchmark, 9) for p in points(days)] == [
        0.0, 0.1, -0.45, None, None,
    ]  # fmt: skip
