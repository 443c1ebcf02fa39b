"""One bot for many messages: every word that looks, strangers, a wire that lies and fails. Nothing is sold here."""

import csv
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.bot.api import OWNER, STRANGER, BotApi, mono_of, units
from tests.bot.conftest import ACTS, WHEN, Process, acts, copy_of, leaks, question, sells
from tests.process.day import clock, environment, rows


@pytest.fixture(scope="module")
def served(_held: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A bot at work with its server and its desk, which has five sessions of equity."""
    api = BotApi()
    folder = copy_of(_held, tmp_path_factory.mktemp("served") / "desk", api, ", pieces: 3")
    days(folder)
    process = Process(folder)
    try:
        api.wait_for(lambda: api.polls or process.child.poll() is not None)
        yield SimpleNamespace(api=api, process=process, desk=folder)
    finally:
        process.stop(signal.SIGKILL)
        leaks(process)
        api.close()


def days(folder):
    """Five sessions of equity, with a fall in the middle."""
    from datetime import date

    from tests.reports.evening import day_row
    from tradekit.store import open_store

    store = open_store(folder / "desk.db", synchronous="OFF")
    for n, equity in enumerate((100000, 101000, 99000, 100500, 102000)):
        store.days.add(day_row(date(2026, 2, 9 + n), equity, 0.0))
    store.close()


# words that look


def test_every_word_that_looks_is_answered_from_the_desks_own_commands(served):
    api = served.api
    before = len(api.texts())
    words = ["/help", "/start@desk_bot", "/status", "/risk", "/jobs", "/trades", "/settings", "/weekly", "/monthly"]
    for word in [*words, "/why aaa", "/settings risk"]:
        api.say(word)
    found = api.wait_for(lambda: len(api.texts()) >= before + 11 and "\f".join(api.texts()[before:]))
    for part in (
        "/close SYMBOL - sell a position; asks first", "positions     AAA 49, BBB 99", "no account row yet",
        "max-positions", "09:30  monitor-exits", "no closed trades", "BUY by rules", "What /set may change",
        "risk.daily_loss", "2026-W07",
    ):  # fmt: skip
        assert part in found, part
    assert "2026-W07  0    0    0  0    0.5     0" in found  # n, won, net, return %, benchmark %, deepest fall %
    held = api.next_call("sendMessage", lambda: api.say("/positions"))
    assert held.data["text"].splitlines()[0] == "Held; prices and open P&L in USD"
    assert mono_of(held)[0].splitlines()[1].split() == ["AAA", "49", "100.01", "100", "-0.49", "97"]
    menu = api.of("setMyCommands")[0].data["commands"]
    assert {"command": "halt", "description": "no entry from now on; at once"} in menu


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
    api, folder = served.api, served.desk
    before = (folder / "desk.yaml").read_text()
    assert api.next_text(text).startswith(answer)
    assert (folder / "desk.yaml").read_text() == before
    assert sells(folder) == []


def test_the_equity_comes_as_a_picture_and_an_export_as_a_file(served):
    api = served.api
    assert "inception  5       0  0.5     0       -" in api.next_text("/metrics")  # and its picture comes after it
    api.wait_for(lambda: api.of("sendPhoto"))
    for word in ("/metrics", "/report 2026-02-13"):
        photo = api.next_call("sendPhoto", lambda word=word: api.say(word))
        _, png = photo.files["photo"]
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        assert photo.data["caption"] == "Equity in USD, drawdown in %; 2026-02-09 to 2026-02-13"
    sent = api.next_call("sendDocument", lambda: api.say("/export fills 2026-02-13"))
    name, content = sent.files["document"]
    assert name == "fills-2026-02-13.csv"
    assert sorted(row["symbol"] for row in csv.DictReader(content.decode().splitlines())) == ["AAA", "BBB"]
    assert api.next_text("/export trades") == "no trades to export"


def test_a_long_answer_comes_in_pieces_and_a_longer_one_as_a_file(served):
    api = served.api
    alerts(served.desk, 60)
    before = len(api.texts())
    api.say("/error 60")
    api.wait_for(lambda: "alert number 59" in "".join(api.texts()[before:]))
    found = api.texts()[before:]
    assert 1 < len(found) <= 3 and all(units(text) <= 4096 for text in found)
    assert "\n".join(found).count("alert number") == 60
    assert all(line.endswith("😀") for text in found for line in text.splitlines())
    alerts(served.desk, 140, first=60)
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


# words that act, short of selling


def test_a_halt_acts_at_once_and_a_resume_asks(served):
    api = served.api
    assert api.next_text("/halt news --flatten\n-C /tmp").startswith("halted: no entry from now on")
    reason = "telegram user 4711: news --flatten -C /tmp"
    assert rows(served.desk / "desk.db", "SELECT reason, flatten FROM halts") == [(reason, 0)]
    assert "Lift these halts?" in question(api, "/resume").data["text"]
    assert rows(served.desk / "desk.db", "SELECT count(*) FROM halts WHERE cleared_at IS NULL") == [(1,)]
    assert api.next_call("sendMessage", api.click).data["text"].startswith("1 halts lifted")
    assert rows(served.desk / "desk.db", "SELECT count(*) FROM halts WHERE cleared_at IS NULL") == [(0,)]
    assert [(row["what"], row["user"]) for row in acts(served.desk)[-2:]] == [("halt", OWNER), ("resume", OWNER)]


def test_a_setting_is_changed_through_config_set_and_leaves_an_event(served):
    api = served.api
    assert api.next_text("/set risk.max_positions 5") == "risk.max_positions is now 5 (it was 6)"
    assert "max_positions: 5  # open positions" in (served.desk / "desk.yaml").read_text()
    assert api.next_text("/set risk.restricted [GME, AMC]") == 'risk.restricted is now ["GME","AMC"] (it was [])'
    found = [(row["user"], *row["words"]) for row in acts(served.desk) if row["what"] == "set"]
    assert (OWNER, "risk.max_positions", "5") in found and found[-1] == (OWNER, "risk.restricted", "[GME, AMC]")
    assert ("config set", 0) in rows(served.desk / "desk.db", "SELECT command, exit_code FROM runs")
    assert api.next_text("/set risk.max_positions 6") == "risk.max_positions is now 6 (it was 5)"


def test_a_scan_runs_now(served):
    assert "candidates passed" in served.api.next_text("/scan midday")
    assert rows(served.desk / "desk.db", "SELECT type FROM scans") == [("midday",)]


def test_what_trades_and_is_too_old_is_answered_and_not_carried_out(served):
    api, before = served.api, rows(served.desk / "desk.db", ACTS)
    buttons = dict(api.buttons)
    for word in ("/halt", "/close AAA", "/set risk.max_positions 1", "/scan"):
        assert api.next_text(word, age=600).startswith("Too old: ")
    assert api.next_text("/trades", age=600) == "no closed trades"
    assert (rows(served.desk / "desk.db", ACTS), api.buttons) == (before, buttons)


def test_what_others_wrote_is_not_carried_out(served):
    before = rows(served.desk / "desk.db", ACTS)
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "x"}
    answer = served.api.next_text("/halt", forward_origin=origin)
    assert answer.startswith("What others wrote is not carried out")
    assert rows(served.desk / "desk.db", ACTS) == before


# strangers


def test_strangers_get_no_answer_and_are_written_down_once_without_their_words(served):
    api, before = served.api, rows(served.desk / "desk.db", ACTS)
    told, toasts = len(api.of("sendMessage")), len(api.of("answerCallbackQuery"))
    for text in ("/status", "/liquidate", "let me in"):
        api.say(text, user=STRANGER)
    api.say("/halt", user=667, chat=-5, type="group")
    api.click_data("y:anything", user=STRANGER)
    assert "AAA" in api.next_text("/positions")  # whoever is listed is served after them
    assert {call.data.get("chat_id") for call in api.of("sendMessage")[told:]} == {str(OWNER)}
    assert len(api.of("answerCallbackQuery")) == toasts
    found = rows(served.desk / "desk.db", "SELECT data FROM events WHERE kind = 'bot.stranger' ORDER BY rowid")
    assert [json.loads(text) for (text,) in found] == [{"user": 666, "private": True}, {"user": 667, "private": False}]
    assert "let me in" not in served.process.said()
    assert rows(served.desk / "desk.db", ACTS) == before


def test_groups_and_the_list_are_what_desk_yaml_says_now(served):
    api, path = served.api, served.desk / "desk.yaml"
    text = path.read_text()
    api.say("/status", chat=-100, type="supergroup")
    assert api.next_text("/trades") == "no closed trades"
    path.write_text(text.replace("bot: {", "bot: {groups: true, "))
    call = api.next_call("sendMessage", lambda: api.say("/trades@desk_bot", chat=-100, type="supergroup"))
    assert (call.data["chat_id"], call.data["text"]) == ("-100", "no closed trades")
    api.say("/trades@other_bot", chat=-100, type="supergroup")
    path.write_text(text.replace(f"users: [{OWNER}]", "users: [1]"))
    told = len(api.texts())
    number = api.say("/positions")
    api.wait_for(lambda: api.confirmed > number)
    path.write_text(text)
    assert api.next_text("/trades") == "no closed trades"
    assert len(api.texts()) == told + 1


def test_a_broken_desk_yaml_is_said_and_the_list_from_before_counts(served):
    api, path = served.api, served.desk / "desk.yaml"
    text = path.read_text()
    path.write_text(text + "nonsense: [\n")
    try:
        assert api.next_text("/trades").startswith("desk.yaml cannot be read: ")
    finally:
        path.write_text(text)
    assert api.next_text("/trades") == "no closed trades"


# the network and the wire


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


def test_malformed_updates_are_passed_over_and_the_offset_moves_on(served):
    api, before = served.api, rows(served.desk / "desk.db", ACTS)
    log = served.desk / "logs" / "tradekit.jsonl"
    told, skipped = len(api.texts()), log.read_text().count(" skipped: ")
    for update in MALFORMED:
        api.push(json.loads(json.dumps(update)))
    last = api.number
    assert api.next_text("/trades") == "no closed trades"
    api.wait_for(lambda: api.confirmed > last)
    assert len(api.texts()) == told + 1
    assert rows(served.desk / "desk.db", ACTS) == before
    assert log.read_text().count(" skipped: ") - skipped >= len(MALFORMED) - 1
    assert "x" * 100 not in log.read_text()


def test_updates_without_a_number_do_not_make_it_spin(served):
    api = served.api
    with api.news:
        api.updates.append({"update_id": "one", "message": "x"})
        api.news.notify_all()
    polls = api.polls
    time.sleep(1.0)
    assert api.polls - polls < 60  # a pause between two looks (retry_s is 0.05 here)
    with api.news:
        api.updates.clear()
    assert api.next_text("/trades") == "no closed trades"


def test_the_network_may_fail_in_every_way_and_it_polls_on(served):
    api = served.api
    api.fail("getUpdates", "drop", (500, None), (502, None), "garbage", (429, {"retry_after": 1}), "drop", (404, None))
    assert api.next_text("/trades") == "no closed trades"
    api.fail("sendMessage", "drop", (500, None), (429, {"retry_after": 1}))
    assert api.next_text("/help").startswith("desk: a desk of tradekit")
    api.fail("sendMessage", (403, None))  # somebody blocked the bot: given up, and the next is served
    api.say("/trades")
    api.wait_for(lambda: not api.errors["sendMessage"])
    assert api.next_text("/positions").startswith("Held")
    assert served.process.child.poll() is None


def test_another_poller_is_named_and_waited_for(served):
    api = served.api
    api.fail("getUpdates", *[(409, None)] * 2)
    assert api.next_text("/trades") == "no closed trades"
    found = rows(served.desk / "desk.db", "SELECT data FROM events WHERE kind = 'alert.bot-conflict'")
    assert len(found) == 1 and "another process polls with this bot's token" in found[0][0]
    assert "another process polls" in served.process.said()


def test_a_second_copy_is_refused_with_the_pid_of_the_first(served, run):
    done = run("-C", served.desk, "bot", env=environment(clock(WHEN), TRADEKIT_SECRET_TELEGRAM_TOKEN="1:x"))
    assert (done.returncode, f"pid {served.process.pid}" in done.stderr) == (8, True), done.stderr


# cost


def test_an_idle_bot_is_small_and_still(served):
    assert served.api.next_text("/trades") == "no closed trades"
    pid = served.process.pid

    def cpu():
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / 100

    began = cpu()
    time.sleep(2)
    used = cpu() - began
    kilobytes = int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
    print(f"idle: {used:.2f} s CPU in 2 s, {kilobytes / 1024:.0f} MB")
    assert used <= 0.1  # the server lets it wait for 5 s here, and for 50 in life
    assert kilobytes < 100 * 1024
    assert sells(served.desk) == []
