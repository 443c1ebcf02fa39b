"""The bot as a real process against a local Bot API server: every word, strangers, questions, and what goes wrong."""

import csv
import json
import signal
import time

import pytest

from tests.bot.api import OWNER, STRANGER, mono_of, units
from tests.bot.conftest import WHEN
from tests.process.day import clock, environment, finished, quick, rows, whole

SELLS = "SELECT symbol, count(*) FROM orders WHERE side = 'sell' AND purpose = 'liquidate' GROUP BY symbol"
ACTS = "SELECT data FROM events WHERE kind = 'bot.act' ORDER BY id"


def sells(desk):
    return rows(desk / "desk.db", SELLS)


def acts(desk):
    """What people did, as the events tell it."""
    return [json.loads(text) for (text,) in rows(desk / "desk.db", ACTS)]


def question(api, text="/close aaa"):
    """Ask, and wait for the question with its buttons; its message's call."""
    return api.next_call("sendMessage", lambda: api.say(text))


# words that look


def test_every_word_that_looks_is_answered_from_the_desks_own_commands(bot, api):
    process = bot()
    said = {word: api.next_text(word) for word in ("/help", "/start@desk_bot", "/status", "/risk", "/jobs")}
    assert "/close SYMBOL - sell a position; asks first" in said["/help"]
    assert said["/start@desk_bot"] == said["/help"]
    assert "positions     AAA 49, BBB 99" in said["/status"]
    assert "no account row yet" in said["/status"]  # what the numbers are of is said
    assert "max-positions" in said["/risk"]
    assert "09:30  monitor-exits" in said["/jobs"]
    held = api.next_call("sendMessage", lambda: api.say("/positions"))
    assert held.data["text"].splitlines()[0] == "Held; prices and open P&L in USD"
    assert mono_of(held)[0].splitlines()[1].split() == ["AAA", "49", "100.01", "100", "-0.49", "97"]
    assert api.next_text("/trades") == "no closed trades"
    assert api.next_text("/error") == "no alerts"
    assert "BUY by rules" in api.next_text("/why aaa")
    assert "risk.max_positions" in api.next_text("/settings")
    assert "risk.daily_loss" in api.next_text("/settings risk")
    assert api.next_text("/weekly").startswith("no ")
    assert api.next_text("/monthly").startswith("no ")
    assert "books" in api.next_text("/report")
    assert api.next_text("/metrics")
    menu = api.of("setMyCommands")[0].data["commands"]
    assert {"command": "halt", "description": "no entry from now on; at once"} in menu
    assert process.stop(signal.SIGINT) == 130


@pytest.mark.parametrize(("text", "answer"), [
    ("/close", "/close SYMBOL: name one symbol"),
    ("/close AAA; rm -rf /", "/close SYMBOL: name one symbol"),
    ("/close -C/tmp", "/close SYMBOL: name one symbol"),
    ("/close $(reboot)", "/close SYMBOL: name one symbol"),
    ("/close ZZZ", "Nothing is held in ZZZ"),
    ("/why --help", "/why SYMBOL: name a symbol or an id"),
    ("/why NOSUCH", "why: not done (exit code 2)\ntradekit: why: the books know no NOSUCH"),
    ("/trades many", "/trades [N]: a number from 1 to 200"),
    ("/trades 9999999999999999999999", "/trades [N]: a number from 1 to 200"),
    ("/report yesterday", "/report [DATE]: a date is written 2026-02-13"),
    ("/export passwords", "/export [WHAT] [DATE]: there are trades"),
    ("/settings notify", "/settings [SECTION]: there are scan"),
    ("/scan all", "/scan [open|midday|close]: a scan is one of"),
    ("/set risk.max_positions", "/set KEY VALUE: a key and a value"),
    ("/set desk.broker http", "/set KEY VALUE: desk.broker may not be changed from here"),
    ("/set bot.users [666]", "/set KEY VALUE: bot.users may not be changed from here"),
    ("/set risk.daily_loss 1", "/set KEY VALUE: risk.daily_loss may not be changed from here"),
    ("/set risk.max_positions many", "set: not done (exit code 2)"),
    ("/resume", "No halt is in force"),
    ("/halted", "No word like that, did you mean /halt?; /help lists them"),
    ("sell everything", "Words begin with a slash"),
])  # fmt: skip
def test_a_word_with_a_wrong_argument_says_so_and_does_nothing(served, text, answer):
    api, folder = served
    before = (folder / "desk.yaml").read_text()
    assert api.next_text(text).startswith(answer)
    assert (folder / "desk.yaml").read_text() == before
    assert sells(folder) == []


