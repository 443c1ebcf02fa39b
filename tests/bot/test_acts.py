"""What sells: asked first, confirmed once, carried out once, whatever is clicked, killed or delivered twice."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.bot.api import OWNER, TOKEN
from tests.bot.conftest import WHEN, acts, change, question, sells
from tests.process.day import ROOT, clock, environment, quick, rows, whole
from tests.process.test_supervise import children
from tradekit.base.locks import Lock

KILLS = int(os.environ.get("TRADEKIT_BOT_KILLS", "2"))  # places in a sale at which the bot is killed


def test_a_position_is_closed_once_after_a_yes(bot, api):
    process = bot()
    asked = question(api)
    assert asked.data["text"].startswith("Sell now (paper)?\n49 AAA, paid 100.01, open P&L -0.49 USD\n")
    assert sells(process.desk) == []
    told = api.next_call("sendMessage", lambda: (api.click(), api.click(), api.click()))  # a nervous finger
    assert "AAA" in told.data["text"]
    api.wait_for(lambda: len(api.of("answerCallbackQuery")) == 3)
    toasts = [call.data["text"] for call in api.of("answerCallbackQuery")]
    assert sorted(toasts) == ["Answered before: nothing more is done"] * 2 + ["Yes"]
    assert "confirmed, at work" in api.of("editMessageText")[0].data["text"]
    assert sells(process.desk) == [("AAA", 1)]
    assert [(row["what"], row["user"], row["shown"]) for row in acts(process.desk)] == [("close", OWNER, {"AAA": "49"})]
    assert process.stop() == 143
    quick(process.desk, clock("10:05:00"), "reconcile")
    assert rows(process.desk / "desk.db", "SELECT symbol, exit_reason FROM trades") == [("AAA", "liquidate")]
    assert whole(process.desk) == []


def test_everything_is_sold_after_a_yes_and_nothing_after_a_no(bot, api):
    process = bot()
    assert "49 AAA" in question(api, "/liquidate").data["text"]
    assert "nothing was done" in api.next_call("editMessageText", lambda: api.click("No")).data["text"]
    assert sells(process.desk) == []
    question(api, "/liquidate")
    api.next_call("sendMessage", api.click)
    assert sells(process.desk) == [("AAA", 1), ("BBB", 1)]


def test_a_question_is_answered_by_who_asked_in_time_and_while_it_is_true(bot, api, desk):
    folder = desk(", confirm_s: 2, groups: true")
    path = folder / "desk.yaml"
    path.write_text(path.read_text().replace(f"users: [{OWNER}]", f"users: [{OWNER}, 8]"))
    bot(folder=folder)
    question(api)
    asked = max(api.buttons)
    toast = api.next_call("answerCallbackQuery", lambda: api.click(user=8, chat=OWNER, message_id=asked))
    assert toast.data["text"] == "Only who asked may answer"
    toast = api.next_call("answerCallbackQuery", lambda: api.click(chat=-9, message_id=asked))
    assert toast.data["text"] == "Only who asked may answer"
    time.sleep(2.1)
    edit = api.next_call("editMessageText", lambda: api.click(message_id=asked))
    assert "too late, nothing was done" in edit.data["text"]
    assert sells(folder) == []
    toast = api.next_call("answerCallbackQuery", lambda: api.click_data("y:made-up-by-somebody"))
    assert toast.data["text"] == "This button means nothing any more"


def test_a_question_about_what_has_changed_is_put_again(bot, api):
    process = bot()
    question(api, "/liquidate")
    db = process.desk / "desk.db"
    change(db, "UPDATE positions SET qty = 40 WHERE symbol = 'BBB'")
    before = len(api.texts())
    edit = api.next_call("editMessageText", api.click)
    assert "what you saw has changed; nothing was done" in edit.data["text"]
    again = api.wait_for(lambda: api.texts()[before:])[0]
    assert "40 BBB" in again and "49 AAA" in again
    assert sells(process.desk) == []


def test_a_halt_does_not_wait_for_a_sale_and_a_sale_waits_for_its_copy(bot, api):
    process = bot()
    question(api, "/liquidate")
    with Lock(process.desk / "locks" / "liquidate.lock"):  # somebody liquidates in a terminal
        api.click()
        api.wait_for(lambda: api.of("editMessageText"))
        assert api.next_text("/halt").startswith("halted")
        assert sells(process.desk) == []
    api.wait_for(lambda: "AAA" in api.texts()[-1])
    assert sells(process.desk) == [("AAA", 1), ("BBB", 1)]


def test_what_has_changed_since_the_yes_is_not_carried_out(bot, api):
    """A sale waits for somebody else's, and what was confirmed after it waits for the sale."""
    process = bot()
    db = process.desk / "desk.db"
    quick(process.desk, clock(WHEN), "halt", "--reason", "seen")
    with Lock(process.desk / "locks" / "liquidate.lock"):
        question(api, "/liquidate")
        api.click()
        change(db, "INSERT INTO meta (key, value) VALUES ('frozen:split:CCC', 'half the price')")
        assert "manual: seen\nCCC is frozen: half the price" in question(api, "/resume").data["text"]
        api.click()
        edits = [call.data["text"] for call in api.wait_for(lambda: api.of("editMessageText")[1:])]
        assert edits == ["/resume CCC: confirmed, at work"]
        change(db, "INSERT INTO halts SELECT id || '-2', at, 'drawdown', 'not seen', 0, by, NULL, session FROM halts")
        change(db, "UPDATE positions SET qty = 80 WHERE symbol = 'BBB'")
        for word in ("liquidate", "resume"):
            answer = f"{word}: not done\nwhat you saw has changed since your yes; ask again"
            api.wait_for(lambda answer=answer: answer in api.texts())
    assert sells(process.desk) == []
    assert rows(db, "SELECT reason FROM halts WHERE cleared_at IS NULL") == [("seen",), ("not seen",)]


