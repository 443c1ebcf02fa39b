"""Children that hang or shout, and updates made of anything at all."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bot.api import OWNER
from tradekit.bot.chat import Clicked, Said, Skipped, heard
from tradekit.bot.children import Children
from tradekit.bot.line import careful_request

# children


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run("echo hello", timeout_s=5)`: a shell in the place of tradekit; how it ended."""

    def call(script, *, timeout_s=20.0, stop_s=0.3, cancel_after=None):
        monkeypatch.setattr("tradekit.bot.children.PROGRAM", ("/bin/sh", "-c", script))
        children = Children(tmp_path, dict(os.environ), stop_s=stop_s)

        async def work():
            task = asyncio.ensure_future(children.run([], timeout_s=timeout_s))
            if cancel_after is not None:
                while not (tmp_path / cancel_after).exists():
                    await asyncio.sleep(0.01)
                task.cancel()
            return await task

        return asyncio.run(work())

    return call


def is_alive(path):
    """Whether the process that wrote its id there is still at work."""
    try:
        state = Path(f"/proc/{int(path.read_text())}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return False
    return state not in "ZX"


def test_what_a_command_says_comes_back(run):
    done = run("echo '[{\"a\": 1}]'; echo talk >&2; echo '{\"code\": 7}' >&2; exit 7")
    assert (done.code, done.well, done.records(), done.talk()) == (7, True, [{"a": 1}], ["talk"])
    assert run("kill -9 $$").code == -9
    assert run("printf '\\377'; exit 2").records() == []


def test_much_on_both_ends_does_not_block_it(run):
    done = run("head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero | tr '\\0' y >&2")
    assert (done.code, len(done.out), len(done.err)) == (0, 3_000_000, 3_000_000)


def test_one_that_hangs_and_will_not_end_is_killed_with_what_it_started(run, tmp_path):
    began = time.monotonic()
    done = run("trap '' TERM; echo $$ > pid; (trap '' TERM; sleep 60) & sleep 60; sleep 60", timeout_s=0.5)
    assert (done.code, done.well) == (None, False)
    assert "still at work after 0.5 s, stopped" in done.err
    assert time.monotonic() - began < 10
    assert not is_alive(tmp_path / "pid")


def test_one_that_is_called_off_ends_first(run, tmp_path):
    with pytest.raises(asyncio.CancelledError):
        run("trap 'echo well > ended; exit 143' TERM; echo $$ > pid; while :; do sleep 0.05; done", stop_s=10.0,
            cancel_after="pid")  # fmt: skip
    assert (tmp_path / "ended").read_text() == "well\n"
    assert not is_alive(tmp_path / "pid")


# updates

leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
names = st.sampled_from(
    ["message", "callback_query", "from", "chat", "id", "text", "date", "data", "type", "message_id", "forward_origin",
     "edited_message", "entities", "first_name", "is_bot", "chat_instance", "reply_markup", "photo", "via_bot"]
)  # fmt: skip
anything = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6), max_leaves=12
)
person = st.fixed_dictionaries({"id": st.sampled_from([OWNER, 0, -1, "x", None, True]), "is_bot": st.booleans(),
                                "first_name": st.text(max_size=3)})  # fmt: skip
chat = st.fixed_dictionaries(
    {"id": st.sampled_from([OWNER, -100, "x", 1.5]), "type": st.sampled_from(["private", "?"])}
)
message = st.fixed_dictionaries(
    {"message_id": st.integers(0, 9) | leaf, "date": st.integers(0, 2**33) | leaf, "chat": chat | anything},
    optional={"from": person | anything, "text": st.text(max_size=20) | anything, "forward_origin": anything},
)
query = st.fixed_dictionaries(
    {"id": st.text(max_size=4) | leaf, "from": person | anything, "chat_instance": st.text(max_size=3)},
    optional={"data": st.text(max_size=90) | leaf, "message": message | anything},
)
update = st.fixed_dictionaries(
    {"update_id": st.integers(-(2**70), 2**70) | leaf},
    optional={"message": message | anything, "callback_query": query | anything, "channel_post": anything},
)


@given(rows=st.lists(update | anything, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_update_is_a_message_a_button_or_passed_over(rows):
    from telegram import Update

    skipped = []
    payload = json.dumps({"ok": True, "result": rows}).encode()
    found = careful_request(skipped).parse_json_payload(payload)["result"]
    numbers = [row["update_id"] for row in rows if isinstance(row, dict) and "update_id" in row]
    good = [n for n in numbers if isinstance(n, int) and not isinstance(n, bool) and abs(n) < 2**62]
    assert [row["update_id"] for row in found] == good  # the offset moves past each of them
    for one in Update.de_list(found, None):
        heard_one = heard(one)
        assert isinstance(heard_one, Said | Clicked | Skipped)
        if isinstance(heard_one, Said | Clicked):
            assert type(heard_one.user_id) is int and type(heard_one.chat_id) is int


@pytest.mark.parametrize("payload", [b"", b"no", b"[]", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_is_none_is_an_error_of_the_librarys_own(payload):
    from telegram.error import TelegramError

    with pytest.raises(TelegramError):
        careful_request([]).parse_json_payload(payload)


@pytest.mark.parametrize("result", ["true", '{"update_id": 1}', "null", '"x"'])
def test_a_result_that_is_no_list_holds_no_updates(result):
    payload = b'{"ok": true, "result": ' + result.encode() + b"}"
    assert careful_request([]).parse_json_payload(payload)["result"] == []
