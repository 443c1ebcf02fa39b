"""desk.yaml and universe.yaml: what is accepted, and how what is not is named."""

import os
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradekit.base import settings_file
from tradekit.base.settings_file import changed, load_settings, settings_from, universe_from
from tradekit.base.yaml_text import quoted, yaml_value
from tradekit.commands.init import PRESETS
from tradekit.config import Settings, Symbol
from tradekit.errors import ConfigError
from tradekit.risk.regime import POSITIONS
from tradekit.schedule import default_schedule
from tradekit.schedule import parse as parse_schedule

PRESET_FOLDER = Path(__file__).parents[2] / "tradekit" / "presets"
FILE = Path("desk.yaml")


def read(text, environ=None, overrides=None):
    return settings_from(text, FILE, environ or {}, overrides)


def said(text, environ=None):
    with pytest.raises(ConfigError) as caught:
        read(text, environ)
    return caught.value.message


@pytest.mark.parametrize(("text", "value"), [
    ("10:30", "10:30"), ("NO", "NO"), ("ON", "ON"), ("Y", "Y"), ("yes", "yes"), ("010", "010"), ("0x10", "0x10"),
    ("1_000", "1_000"), ("2026-01-02", "2026-01-02"), ("true", True), ("FALSE", False), ("null", None), ("~", None),
    ("3", 3), ("-3", -3), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), (".nan", ".nan"), (".inf", ".inf"), ("'3'", "3"),
    ("[a, NO]", ["a", "NO"]), ("{ON: 1}", {"ON": 1}),
])  # fmt: skip
def test_yaml_without_surprises(text, value):
    assert yaml_value(text) == value
    assert type(yaml_value(text)) is type(value)


def test_the_regimes_that_may_be_named_are_those_that_the_rule_knows():
    assert set(settings_file.REGIMES) == set(POSITIONS) == set(Settings().risk.regime)


def test_an_empty_file_is_all_defaults():
    loaded = read("")
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_tickers_survive_as_keys_and_values():
    loaded = read("paper: {holdings: {ON: 1, NO: 2.5, Y: 3, TRUE: 4}}\nrisk: {restricted: [ON, NO]}")
    assert loaded.settings.paper.holdings == {"ON": D(1), "NO": D("2.5"), "Y": D(3), "TRUE": D(4)}
    assert loaded.settings.risk.restricted == ["ON", "NO"]


def test_money_is_exact():
    assert read("paper: {cash: 0.1}").settings.paper.cash == D("0.1")