@pytest.fixture(scope="module")
def served(_held, tmp_path_factory):
    """One bot for many messages that change nothing."""
    from tests.bot.api import BotApi
    from tests.bot.conftest import Process, copy_of, leaks

    api = BotApi()
    folder = copy_of(_held, tmp_path_factory.mktemp("served") / "desk", api)
    process = Process(folder)
    try:
        api.wait_for(lambda: api.polls)
        yield api, folder
    finally:
        process.stop(signal.SIGKILL)
        leaks(process)
        api.close()


# strangers


def test_strangers_get_no_answer_and_are_written_down_once_without_their_words(bot, api, desk):
    process = bot()
    for text in ("/status", "/liquidate", "let me in"):
        api.say(text, user=STRANGER)
    api.say("/halt", user=667, chat=-5, type="group")
    api.click_data("y:anything", user=STRANGER)
    assert "AAA" in api.next_text("/positions")  # whoever is listed is served after them
    assert {call.data.get("chat_id") for call in api.of("sendMessage")} == {str(OWNER)}
    assert api.of("answerCallbackQuery") == []
    found = rows(process.desk / "desk.db", "SELECT data FROM events WHERE kind = 'bot.stranger' ORDER BY id")
    assert [json.loads(text) for (text,) in found] == [{"user": 666, "private": True}, {"user": 667, "private": False}]
    assert "let me in" not in process.said()
    assert rows(process.desk / "desk.db", "SELECT id FROM halts") == []


def test_groups_are_served_only_where_a_setting_says_so(bot, api):
    first = bot()
    api.say("/status", chat=-100, type="supergroup")
    assert api.next_text("/trades") == "no closed trades"
    assert len(api.texts()) == 1
    first.stop()
    bot(", groups: true", folder=None, name="second")
    call = api.next_call("sendMessage", lambda: api.say("/trades@desk_bot", chat=-100, type="supergroup"))
    assert (call.data["chat_id"], call.data["text"]) == ("-100", "no closed trades")
    api.say("/trades@other_bot", chat=-100, type="supergroup")
    assert api.next_text("/error") == "no alerts"


def test_who_is_taken_off_the_list_is_a_stranger_at_once(bot, api):
    process = bot()
    assert api.next_text("/trades") == "no closed trades"
    path = process.desk / "desk.yaml"
    path.write_text(path.read_text().replace(f"users: [{OWNER}]", "users: [1]"))
    number = api.say("/positions")
    api.wait_for(lambda: api.confirmed > number)
    assert len(api.texts()) == 1


def test_what_others_wrote_is_not_carried_out(bot, api):
    process = bot()
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "x"}
    assert api.next_text("/halt", forward_origin=origin).startswith("What others wrote is not carried out")
    assert rows(process.desk / "desk.db", "SELECT id FROM halts") == []


# words that act


def test_a_halt_acts_at_once_and_a_resume_asks(bot, api):
    process = bot()
    assert api.next_text("/halt news --flatten\n-C /tmp").startswith("halted: no entry from now on")
    reason = "telegram user 4711: news --flatten -C /tmp"
    assert rows(process.desk / "desk.db", "SELECT reason, flatten FROM halts") == [(reason, 0)]
    assert "Lift these halts?" in question(api, "/resume").data["text"]
    assert rows(process.desk / "desk.db", "SELECT count(*) FROM halts WHERE cleared_at IS NULL") == [(1,)]
    assert api.next_call("sendMessage", api.click).data["text"].startswith("1 halts lifted")
    assert rows(process.desk / "desk.db", "SELECT count(*) FROM halts WHERE cleared_at IS NULL") == [(0,)]
    assert [(row["what"], row["user"]) for row in acts(process.desk)] == [("halt", OWNER), ("resume", OWNER)]


