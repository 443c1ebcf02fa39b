"""CSV of nothing has its header: a pipe into a spreadsheet tool finds the columns on a quiet day too."""

import ast
import csv
import io
from pathlib import Path

import pytest

import tradekit.commands
from tests.reports.evening import all_desks
from tradekit.commands._output import names_of, show
from tradekit.model import Fill, Halt

NOW = {"TRADEKIT_CLOCK": "2026-02-13T20:00:00Z"}
LISTS = (
    "trades", "fills", "orders", "orders --live", "positions", "positions --all", "candidates", "decisions", "runs",
    "events", "events --alerts", "watchlist", "audit", "resume", "monitor-exits", "liquidate --all", "scan", "decide",
    "enter", "jobs track", "jobs outcomes", "jobs snapshot --missing", "notify", "secret list", "token status",
    "config session", "schedule show --date 2026-02-14", "data list", "data check", "sql SELECT~id,qty~FROM~orders",
    "report daily", "report daily --since 2026-02-01", "report fills", "report funnel",
    "report funnel --since 2026-02-01", "report overnight", "report overnight --since 2026-02-13", "report weekly",
    "report monthly", "report exits", "report vetoes", "report metrics --strategy momentum", "report equity",
    "report poor-signals", "report poor-signals --each", "analyze entry-timing", "analyze price-movement",
    "analyze targets", "analyze missed", "export trades", "export fills", "export candidates", "export decisions",
    "export training", "export tax-lots", "export tax-lots --what open", "export tax-lots --what years",
)  # fmt: skip
FEATURES = ("feature_", "state_", "features")  # columns that follow from what a candidate has


@pytest.fixture(scope="module")
def desks(tmp_path_factory):
    return all_desks(tmp_path_factory.mktemp("desks"))


def header(text):
    return next(csv.reader(io.StringIO(text)), [])


@pytest.mark.parametrize("command", LISTS)
def test_an_empty_list_has_its_header_alone(command, line, new_desk):
    words = [word.replace("~", " ") for word in command.split()]
    desk = new_desk()
    done = line("-C", desk, *words, "--csv", env=NOW)
    assert done.returncode in (0, 3, 7), done.stderr
    rows = done.stdout.splitlines()
    assert len(rows) == 1 and len(header(done.stdout)) > 1, done.stdout
    if words[0] != "export":
        assert line("-C", new_desk(name="other"), *words, "--json", env=NOW).stdout == "[]\n" or words[1] == "overnight"


@pytest.mark.parametrize("command", [
    "trades", "fills", "orders", "positions --all", "candidates", "decisions", "events", "report exits",
    "report fills", "report funnel", "report equity", "report weekly", "report vetoes", "export trades", "export fills",
    "export candidates", "export decisions", "export training", "export tax-lots", "report daily",
    "data list", "report overnight", "analyze entry-timing", "analyze targets",
])  # fmt: skip
def test_it_is_the_header_of_a_list_that_has_rows(command, desks, line, new_desk):
    full = header(line("-C", desks["mixed"], *command.split(), "--csv").stdout)
    bare = header(line("-C", new_desk(), *command.split(), "--csv", env=NOW).stdout)
    assert [name for name in full if name in bare] == bare != []
    assert all(name.startswith(FEATURES) for name in full if name not in bare)


def test_a_dry_run_says_so_in_the_header(capsys):
    show([], "csv", of=Halt, dry_run=True)
    assert capsys.readouterr().out == "id,at,kind,reason,flatten,by,cleared_at,session,dry_run\r\n"
    assert names_of(("day", Halt))[:3] == ["day", "id", "at"]
    assert names_of((Fill, Fill)) == list(Fill.__struct_fields__)


def test_every_list_names_what_it_is_of():
    """A call that says what an empty table is called has an empty CSV as well."""
    calls = []
    for path in Path(tradekit.commands.__file__).parent.glob("[a-z]*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name in ("show", "show_rows", "print_records"):
                words = {word.arg for word in node.keywords}
                for_csv = len(node.args) < 2 or ast.unparse(node.args[1]) != "'table'"
                calls.append((f"{path.name}:{node.lineno}", "empty" in words and for_csv and len(node.args) > 1, words))
    assert [place for place, wants, words in calls if wants and "of" not in words] == []
    assert len([place for place, wants, _ in calls if wants]) > 30
