"""What the benches share: the cost of whole processes, measured side by side, and the verdict on each figure.

Only the standard library is loaded here: a child's peak memory starts from its parent's.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
PYTHON, TRADEKIT = str(BIN / "python"), str(BIN / "tradekit")
DAY = "2026-02-13"
FORGET = ("PYTHONDONTWRITEBYTECODE", "TRADEKIT_DESK", "TRADEKIT_FORMAT", "TRADEKIT_CLOCK", "COLUMNS")


class Cost(NamedTuple):
    """One process: user + system seconds, seconds on the clock, peak memory in MB."""

    cpu: float
    wall: float
    peak_mb: float


class Line(NamedTuple):
    """One figure beside its limit; a limit of None is there to compare with."""

    what: str
    found: float
    limit: float | None
    unit: str

    @property
    def over(self) -> bool:
        return self.limit is not None and self.found > self.limit


def use_venv() -> None:
    """Go on in the own interpreter, with compiled byte code: without it imports cost three times as much."""
    if not Path(TRADEKIT).exists():
        raise SystemExit("no .venv: run scripts/setup first")
    for name in FORGET:
        os.environ.pop(name, None)
    if Path(sys.prefix) != ROOT / ".venv":
        os.execv(PYTHON, [PYTHON, *sys.argv])


def cost(words: Sequence[str], extra: Mapping[str, str] | None = None) -> Cost:
    """Run one process to its end, output thrown away. SystemExit where it fails."""
    from time import perf_counter

    began = perf_counter()
    with subprocess.Popen(
        words, env={**os.environ, **(extra or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {process.returncode}\n{said.decode()}")
    return Cost(used.ru_utime + used.ru_stime, perf_counter() - began, used.ru_maxrss / 1024)


def interleaved(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[Cost]]:
    """Each command once a round, so that what else the machine does meets all of them; a first round is not counted."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for n in range(rounds + 1):
        for name, words in commands.items():
            one = cost(words)
            if n:
                found[name].append(one)
    return found


def ratio(costs: Sequence[Cost], base: Sequence[Cost]) -> float:
    """The median over the rounds of CPU / CPU of the base in the same round."""
    return median(a.cpu / b.cpu for a, b in zip(costs, base, strict=True))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns, the first flush left and the rest flush right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())


def verdict(lines: Sequence[Line], check: bool) -> None:
    """Each figure with its limit; exit code 1 with `check` where one is over."""
    print()
    table(
        ("", "found", "limit", ""),
        [
            (
                line.what,
                f"{line.found:.4g} {line.unit}".strip(),
                "-" if line.limit is None else f"{line.limit:g} {line.unit}".strip(),
                "" if line.limit is None else "over" if line.over else "PASS",
            )
            for line in lines
        ],
    )
    if check and any(line.over for line in lines):
        sys.exit(1)


def new_desk(folder: Path) -> Path:
    """An empty desk of the preset `day`."""
    done = [TRADEKIT, "-q", "init", str(folder), "--preset", "day"]
    subprocess.run(done, check=True, stdout=subprocess.DEVNULL)
    return folder


def made_up_market(desk: Path, symbols: int, history: int) -> None:
    """Daily bars and one day of minute bars from a seed."""
    words = ["data", "synthetic", "--session", DAY, "--symbols", str(symbols), "--history", str(history)]
    subprocess.run([TRADEKIT, "-q", "-C", str(desk), *words], check=True, stdout=subprocess.DEVNULL)