def test_a_setting_is_changed_through_config_set_and_leaves_an_event(bot, api):
    process = bot()
    assert api.next_text("/set risk.max_positions 3") == "risk.max_positions is now 3"
    assert "max_positions: 3" in (process.desk / "desk.yaml").read_text()
    assert api.next_text("/set risk.restricted [GME, AMC]").startswith("risk.restricted is now")
    assert [row["words"] for row in acts(process.desk)] == [
        ["risk.max_positions", "3"], ["risk.restricted", "[GME, AMC]"],
    ]  # fmt: skip
    assert rows(process.desk / "desk.db", "SELECT command, exit_code FROM runs WHERE command = 'config set'") == [
        ("config set", 0), ("config set", 0),
    ]  # fmt: skip


def test_a_scan_runs_now(bot, api):
    process = bot()
    assert "candidates passed" in api.next_text("/scan midday")
    assert rows(process.desk / "desk.db", "SELECT type FROM scans") == [("midday",)]


def test_a_position_is_closed_once_after_a_yes(bot, api):
    process = bot()
    asked = question(api)
    assert asked.data["text"].startswith("Sell now (paper)?\n49 AAA, paid 100.01, open P&L -0.49 USD\n")
    assert sells(process.desk) == []
    told = api.next_call("sendMessage", lambda: (api.click(), api.click(), api.click()))  # a nervous finger
    assert "liquidate: left: AAA 49" in told.data["text"]
    api.wait_for(lambda: len(api.of("answerCallbackQuery")) == 3)
    toasts = [call.data["text"] for call in api.of("answerCallbackQuery")]
    assert sorted(toasts) == ["Answered before: nothing more is done"] * 2 + ["Yes"]
    assert "confirmed, at work" in api.of("editMessageText")[0].data["text"]
    assert sells(process.desk) == [("AAA", 1)]
    assert [(row["what"], row["user"], row["symbols"]) for row in acts(process.desk)] == [("close", OWNER, ["AAA"])]
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


def change(path, sql):
    import sqlite3

    db = sqlite3.connect(path, timeout=10)
    with db:
        db.execute(sql)
    db.close()


def test_what_trades_and_is_too_old_is_answered_and_not_carried_out(bot, api):
    process = bot()
    for word in ("/halt", "/close AAA", "/set risk.max_positions 1", "/scan"):
        assert api.next_text(word, age=600).startswith("Too old: ")
    assert api.next_text("/trades", age=600) == "no closed trades"
    assert rows(process.desk / "desk.db", "SELECT id FROM halts") == []
    assert api.buttons == {}


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
    assert "liquidate: left: AAA 49" in api.wait_for(lambda: api.of("sendMessage")[told:])[0].data["text"]
    api.wait_for(lambda: api.confirmed > number)
    assert api.next_text("/trades") == "no closed trades"
    assert sells(first.desk) == [("AAA", 1)]
    assert len(acts(first.desk)) == 1
    assert second.stop() == 143


def test_killed_in_the_middle_of_a_sale_it_finishes_it_once(bot, api):
    """Wherever the kill falls: one sell a position, no trade doubled, and an answer after the restart."""
    process = bot()
    question(api, "/liquidate")
    api.click()
    api.wait_for(lambda: rows(process.desk / "bot.db", "SELECT 1 FROM requests WHERE state != 'done'"))
    process.stop(signal.SIGKILL)
    told = len(api.of("sendMessage"))
    bot(folder=process.desk)
    text = api.wait_for(lambda: api.of("sendMessage")[told:])[0].data["text"]
    assert "AAA" in text
    assert sells(process.desk) == [("AAA", 1), ("BBB", 1)]
    assert whole(process.desk) == []
    assert len(acts(process.desk)) == 1
    assert rows(process.desk / "bot.db", "SELECT count(*) FROM requests WHERE state != 'done'") in ([(0,)], [(1,)])


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


# the network and the wire


def test_a_second_copy_is_refused_with_the_pid_of_the_first(bot, api, run):
    process = bot()
    done = run("-C", process.desk, "bot", env=environment(clock(WHEN), TRADEKIT_SECRET_TELEGRAM_TOKEN="1:x"))
    assert (done.returncode, f"pid {process.pid}" in done.stderr) == (8, True), done.stderr


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


@pytest.mark.parametrize("url", ["http://api.example.org", "https://169.254.169.254", "ftp://127.0.0.1", "https://a@b"])
def test_the_token_goes_to_https_or_this_machine_only(desk, line, url):
    folder = desk()
    path = folder / "desk.yaml"
    path.write_text(f"bot: {{users: [1], url: '{url}'}}\n")
    done = line("-C", folder, "bot", env={"TRADEKIT_CLOCK": clock(WHEN), "TRADEKIT_SECRET_TELEGRAM_TOKEN": "1:abcdef"})
    assert (done.returncode, "neither https://HOST nor http:// on this machine" in done.stderr) == (2, True)


