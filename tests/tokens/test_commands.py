"""refresh-token and token, as they are typed."""

import json
import sys
from datetime import timedelta

import pytest

from tests.test_startup import HEAVY, loaded_by
from tests.tokens.conftest import desk_yaml, log_in, put_providers
from tradekit.clock import SystemClock, iso


@pytest.fixture
def site(new_desk, provide, own, clock):
    """A desk with a Schwab login, and `at(minutes=...)`: the environment of a command then."""
    from types import SimpleNamespace

    server = provide("schwab")
    desk = new_desk()
    desk_yaml(desk, server)
    bot = own(server)
    log_in(bot.owner, bot.idp)

    def at(**span):
        clock.set(clock.now() + timedelta(**span))
        return {"TRADEKIT_CLOCK": iso(clock.now())}

    return SimpleNamespace(desk=desk, server=server, at=at, **vars(bot))


def rows(done):
    return json.loads(done.stdout)


def test_nothing_due_asks_nobody_and_loads_nothing_heavy(new_desk, provide, own):
    server = provide("schwab", at=SystemClock())
    desk = new_desk()
    desk_yaml(desk, server)
    bot = own(server, at=SystemClock())
    log_in(bot.owner, bot.idp)
    requests = bot.idp.counts["token_requests"]
    for words in (("refresh-token", "--all", "--json"), ("token", "status")):
        code, _, err, modules = loaded_by(words, desk)
        assert code == 0, err
        assert not modules & (HEAVY | {"ssl", "http", "socket"})
    assert bot.idp.counts["token_requests"] == requests


def test_what_is_due_is_refreshed_and_a_run_is_written(line, site):
    done = line("-C", site.desk, "refresh-token", "--all", "--json", env=site.at(minutes=25))
    assert done.returncode == 0, done.stderr
    assert [(row["provider"], row["did"], row["generation"]) for row in rows(done)] == [("schwab", "refreshed", 2)]
    runs = rows(line("-C", site.desk, "runs", "--json"))
    assert [(run["command"], run["exit_code"]) for run in runs] == [("refresh-token", 0)]


def test_again_does_nothing_and_force_does(line, site):
    assert rows(line("-C", site.desk, "refresh-token", "schwab", "--json", env=site.at(minutes=1)))[0]["did"] == "fresh"
    done = line("-C", site.desk, "refresh-token", "schwab", "--force", "--json", env=site.at())
    assert rows(done)[0]["did"] == "refreshed"


def test_a_dry_run_says_what_is_due_and_asks_nobody(line, site):
    done = line("-C", site.desk, "refresh-token", "--dry-run", "--json", env=site.at(minutes=26))
    assert [(row["did"], row["dry_run"]) for row in rows(done)] == [("due", True)]
    assert site.idp.counts["refreshes"] == 0


def test_no_providers_is_nothing_to_do(line, new_desk):
    desk = new_desk()
    assert line("-C", desk, "refresh-token").returncode == 0
    assert line("-C", desk, "refresh-token", "--exit-code").returncode == 3
    assert line("-C", desk, "refresh-token", "schwab").returncode == 2


@pytest.mark.parametrize(("span", "code", "login"), [
    ({"days": 5}, 0, "ok"),
    ({"days": 6}, 7, "soon"),
    ({"days": 7}, 4, "needed"),
    ({"days": 7, "seconds": 1}, 4, "needed"),
])  # fmt: skip
def test_status_exits_4_when_a_login_is_needed_and_7_when_one_is_near(line, site, span, code, login):
    done = line("-C", site.desk, "token", "status", "--json", env=site.at(**span))
    assert done.returncode == code
    assert rows(done)[0]["login"] == login


def test_status_without_a_login_is_4(line, new_desk, provide, state):
    desk = new_desk()
    desk_yaml(desk, provide())
    done = line("-C", desk, "token", "status")
    assert done.returncode == 4
    assert "refresh-token schwab --login paste" in done.stderr


def test_from_day_6_every_run_warns_and_doctor_and_status_show_it(line, site):
    env = site.at(days=6)
    assert "the login ends in 1.0 days" in line("-C", site.desk, "refresh-token", env=env).stderr
    rate = {"TRADEKIT_CLOCK": env["TRADEKIT_CLOCK"] + "@1"}  # a running clock: not a replay
    assert "the login ends in" in line("-C", site.desk, "reconcile", env=rate).stderr
    assert rows(line("-C", site.desk, "status", "--json", env=env))["logins"]["schwab"]["days_left"] == 1.0
    checks = {row["check"]: row for row in rows(line("-C", site.desk, "doctor", "--json", env=env))}
    assert not checks["login schwab"]["ok"]
    alerts = [e for e in rows(line("-C", site.desk, "events", "--json", env=env)) if e["kind"] == "alert.token-login"]
    assert len(alerts) == 1


