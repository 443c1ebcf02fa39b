"""The tear sheet: whole, small, offline, and in a real browser without an error (skipped where there is none)."""

import re
import shutil
import subprocess
import time
from datetime import date, timedelta
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from tests.make import at
from tests.make import make_trade as a_trade
from tests.reports.evening import all_desks, day_row
from tradekit.metrics import Tally
from tradekit.reports import svg
from tradekit.reports.performance import windows
from tradekit.reports.tearsheet import Sheet, tearsheet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
         "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=2000")  # fmt: skip


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))


def page_of(line, desk, tmp_path):
    done = line("report", "tearsheet", "--out", tmp_path / "t.html", "-C", desk)
    assert done.returncode == 0, done.stderr
    return (tmp_path / "t.html").read_text("utf-8")


class Links(HTMLParser):
    """Ids, links inside the page, and whatever would be fetched from elsewhere."""

    def __init__(self):
        super().__init__()
        self.ids, self.inside, self.outside = [], [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src"):
                (self.inside if value.startswith("#") else self.outside).append(value)
        assert tag != "script"


@pytest.mark.parametrize("kind", ["empty", "losers", "open", "mixed"])
def test_a_page_stands_alone_and_its_links_lead_somewhere(desks, line, tmp_path, kind):
    text = page_of(line, desks[kind], tmp_path)
    links = Links()
    links.feed(text)
    assert links.outside == ["data:,"]
    assert {link[1:] for link in links.inside} <= set(links.ids)
    assert "http" not in text.replace("http-equiv", "")
    assert "nan" not in re.findall(r"[\w.]+", text.lower()) and "inf" not in re.findall(r"[\w.]+", text.lower())
    assert "prefers-color-scheme:dark" in text and "width=device-width" in text
    if kind == "mixed":
        assert len(links.inside) == 4
        for word in ("entry", "stop", "target", "exit", "win rate", "Funnel"):
            assert word in text
    if kind == "empty":
        assert "no closed trades" in text and "nothing to show yet" in text


def test_a_foreign_text_is_no_markup(line, tmp_path):
    trade = a_trade(symbol="<b>X", because="<script>alert(1)</script>", exit_reason='"><img src=x>')
    text = tearsheet(a_sheet(trades=[trade]))
    assert "<script" not in text and "<img" not in text and "&lt;b&gt;X" in text


def a_sheet(days=(), trades=()):
    wins = [t for t in trades if t.net > 0]
    numbers = (len(trades), len(wins), len(trades) - len(wins), 1.0, 0.0, 1.0, 2.0, -1.0, 4.0, 60.0, 0, 0.0, 2.0, -1.0)
    tallies = [Tally(("x",), *numbers)] if trades else []
    return Sheet("desk", "USD", ZoneInfo("America/New_York"), at(500), list(days), list(trades), windows(list(days)),
                 [], tallies, [], {})  # fmt: skip


def test_ten_years_and_2500_trades_fit_into_400_kb_and_are_quick():
    sessions = [date(2016, 1, 1) + timedelta(days=i) for i in range(3650) if i % 7 < 5]
    days = [day_row(day, 100_000 + i, 37 * (-1) ** i) for i, day in enumerate(sessions)]
    trades = [
        a_trade(id=f"AAPL-{i}", net=(-1) ** i * i % 300 - 120, entry_at=at(8) + timedelta(hours=i),
                mae=-0.01 - i % 50 / 1e4, mfe=i % 90 / 1e3)
        for i in range(2500)
    ]  # fmt: skip
    before = time.process_time()
    text = tearsheet(a_sheet(days, trades))
    assert len(text.encode()) < 400_000
    assert time.process_time() - before < 1.0


def test_spikes_survive_thinning():
    values = [0.0] * 5000
    values[2345] = 9.0
    points = svg.thinned(values)
    assert len(points) <= svg.MOST + 2
    assert (2345, 9.0) in points and points[-1][0] == 4999


def test_ticks_are_round():
    assert svg.ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert svg.ticks(-0.5, 0.5) == [-0.4, -0.2, 0.0, 0.2, 0.4]
    assert svg.ticks(3, 3) == [3]


def test_a_gap_breaks_the_line():
    frame = svg.Frame(0, 3, 0, 1)
    assert svg.path(frame, [(0, 0.0), (1, 1.0), (2, None), (3, 1.0)]).count("M") == 2


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("size", ["1280,900", "390,844"])
def test_a_browser_shows_it_without_an_error_or_a_sideways_scroll(desks, line, tmp_path, size):
    page_of(line, desks["mixed"], tmp_path)
    shot = tmp_path / "shot.png"
    done = subprocess.run(
        [CHROMIUM, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size}",
         f"--screenshot={shot}", (tmp_path / "t.html").as_uri()],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert shot.stat().st_size > 10_000
    assert "CONSOLE" not in done.stderr