def test_a_token_that_telegram_refuses_ends_it_with_4(bot, api):
    process = bot(wait=False, TRADEKIT_SECRET_TELEGRAM_TOKEN="987654321:AAanother-canary-nobody-may-see")
    assert process.child.wait(30) == 4
    assert "Telegram refused the bot's token" in process.said()
    assert "another-canary" not in process.said()


def test_the_network_may_fail_in_every_way_and_it_polls_on(bot, api):
    api.fail("getMe", (502, None), "drop")
    process = bot()
    api.fail("getUpdates", "drop", (500, None), (502, None), "garbage", (429, {"retry_after": 1}), "drop", (404, None))
    assert api.next_text("/trades") == "no closed trades"
    api.fail("sendMessage", "drop", (500, None), (429, {"retry_after": 1}))
    assert api.next_text("/error") == "no alerts"
    api.fail("sendMessage", (403, None))  # somebody blocked the bot: given up, and the next is served
    api.say("/trades")
    assert api.next_text("/positions").startswith("Held")
    assert process.child.poll() is None


def test_a_server_that_is_away_is_waited_for(bot, api):
    process = bot()
    api.server.shutdown()
    api.server.server_close()
    api.stopped = True
    api.wait_for(lambda: "again in" in process.said())
    assert process.child.poll() is None
    api.reopen()
    assert api.next_text("/trades") == "no closed trades"


def test_another_poller_is_named_and_waited_for(bot, api):
    process = bot()
    api.fail("getUpdates", *[(409, None)] * 2)
    api.say("/trades")
    api.wait_for(lambda: api.texts())
    assert api.texts() == ["no closed trades"]
    found = rows(process.desk / "desk.db", "SELECT data FROM events WHERE kind = 'alert.bot-conflict'")
    assert len(found) == 1 and "another process polls with this bot's token" in found[0][0]
    assert "another process polls" in process.said()


MALFORMED = [
    {"message": "text"},
    {"message": {"text": "/halt"}},
    {"message": {"message_id": 1, "date": 1, "chat": {"id": OWNER, "type": "private"}, "text": "/halt"}},
    {"message": {"message_id": 1, "date": "soon", "from": {"id": OWNER, "is_bot": False, "first_name": "x"},
                 "chat": {"id": OWNER, "type": "private"}, "text": "/halt"}},
    {"message": {"message_id": 1, "date": 1, "from": {"id": str(OWNER), "is_bot": False, "first_name": "x"},
                 "chat": {"id": OWNER, "type": "private"}, "text": "/halt"}},
    {"message": {"message_id": 1, "date": 4102444800, "from": {"id": OWNER, "is_bot": False, "first_name": "x"},
                 "chat": {"id": OWNER, "type": "private"}, "text": ["/halt"]}},
    {"message": {"message_id": 1, "date": 4102444800, "from": {"id": OWNER, "is_bot": False, "first_name": "x"},
                 "chat": {"id": OWNER, "type": "private"}, "text": "/halt " + "x" * 1_000_000}},
    {"edited_message": {"message_id": 1, "date": 4102444800, "edit_date": 4102444800, "text": "/halt",
                        "from": {"id": OWNER, "is_bot": False, "first_name": "x"},
                        "chat": {"id": OWNER, "type": "private"}}},
    {"channel_post": {"message_id": 1, "date": 4102444800, "text": "/halt", "chat": {"id": -100, "type": "channel"}}},
    {"something_new": {"id": 7}},
    {"callback_query": {"id": "1", "from": {"id": OWNER, "is_bot": False, "first_name": "x"}, "chat_instance": "1"}},
    {"callback_query": {"id": 1, "data": {}}},
    {"callback_query": None},
    {"message": {"message_id": 1, "date": 1e300, "from": {"id": OWNER, "is_bot": False, "first_name": "x"},
                 "chat": {"id": OWNER, "type": "private"}, "text": "/halt"}},
    {},
]  # fmt: skip