def test_the_warning_is_an_alert_once_a_day(line, site):
    for _ in range(3):
        line(
            "-C",
            site.desk,
            "refresh-token",
            env=site.at(days=6) if site.idp.clock.now().day == 13 else site.at(minutes=5),
        )
    events = rows(line("-C", site.desk, "events", "--json", env=site.at()))
    assert len([e for e in events if e["kind"] == "alert.token-login"]) == 1


def test_after_day_7_it_is_4_without_a_request(line, site):
    env = site.at(days=7)
    requests = site.idp.counts["token_requests"]
    done = line("-C", site.desk, "refresh-token", "--all", env=env)
    assert done.returncode == 4
    assert "has ended" in done.stderr
    assert site.idp.counts["token_requests"] == requests


def test_positions_without_a_login_raise_exits_at_risk(site, monkeypatch):
    from types import SimpleNamespace

    from tradekit.desk import logins

    said, alerts = [], []
    monkeypatch.setattr(logins, "alert_once", lambda desk, kind, text, **_: alerts.append((kind, text)))
    site.at(days=7, seconds=1)
    store = SimpleNamespace(positions=SimpleNamespace(open=lambda: ["AAPL", "MSFT"]))
    clock = SimpleNamespace(passes=True, now=site.idp.clock.now)
    desk = SimpleNamespace(settings=site.settings, clock=clock, say=said.append, store=store)
    logins.warn_of_logins(desk)
    assert [kind for kind, _ in alerts] == ["exits-at-risk"]
    assert "2 positions are open" in alerts[0][1]
    assert "a login is needed" in said[0]


def test_one_failing_provider_stops_no_other(line, site, provide, own):
    other = provide("tradestation")
    section = (
        f"providers:\n  tradestation:\n    client_id: nobody-here\n    authorize_url: {other.authorize_url}\n"
        f"    token_url: {other.token_url}\n"
    )
    text = (site.desk / "desk.yaml").read_text()
    (site.desk / "desk.yaml").write_text(text.replace("\nproviders:\n", f"\n{section}", 1))
    done = line("-C", site.desk, "refresh-token", "--json", env=site.at(minutes=26))
    assert done.returncode == 4
    assert {row["provider"]: row["did"] for row in rows(done)} == {"schwab": "refreshed", "tradestation": "failed"}


def test_a_broken_store_does_not_keep_a_token_from_being_refreshed(line, site):
    (site.desk / "desk.db").write_bytes(b"this is not a database, and longer than a header" * 20)
    done = line("-C", site.desk, "refresh-token", env=site.at(minutes=26))
    assert done.returncode == 9
    assert site.idp.counts["refreshes"] == 1


def test_print_is_only_the_token(line, site):
    done = line("-C", site.desk, "token", "print", env=site.at(minutes=26))
    assert done.returncode == 0
    assert done.stdout == site.owner.vault.read().access_token + "\n"
    assert done.stdout.strip() not in done.stderr


def test_print_on_a_terminal_wants_to_be_sure(line, site, monkeypatch):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(io, "StringIO", Terminal)
    done = line("-C", site.desk, "token", "print", env=site.at())
    assert (done.returncode, done.stdout) == (2, "")
    assert line("-C", site.desk, "token", "print", "--yes-print-secret", env=site.at()).returncode == 0


PAIR = {"access_token": "a-imported-1", "refresh_token": "r-imported-1"}
OAUTH = PAIR | {"expires_in": 1800, "token_type": "Bearer"}
IMPORTS = {
    "schwab-py": {"creation_timestamp": 1770984000, "token": OAUTH | {"expires_at": 1770992000}},
    "plain": OAUTH,
    "expiry": PAIR | {"expiry": "2026-02-13T14:15:00Z"},
}


@pytest.mark.parametrize("kind", IMPORTS)
def test_import(line, site, tmp_path, kind):
    file = tmp_path / "old.json"
    file.write_text(json.dumps(IMPORTS[kind]))
    file.chmod(0o600)
    done = line("-C", site.desk, "token", "import", file, "--json", env=site.at(seconds=1))
    assert done.returncode == 0, done.stderr
    found = rows(done)
    access = {"schwab-py": "valid", "plain": "expired", "expiry": "valid"}[kind]  # plain: without a time, expired
    assert (found["via"], found["generation"], found["access"]) == ("import", 2, access)
    assert site.owner.vault.read().refresh_token == "r-imported-1"
    again = line("-C", site.desk, "token", "import", file, "--json", env=site.at())
    assert rows(again)["generation"] == 2
    assert "imported-1" not in done.stdout + done.stderr + again.stdout + again.stderr


