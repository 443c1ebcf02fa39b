"""A desk with two positions, a Bot API server and the bot as a real process."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bot.api import OWNER, TOKEN, BotApi, Call
from tests.desk.world import NO_COSTS, World, decide
from tests.process.day import clock, environment, quick, rows

RISK = "risk:\n  min_turnover: 0\n  too_late_s: 0\n  max_positions: 6  # open positions\n  restricted: []\n"
WHEN = "10:00:00"  # of the world's day in New York: what the desk's own commands take for now


def make_desk(folder: Path, api: BotApi, more: str = "") -> Path:
    """AAA (1000) and BBB (2000, at half the price) are held at 10:00; the bot serves OWNER."""
    settings = (
        f"bot: {{users: [{OWNER}], url: '{api.url}', poll_s: 5, retry_s: 0.05, longest_retry_s: 0.2{more}}}\n"
        "sizing: {mode: notional, notional: 5000}\n"
    )
    costs = NO_COSTS.replace("risk: {min_turnover: 0, too_late_s: 0}", RISK)
    world = World(folder, costs + settings)
    world.add("AAA", [100.0] * 300)
    world.add("BBB", [50.0] * 300)
    with world.desk("09:35") as desk:
        decide(desk, "AAA", 100.0, stop=0.03)
        decide(desk, "BBB", 50.0, stop=0.03)
    folder.chmod(0o700)
    for when, words in (("09:36:00", ["enter"]), ("09:38:00", ["monitor-exits"])):
        done = quick(folder, clock(when), *words)
        assert done.returncode == 0, done.stderr
    return folder


class Process:
    """`tradekit bot` at work; everything it says is kept."""

    def __init__(self, desk: Path, when: str = WHEN, **environ: str) -> None:
        env = environment(clock(when), **{"TRADEKIT_SECRET_TELEGRAM_TOKEN": TOKEN} | environ)
        self.desk, self.log = desk, desk.parent / f"bot-{time.monotonic_ns()}.log"
        words = [sys.executable, "-m", "tradekit", "-C", str(desk), "-v", "bot"]
        with self.log.open("wb") as out:
            self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                          cwd=desk.parent)  # fmt: skip

    @property
    def pid(self) -> int:
        return self.child.pid

    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """End it; its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(seconds)


@pytest.fixture(scope="session")
def _held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The desk as it is copied for each test: its bot.url is a place to be filled in."""
    api = BotApi()
    try:
        return make_desk(tmp_path_factory.mktemp("bot") / "desk", api)
    finally:
        api.close()


@pytest.fixture
def api():
    made = BotApi()
    yield made
    made.close()


def copy_of(held: Path, folder: Path, api: BotApi, more: str = "") -> Path:
    """The desk in another folder, its bot at another server, with more keys of the bot's section."""
    shutil.copytree(held, folder)
    path = folder / "desk.yaml"
    text = re.sub(r"url: '[^']+'", f"url: '{api.url}'", path.read_text())
    path.write_text(text.replace("longest_retry_s: 0.2", f"longest_retry_s: 0.2{more}"))
    return folder


@pytest.fixture
def desk(_held, tmp_path, api):
    """`desk()` or `desk(", confirm_s: 1")`: a folder of its own, with more keys of the bot's section."""
    return lambda more="", name="desk": copy_of(_held, tmp_path / name, api, more)


@pytest.fixture
def bot(desk, api):
    """`bot()` or `bot(", confirm_s: 1")`: a bot that serves; ended after the test, and looked at for the token."""
    running: list[Process] = []

    def start(
        more: str = "", *, folder: Path | None = None, name: str = "desk", wait: bool = True, **environ: str
    ) -> Process:
        process = Process(folder or desk(more, name), **environ)
        running.append(process)
        if wait:
            polls = api.polls
            api.wait_for(lambda: api.polls > polls or process.child.poll() is not None)
            assert process.child.poll() is None, process.said()
        return process

    yield start
    for process in running:
        process.stop(signal.SIGKILL)
        leaks(process)


def leaks(process: Process) -> None:
    """Neither what it said nor any file of the desk has the token."""
    half = TOKEN.partition(":")[2]
    assert half not in process.said()
    assert "Traceback" not in process.said(), process.said()
    for path in process.desk.rglob("*"):
        if path.is_file():
            assert half.encode() not in path.read_bytes(), path
    assert os.environ.get("TRADEKIT_SECRET_TELEGRAM_TOKEN") is None


# what tests look at

ACTS = "SELECT data FROM events WHERE kind = 'bot.act' ORDER BY rowid"
SELLS = "SELECT symbol, count(*) FROM orders WHERE side = 'sell' AND purpose = 'liquidate' GROUP BY symbol"


def sells(desk: Path) -> list[tuple]:
    """How many orders that a person asked for were written down, by symbol."""
    return rows(desk / "desk.db", SELLS)


def acts(desk: Path) -> list[dict]:
    """What people did, as the events tell it."""
    return [json.loads(text) for (text,) in rows(desk / "desk.db", ACTS)]


def question(api: BotApi, text: str = "/close aaa") -> Call:
    """Ask, and wait for the question with its buttons; its message's call."""
    return api.next_call("sendMessage", lambda: api.say(text))


def change(path: Path, sql: str) -> None:
    """Change a database behind the bot's back."""
    db = sqlite3.connect(path, timeout=10)
    with db:
        db.execute(sql)
    db.close()
