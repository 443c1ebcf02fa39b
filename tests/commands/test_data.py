"""data import, list, check, synthetic and quote on a real desk."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tradekit import cli

HEADER = "symbol,ts,open,high,low,close,volume"
CLOCK = {"TRADEKIT_CLOCK": "2026-02-13T14:36:00Z"}


@pytest.fixture
def desk(new_desk):
    return new_desk()


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """A command line in this process: pandas is loaded once for all of them."""
    monkeypatch.chdir(tmp_path)

    def call(*words, env=None):
        with monkeypatch.context() as patch:
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            code = cli.run([str(word) for word in words], os.environ)
        said = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return call


@pytest.fixture
def minutes(tmp_path):
    path = tmp_path / "minutes.csv"
    rows = [f"{s},2026-02-13T14:{30 + k}:00Z,10,11,9,{10 + k / 10},100" for s in ("AAPL", "AMZN") for k in range(10)]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_bars_go_in_once_and_are_listed(desk, run, minutes):
    first = run("-C", desk, "data", "import", minutes, "--timeframe", "1m", "--json")
    assert first.returncode == 0, first.stderr
    row = json.loads(first.stdout)[0]
    assert (row["file"], row["bars"], row["known"], row["symbols"]) == ("minutes.csv", 20, 0, 2)
    assert (row["first"], row["dropped"]) == ("2026-02-13", {})
    before = (desk / "bars.db").read_bytes()
    again = json.loads(run("-C", desk, "data", "import", minutes, "--timeframe", "1m", "--json").stdout)[0]
    assert (again["bars"], again["known"]) == (0, 20) and (desk / "bars.db").read_bytes() == before
    assert json.loads(run("-C", desk, "data", "list", "--json").stdout) == [
        {
            "source": "file", "timeframe": "1m", "symbols": 2, "first": "2026-02-13", "last": "2026-02-13",
            "bars": 20, "sessions": 1,
        }
    ]  # fmt: skip
    assert json.loads(run("-C", desk, "data", "list", "--symbol", "AAPL", "--json").stdout)[0]["bars"] == 10


def test_a_conflicting_bar_is_refused_with_7(desk, run, minutes):
    run("-C", desk, "data", "import", minutes, "--timeframe", "1m")
    minutes.write_text(minutes.read_text().replace(",10.5,", ",10.6,"))
    refused = run("-C", desk, "data", "import", minutes, "--timeframe", "1m", "--format", "json")
    assert refused.returncode == 7 and "--replace" in refused.stderr and refused.stdout == ""
    replaced = run("-C", desk, "data", "import", minutes, "--timeframe", "1m", "--replace", "--json")
    assert json.loads(replaced.stdout)[0]["replaced"] == 2


def test_a_dry_run_makes_no_file(desk, run, minutes):
    done = run("-C", desk, "data", "import", minutes, "--timeframe", "1m", "--dry-run", "--json")
    assert json.loads(done.stdout)[0]["dry_run"] is True and json.loads(done.stdout)[0]["bars"] == 20
    assert not (desk / "bars.db").exists()


def test_dropped_rows_are_said_on_stderr(desk, run, minutes):
    rows = minutes.read_text().splitlines()
    minutes.write_text("\n".join([*rows, rows[-1], rows[1].replace("AAPL", "aapl")]) + "\n")
    done = run("-C", desk, "data", "import", minutes, "--timeframe", "1m", "--json")
    assert done.returncode == 0 and "1 symbol, 1 duplicate" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data", "import", "none.csv", "--timeframe", "1m"), "no such file"),
        (("data", "import", "none.csv", "--timeframe", "2m"), "1m, 5m, 1h, 1d"),
        (("data", "check", "--session", "13.2.2026"), "not a date"),
        (("data", "synthetic", "--session", "2026-02-14"), "not a session"),
        (("data", "list", "--symbol", "AAPL"), "no bars of that symbol"),
        (("quote", "AAPL"), "no bars of that symbol"),
    ],
)
def test_what_cannot_be_done_is_a_clear_2(desk, run, words, said):
    done = run("-C", desk, *words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_a_desk_without_bars_lists_nothing_and_checks_clean(desk, run):
    assert run("-C", desk, "data", "list", "--json").stdout == "[]\n"
    assert run("-C", desk, "data", "check").returncode == 0


def test_the_quote_is_of_the_last_complete_bar(desk, run, minutes):
    run("-C", desk, "data", "import", minutes, "--timeframe", "1m")
    done = run("-C", desk, "quote", "AAPL", "--json", env=CLOCK)
    quote = json.loads(done.stdout)[0]
    assert (quote["last"], quote["at"], quote["age_s"], quote["source"]) == (10.5, "2026-02-13T14:36:00Z", 0, "file")
    assert (quote["bid"], quote["ask"], quote["assumed"]) == (10.495, 10.505, True)


def test_a_mistyped_symbol_names_the_nearest(desk, run, minutes):
    run("-C", desk, "data", "import", minutes, "--timeframe", "1m")
    done = run("-C", desk, "quote", "AAPL", "AMZM", env=CLOCK)
    assert done.returncode == 2 and "did you mean AMZN" in done.stderr and done.stdout == ""
    assert "AAPL " in run("-C", desk, "quote", "aapl", env=CLOCK).stdout  # symbols are capitals, fingers are not


def test_a_symbol_without_a_bar_yet_is_no_data(desk, run, minutes):
    run("-C", desk, "data", "import", minutes, "--timeframe", "1m")
    done = run("-C", desk, "quote", "AAPL", env={"TRADEKIT_CLOCK": "2026-02-13T14:30:59Z"})
    assert done.returncode == 5 and "no complete bar" in done.stderr


def test_the_check_finds_and_exits_with_7(desk, run, minutes):
    run("-C", desk, "data", "synthetic", "--symbols", "40", "--session", "2026-02-13", "--history", "20")
    rows = [f"ZZZZ,2026-02-{d:02d},{p},{p},{p},{p},5" for d, p in ((9, 100), (10, 100), (11, 10), (12, 10))]
    minutes.write_text("\n".join([HEADER, *rows]) + "\n")
    run("-C", desk, "data", "import", minutes, "--timeframe", "1d")
    done = run("-C", desk, "data", "check", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 7 and {f["kind"] for f in found} <= {"gap", "split"}
    assert [f["session"] for f in found if f["symbol"] == "ZZZZ"] == ["2026-02-11"]


def test_a_made_up_market_is_made_once(desk, run):
    words = ("-C", desk, "data", "synthetic", "--seed", "3", "--symbols", "10", "--session", "2026-02-13", "--json")
    first, again = (json.loads(run(*words).stdout)[0] for _ in range(2))
    assert first["bars"] > 4000 and again["bars"] == 0 and first["characters"] == again["characters"]


def test_reading_loads_no_numpy(desk, run, minutes):
    run("-C", desk, "data", "import", minutes, "--timeframe", "1m")
    code = (
        "import sys; from tradekit.cli import run;"
        f"code = run(['-C', {str(desk)!r}, *sys.argv[1:]]);"
        "heavy = {'numpy', 'pandas', 'httpx', 'keyring', 'sqlite_utils', 'rich'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    for words in (["data", "list"], ["quote", "AAPL"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, env=CLOCK, check=False
        )
        assert done.returncode == 0, done.stderr