def test_a_memory_that_cannot_be_used_stops_every_act_but_a_halt(bot, api):
    process = bot()
    for table in ("asks", "requests"):
        change(process.desk / "bot.db", f"DROP TABLE {table}")
    assert api.next_text("/close AAA").startswith("not done: ")
    assert api.next_text("/set risk.max_positions 1").startswith("/set: not done: ")
    assert "max_positions: 6" in (process.desk / "desk.yaml").read_text()
    assert api.next_text("/halt").startswith("halted")
    assert rows(process.desk / "desk.db", "SELECT count(*) FROM halts") == [(1,)]


# kill -9


def test_killed_between_acting_and_answering_it_answers_later_and_sells_once(bot, api):
    first = bot()
    question(api)
    gate = api.hold("sendMessage")  # the sale is done, and its answer never gets through
    before = len(api.of("sendMessage"))
    number = api.click()
    api.wait_for(lambda: len(api.of("sendMessage")) > before)
    assert sells(first.desk) == [("AAA", 1)]
    first.stop(signal.SIGKILL)
    gate.set()
    api.held.clear()
    api.forget_offset(*[row for row in [api.sent[number]] if row not in api.updates])  # and Telegram sends it again
    told = len(api.of("sendMessage"))
    second = bot(folder=first.desk)
    assert "AAA" in api.wait_for(lambda: api.of("sendMessage")[told:])[0].data["text"]
    api.wait_for(lambda: api.confirmed > number)
    assert api.next_text("/trades") == "no closed trades"
    assert sells(first.desk) == [("AAA", 1)]
    assert len(acts(first.desk)) == 1
    assert second.stop() == 143


def turned_away(api, process):
    """Wait until the command that the bot started has ended: somebody else holds its lock."""
    api.wait_for(lambda: children(process.pid))
    api.wait_for(lambda: not children(process.pid))


def test_killed_before_the_sale_was_sent_it_sells_once_after_the_restart(bot, api):
    process = bot()
    question(api, "/liquidate")
    with Lock(process.desk / "locks" / "liquidate.lock"):
        number = api.click()
        turned_away(api, process)
        api.wait_for(lambda: api.confirmed > number)  # Telegram will not send it again
        process.stop(signal.SIGKILL)
        assert sells(process.desk) == []
    told = len(api.of("sendMessage"))
    bot(folder=process.desk)
    assert "AAA" in api.wait_for(lambda: api.of("sendMessage")[told:])[0].data["text"]
    assert sells(process.desk) == [("AAA", 1), ("BBB", 1)]
    assert len(acts(process.desk)) == 1


def test_who_was_taken_off_the_list_meanwhile_gets_nothing_done(bot, api):
    """Kill the bot, strike the name, start it again: what that person had confirmed is dropped."""
    process = bot()
    question(api, "/liquidate")
    with Lock(process.desk / "locks" / "liquidate.lock"):
        api.click()
        turned_away(api, process)
        process.stop(signal.SIGKILL)
    path = process.desk / "desk.yaml"
    path.write_text(path.read_text().replace(f"users: [{OWNER}]", "users: [8]"))
    told = len(api.of("sendMessage"))
    bot(folder=process.desk)
    api.wait_for(lambda: rows(process.desk / "bot.db", "SELECT 1 FROM requests WHERE state = 'done'"))
    assert sells(process.desk) == []
    assert api.of("sendMessage")[told:] == []


