"""The power goes at any moment: no acknowledged commit is lost, no order is at the venue without its intent."""

import pytest

from tests.process.cut_cases import bookings, command, judge_bookings, judge_command
from tests.process.day import needs_strace
from tests.process.power import Event, Recording, parsed, try_images

pytestmark = needs_strace
IMAGES, SEED = 40, 20260213


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("power")


def test_full_loses_no_acknowledged_commit(folder):
    recording = bookings(folder, "FULL", 6)
    assert len(recording.acks(len(recording.events))) == 12
    assert try_images(recording, IMAGES, SEED, judge_bookings, folder / "image") == {}


def test_the_tool_sees_what_is_lost_without_syncs(folder):
    recording = bookings(folder, "OFF", 6)
    assert try_images(recording, IMAGES, SEED, judge_bookings, folder / "image") != {}


@pytest.mark.parametrize("step", [0, 1])
def test_no_order_is_at_the_venue_without_its_intent(step, folder):
    recording = command(folder, step)
    assert len(recording.events) > 100
    assert try_images(recording, IMAGES // 2, SEED, judge_command, folder / "image") == {}


def test_what_was_not_synced_may_be_there_or_not(tmp_path):
    (tmp_path / "start").mkdir()
    events = [Event("write", "x", 0, b"one"), Event("sync", "x"), Event("write", "x", 0, b"two")]
    recording = Recording(tmp_path / "start", events)
    seen = set()

    def look(image, _acks):
        seen.add((image / "x").read_bytes() if (image / "x").exists() else None)
        return []

    try_images(recording, 200, 1, look, tmp_path / "image")
    assert seen == {None, b"one", b"two"}


def test_an_strace_line_is_read(tmp_path):
    name = "".join(f"\\x{byte:02x}" for byte in str(tmp_path / "a").encode())
    lines = [f'7 pwrite64(3<{name}>, "\\x68\\x69", 2, 12) = 2', f"7 fdatasync(3<{name}>) = 0",
             '7 write(1<\\x70>, "\\x6f\\x31\\x0a", 3) = 3', f"7 ftruncate(3<{name}>, 5) = -1 EIO (x)"]  # fmt: skip
    assert parsed(lines, tmp_path) == [
        Event("write", "a", 12, b"hi"), Event("sync", "a"), Event("ack", "", 0, b"o1"),
    ]  # fmt: skip
