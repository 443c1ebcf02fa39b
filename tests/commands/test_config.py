"""config show, get, set, schema, session."""

import json

import pytest


def test_show_says_where_each_value_came_from(line, new_desk):
    desk = new_desk()
    done = line("-C", desk, "config", "show", "risk", "--origin", "--json", env={"TRADEKIT_SET__RISK__EXPOSURE": "0.5"})
    rows = {row["key"]: row for row in json.loads(done.stdout)}
    assert rows["risk.exposure"] == {
        "key": "risk.exposure", "value": 0.5, "origin": "TRADEKIT_SET__RISK__EXPOSURE",
    }  # fmt: skip
    number = next(
        n for n, text in enumerate((desk / "desk.yaml").read_text().splitlines(), 1) if "max_positions:" in text
    )
    assert rows["risk.max_positions"]["origin"] == f"desk.yaml:{number}"
    assert all(key.startswith("risk.") for key in rows)


@pytest.mark.parametrize(("key", "out"), [
    ("risk.max_positions", "6\n"), ("paper.cash", "100000\n"), ("risk.max_per_cap", "null\n"),
    ("paper.touch", "false\n"),
    ("scan.strategies", '["momentum"]\n'), ("exits.plans.momentum.stop", "0.009\n"),
])  # fmt: skip
def test_get_prints_the_value_alone(key, out, line, new_desk):
    assert line("-C", new_desk(), "config", "get", key).stdout == out


def test_get_of_a_wrong_key_is_2(line, new_desk):
    done = line("-C", new_desk(), "config", "get", "risk.max_postions")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'risk.max_positions'?" in done.stderr


def test_set_keeps_the_comments_and_leaves_a_run(line, new_desk):
    desk = new_desk()
    before = (desk / "desk.yaml").read_text()
    done = line("-C", desk, "config", "set", "risk.max_positions", "4", "--json")
    assert json.loads(done.stdout)["value"] == 4
    assert (desk / "desk.yaml").read_text() == before.replace("max_positions: 6 ", "max_positions: 4 ")
    assert (desk / "desk.yaml").stat().st_mode & 0o777 == 0o600
    runs = json.loads(line("-C", desk, "runs", "--json").stdout)
    assert [(row["command"], row["exit_code"]) for row in runs] == [("config set", 0)]


@pytest.mark.parametrize("words", [
    ("risk.max_positions", "--", "-4"), ("risk.max_position", "4"), ("risk.max_positions", "many"), ("risk..x", "1"),
    ("exits.plans", "{}"), ("nothing", "1"), ("desk.timezone", "Mars"),
])  # fmt: skip
def test_a_value_that_does_not_fit_changes_nothing(words, line, new_desk):
    desk = new_desk()
    before = (desk / "desk.yaml").read_bytes()
    done = line("-C", desk, "config", "set", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert (desk / "desk.yaml").read_bytes() == before
    assert not list(desk.glob(".desk.yaml*"))


@pytest.mark.parametrize(("key", "value", "said"), [
    ("desk.broker", "alpaca", "known: paper, http"),
    ("desk.broker", "http", "http has no address yet"),
    ("desk.calendar", "XMOON", "XMOON is not a calendar"),
    ("desk.currency", "EUR", "the books of this desk are in USD"),
    ("scan.strategies", "[momentun]", "did you mean momentum?"),
    ("scan.buy_types", "[dusk]", "(one of open, midday, close)"),
    ("strategies", "{momentum: {surges: 2}}", "there is no setting 'surges'"),
    ("providers.x", "{client_id: a, type: schwap}", "one of schwab, tradestation"),
    ("notify.events", "{alert.haltd: true}", "no events of kind alert.haltd"),
    ("bot.settable", "[desk.broker]", "'desk.broker' may not be changed by chat"),
    ("risk.flatten_on", "[draw-down]", "did you mean drawdown?"),
    ("risk.regime", "{sideway: 1}", "known: up, sideways, down, dead"),
    ("risk.restricted", "[aapl]", "'aapl' is not a symbol"),
    ("paper.fees", "[{kind: sec, since: soon, rate: 0.1, per: share}]", "'soon' is no date"),
    ("paper.fees", "[{kind: sec, since: '20260404', rate: 0.1, per: share}]", "'20260404' is no date"),
])  # fmt: skip
def test_a_value_that_the_desk_could_not_open_with_is_refused(key, value, said, line, new_desk):
    """`desk.broker alpaca` was taken, and from then on nothing but exits ran."""
    desk = new_desk()
    before = (desk / "desk.yaml").read_bytes()
    done = line("-C", desk, "config", "set", key, value)
    assert (done.returncode, done.stdout, said in done.stderr) == (2, "", True), done.stderr
    assert (desk / "desk.yaml").read_bytes() == before
    assert line("-C", desk, "runs", "--json").stdout == "[]\n"


@pytest.mark.parametrize(("key", "value"), [
    ("desk.calendar", "XTKS"), ("scan.strategies", "[market-on-open]"), ("risk.flatten_on", "[drawdown]"),
    ("risk.regime", "{up: 3}"), ("desk.broker", "paper"),
    ("providers.x", "{client_id: a}"), ("notify.events", "{alert.halt: false}"),
    ("risk.restricted", "[BRK.B, BTC-USD]"), ("desk.currency", "USD"),
])  # fmt: skip
def test_what_a_desk_can_open_with_is_taken(key, value, line, new_desk):
    done = line("-C", new_desk(), "config", "set", key, value)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("value", "said"), [
    ("[{at: open+5m, run: scan}]", None),
    ("[{at: noon, run: scan}]", "noon is not a time like"),
    ("[{at: open+5m, run: skan}]", "skan is not a step of the day"),
])  # fmt: skip
def test_a_schedule_that_makes_no_sense_is_refused(value, said, line, new_desk):
    desk = new_desk()
    (desk / "desk.yaml").write_text("desk: {benchmark: null}\n")
    done = line("-C", desk, "config", "set", "schedule", value)
    assert done.returncode == (2 if said else 0) and (said or "") in done.stderr, done.stderr
    assert ("schedule" in (desk / "desk.yaml").read_text()) == (said is None)


