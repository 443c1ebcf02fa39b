"""A whole desk at a venue behind HTTP: the command line, the settings, the same day as on paper."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.desk.world import World, at, decide, passes
from tests.sim.serving import serve_desk
from tradekit.clock import ManualClock
from tradekit.desk.enter import EnterOptions, enter
from tradekit.errors import ConfigError

BARS = [100, 100, (100, 101, 99.5, 100.5), (100.5, 104, 100.5, 103.5), (103.5, 103.5, 101, 101.2), 101, 101]


def day(world: World) -> list[tuple]:
    """Buy at 09:30, watch until 09:37; what the books say then."""
    with world.desk("09:31") as desk:
        decide(desk, "AAA", 100.0, stop=0.02, target=0.026, after_target="exit")
        enter(desk, EnterOptions())
        passes(desk, "09:32", "09:37")
        return [
            (o.purpose, o.reason, o.side, str(o.qty), o.status, str(o.filled_qty)) for o in desk.store.orders.all()
        ] + [(str(t.qty), str(t.entry_price), str(t.exit_price), t.exit_reason) for t in desk.store.trades.all()]


@pytest.mark.parametrize("profile", ["unique", "open-only", "none"])
def test_the_day_is_the_same_as_on_paper(tmp_path, venue_server, monkeypatch, profile):
    settings = "paper: {half_spread: 0.0, slippage: 0.0, participation: 1.0, fees: []}\nmarket: {tick: 0.01}\n"
    settings += "risk: {min_turnover: 0, too_late_s: 0}\nhttp: {settle_s: 0, rate_per_minute: 100000, burst: 1000}\n"
    worlds = [World(tmp_path / name, settings) for name in ("paper", "http")]
    for world in worlds:
        world.add("AAA", BARS)
    expected = day(worlds[0])
    assert any(row[0] == "exit" for row in expected)
    venue, url = serve_desk(venue_server, worlds[1].path, ManualClock(at("09:30")), profile, follow=True)
    monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
    monkeypatch.setenv("TRADEKIT_SET__HTTP__BASE_URL", url)
    assert day(worlds[1]) == expected
    truth = venue.control("truth")
    assert truth["positions"] == {}
    venue_server.remove(url)


def test_a_venue_needs_a_url(tmp_path, monkeypatch):
    world = World(tmp_path / "desk")
    monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
    with world.desk() as desk, pytest.raises(ConfigError, match="http.base_url"):
        desk.broker.account()


def test_desks_of_one_account_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TRADEKIT_SET__DESK__BROKER", "http")
    folders = []
    for name, url in (("a", "http://127.0.0.1:1/x"), ("b", "http://127.0.0.1:1/x"), ("c", "http://127.0.0.1:1/y")):
        monkeypatch.setenv("TRADEKIT_SET__HTTP__BASE_URL", url)
        with World(tmp_path / name).desk() as desk:
            folders.append(desk.account_dir)
    assert folders[0] == folders[1] != folders[2]
    assert folders[0].parent == tmp_path / "state" / "tradekit" / "accounts"


@pytest.mark.slow
def test_the_command_prints_its_url_serves_and_ends_on_a_signal(tmp_path, new_desk, run):
    desk = new_desk()
    run("-C", desk, "data", "synthetic", "--session", "2026-02-13", "--symbols", "2", "--history", "2")
    script = tmp_path / "faults.json"
    script.write_text('[{"kind": "error-before", "path": "/v1/positions", "status": 503}]')
    words = [sys.executable, "-m", "tradekit", "-C", str(desk), "sim", "venue", "--faults", str(script)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        env = {"TRADEKIT_SET__DESK__BROKER": "http", "TRADEKIT_SET__HTTP__BASE_URL": url}
        done = run("-C", desk, "reconcile", "--json", env=env)
        assert done.returncode == 0, done.stderr
        again = run("-C", desk, "sim", "venue")
        assert again.returncode == 8  # one venue over these books
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=20)
    assert server.returncode == 130, err
    kinds = [json.loads(line)["kind"] for line in (desk / "venue" / "journal.jsonl").read_text().splitlines()]
    assert kinds == ["opened", "fault"]


@pytest.mark.parametrize(("words", "said"), [
    (["--profile", "two"], "no profile 'two'"),
    (["--faults", "nowhere.json"], "nowhere.json"),
    (["--desk", "nowhere"], "not a desk"),
])  # fmt: skip
def test_words_that_make_no_sense(line, new_desk, words, said):
    done = line("-C", new_desk(), "sim", "venue", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_uvicorn_the_extra_is_named(line, new_desk, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = line("-C", new_desk(), "sim", "venue")
    assert done.returncode == 2
    assert "pip install 'tradekit[serve]'" in done.stderr
