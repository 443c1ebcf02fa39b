"""The rescan that asks: new candidates wait for a human, an approval is entered, silence and a no are not."""

import json
import sqlite3
from datetime import datetime, timedelta

import pytest

from tests.desk.morning import STRONG, make_desk
from tradekit.clock import iso
from tradekit.desk.decide import DecideOptions, decide
from tradekit.desk.scan import ScanOptions, scan
from tradekit.schedule import completed, default_schedule, parse

DAY = "2026-02-13"


@pytest.fixture
def desk(new_desk, run):
    """A desk of the day preset over a made-up market, with a rescan each 15 minutes."""
    folder = new_desk()
    text = (folder / "desk.yaml").read_text()
    assert "\n  rescan_s: 0 " in text
    (folder / "desk.yaml").write_text(text.replace("\n  rescan_s: 0 ", "\n  rescan_s: 900 "))
    done = run("-C", folder, "-q", "data", "synthetic", "--seed", "1", "--symbols", "60", "--session", DAY)
    assert done.returncode == 0, done.stderr
    return folder


def records(path, sql):
    db = sqlite3.connect(path / "desk.db")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_a_replay_asks_and_enters_nothing_that_nobody_approved(desk, run):
    done = run("-C", desk, "-q", "replay", DAY, "--until", "11:30")
    assert done.returncode == 0, done.stderr
    replayed = desk / "replays" / DAY
    asked = records(replayed, "SELECT id, at, expires_at, status FROM decisions WHERE by = 'human' AND action = 'BUY'")
    assert asked
    assert {status for _, _, _, status in asked} == {"expired"}
    for _, at, until, _ in asked:
        assert (datetime.fromisoformat(until) - datetime.fromisoformat(at)).total_seconds() == 900
    assert not records(replayed, "SELECT 1 FROM orders JOIN decisions d ON d.id = decision_id WHERE d.by = 'human'")
    symbols = records(replayed, "SELECT symbol FROM decisions WHERE by = 'human' AND action = 'BUY'")
    assert len(symbols) == len(set(symbols))  # nobody is asked twice a day
    told = records(replayed, "SELECT data FROM events WHERE kind = 'decision.waiting'")
    assert len(told) == len(asked)
    assert "tradekit approve (or skip) d-" in told[0][0]

    # the same morning once more, on the desk itself: one question is answered with yes, the next with no
    name, at = asked[0][:2]
    scanned = datetime.fromisoformat(at)

    def step(minutes, *words):
        when = iso(scanned + timedelta(seconds=30 + 60 * minutes))
        found = run("-C", desk, *words, "--json", env={"TRADEKIT_CLOCK": when})
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    assert step(0, "run-slot", "rescan")["state"] == "done"
    assert step(0, "run-slot", "rescan-decide")["state"] == "done"
    waiting = [d["id"] for d in step(0, "decisions") if d["status"] == "waiting"]
    assert name in waiting
    assert step(1, "run-slot", "approved-enter")["state"] == "done"
    assert records(desk, "SELECT 1 FROM orders") == []  # asked is not approved
    assert step(1, "approve", name)["status"] == "pending"
    for other in waiting:
        if other != name:
            assert step(1, "skip", other)["status"] == "refused"
    assert step(2, "run-slot", "approved-enter")["state"] == "done"
    bought = records(desk, "SELECT decision_id FROM orders WHERE purpose = 'entry'")
    checked = records(desk, "SELECT decision_id FROM risk_checks")
    assert bought == [(name,)] or checked == [(name,)]  # entered, or stopped by the risk gate: as any other


def test_the_rules_do_not_buy_what_a_rescan_found(tmp_path):
    desk = make_desk(tmp_path, {"AAA": STRONG})
    scan(desk, ScanOptions(type="rescan"))
    (made,) = decide(desk, DecideOptions(by="rules"))
    assert (made.action, made.status, made.by) == ("BUY", "waiting", "human")
    assert desk.store.decisions.pending() == []
    desk.clock.sleep(900)
    scan(desk, ScanOptions(type="rescan"))
    (again,) = decide(desk, DecideOptions(type="rescan"))
    assert (again.action, again.because) == ("SKIP", f"decided today: {made.id} is waiting")


def test_only_candidates_of_the_type_are_decided(tmp_path):
    desk = make_desk(tmp_path, {"AAA": STRONG})
    scan(desk, ScanOptions(type="open"))
    assert decide(desk, DecideOptions(type="rescan")) == []
    assert [d.by for d in decide(desk, DecideOptions())] == ["rules"]


def test_the_schedule_has_it_once():
    specs = {spec.name: spec for spec in parse(completed(None, rescan_s=900))}
    assert (specs["rescan"].every_s, specs["rescan-decide"].after) == (900, "rescan")
    entered = specs["approved-enter"]
    assert (entered.run, entered.every_s, entered.late_s) == (("enter",), 60, 900)  # late behind a scan is not missed
    own = [
        *default_schedule(),
        {"name": "mine", "every": "30m", "from": "open+1h", "to": "close", "run": "scan --type rescan"},
    ]
    assert "rescan" not in {spec.name for spec in parse(completed(own, rescan_s=900))}
    assert completed(None, rescan_s=0) == default_schedule()
    assert completed(None, rescan_s=900, strategies=["market-on-open"]) == default_schedule(
        strategies=["market-on-open"]
    )
    around = parse(completed(None, rescan_s=900, around_the_clock=True), around_the_clock=True)
    assert "rescan" in {spec.name for spec in around}