def test_importing_the_file_of_an_earlier_day_ended_the_login(line, site, tmp_path, provide, own):
    """The provider's refresh tokens work once: going back to the first one would kill the login."""
    server = provide("tradestation", one_use=True)
    desk_yaml(site.desk, server)
    site.owner = own(server).owner
    log_in(site.owner, server.provider)
    stored = site.owner.vault.read()
    file = tmp_path / "bot.json"
    file.write_text(json.dumps({"access_token": stored.access_token, "refresh_token": stored.refresh_token}))
    file.chmod(0o600)
    for _ in range(2):
        assert line("-C", site.desk, "refresh-token", "tradestation", "--force", env=site.at()).returncode == 0
    newest = site.owner.vault.read()
    assert newest.refresh_token != stored.refresh_token
    words = ("token", "import", file, "--provider", "tradestation", "--json")
    done = line("-C", site.desk, *words, env=site.at())
    assert done.returncode == 0, done.stderr
    assert "nothing newer" in done.stderr
    assert site.owner.vault.read() == newest
    done = line("-C", site.desk, "refresh-token", "tradestation", "--force", env=site.at())
    assert done.returncode == 0, done.stderr


def test_a_file_without_a_refresh_token_does_not_replace_a_login_that_works(line, site, tmp_path):
    stored = site.owner.vault.read()
    file = tmp_path / "access.json"
    file.write_text(json.dumps({"access_token": "only-an-access-token"}))
    file.chmod(0o600)
    done = line("-C", site.desk, "token", "import", file, env=site.at())
    assert done.returncode == 2
    assert "has no refresh token" in done.stderr and "only-an-access" not in done.stderr
    assert site.owner.vault.read() == stored


def test_import_refuses_loose_files_and_files_that_are_none(line, site, tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps(IMPORTS["plain"]))
    file.chmod(0o644)
    assert line("-C", site.desk, "token", "import", file).returncode == 2
    file.chmod(0o600)
    file.write_text("r-imported-1")
    done = line("-C", site.desk, "token", "import", file)
    assert done.returncode == 2
    assert "imported-1" not in done.stderr


def test_login_by_pasting_the_callback(new_desk, provide, own, run):
    """A person with a browser elsewhere; stdin brings the address back."""
    import subprocess

    from tests.tokens.test_login import through_the_pages

    server = provide("schwab", at=SystemClock())
    desk = new_desk()
    desk_yaml(desk, server)
    import os

    from tests.conftest import ROOT

    process = subprocess.Popen(
        [sys.executable, "-m", "tradekit", "-C", str(desk), "refresh-token", "schwab", "--login", "paste", "--json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    url = next(text.strip() for text in process.stderr if text.startswith("http"))
    out, err = process.communicate(through_the_pages(url) + "\n", timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out)[0]["login"] == "ok"
    assert own(server, at=SystemClock()).owner.vault.read().via == "login"


def test_crash_points_are_refused_for_real_providers(line, new_desk):
    desk = new_desk()
    put_providers(desk, "providers:\n  schwab:\n    client_id: abc\n")
    done = line("-C", desk, "refresh-token", env={"TRADEKIT_CRASHPOINT": "token_renamed"})
    assert done.returncode == 2
    assert "a real provider" in done.stderr


def test_cron_gets_a_line_only_where_there_are_providers(line, site, new_desk):
    assert "run-slot refresh-token" in line("-C", site.desk, "schedule", "crontab").stdout
    assert "refresh-token" not in line("-C", new_desk(name="other"), "schedule", "crontab").stdout


def test_the_schedules_step_refreshes(site, line):
    from tradekit.clock import SystemClock
    from tradekit.desk.open import open_desk
    from tradekit.desk.steps import parse, run

    site.at(minutes=26)

    class Running(SystemClock):
        now, sleep, monotonic = site.idp.clock.now, site.idp.clock.sleep, site.idp.clock.monotonic

    with open_desk(site.desk, clock=Running()) as desk:
        assert [row["did"] for row in run(desk, parse("refresh-token --all"))] == ["refreshed"]


def test_a_replay_leaves_the_tokens_alone(site):
    from tradekit.desk.open import open_desk
    from tradekit.desk.slots import desk_schedule
    from tradekit.desk.steps import parse, run

    site.at(minutes=26)
    with open_desk(site.desk, clock=site.idp.clock) as desk:
        assert run(desk, parse("refresh-token --all")) == []
        assert "refresh-token" not in [spec.verb for spec in desk_schedule(desk)]
    assert site.idp.counts["refreshes"] == 0


def test_nothing_due_writes_nothing_not_even_a_run(line, site):
    env = site.at(minutes=5)
    books = site.desk / "desk.db"
    before = books.read_bytes()
    assert rows(line("-C", site.desk, "refresh-token", "--all", "--json", env=env))[0]["did"] == "fresh"
    assert books.read_bytes() == before
    assert rows(line("-C", site.desk, "runs", "--json", env=env)) == []
