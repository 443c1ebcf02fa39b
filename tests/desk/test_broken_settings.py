"""A typing error in desk.yaml stops entries, never exits: they go by the settings of before, and say so."""

import sqlite3

import pytest

from tests.desk.world import NO_COSTS, World, decide
from tradekit.base.last_good import keep

SCHEDULE = """
exits: {protect: none}
schedule:
  - {every: 1m, from: open, to: close, run: monitor-exits}
  - {name: morning, at: open+5m, late: 2h, run: enter}
"""


@pytest.fixture
def world(tmp_path, line):
    """AAA is held since 09:35 and falls below its stop at 10:00; then somebody edits desk.yaml."""
    made = World(tmp_path / "desk", NO_COSTS + SCHEDULE)
    made.add("AAA", [100.0] * 30 + [96.0] * 60)
    with made.desk("09:35") as desk:
        decide(desk, "AAA", 100.0, stop=0.03)
    made.path.chmod(0o700)
    for at, verb in (("14:36", "enter"), ("14:38", "monitor-exits")):
        done = line("-C", made.path, verb, env={"TRADEKIT_CLOCK": f"2026-02-13T{at}:00Z"})
        assert done.returncode == 0, done.stderr
    return made


def broken(world):
    path = world.path / "desk.yaml"
    path.write_text(path.read_text().replace("min_turnover: 0", "min_turnover: none"))


def kinds(world):
    db = sqlite3.connect(world.path / "desk.db")
    found = [kind for (kind,) in db.execute("SELECT kind FROM events")]
    db.close()
    return found


def test_exits_go_on_and_entries_are_refused(world, line):
    broken(world)
    late = {"TRADEKIT_CLOCK": "2026-02-13T15:02:00Z"}
    for verb in ("enter", "scan", "decide"):
        done = line("-C", world.path, verb, env=late)
        assert (done.returncode, "min_turnover" in done.stderr) == (2, True)
    done = line("-C", world.path, "monitor-exits", "--json", env=late)
    assert done.returncode == 0, done.stderr
    assert '"reason":"hard-stop"' in done.stdout.replace(" ", "")
    assert "exits go on with the settings of before" in done.stderr
    assert kinds(world).count("alert.settings-broken") == 1
    line("-C", world.path, "monitor-exits", env={"TRADEKIT_CLOCK": "2026-02-13T15:04:00Z"})
    assert kinds(world).count("alert.settings-broken") == 1  # once an hour


def test_slots_too(world, line):
    broken(world)
    late = {"TRADEKIT_CLOCK": "2026-02-13T15:02:00Z"}
    done = line("-C", world.path, "run-slot", "monitor-exits", "--json", env=late)
    assert (done.returncode, '"done"' in done.stdout) == (0, True), done.stderr
    done = line("-C", world.path, "run-slot", "morning", env=late)
    assert (done.returncode, "min_turnover" in done.stderr) == (2, True)


def test_a_universe_that_makes_no_sense(world, line):
    (world.path / "universe.yaml").write_text("large: [AAA, {symbol: ]\n")
    done = line("-C", world.path, "liquidate", "--all", "--json", env={"TRADEKIT_CLOCK": "2026-02-13T14:45:00Z"})
    assert (done.returncode, "AAA" in done.stdout) == (0, True), done.stderr


def test_without_anything_from_before_the_error_is_told(tmp_path, line):
    made = World(tmp_path / "desk", NO_COSTS + "risk: {max_positions: many}\n".replace("risk", "sizing"))
    done = line("-C", made.path, "monitor-exits", env={"TRADEKIT_CLOCK": "2026-02-13T15:02:00Z"})
    assert done.returncode == 2
    assert "desk.yaml" in done.stderr


def test_what_makes_sense_again_counts_at_once(world, line):
    before = (world.path / "desk.yaml").read_text()
    broken(world)
    line("-C", world.path, "monitor-exits", env={"TRADEKIT_CLOCK": "2026-02-13T14:50:00Z"})
    (world.path / "desk.yaml").write_text(before + "# mended\n")
    done = line("-C", world.path, "monitor-exits", env={"TRADEKIT_CLOCK": "2026-02-13T14:51:00Z"})
    assert "settings of before" not in done.stderr
    assert (world.path / ".desk.last-good.yaml").read_text().endswith("# mended\n")


@pytest.mark.parametrize(("section", "said"), [
    ("broker: alpaca", "alpaca is not a venue"),
    ("currency: EUR", "the books of this desk are in USD"),
    ("calendar: 24/7, timezone: UTC", "holds the sessions of XNYS"),
])  # fmt: skip
def test_settings_that_are_not_of_this_desk(world, line, section, said):
    db = sqlite3.connect(world.path / "desk.db")
    db.execute("INSERT INTO meta (key, value) VALUES ('currency', 'USD'), ('calendar', 'XNYS')")
    db.commit()
    db.close()
    path = world.path / "desk.yaml"
    path.write_text(path.read_text().replace("desk: {", f"desk: {{{section}, "))
    late = {"TRADEKIT_CLOCK": "2026-02-13T15:02:00Z"}
    done = line("-C", world.path, "enter", env=late)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    done = line("-C", world.path, "monitor-exits", "--json", env=late)
    assert (done.returncode, "hard-stop" in done.stdout) == (0, True), done.stderr
    assert said in done.stderr
    assert "currency: EUR" not in (world.path / ".desk.last-good.yaml").read_text()


def test_what_is_kept_is_read_again_before(world):
    """Somebody saved a typing error between the moment when the file was read and the one when it was kept."""
    copy = (world.path / ".desk.last-good.yaml").read_text()
    broken(world)
    keep(world.path)
    assert (world.path / ".desk.last-good.yaml").read_text() == copy