@pytest.mark.parametrize(("text", "message"), [
    ("risk:\n  max_postions: 3", "desk.yaml:2: risk.max_postions: no such key, did you mean max_positions?"),
    ("max_positions: 3", "desk.yaml:1: max_positions: no such key, did you mean risk.max_positions?"),
    ("risk:\n\n  daily_loss: 2", "desk.yaml:3: risk.daily_loss: expected float <= 1.0, found 2"),
    ("risk: {max_positions: -1}", "desk.yaml:1: risk.max_positions: expected int >= 0, found -1"),
    ("risk:\n  exposure: abc", "desk.yaml:2: risk.exposure: expected float, found the text 'abc'"),
    ("risk: {drawdown: true}", "desk.yaml:1: risk.drawdown: expected float, found true"),
    ("exits: {protect: disastr}", "desk.yaml:1: exits.protect: 'disastr' is not a choice (did you mean disaster?)"),
    ("exits:\n  plans:\n    momentum: {stp: 1}",
     "desk.yaml:3: exits.plans.momentum.stp: no such key, did you mean stop?"),
    ("paper:\n  fees:\n    - {kind: sec}", "desk.yaml:3: paper.fees[0]: since is missing"),
    ("risk: [a]", "desk.yaml:1: risk: expected object, found a list"),
    ("risk:\n  drawdown: 0.1\n  drawdown: 0.2", "desk.yaml:3: risk.drawdown is there twice, first in line 2"),
    ("desk: {timezone: Mars/Base}",
     "desk.yaml:1: desk.timezone: 'Mars/Base' is no time zone; write America/New_York or UTC"),
    ("risk:\n  exposure: 1e999", "desk.yaml:2: risk.exposure: 1e999 is too large"),
    ("- a", "desk.yaml:1: "),
    ("risk:\n  a: [", "desk.yaml:3: not YAML: "),
    ("a: b: c", "desk.yaml:1: not YAML: "),
    ("exits: {plans: {momentum: {after_target: arm-trail, trail: null}}}", "arm-trail wants a trail"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text, message):
    assert message in said(text)


def test_several_errors_are_shown_at_once_in_the_order_of_the_file():
    message = said("risk:\n  daily_loss: 7\n  drwdown: 1\npaper:\n  cash: many\n")
    assert [line.split(":")[1] for line in message.splitlines()[1:]] == ["2", "3", "5"]
    assert message.startswith("3 errors in desk.yaml")


def test_the_line_wins_over_the_environment_over_the_file_over_the_default():
    text = "risk:\n  max_positions: 5\n  max_per_scan: 2\n"
    environ = {"TRADEKIT_SET__RISK__MAX_POSITIONS": "4", "TRADEKIT_SET__RISK__EXPOSURE": "0.5", "HOME": "/x"}
    loaded = read(text, environ, {"risk.exposure": "0.25"})
    assert (loaded.settings.risk.max_positions, loaded.settings.risk.max_per_scan) == (4, 2)
    assert loaded.settings.risk.exposure == 0.25
    assert {
        key: loaded.origins[f"risk.{key}"] for key in ("max_positions", "max_per_scan", "exposure", "drawdown")
    } == {
        "max_positions": "TRADEKIT_SET__RISK__MAX_POSITIONS",
        "max_per_scan": "desk.yaml:3",
        "exposure": "command line",
        "drawdown": "default",
    }


def test_a_wrong_variable_is_named():
    message = said("", {"TRADEKIT_SET__RISK__MAX_POSITION": "3"})
    assert message == "TRADEKIT_SET__RISK__MAX_POSITION: risk.max_position: no such key, did you mean max_positions?"


def test_a_variable_names_a_strategy_without_dashes():
    loaded = read("", {"TRADEKIT_SET__EXITS__PLANS__MARKET_ON_OPEN__STOP": "0.01"})
    assert loaded.settings.exits.plans["market-on-open"].stop == 0.01


def test_the_hash_follows_the_settings_and_nothing_else():
    first = read("risk: {max_positions: 3}").hash
    assert first == read("# hi\nrisk:\n  max_positions: 3").hash
    assert first != read("risk: {max_positions: 4}").hash


def test_places_of_schedule_entries():
    loaded = read("schedule:\n  - {at: 10:30, run: scan}\n  -\n    at: open\n    run: scan")
    assert loaded.place("schedule", 0, "at") == "desk.yaml:2"
    assert loaded.place("schedule", 1, "late") == "desk.yaml:4"


# presets


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_every_key_and_comments_it(preset):
    text = (PRESET_FOLDER / f"{preset}.yaml").read_text("utf-8")
    loaded = read(text)
    assert [key for key, origin in loaded.origins.items() if origin == "default"] == []
    assert text.startswith("# yaml-language-server: $schema=")
    for line in text.split("# The schedule")[0].splitlines():
        indented = line.startswith("  ") and not line.startswith("   ")
        assert not indented or "#" in line, line


@pytest.mark.parametrize("preset", PRESETS)
def test_the_schedule_of_a_preset_parses(preset):
    loaded = read((PRESET_FOLDER / f"{preset}.yaml").read_text("utf-8"))
    assert loaded.settings.schedule
    assert parse_schedule(loaded.settings.schedule, around_the_clock=preset == "crypto")


def test_preset_day_says_what_the_default_schedule_is():
    loaded = read((PRESET_FOLDER / "day.yaml").read_text("utf-8"))
    ours = [s._replace(entry=0) for s in parse_schedule(loaded.settings.schedule or [])]
    assert ours == [s._replace(entry=0) for s in parse_schedule(default_schedule())]


def test_the_plans_of_the_presets():
    plans = {p: read((PRESET_FOLDER / f"{p}.yaml").read_text("utf-8")).settings for p in PRESETS}
    day, swing = plans["day"].exits.plans["momentum"], plans["swing"].exits.plans["momentum"]
    assert (day.stop, day.target, day.after_target, day.trail, day.intent) == (0.009, 0.026, "arm-trail", 0.015, "day")
    assert (swing.stop, swing.trail, swing.trail_from, swing.intent) == (None, 0.05, "entry", "swing")
    assert plans["day"].risk.daily_loss == 0.01
    assert (plans["swing"].risk.max_per_cap, plans["swing"].risk.skip_buys_when_healthy) == (2, True)
    assert (plans["crypto"].desk.calendar, plans["crypto"].paper.maker, plans["crypto"].paper.taker) == (
        "24/7",
        0.0025,
        0.004,
    )
    assert plans["moo"].scan.strategies == ["market-on-open"]


def test_the_crypto_preset_had_a_tick_of_a_cent_for_coins_of_a_cent():
    market = read((PRESET_FOLDER / "crypto.yaml").read_text("utf-8")).settings.market
    assert market.tick_of("DOGE/USD") == D("0.00000001")
    market = read("market: {ticks: {DOGE/USD: 0.00001}}").settings.market
    assert (market.tick_of("DOGE/USD"), market.tick_of("BTC/USD")) == (D("0.00001"), D("0.01"))


@pytest.mark.parametrize("ticks", ["{DOGE/USD: 0}", "{DOGE/USD: -0.1}", "{'no symbol': 0.01}", "{DOGE/USD: much}"])
def test_a_tick_that_no_price_can_have_is_refused(ticks):
    with pytest.raises(ConfigError, match="ticks"):
        read(f"market:\n  ticks: {ticks}\n")


# changing one key

TEXT = """# top
desk:
  name: mine  # the name
risk:

  # how many
  max_positions: 6   # open positions
  restricted: []
exits: {protect: exact}
scan:
"""


@pytest.mark.parametrize(("key", "value", "old", "new"), [
    ("risk.max_positions", "4", "  max_positions: 6   # open", "  max_positions: 4   # open"),
    ("desk.name", "a: b", "name: mine  #", 'name: "a: b"  #'),
    ("desk.name", "my #1", "name: mine  #", 'name: "my #1"  #'),
    ("exits.protect", "none", "{protect: exact}", "{protect: none}"),
    ("risk.restricted", "[ON, F]", "restricted: []", "restricted: [ON, F]"),
    ("risk.drawdown", "0.1", "risk:\n", "risk:\n  drawdown: 0.1\n"),
    ("sizing.fraction", "0.1", "scan:\n", "scan:\nsizing:\n  fraction: 0.1\n"),
    ("scan.min_rvol", "2", "scan:\n", "scan:\n  min_rvol: 2\n"),
])  # fmt: skip
def test_one_key_changes_and_nothing_else(key, value, old, new):
    assert changed(TEXT, key, value, FILE) == TEXT.replace(old, new)
    read(changed(TEXT, key, value, FILE))


def test_a_flow_mapping_is_left_to_an_editor():
    with pytest.raises(ConfigError, match="written as"):
        changed(TEXT, "exits.second_look_s", "1", FILE)


@settings(max_examples=50)
@given(st.text(max_size=12))
def test_any_text_can_be_a_name(name):
    loaded = read(changed((PRESET_FOLDER / "day.yaml").read_text("utf-8"), "desk.name", quoted(name), FILE))
    assert loaded.settings.desk.name == name


# universe.yaml


def test_all_forms_of_a_universe():
    text = (
        "large: [AAPL, BRK.B]  # big\nmid:\n  - ON\n  - {symbol: F, sector: autos}\n  - NO: {kind: etf}\n"
        "small:\n  Y: {sector: energy, from: 2020-01-02, to: 2021-01-04}\n  X:\n"
    )
    found = universe_from(text, Path("universe.yaml"))
    assert found == {
        "AAPL": Symbol(symbol="AAPL", cap="large"),
        "BRK.B": Symbol(symbol="BRK.B", cap="large"),
        "ON": Symbol(symbol="ON", cap="mid"),
        "F": Symbol(symbol="F", cap="mid", sector="autos"),
        "NO": Symbol(symbol="NO", cap="mid", kind="etf"),
        "Y": Symbol(symbol="Y", cap="small", sector="energy", since="2020-01-02", until="2021-01-04"),
        "X": Symbol(symbol="X", cap="small"),
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "large: []\nmid: []\n", "large:\n"])
def test_an_empty_universe(text):
    assert universe_from(text, Path("universe.yaml")) == {}


@pytest.mark.parametrize(("text", "message"), [
    ("large: [AAPL]\nmid: [AAPL]", "universe.yaml:2: mid: AAPL is there twice, also under large"),
    ("large: [A, A]", "A is there twice"),
    ("large:\n  - aapl", "universe.yaml:2: large: 'aapl' is no symbol, did you mean AAPL?"),
    ("large: {A: {sectr: x}}", "A: no such key sectr, did you mean sector?"),
    ("large: {A: {from: 2026-13-01}}", "'2026-13-01' is no date"),
    ("- A", "not a mapping of cap classes"),
    ("large: [A", "not YAML"),
])  # fmt: skip
def test_what_is_wrong_with_a_universe(text, message):
    with pytest.raises(ConfigError) as caught:
        universe_from(text, Path("universe.yaml"))
    assert message in caught.value.message


def test_five_thousand_symbols_are_read_without_yaml():
    names = [f"A{i:04d}" for i in range(5000)]
    found = universe_from(f"large: [{', '.join(names)}]\n", Path("universe.yaml"))
    assert list(found) == names


def test_a_missing_file_and_a_wrong_encoding(tmp_path):
    with pytest.raises(ConfigError, match="missing"):
        load_settings(tmp_path, {})
    (tmp_path / "desk.yaml").write_bytes(b"desk: {name: \xff}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(tmp_path, {})


# the copy of what was parsed


@pytest.fixture
def kept(tmp_path):
    """A desk.yaml and an environment with a cache folder of its own."""
    (tmp_path / "desk.yaml").write_text("# hi\nrisk:\n  max_positions: 3\npaper: {cash: 0.1, holdings: {ON: 1}}\n")
    return tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_the_second_reading_is_the_same_and_needs_no_yaml(kept, monkeypatch):
    desk, environ = kept
    first = load_settings(desk, environ)
    monkeypatch.setattr(settings_file, "parse", None)
    second = load_settings(desk, environ)
    assert second == first
    assert second.place("risk", "max_positions") == "desk.yaml:3"
    assert load_settings(desk, {**environ, "TRADEKIT_SET__RISK__MAX_POSITIONS": "4"}).settings.risk.max_positions == 4


def test_a_changed_file_is_read_again_even_at_the_same_time_and_size(kept):
    desk, environ = kept
    load_settings(desk, environ)
    facts = (desk / "desk.yaml").stat()
    (desk / "desk.yaml").write_text((desk / "desk.yaml").read_text().replace(": 3", ": 5"))
    os.utime(desk / "desk.yaml", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert load_settings(desk, environ).settings.risk.max_positions == 5


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\x94\x01"])
def test_a_damaged_copy_is_ignored(damage, kept):
    desk, environ = kept
    load_settings(desk, environ)
    (copy,) = (desk / "cache" / "tradekit" / "settings").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    copy.write_bytes(damage)
    assert load_settings(desk, environ).settings.risk.max_positions == 3


def test_a_cache_folder_that_cannot_be_written_is_no_error(kept):
    desk, environ = kept
    (desk / "cache").write_text("a file")
    assert load_settings(desk, environ).settings.risk.max_positions == 3


def test_a_wrong_file_is_not_kept_and_stays_wrong(kept):
    desk, environ = kept
    (desk / "desk.yaml").write_text("risk: {max_postions: 3}")
    for _ in range(2):
        with pytest.raises(ConfigError, match="max_postions"):
            load_settings(desk, environ)
