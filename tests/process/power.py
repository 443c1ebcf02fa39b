"""Power cuts on paper: record what a program asked of the disk, cut at some event, keep or lose what was not synced.

The model: a write, a truncation or a removal is certain once its file was synced after it; until then each of them is
on the disk or not, whatever came before. Names and file sizes that were there at the start are certain.
"""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.process.day import ROOT, STRACE, environment

CALLS = "write,pwrite64,ftruncate,unlink,rename,fsync,fdatasync"
LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


class Event(NamedTuple):
    """One request: what, of which file, where, with which bytes; `ack` is a line that the program printed."""

    call: str
    file: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Recording:
    """The folder as it was before, and what was asked of it."""

    start: Path
    events: list[Event] = field(default_factory=list)

    def acks(self, cut: int) -> list[str]:
        """What had been printed when the power went."""
        return [event.data.decode() for event in self.events[:cut] if event.call == "ack"]

    def image(self, cut: int, target: Path, luck: random.Random) -> Path:
        """The folder as it is found after a cut before event number `cut`."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.start, target)
        waiting: dict[str, list[Event]] = {}
        for event in self.events[:cut]:
            if event.call == "sync":
                for each in waiting.pop(event.file, ()):
                    _apply(target, each)
            elif event.call != "ack":
                waiting.setdefault(event.file, []).append(event)
        share = luck.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for events in waiting.values():
            for each in events:
                if luck.random() < share:
                    _apply(target, each)
        return target


def record(folder: Path, program: str, *words: str, when: str = "", before: Path) -> Recording:
    """Run a Python program on `folder` under strace; `before` gets the copy of what was there."""
    assert STRACE is not None
    shutil.copytree(folder, before)
    out = before.parent / f"{before.name}.strace"
    line = [STRACE, "-f", "-y", "-xx", "-s", "10000000", "-o", str(out), "-e", f"trace={CALLS}"]
    done = subprocess.run(
        [*line, sys.executable, "-c", program, *words],
        env=environment(when),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Recording(before, parsed(out.read_text().splitlines(), folder.resolve()))


def parsed(lines: list[str], folder: Path) -> list[Event]:
    """The events of an strace log that concern files of `folder`, and what was written to stdout as acks."""
    events = []
    for line in lines:
        found = LINE.match(line)
        if found is None or int(found[3]) < 0:
            continue
        call, arguments = found[1], found[2]
        if call == "write" and arguments.startswith("1<"):
            events += [Event("ack", "", data=word) for word in _bytes(arguments).split()]
            continue
        path = _path(arguments)
        if path is None or path.parent != folder or path.name.endswith(".lock"):
            continue
        if ".last-good." in path.name:  # a copy of the settings; what it lost is written anew
            continue
        numbers = [int(number) for number in re.findall(r", (\d+)", arguments)]
        if call == "pwrite64":
            events.append(Event("write", path.name, numbers[-1], _bytes(arguments)))
        elif call == "ftruncate":
            events.append(Event("truncate", path.name, numbers[-1]))
        elif call in ("fsync", "fdatasync"):
            events.append(Event("sync", path.name))
        elif call == "unlink":
            events.append(Event("unlink", path.name))
        elif call in ("write", "rename"):
            raise ValueError(f"the model does not know {line[:200]}")
    return events


def cuts(recording: Recording, many: int, luck: random.Random) -> list[int]:
    """Events before which the power goes."""
    return [luck.randrange(1, len(recording.events) + 1) for _ in range(many)]


def try_images(
    recording: Recording, many: int, seed: int, judge: Callable[[Path, list[str]], list[str]], target: Path
) -> dict[tuple[int, int], list[str]]:
    """Cut so many times; (cut, number) -> what the judge found wrong with the image and what had been acknowledged."""
    bad = {}
    luck = random.Random(seed)
    for n, cut in enumerate(cuts(recording, many, luck)):
        image = recording.image(cut, target, luck)
        if wrong := judge(image, recording.acks(cut)):
            bad[cut, n] = wrong
    return bad


def _apply(folder: Path, event: Event) -> None:
    path = folder / event.file
    if event.call == "unlink":
        path.unlink(missing_ok=True)
        return
    path.touch()
    with path.open("r+b") as file:
        if event.call == "truncate":
            file.truncate(event.offset)
        else:
            file.seek(event.offset)
            file.write(event.data)


def _bytes(arguments: str) -> bytes:
    found = TEXT.search(re.sub(r"<[^>]*>", "", arguments, count=1))
    return bytes.fromhex(found[1].replace("\\x", "")) if found else b""


def _path(arguments: str) -> Path | None:
    found = re.match(r"\d+<([^>]*)>", arguments) or TEXT.match(arguments)
    if found is None:
        return None
    text = found[1]
    if "\\x" in text:
        text = bytes.fromhex(text.replace("\\x", "")).decode()
    return Path(text)