def test_one_wrong_key_does_not_stand_in_the_way_of_another(line, new_desk):
    desk = new_desk()
    path = desk / "desk.yaml"
    path.write_text(
        path.read_text().replace("broker: paper", "broker: alpaca").replace("currency: USD", "currency: EUR")
    )
    assert line("-C", desk, "config", "set", "desk.broker", "paper").returncode == 0
    assert line("-C", desk, "config", "set", "desk.currency", "USD").returncode == 0


def test_a_dry_run_changes_nothing(line, new_desk):
    desk = new_desk()
    before = (desk / "desk.yaml").read_bytes()
    done = line("-C", desk, "config", "set", "risk.max_positions", "4", "--dry-run", "--json")
    assert json.loads(done.stdout)["dry_run"] is True
    assert (desk / "desk.yaml").read_bytes() == before


def test_a_desk_yaml_that_is_broken_names_file_key_and_line(line, new_desk):
    desk = new_desk()
    text = (desk / "desk.yaml").read_text().replace("max_positions: 6 ", "max_postions: 6 ")
    (desk / "desk.yaml").write_text(text)
    number = next(n for n, each in enumerate(text.splitlines(), 1) if "max_postions" in each)
    done = line("-C", desk, "config", "show")
    assert done.returncode == 2
    assert f"desk.yaml:{number}: risk.max_postions: no such key, did you mean max_positions?" in done.stderr


def test_the_schema_is_json(line):
    schema = json.loads(line("config", "schema").stdout)
    assert "risk" in json.dumps(schema)


def test_a_closure_is_kept_once(line, new_desk):
    desk = new_desk()
    for _ in range(2):
        done = line("-C", desk, "config", "session", "2026-07-06", "--closed", "--reason", "storm", "--json")
        assert json.loads(done.stdout) == {
            "day": "2026-07-06", "open": None, "close": None, "closed": True, "reason": "storm",
        }  # fmt: skip
    assert len(json.loads(line("-C", desk, "config", "session", "--json").stdout)) == 1


@pytest.mark.parametrize(
    ("day", "close"), [("2026-02-13", "2026-02-13T18:00:00Z"), ("2026-07-06", "2026-07-06T17:00:00Z")]
)
def test_other_hours_are_exchange_time(day, close, line, new_desk):
    done = line("-C", new_desk(), "config", "session", day, "--close", "13:00", "--reason", "x", "--json")
    assert json.loads(done.stdout)["close"] == close  # 18:00 UTC in winter, 17:00 in summer


@pytest.mark.parametrize("words", [
    ("2026-07-06",), ("2026-13-01", "--closed"), ("2026-07-06", "--close", "25:00"), ("2026-07-04", "--close", "13:00"),
    ("2026-07-06", "--closed", "--close", "13:00"), ("2026-07-06", "--close", "09:00"),
])  # fmt: skip
def test_wrong_sessions_are_2(words, line, new_desk):
    done = line("-C", new_desk(), "config", "session", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tradekit: ")


def test_a_24_7_desk_has_no_sessions_to_change(line, new_desk):
    assert line("-C", new_desk("crypto"), "config", "session", "2026-07-06", "--closed").returncode == 2