def test_who_is_struck_off_while_an_act_waits_gets_nothing_done(bot, api, desk):
    """Without a restart: one yes waits for a sale in a terminal, what another one set waits for that."""
    folder = desk()
    path = folder / "desk.yaml"
    both = path.read_text().replace(f"users: [{OWNER}]", f"users: [{OWNER}, 8]")
    path.write_text(both)
    bot_ = bot(folder=folder)
    question(api, "/liquidate")
    with Lock(folder / "locks" / "liquidate.lock"):
        api.click()
        turned_away(api, bot_)
        api.say("/set risk.max_positions 3", user=8)
        api.wait_for(lambda: rows(folder / "bot.db", "SELECT 1 FROM requests WHERE user_id = 8"))
        told = len(api.of("sendMessage"))
        path.write_text(both.replace(f"users: [{OWNER}, 8]", "users: [9]"))
        done = "SELECT count(*) FROM requests WHERE state = 'done'"
        api.wait_for(lambda: rows(folder / "bot.db", done) == [(2,)])
    assert sells(folder) == []
    assert "max_positions: 6" in path.read_text()
    assert api.of("sendMessage")[told:] == []
    found = rows(folder / "desk.db", "SELECT kind, data ->> 'what', data ->> 'user' FROM events ORDER BY rowid DESC")
    assert found[:2] == [("bot.dropped", "set", 8), ("bot.failed", "liquidate", OWNER)]


@pytest.mark.parametrize("pause", [0.6 * n / KILLS for n in range(KILLS)])
def test_killed_in_the_middle_of_a_sale_it_finishes_it_once(bot, api, pause):
    """Wherever the kill falls, and its command lives on: one sell a position, and an answer after the restart."""
    process = bot()
    question(api, "/liquidate")
    api.click()
    api.wait_for(lambda: rows(process.desk / "bot.db", "SELECT 1 FROM requests"))
    time.sleep(pause)
    process.stop(signal.SIGKILL)
    bot(folder=process.desk)
    api.wait_for(lambda: rows(process.desk / "bot.db", "SELECT 1 FROM requests WHERE state = 'done'"))
    assert "AAA" in api.texts()[-1]
    assert sells(process.desk) == [("AAA", 1), ("BBB", 1)]
    assert whole(process.desk) == []
    assert len(acts(process.desk)) == 1


def test_a_position_that_was_opened_after_the_question_is_not_sold_by_it(bot, api):
    process = bot()
    question(api)
    with Lock(process.desk / "locks" / "liquidate.lock"):
        api.click()
        turned_away(api, process)
        process.stop(signal.SIGKILL)
    change(process.desk / "bot.db", "UPDATE asks SET shown = replace(shown, 'AAA-2026', 'AAA-2025')")  # another one
    told = len(api.of("sendMessage"))
    bot(folder=process.desk)
    assert api.wait_for(lambda: api.of("sendMessage")[told:])[0].data["text"] == "it is sold already"
    assert sells(process.desk) == []


def test_what_was_confirmed_long_ago_is_not_carried_out_after_a_restart(bot, api):
    process = bot()
    question(api)
    api.click()
    api.wait_for(lambda: rows(process.desk / "bot.db", "SELECT 1 FROM requests WHERE state = 'done'"))
    process.stop(signal.SIGKILL)
    change(process.desk / "bot.db", "UPDATE requests SET state = 'taken', answer = NULL, at = '2026-01-01T00:00:00Z'")
    before = sells(process.desk)
    told = len(api.of("sendMessage"))
    bot(folder=process.desk)
    text = api.wait_for(lambda: api.of("sendMessage")[told:])[0].data["text"]
    assert "was interrupted" in text and "not repeated" in text
    assert sells(process.desk) == before


def test_an_update_that_is_delivered_twice_acts_once(bot, api):
    process = bot()
    number = api.say("/halt twice")
    api.wait_for(lambda: "halted" in " ".join(api.texts()))
    quick(process.desk, clock(WHEN), "resume")
    api.wait_for(lambda: api.confirmed > number)
    process.stop()
    api.forget_offset(api.sent[number])
    bot(folder=process.desk)
    api.wait_for(lambda: api.confirmed > number)
    assert api.next_text("/trades") == "no closed trades"
    assert rows(process.desk / "desk.db", "SELECT count(*) FROM halts") == [(1,)]


