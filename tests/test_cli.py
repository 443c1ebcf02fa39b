"""The frame around all commands: global options anywhere, errors as message, hint and exit code."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer

from tradekit import cli, errors
from tradekit.base.interrupts import Interrupted
from tradekit.cli import COMMANDS, did_you_mean, global_options, load
from tradekit.cli import run as run_line


def entries():
    for name, entry in COMMANDS.items():
        if isinstance(entry, dict):
            yield from ((f"{name} {sub}", each) for sub, each in entry.items())
        else:
            yield name, entry


@pytest.fixture
def planted(monkeypatch):
    """Plant a command `probe` that does what the test says."""

    def plant(function):
        module = types.ModuleType("tradekit.commands.probe")
        module.probe = function
        monkeypatch.setitem(sys.modules, "tradekit.commands.probe", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("probe:probe", "A probe."))

    return plant


@pytest.mark.parametrize(("name", "entry"), list(entries()), ids=lambda x: x if isinstance(x, str) else "")
def test_every_command_loads_and_has_help(name, entry):
    assert entry[1].endswith(".")
    assert (load(entry[0]).__doc__ or "").strip()


@pytest.mark.parametrize("words", [
    ["-C", "/d", "--json", "-q", "orders", "--live"],
    ["orders", "--live", "-C", "/d", "--json", "-q"],
    ["orders", "-C/d", "--format=json", "--live", "--quiet"],
    ["--format", "csv", "orders", "--live", "-q", "-C", "/x", "-C", "/d", "--json"],
])  # fmt: skip
def test_global_options_stand_anywhere(words):
    context, rest = global_options(words, {})
    assert (str(context.asked), context.format, context.quiet, rest) == ("/d", "json", True, ["orders", "--live"])


def test_words_after_a_double_dash_are_left_alone():
    context, rest = global_options(["config", "set", "a.b", "--json", "--", "-q", "--csv"], {})
    assert (context.format, context.quiet, rest) == ("json", False, ["config", "set", "a.b", "--", "-q", "--csv"])


def test_the_environment_sets_the_format_and_the_line_wins():
    assert global_options(["x"], {"TRADEKIT_FORMAT": "jsonl"})[0].format == "jsonl"
    assert global_options(["x", "--csv"], {"TRADEKIT_FORMAT": "jsonl"})[0].format == "csv"


@pytest.mark.parametrize(("words", "said"), [
    (["scann"], "did you mean 'scan'?"),
    (["report", "dayly"], "did you mean 'daily'?"),
    (["--formt", "json", "scan"], "no such option: --formt"),
    (["scan", "--format", "jsn"], "did you mean 'json'?"),
    (["scan", "-C"], "-C wants a folder"),
    (["config", "get"], "Missing argument"),
    (["config", "show", "--orgin"], "--origin"),
])  # fmt: skip
def test_a_mistyped_line_is_2_and_says_what_was_meant(words, said, capsys):
    assert run_line(words, {}) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert "fix: " in err
    assert out == ""


def test_no_close_word_no_guess():
    assert did_you_mean("zzz", ["scan"]) == ""


KINDS = [
    (errors.UsageError, 2), (errors.ConfigError, 2), (errors.MissingExtra, 2), (errors.AuthError, 4),
    (errors.UpstreamError, 5), (errors.BrokerError, 5), (errors.AmbiguousSend, 5), (errors.DataError, 5),
    (errors.Refused, 6), (errors.OrderRejected, 6), (errors.Findings, 7), (errors.Busy, 8), (errors.StoreError, 9),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), KINDS)
def test_an_error_has_its_exit_code_its_hint_and_as_json_an_object(kind, code, planted, capsys):
    import msgspec

    def probe() -> None:
        """Fail."""
        raise kind("it broke", "mend it")

    planted(probe)
    assert run_line(["probe", "--json"], {}) == code
    out, err = capsys.readouterr()
    first, second, third = err.splitlines()
    assert (out, first, second) == ("", "tradekit: it broke", "fix: mend it")
    assert msgspec.json.decode(third) == {
        "code": code, "error": "it broke", "hint": "mend it", "retryable": kind.retryable,
    }  # fmt: skip


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--exit-code"], 3)])
def test_nothing_to_do_is_3_only_on_request(flags, code, planted):
    def probe() -> None:
        """Do nothing."""
        raise errors.NothingToDo("the market is closed")

    planted(probe)
    assert run_line(["probe", *flags], {}) == code


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--exit-code"], 3)])
def test_an_empty_list_counts_as_nothing_to_do(flags, code, planted):
    def probe(ctx: typer.Context) -> None:
        """Show nothing."""
        from tradekit.commands._output import show

        show([], ctx.obj.format)

    planted(probe)
    assert run_line(["probe", *flags], {}) == code


def test_a_bug_leaves_a_redacted_traceback_in_the_desk_and_its_path_on_stderr(planted, capsys, tmp_path):
    def probe() -> None:
        """Break."""
        raise RuntimeError("boom api_key=sesame12345")

    planted(probe)
    (tmp_path / "desk.yaml").write_text("")
    assert run_line(["probe", "-C", str(tmp_path)], {}) == 1
    (saved,) = (tmp_path / "logs").iterdir()
    assert str(saved) in capsys.readouterr().err
    assert "RuntimeError: boom" in saved.read_text()
    assert "sesame" not in saved.read_text()
    assert saved.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (typer.Abort(), 130), (typer.Exit(7), 7)])
def test_being_stopped(stop, code, planted):
    def probe() -> None:
        """Stop."""
        raise stop

    planted(probe)
    assert run_line(["probe"], {}) == code


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Interrupted(143), 143)])
def test_being_stopped_while_a_class_is_made(stop, code, planted):
    """As a signal does that comes while a module is imported."""

    class Named:
        def __set_name__(self, owner, name):
            raise stop

    def probe() -> None:
        """Make a class."""
        type("Made", (), {"field": Named()})

    planted(probe)
    assert run_line(["probe"], {}) == code


def test_a_file_that_may_not_be_written_is_9(planted, capsys):
    def probe() -> None:
        """Write."""
        raise PermissionError(13, "Permission denied", "/x/desk.db")

    planted(probe)
    assert run_line(["probe"], {}) == 9
    assert "/x/desk.db: Permission denied" in capsys.readouterr().err


def test_a_missing_extra_is_named(planted, capsys):
    def probe() -> None:
        """Import."""
        raise ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")

    planted(probe)
    assert run_line(["probe"], {}) == 2
    assert "tradekit[parquet]" in capsys.readouterr().err


def test_sigterm_is_143_and_ctrl_c_130(tmp_path):
    import signal

    program = (
        "import os, sys, types\n"
        "from tradekit import cli\n"
        "def probe():\n    'Wait.'\n    os.kill(os.getpid(), int(os.environ['N']))\n    import time; time.sleep(30)\n"
        "module = types.ModuleType('tradekit.commands.probe'); module.probe = probe\n"
        "sys.modules['tradekit.commands.probe'] = module\n"
        "cli.COMMANDS['probe'] = ('probe:probe', 'A probe.')\n"
        "cli.main(['probe'])\n"
    )
    for number, code in [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)]:
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "N": str(int(number))}, timeout=30, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (code, "")
        assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_ends_it_quietly(new_desk):
    line = (
        f"{sys.executable} -m tradekit -C {new_desk()} config schema | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (0, 141)
    assert done.stderr == ""


@pytest.mark.parametrize(("words", "closed", "code"), [
    ("version", ">&-", 0), ("version", "<&- >&- 2>&-", 0), ("no-such-command", "2>&-", 2), ("positions", ">&-", 0),
])  # fmt: skip
def test_closed_streams_do_not_break_it(words, closed, code, new_desk):
    line = f"{sys.executable} -m tradekit -C {new_desk()} {words} {closed}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (code, "")  # an error does not slip into stdout either
    assert "bug" not in done.stderr


def test_a_closed_pipe_in_selects_nothing(new_desk):
    line = f"{sys.executable} -m tradekit -C {new_desk()} decide - --json <&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "[]\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the host has no /dev/full")
def test_output_that_does_not_fit_on_the_disk_is_9_and_no_bug(new_desk):
    line = f"{sys.executable} -m tradekit -C {new_desk()} config schema >/dev/full"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 9
    assert done.stderr.splitlines()[0] == "tradekit: what was printed could not be written: No space left on device"


def test_a_word_that_is_no_utf8_is_2(tmp_path):
    line = f"cd {tmp_path} && {sys.executable} -m tradekit init $'d\\xff'"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False, env=env)
    assert done.returncode == 2
    assert "d\\udcff is not UTF-8 text" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_has_a_line_break_is_2(run, tmp_path):
    done = run("init", tmp_path / "a\nb")  # it would become two lines of a crontab
    assert done.returncode == 2
    assert r"a\nb" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_no_bug(tmp_path):
    line = f"mkdir {tmp_path}/d && cd {tmp_path}/d && rmdir {tmp_path}/d && {sys.executable} -m tradekit positions"
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False, env=env)
    assert done.returncode == 2
    assert "no desk here or above" in done.stderr


def test_a_negative_number_is_an_argument(new_desk, run):
    desk = new_desk()
    assert '"cash":99500' in run("-C", desk, "paper", "deposit", "-500", "--json").stdout
    done = run("-C", desk, "config", "set", "risk.max_positions", "-1")
    assert done.returncode == 2
    assert "found -1" in done.stderr


def test_the_paper_account_takes_no_more_digits_than_the_books_keep(new_desk, run):
    desk = new_desk()
    done = run("-C", desk, "paper", "deposit", "123456789012345.67")
    assert (done.returncode, done.stdout) == (2, "")
    assert "more than 15 significant digits" in done.stderr
    assert run("-C", desk, "audit").returncode == 0


@pytest.mark.parametrize("words", [("positions",), ("-C", "nowhere", "positions"), ("config", "show")])
def test_a_missing_desk_is_2_and_says_how_to_make_one(words, run):
    done = run(*words)
    assert done.returncode == 2
    assert "tradekit init" in done.stderr
    assert done.stdout == ""


def test_the_desk_is_found_upwards_by_option_and_by_environment(run, new_desk):
    desk = new_desk()
    below = desk / "reports"
    for extra in [
        {"words": ("-C", desk)}, {"cwd": below}, {"env": {"TRADEKIT_DESK": str(desk)}},
        {"env": {"XDG_DATA_HOME": str(desk.parent)}, "moved": True},
    ]:  # fmt: skip
        if extra.pop("moved", False):
            desk.rename(desk.parent / "tradekit")
        done = run("config", "get", "desk.name", *extra.pop("words", ()), **extra)
        assert (done.returncode, done.stdout) == (0, "desk\n"), done.stderr
