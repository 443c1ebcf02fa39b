"""Claims on symbols, trading pauses, settled cash: what the gate knows beside prices."""

from datetime import date, timedelta

import pytest

from tests.desk.world import DAY, World, at
from tradekit.desk.claims import claim, others, release_idle
from tradekit.desk.pauses import paused
from tradekit.desk.settlement import is_settled, settles_after
from tradekit.errors import StoreError


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path / "d")
    world.add("AAA", [100] * 10 + [None] * 7 + [101] * 20)
    return world


def test_a_symbol_belongs_to_the_desk_that_was_first(world, tmp_path):
    with world.desk() as first, World(tmp_path / "e").desk() as second:
        second.id, second.account_dir = "other", first.account_dir
        claim(first, "AAA")
        claim(first, "BBB")
        assert others(second) == {"AAA", "BBB"}
        assert others(first) == frozenset()
        release_idle(second)
        assert others(second) == {"AAA", "BBB"}  # only its owner gives a claim back
        release_idle(first)
        assert others(second) == frozenset()


def test_claims_that_cannot_be_read_stop_the_entry(world):
    with world.desk() as desk:
        (desk.account_dir / "symbols.json").write_text("[1,")
        with pytest.raises(StoreError, match=r"symbols\.json"):
            others(desk)


@pytest.mark.parametrize(
    ("when", "halted", "reopened"),
    [
        ("09:41", False, None),  # the last bar is a minute old
        ("09:44", False, None),
        ("09:45", True, None),  # five minutes of silence
        ("09:48", False, "09:47"),
        ("10:05", True, "09:47"),  # judged at 10:12, five minutes after the last bar
    ],
)
def test_a_silence_of_five_minutes_is_a_pause(world, when, halted, reopened):
    with world.desk(when) as desk:
        if when == "10:05":
            desk.clock.set(at("10:12"))  # the last bar ended at 10:07
        assert paused(desk, "AAA", DAY) == (halted, at(reopened) if reopened else None)


def test_a_symbol_without_bars_is_not_called_halted(world):
    with world.desk("10:00") as desk:
        assert paused(desk, "ZZZ", DAY) == (False, None)


def test_sales_settle_after_the_sessions_of_their_time(world):
    assert [settles_after(date(*day)) for day in ((2017, 1, 3), (2018, 3, 23), (2024, 5, 28), (2026, 2, 13))] == [
        3,
        2,
        1,
        1,
    ]
    with world.desk() as desk:
        friday, monday = DAY, DAY + timedelta(days=3)
        assert not is_settled(desk.calendar, friday, friday)
        assert is_settled(desk.calendar, friday, monday)
