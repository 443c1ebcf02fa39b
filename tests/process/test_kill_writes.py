"""Killed at any write, the day goes on: nothing is doubled, nothing is lost, the books foot."""

import tempfile
from pathlib import Path

import pytest

from tests.process.day import needs_strace
from tests.process.kill_writes import Campaign
from tradekit.desk import orders

pytestmark = needs_strace
SAMPLE, SEED = 12, 20260213
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def campaign():
    """The day, played once; in memory where the host has a disk of it, because a kill loses no written page."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Campaign(Path(folder))


def test_the_day_writes_enough_to_be_cut(campaign):
    assert len(list(campaign.places())) > 1000


def test_killed_at_any_write_the_day_ends_as_it_should(campaign):
    found = {str(place): campaign.kill_at(place) for place in campaign.sample(SAMPLE, SEED)}
    assert {place: wrong for place, wrong in found.items() if wrong} == {}


def test_an_order_sent_before_it_is_written_down_is_caught(campaign, monkeypatch):
    honest = orders._intend

    def send_first(desk, order, *rest):
        desk.broker.submit(orders.request(order))
        return honest(desk, order, *rest)

    monkeypatch.setattr(orders, "_intend", send_first)
    places = [place for place in campaign.places(("pwrite64",)) if place.step == 0][40::8]
    assert any("not written down" in " ".join(campaign.cut(place)) for place in places)
