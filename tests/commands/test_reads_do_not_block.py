"""An open read keeps the desk from committing (rollback journal): long reads stand on a copy, short ones are a page.

The exits of the desk must not wait for an evening's report.
"""

import subprocess
import sys
from datetime import timedelta
from time import monotonic

import pytest

from tests.conftest import ROOT
from tests.make import at, make_event, make_fill
from tests.reports.evening import all_desks
from tradekit.commands._context import Context
from tradekit.commands._reporting import read_copy
from tradekit.errors import Busy
from tradekit.store import connection, open_store

ON_A_COPY = (
    "report weekly", "report monthly", "report fills", "report funnel", "report vetoes", "report exits",
    "report metrics", "report risk", "report tearsheet --out page.html", "report poor-signals",
    "analyze entry-timing", "analyze price-movement", "analyze targets", "analyze symbol AAPL", "analyze what-if",
    "analyze missed", "analyze signals", "export trades", "export fills", "export candidates", "export decisions",
    "export tax-lots", "export training",
)  # fmt: skip
BY_THE_PAGE = ("report daily", "report overnight")
PAGE = 1000  # rows that one statement may fetch from desk.db itself
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n CROSS JOIN events"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))["mixed"]


def opened(monkeypatch):
    """The files that connections are opened to."""
    files, real = [], connection.connect

    def connect(path, **how):
        files.append(path)
        return real(path, **how)

    monkeypatch.setattr("tradekit.store.store.connect", connect)
    return files


@pytest.mark.parametrize("command", ON_A_COPY)
def test_a_long_read_stands_on_a_copy(mixed, line, monkeypatch, command):
    files = opened(monkeypatch)
    done = line(*command.split(), "-C", mixed)
    assert done.returncode in (0, 7), done.stderr
    assert files and mixed / "desk.db" not in files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files if path.exists())


@pytest.mark.parametrize("command", BY_THE_PAGE)
def test_a_short_read_fetches_pages(new_desk, line, monkeypatch, command):
    desk, most, real = new_desk(), [0], connection.Db.rows
    store = open_store(desk / "desk.db", synchronous="OFF")
    store.book_fills(
        make_fill(id=f"{n}{side}", broker_fill_id=f"{n}{side}", symbol=f"S{n}", side=side, order_id=None,
                  at=at(n % 380) - timedelta(days=n // 100), session=(at() - timedelta(days=n // 100)).date())
        for n in range(3 * PAGE // 2) for side in ("buy", "sell")
    )  # fmt: skip
    assert store.trades.count() == 3 * PAGE // 2
    store.close()

    def rows(self, sql, values=()):
        found = real(self, sql, values)
        most.append(len(found))
        return found

    monkeypatch.setattr(connection.Db, "rows", rows)
    done = line(*command.split(), "-C", desk)
    assert done.returncode == 0, done.stderr
    assert max(most) < PAGE


def test_a_read_that_never_ends_keeps_no_exit_from_its_commit(new_desk):
    """A reader on desk.db itself would: the second half shows what the copy is for."""
    desk = new_desk()
    store = open_store(desk / "desk.db")
    store.events.add(make_event())
    with read_copy(Context(asked=desk)) as copy:
        endless = copy.db.raw.execute(ENDLESS)
        endless.fetchone()
        began = monotonic()
        store.events.add(make_event())
        assert monotonic() - began < 1.0
        assert endless.fetchone() is not None  # still reading
        endless.close()
    if connection.journal_mode() == "truncate":
        reader = open_store(desk / "desk.db", readonly=True)
        endless = reader.db.raw.execute(ENDLESS)
        endless.fetchone()
        store.db.run("PRAGMA busy_timeout = 100")
        with pytest.raises(Busy):
            store.events.add(make_event())
        endless.close()
        reader.close()
    store.close()


def test_monitor_exits_commits_while_an_export_stands_still(new_desk, line):
    """The export's reader has stopped reading: its pipe is full for as long as we like."""
    desk = new_desk()
    store = open_store(desk / "desk.db", synchronous="OFF")
    store.fills.add_many(make_fill(id=f"f{n}", broker_fill_id=f"b{n}", order_id=None) for n in range(4000))
    store.close()
    words = [sys.executable, "-m", "tradekit", "-C", str(desk), "export", "fills", "--format", "jsonl"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as export:
        assert export.stdout is not None and export.stdout.readline()
        store = open_store(desk / "desk.db")
        began = monotonic()
        store.events.add(make_event())
        assert monotonic() - began < 1.0
        store.close()
        assert line("monitor-exits", "-C", desk).returncode == 0
        assert export.poll() is None
        assert len(export.stdout.readlines()) == 3999
    assert export.returncode == 0
