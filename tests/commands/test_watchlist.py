"""watchlist: what WATCH decisions put aside, and what the operator adds and removes."""

import json


def symbols(line, home, *words):
    return [row["symbol"] for row in json.loads(line("watchlist", *words, "--json", "-C", home).stdout)]


def test_add_list_remove(new_desk, line):
    home = new_desk()
    assert symbols(line, home) == []
    assert symbols(line, home, "add", "aapl", "MSFT", "--because", "earnings") == ["AAPL", "MSFT"]
    assert symbols(line, home, "add", "AAPL") == ["MSFT", "AAPL"]  # the newer reason, once
    assert symbols(line, home, "remove", "MSFT") == ["AAPL"]
    done = line("watchlist", "remove", "MSFT", "-C", home)
    assert (done.returncode, "not on the list" in done.stderr) == (0, True)
    assert symbols(line, home, "list") == ["AAPL"]


def test_nonsense_is_refused(new_desk, line):
    home = new_desk()
    for words in (("add",), ("list", "AAPL"), ("drop", "AAPL"), ("add", "'; drop table")):
        assert line("watchlist", *words, "-C", home).returncode == 2