def test_malformed_updates_are_passed_over_and_the_offset_moves_on(bot, api):
    process = bot()
    for update in MALFORMED:
        api.push(json.loads(json.dumps(update)))
    last = api.number
    assert api.next_text("/trades") == "no closed trades"
    api.wait_for(lambda: api.confirmed > last)
    assert api.texts() == ["no closed trades"]
    assert rows(process.desk / "desk.db", "SELECT id FROM halts") == []
    log = (process.desk / "logs" / "tradekit.jsonl").read_text()
    assert log.count(" skipped: ") >= len(MALFORMED) - 1
    assert "/halt" not in log


def test_updates_without_a_number_do_not_make_it_spin(bot, api):
    bot()
    with api.news:
        api.updates.append({"update_id": "one", "message": "x"})
        api.news.notify_all()
    polls = api.polls
    time.sleep(1.0)
    assert api.polls - polls < 60  # a pause between two looks (retry_s is 0.05 here)
    with api.news:
        api.updates.clear()
    assert api.next_text("/trades") == "no closed trades"


def test_a_long_answer_comes_in_pieces_and_a_longer_one_as_a_file(bot, api):
    process = bot(", pieces: 3")
    alerts(process.desk, 60)
    before = len(api.texts())
    api.say("/error 60")
    api.wait_for(lambda: "alert number 59" in "".join(api.texts()[before:]))
    found = api.texts()[before:]
    assert 1 < len(found) <= 3 and all(units(text) <= 4096 for text in found)
    assert "\n".join(found).count("alert number") == 60
    assert all(line.endswith("😀") for text in found for line in text.splitlines())
    alerts(process.desk, 140, first=60)
    sent = api.next_call("sendDocument", lambda: api.say("/error 200"))
    name, content = sent.files["document"]
    assert (name, content.decode().count("alert number")) == ("answer.txt", 200)


def alerts(desk, n, first=0):
    """Alerts as a desk writes them, with words of a stranger's choosing."""
    from tests.make import make_event
    from tradekit.store import open_store

    store = open_store(desk / "desk.db", synchronous="OFF")
    with store.transaction():
        for i in range(first, first + n):
            text = f"alert number {i} <b>&amp;*_`[x](y) " + "ü" * 100 + " 😀"
            store.events.add(make_event(id=f"e{i:04}", kind="alert.test", data={"message": text}))
    store.close()


# pictures and files


def test_the_equity_comes_as_a_picture_and_an_export_as_a_file(bot, api, desk):
    folder = desk()
    days(folder)
    bot(folder=folder)
    for word in ("/metrics", "/report 2026-02-13"):
        photo = api.next_call("sendPhoto", lambda word=word: api.say(word))
        name, png = photo.files["photo"]
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert photo.data["caption"] == "Equity in USD, drawdown in %; 2026-02-09 to 2026-02-13"
    sent = api.next_call("sendDocument", lambda: api.say("/export fills 2026-02-13"))
    name, content = sent.files["document"]
    assert name == "fills-2026-02-13.csv"
    assert sorted(row["symbol"] for row in csv.DictReader(content.decode().splitlines())) == ["AAA", "BBB"]
    assert api.next_text("/export trades") == "no trades to export"


def days(folder):
    """Five sessions of equity, with a fall in the middle."""
    from datetime import date

    from tests.reports.evening import day_row
    from tradekit.store import open_store

    store = open_store(folder / "desk.db", synchronous="OFF")
    for n, equity in enumerate((100000, 101000, 99000, 100500, 102000)):
        store.days.add(day_row(date(2026, 2, 9 + n), equity, 0.0))
    store.close()


# cost


def test_an_idle_bot_is_small_and_still(bot, api):
    from pathlib import Path

    process = bot()
    assert api.next_text("/trades") == "no closed trades"

    def cpu():
        words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / 100

    began = cpu()
    time.sleep(3)
    assert cpu() - began <= 0.15  # seconds of CPU in 3 s; poll_s is 5 here and 50 in life
    kilobytes = int(Path(f"/proc/{process.pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    print(f"idle: {cpu() - began:.2f} s CPU in 3 s, {kilobytes / 1024:.0f} MB")
    assert kilobytes < 100 * 1024


def test_the_books_foot_after_a_day_with_the_bot(bot, api):
    process = bot()
    question(api, "/liquidate")
    api.next_call("sendMessage", api.click)
    assert process.stop() == 143
    for when in ("10:20:00", "10:22:00", "10:24:00"):
        quick(process.desk, clock(when), "liquidate", "--all")
    assert finished(process.desk) == []