def test_an_update_that_comes_again_after_a_restore_elsewhere_acts_once(bot, api, desk):
    process = bot()
    number = api.say("/halt moved")
    api.wait_for(lambda: rows(process.desk / "bot.db", "SELECT 1 FROM requests WHERE state = 'done'"))
    quick(process.desk, clock(WHEN), "resume")
    assert quick(process.desk, clock(WHEN), "backup", str(process.desk.parent / "safe")).returncode == 0
    process.stop(signal.SIGKILL)
    moved = desk(name="moved")
    assert quick(moved, clock(WHEN), "restore", str(process.desk.parent / "safe")).returncode == 0
    api.forget_offset(api.sent[number])
    bot(folder=moved)
    api.wait_for(lambda: api.confirmed > number)
    assert api.next_text("/trades") == "no closed trades"
    assert rows(moved / "desk.db", "SELECT count(*), count(cleared_at) FROM halts") == [(1, 1)]


def test_a_signal_ends_it_soon_also_while_a_command_runs(bot, api):
    process = bot()
    question(api, "/liquidate")
    api.click()
    api.wait_for(lambda: api.of("answerCallbackQuery"))
    began = time.monotonic()
    assert process.stop() == 143
    assert time.monotonic() - began < 10
    told = len(api.of("sendMessage"))
    bot(folder=process.desk)  # what the signal cut short is finished now
    api.wait_for(lambda: sells(process.desk) == [("AAA", 1), ("BBB", 1)])
    assert told >= 1


# starting, and being away


def test_nobody_on_the_list_means_no_bot(desk, run, line):
    folder = desk()
    path = folder / "desk.yaml"
    path.write_text(path.read_text().replace(f"users: [{OWNER}]", "users: []"))
    done = line("-C", folder, "bot", env={"TRADEKIT_CLOCK": clock(WHEN)})
    assert done.returncode == 2
    assert "bot.users is empty: nobody may talk to the bot" in done.stderr


def test_a_key_that_never_may_be_set_by_chat_is_refused_at_the_start(desk, line):
    for key in ("desk.broker", "providers.schwab.client_id", "bot.users", "http.secret", "notify.channels"):
        folder = desk(f", settable: [{key}]", name=key)
        done = line("-C", folder, "bot", env={"TRADEKIT_CLOCK": clock(WHEN)})
        assert done.returncode == 2 and "may not be changed by chat" in done.stderr


def test_a_token_that_telegram_refuses_ends_it_with_4(bot, api):
    process = bot(wait=False, TRADEKIT_SECRET_TELEGRAM_TOKEN="987654321:AAanother-canary-nobody-may-see")
    assert process.child.wait(30) == 4
    assert "Telegram refused the bot's token" in process.said()
    assert "another-canary" not in process.said()


def test_a_library_that_is_missing_is_named_with_its_extra(desk, run, tmp_path):
    (tmp_path / "telegram").mkdir()
    (tmp_path / "telegram" / "__init__.py").write_text("raise ModuleNotFoundError('gone', name='telegram')\n")
    env = {"TRADEKIT_CLOCK": clock(WHEN), "TRADEKIT_SECRET_TELEGRAM_TOKEN": "1:abcdefgh"}
    env["PYTHONPATH"] = f"{tmp_path}:{ROOT}"
    done = run("-C", desk(), "bot", env=env)
    assert (done.returncode, done.stderr.count("\n")) == (2, 2), done.stderr
    assert "python-telegram-bot is not installed\nfix: pip install 'tradekit[bot]'" in done.stderr


def test_a_server_that_is_away_is_waited_for_and_told(bot, api):
    process = bot(", offline_s: 0.3")
    api.close()
    found = "SELECT data FROM events WHERE kind = 'alert.bot-offline'"
    api.wait_for(lambda: rows(process.desk / "desk.db", found))
    assert process.child.poll() is None
    api.reopen()
    assert api.next_text("/trades") == "no closed trades"
    assert len(rows(process.desk / "desk.db", found)) == 1


def test_a_supervisor_keeps_the_bot_running_where_desk_yaml_says_so(desk, api):
    folder = desk(", enabled: true")
    environ = environment("2026-02-13T12:00:00Z@1", TRADEKIT_SECRET_TELEGRAM_TOKEN=TOKEN)
    line = [sys.executable, "-m", "tradekit", "-C", str(folder), "supervise"]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ)
    try:
        assert api.next_text("/trades") == "no closed trades"
        (lease,) = re.findall(r'"pid":(\d+)', (folder / "locks" / "bot.lock").read_text())
        os.kill(int(lease), signal.SIGKILL)
        told = api.polls
        api.wait_for(lambda: api.polls > told + 1 and api.next_text("/trades"))
    finally:
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 143, err
    assert "child-died: bot: killed by SIGKILL" in err
    assert TOKEN not in out + err
