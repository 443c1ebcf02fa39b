"""No secret passes into a log or a traceback."""

import base64
import json
import logging
from urllib.parse import quote

import pytest

from tradekit.base import logs
from tradekit.base.logs import redact, remember_secret, save_traceback, set_up


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(logs, "_values", set())
    yield
    set_up(None)
    for handler in list(logging.getLogger().handlers):
        if getattr(handler, "tradekit", False):
            logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize(("text", "hidden"), [
    ("Authorization: Bearer abcdef123456", "abcdef123456"),
    ("GET /x?api_key=abcd1234&y=1", "abcd1234"),
    ('{"access_token": "tok-12345"}', "tok-12345"),
    ("APCA-API-SECRET-KEY: hunter2222", "hunter2222"),
    ("https://api.telegram.org/bot123456:ABCdefGHIjklMNOpqrsTUVwxyz/send", "ABCdefGHIjklMNOpqrsTUVwxyz"),
    ("eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.abc-def", "eyJzdWIiOiIxMjM0"),
    ("https://me:hunter2@host/", "hunter2"),
])  # fmt: skip
def test_what_looks_like_a_secret_is_masked(text, hidden):
    assert hidden not in redact(text)
    assert "***" in redact(text)


SECRET = "Zq8/p+Lm42=xYw77"


@pytest.mark.parametrize("form", [
    SECRET, SECRET[::-1], base64.b64encode(SECRET.encode()).decode(), quote(SECRET, safe=""), SECRET[8:] + SECRET[:8],
])  # fmt: skip
def test_a_known_value_is_masked_in_every_form(form):
    remember_secret(SECRET)
    assert form not in redact(f"before {form} after")


@pytest.mark.parametrize(
    "text", ["bought 100 AAPL at 187.20", "key risk.max_positions", "d-AAPL-20260213T1435-momentum"]
)
def test_plain_talk_is_left_alone(text):
    assert redact(text) == text


def test_records_go_redacted_to_a_private_file_with_their_traceback(tmp_path, capsys):
    remember_secret(SECRET)
    set_up(tmp_path, run_id="r-1")
    try:
        raise ValueError(f"no {SECRET}")
    except ValueError:
        logging.getLogger("tradekit.x").exception("failed with %s", SECRET)
    path = tmp_path / "logs" / "tradekit.jsonl"
    row = json.loads(path.read_text())
    assert (row["level"], row["run_id"], row["logger"]) == ("error", "r-1", "tradekit.x")
    assert "ValueError" in row["traceback"]
    assert SECRET not in path.read_text() + capsys.readouterr().err
    assert path.stat().st_mode & 0o777 == 0o600


def test_quiet_and_verbose_only_change_what_is_said(tmp_path, capsys):
    for quiet, verbose, expected in [(True, False, ""), (False, False, "w"), (False, True, "dw")]:
        set_up(tmp_path, quiet=quiet, verbose=verbose)
        logging.getLogger("t").debug("d")
        logging.getLogger("t").warning("w")
        assert "".join(line.removeprefix("t: ") for line in capsys.readouterr().err.splitlines()) == expected


def test_setting_up_twice_writes_each_line_once(tmp_path):
    set_up(tmp_path)
    set_up(tmp_path)
    logging.getLogger("t").warning("once")
    assert len((tmp_path / "logs" / "tradekit.jsonl").read_text().splitlines()) == 1


def test_a_traceback_goes_to_the_state_folder_without_a_desk(tmp_path):
    path, text = save_traceback(ValueError("x"), None, {"XDG_STATE_HOME": str(tmp_path)})
    assert path is not None
    assert path.parent == tmp_path / "tradekit" / "logs"
    assert path.read_text() == text


def test_where_no_folder_can_be_written_the_text_is_still_there(tmp_path):
    (tmp_path / "file").write_text("")
    path, text = save_traceback(ValueError("x"), None, {"XDG_STATE_HOME": str(tmp_path / "file")})
    assert path is None
    assert "ValueError: x" in text
