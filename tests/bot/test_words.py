"""Pieces of at most 4,096 UTF-16 units, arguments that are checked, updates that are not trusted."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bot.api import units
from tests.desk.world import World
from tradekit.bot import vocabulary
from tradekit.bot.acts import check_key, check_settable
from tradekit.bot.chat import words_of
from tradekit.bot.clerk import _ref
from tradekit.bot.line import Line, check_url
from tradekit.bot.memory import Ask, Memory, Request, Shown
from tradekit.bot.serve import Service
from tradekit.bot.words import Text, cut, pieces, shortened
from tradekit.clock import parse_time
from tradekit.config import BotSettings, Settings
from tradekit.errors import ConfigError, UsageError

AT = parse_time("2026-02-13T15:00:00Z")


@pytest.mark.parametrize(("text", "longest", "found"), [
    ("", 4, []),
    ("abcd", 4, ["abcd"]),
    ("ab\ncd\nef", 6, ["ab\ncd\n", "ef"]),
    ("ab\ncd\nef", 5, ["ab\n", "cd\nef"]),
    ("abcdef", 4, ["abcd", "ef"]),
    ("😀😀😀", 4, ["😀😀", "😀"]),  # two units each: never half of one
    ("a😀😀", 4, ["a😀", "😀"]),
])  # fmt: skip
def test_a_text_is_cut_between_lines(text, longest, found):
    assert cut(text, longest) == found


parts = st.lists(st.builds(Text, st.text(max_size=60), st.booleans()), max_size=6)


@given(parts=parts, longest=st.integers(min_value=8, max_value=40))
@settings(max_examples=100, deadline=None)
def test_pieces_fit_and_lose_nothing_that_can_be_seen(parts, longest):
    found = pieces(parts, longest)
    seen = "".join(c for piece in found for c in piece.text if not c.isspace())
    wanted = "".join(c for part in parts for c in part.text if c.isprintable() and not c.isspace())
    assert seen == wanted
    for piece in found:
        assert piece.text.strip() and units(piece.text) <= longest
        for start, length in piece.mono:
            assert start >= 0 and length > 0 and start + length <= units(piece.text)


def test_a_table_that_is_cut_stays_monospace_and_words_stay_words():
    answer = [Text("head"), Text("r1 😀\nr2\nr3", mono=True), Text("tail")]
    assert pieces(answer, 21) == [("head\nr1 😀\nr2\nr3\ntail", ((5, 11),))]
    assert pieces(answer, 8) == [("head", ()), ("r1 😀", ((0, 5),)), ("r2\nr3", ((0, 5),)), ("tail", ())]


def test_what_a_screen_could_be_fooled_by_is_taken_out():
    assert pieces([Text("a\x1b[31m\u202eb\tc\r\nd")])[0].text == "a [31m b c \nd"
    assert shortened("ä" * 10, 5) == "ääää…"


@pytest.mark.parametrize(("text", "found"), [
    ("/status", ("status", "")),
    ("/Status@Desk_Bot", ("status", "")),
    ("/close  aaa ", ("close", "aaa")),
    ("/halt@desk_bot bad\nnews", ("halt", "bad\nnews")),
    ("/halt\nbad news", ("halt", "bad news")),
    ("/halt@another_bot", None),
    ("status", None),
    ("/", ("", "")),
])  # fmt: skip
def test_a_message_is_a_word_and_what_stands_behind_it(text, found):
    assert words_of(text, "desk_bot") == found


@pytest.mark.parametrize(("check", "text", "found"), [
    ("a_symbol", "brk.b", ("BRK.B",)),
    ("a_symbol", "btc/usd", ("BTC/USD",)),
    ("a_count", "", ("10",)),
    ("a_count", "007", ("7",)),
    ("a_day", "2026-02-13", ("2026-02-13",)),
    ("a_scan", "", ("open",)),
    ("an_export", "tax-lots 2026-02-13", ("tax-lots", "2026-02-13")),
    ("an_id", "d-AAA-20260213T1435-momentum", ("d-AAA-20260213T1435-momentum",)),
    ("a_setting", "risk.regime {up: 1, down: 0}", ("risk.regime", "{up: 1, down: 0}")),
    ("a_setting", "risk.max_positions -1", ("risk.max_positions", "-1")),
    ("a_reason", "bad\nnews\x00", ("bad news",)),
])  # fmt: skip
def test_arguments(check, text, found):
    assert getattr(vocabulary, check)(text) == found


@pytest.mark.parametrize(("check", "text"), [
    ("a_symbol", "AAA BBB"), ("a_symbol", "--all"), ("a_symbol", ""), ("a_symbol", "AAA\n--all"), ("a_symbol", "../x"),
    ("an_id", "-C/tmp"), ("an_id", "a b"), ("an_id", "x" * 200), ("an_id", "$(id)"), ("an_id", "a\n"),
    ("a_count", "0"), ("a_count", "201"), ("a_count", "1e3"), ("a_count", "٣"), ("a_count", "-1"),
    ("a_day", "13.2.2026"), ("a_day", "--help"), ("an_export", "trades ../../etc"), ("an_export", "--out=/etc/passwd"),
    ("a_setting", "risk.max_positions"), ("a_setting", "--dry-run x"), ("a_setting", "risk 3"),
    ("a_setting", "risk.restricted [A,\nB]"), ("a_setting", "risk.restricted " + "A" * 400), ("a_section", "notify"),
])  # fmt: skip
def test_arguments_that_are_none(check, text):
    with pytest.raises(UsageError):
        getattr(vocabulary, check)(text)


@given(text=st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_no_text_becomes_an_option_or_two_words(text):
    """What reaches a command line is one argument that does not begin with a dash, or stands behind `--`."""
    for name, word in vocabulary.WORDS.items():
        try:
            found = word.check(text.strip())
        except UsageError:
            continue
        for argument in found:
            assert isinstance(argument, str) and "\n" not in argument and "\0" not in argument
            assert name in ("set", "halt") or not argument.startswith("-")


def test_the_chat_changes_what_the_desk_lists_and_never_more():
    said = BotSettings(settable=["risk.max_positions", "desk.broker", "live.armed"])
    check_key(said, "risk.max_positions")
    for key in ("desk.broker", "live.armed", "risk.daily_loss", "bot.users", "secrets.x", "notify.channels.x.secret"):
        with pytest.raises(UsageError, match="may not be changed from here"):
            check_key(said, key)
    with pytest.raises(ConfigError, match=r"desk.yaml: 'desk.broker' may not be changed by chat"):
        check_settable(Settings(bot=said), lambda *keys: "desk.yaml")
    check_settable(Settings(), lambda *keys: "desk.yaml")


def test_every_setting_that_may_be_changed_by_default_exists():
    from tradekit.base.settings_file import dotted, leaves

    known = {dotted(keys) for keys, _ in leaves(Settings())}
    assert set(BotSettings().settable) <= known
    assert not set(BotSettings().settable) & {"risk.daily_loss", "risk.drawdown", "risk.exposure_cap"}


@pytest.mark.parametrize("url", [
    "http://api.example.org", "https://169.254.169.254", "ftp://127.0.0.1", "https://", "https://a@b", "https://a?b=c",
])  # fmt: skip
def test_the_token_goes_to_https_or_this_machine_only(url):
    with pytest.raises(ConfigError, match="neither https://HOST nor http:// on this machine"):
        check_url(url)


def test_telegrams_own_address_and_a_local_server_are_fine():
    for url in ("https://api.telegram.org", "http://127.0.0.1:8081", "http://localhost:8081/", "https://[::1]"):
        check_url(url)


def test_a_question_that_is_too_long_for_one_message_is_put_whole():
    line = Line(BotSettings(), "1:token")
    text = "Sell now?\n" + "".join(f"{n} S{n}, paid 1\n" for n in range(600))
    assert len(line.ask(7, text, [("Yes", "y:t")])) == len(pieces([Text(text)])) > 1


def test_a_secret_in_an_answer_is_masked_and_its_table_still_fits():
    from tradekit.base.logs import remember_secret

    remember_secret("sesame-0815-sesame")
    sent = []
    line = Line(BotSettings(), "1:token")
    line._text = lambda chat_id, piece, **more: sent.append(piece)
    line.calls(7, [Text("key sesame-0815-sesame", mono=True)], 5)
    assert sent == [("key ***", ((0, 7),))]


def test_an_act_has_a_name_of_its_own_though_telegram_may_count_anew():
    first, later = request(1000), Request(1000, AT + timedelta(days=30), 7, 7, ("halt",))
    assert _ref(first) == "telegram-1000-20260213T150000" != _ref(later)


# what is kept


@pytest.fixture
def memory(tmp_path):
    with Memory(tmp_path / "bot.db") as made:
        yield made


def request(id=1, *words):
    return Request(id, AT, 7, 7, words or ("halt",))


def test_a_request_is_taken_once_and_stays_until_it_is_answered(memory, tmp_path):
    assert [memory.take(request()), memory.take(request())] == [True, False]
    memory.take(request(2, "set", "a.b", "ü"))
    memory.acted(1, [Text("done", True)])
    memory.done(2)
    with Memory(tmp_path / "bot.db") as again:
        (found,) = again.unfinished()
    assert found == Request(1, AT, 7, 7, ("halt",), True, (Text("done", True),))
    assert (tmp_path / "bot.db").stat().st_mode & 0o777 == 0o600


def test_a_question_is_confirmed_once_and_with_it_its_request_is_written(memory):
    ask = Ask("t", AT, 7, 7, "close", (Shown("AAA-1", "AAA", "49"),))
    memory.ask(ask)
    assert memory.asked("t") == ask and memory.asked("u") is None
    assert [memory.confirm("t", request(5, "close", "t")), memory.confirm("t", request(6, "close", "t"))] == [
        True,
        False,
    ]
    assert [found.id for found in memory.unfinished()] == [5]
    assert memory.asked("t").state == "yes"
    assert memory.settle("t", "no") is False


def test_strangers_are_kept_once_and_not_without_end(memory):
    assert [memory.knocked(n, AT, 2) for n in (1, 1, 2, 3)] == [True, False, True, False]


def test_an_answer_survives_as_json(memory):
    memory.take(request())
    memory.acted(1, [Text('a "quote"\n😀')])
    assert memory.unfinished()[0].answer == (Text('a "quote"\n😀'),)


def test_the_desks_commands_do_not_get_the_bots_token(memory, tmp_path, monkeypatch):
    monkeypatch.setenv("TRADEKIT_SECRET_TELEGRAM_TOKEN", "1:token")
    monkeypatch.setenv("TRADEKIT_SECRET_VENUE", "theirs")
    with World(tmp_path / "desk").desk() as desk:
        environ = Service(desk, memory, Line(BotSettings(), "1:token")).clerk.children.environ
    assert "1:token" not in environ.values() and environ["TRADEKIT_SECRET_VENUE"] == "theirs"
