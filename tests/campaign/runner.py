"""Plays one schedule from its first command to the quiet end, and asks the checker at each stage of it."""

import hashlib
import re
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tests.campaign import checker
from tests.campaign.checker import Books, Violation
from tests.campaign.commands import play
from tests.campaign.exchange import Entry, Exchange
from tests.campaign.market import CRASH, HOLDINGS, START, SYMBOLS, template
from tests.campaign.schedule import Batch, Schedule
from tests.campaign.stage import Act, Ended, Inline, Stage
from tradekit.brokers.base import Capabilities
from tradekit.model import Decision
from tradekit.store import Store, open_store

QUIET_S = (61.0, 31.0, 121.0)  # what may still be under way ends; then reads a grace time apart, and one more
PLANS: tuple[dict[str, Any], ...] = (
    {"stop": 0.01, "target": 0.026, "after_target": "arm-trail", "trail": 0.015},
    {"stop": 0.02, "target": 0.02, "after_target": "exit"},
    {"trail": 0.012, "trail_from": "entry"},
)


@dataclass
class Result:
    """What a schedule came to."""

    seed: int
    violations: list[Violation]
    commands: int = 0
    kills: int = 0
    turns: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    fills: int = 0
    orders: int = 0
    cpu_s: float = 0.0
    profile: str = ""
    log: list[str] = field(default_factory=list)


class Play:
    """One schedule at work in a folder of its own."""

    def __init__(self, schedule: Schedule, folder: Path) -> None:
        self.schedule, self.folder = schedule, folder
        self.warm = template(schedule.protect)
        shutil.copytree(self.warm.folder, folder, dirs_exist_ok=True)
        self.capabilities: Capabilities | None = None
        self.exchange: Exchange | None = None
        self.paper_calls: Counter[str] = Counter()
        self.paper_faults: list[str] = []
        self.hasty: list[str] = []  # commands that took a stop or a sale back before it was their turn to send
        if schedule.profile == "paper":
            self.stage = Stage(START, schedule.seed, self._paper)
        else:
            self.exchange = Exchange(
                self.warm.market, START, seed=schedule.seed, profile=schedule.profile, strict=schedule.strict,
                partial=schedule.partial, foreign=HOLDINGS, faults=schedule.faults, witness=self._witness,
            )  # fmt: skip
            self.capabilities = self.exchange.capabilities
            self.stage = Stage(START, schedule.seed, self._venue)
            self.stage.tick = self.exchange.move_to
        self.ended: list[Ended] = []
        self.log: list[str] = []

    def _venue(self, op: str, *args: Any) -> tuple[float, Any]:
        assert self.exchange is not None
        if op == "hasty":
            self.hasty.append(args[0])
            return 0.0, None
        self.exchange.move_to(self.stage.now)
        return self.exchange.call(op, *args)

    def _paper(self, op: str, *args: Any) -> tuple[float, Any]:
        if op == "hasty":
            self.hasty.append(args[0])
            return 0.0, None
        self.paper_calls[op] += 1
        fault = self.schedule.faults.get(f"{op}:{self.paper_calls[op]}", {}) if self.faulty else {}
        if fault:
            self.paper_faults.append(f"{op} {fault['kind']}")
        return 0.05, fault.get("kind")

    faulty = True

    def _witness(self, client_id: str) -> bool:
        """Is the intent committed? Asked while every process stands still."""
        db = sqlite3.connect(self.folder / "desk.db")
        try:
            return bool(db.execute("SELECT 1 FROM orders WHERE client_order_id = ?", [client_id]).fetchone())
        finally:
            db.close()

    # the day

    def all(self) -> list[Violation]:
        """The schedule, then the quiet end. Stops at the first stage that finds something."""
        for n, batch in enumerate(self.schedule.batches):
            self._batch(n, batch)
        found = self._check(checker.always) or self._quiet() or self._crash()
        for op in set(self.exchange.breaches) if self.exchange is not None else ():
            found.append(
                Violation("I6", op, "asked of the venue inside a transaction: every exit waits for the network")
            )
        for what in set(self.hasty):
            found.append(Violation("I5", what, "taken back while others could send: nothing may come in its place"))
        return found

    def _batch(self, n: int, batch: Batch) -> None:
        self.stage.move_to(self.stage.now + timedelta(seconds=batch.after))
        for hand in batch.hands:
            if self.exchange is not None:
                self.exchange.hand(*hand)
        if batch.decide:
            self._decide(n, batch.decide)
        if not batch.commands:
            return
        alone = batch.commands[0]
        if len(batch.commands) == 1 and not (alone.crash or alone.kill_at or alone.kill_write):
            self.command(alone.verb, *alone.args, name=f"{n}.0 {alone.verb}")
            return
        acts = [
            Act(
                f"{n}.{k} {c.verb}",
                lambda link, c=c: play(self.folder, link, self.schedule.protect, self.capabilities, c.verb, c.args),  # type: ignore[misc]
                crash=c.crash,
                kill_at=c.kill_at,
                starts=c.starts,
                kill_write=c.kill_write,
            )
            for k, c in enumerate(batch.commands)
        ]
        self._run(acts)

    def _run(self, acts: list[Act]) -> list[Ended]:
        ended = self.stage.play(acts)
        for one in ended:
            self._note(one)
        return ended

    def _note(self, one: Ended) -> None:
        self.ended.append(one)
        told = f"killed: {one.where}" if one.killed else f"{one.value[0]} {one.value[1].strip()[:160]}"
        self.log.append(f"{one.at:%H:%M:%S} {one.name} {re.sub(r'pid [0-9]+', 'pid', told)}")

    def command(self, verb: str, *args: str, name: str = "") -> Ended:
        """A command by itself, undisturbed: nobody else moves and nobody dies, so it needs no process of its own."""
        value = play(self.folder, Inline(self.stage), self.schedule.protect, self.capabilities, verb, list(args))
        ended = Ended(name or f"end {verb}", False, value, self.stage.now)
        self._note(ended)
        return ended

    def _decide(self, n: int, symbols: list[str]) -> None:
        store = open_store(self.folder / "desk.db", synchronous="OFF")
        try:
            for k, symbol in enumerate(symbols):
                quote = self.warm.market.quote(symbol, self.stage.now)
                if quote is not None:
                    decide(
                        store, symbol, quote.last, self.stage.now, n, PLANS[(self.schedule.seed + k + n) % len(PLANS)]
                    )
        finally:
            store.close()

    # the end

    def _quiet(self, pauses: Sequence[float] = QUIET_S) -> list[Violation]:
        """No faults any more: reconcile must agree with the venue, and then write nothing."""
        self.faulty = False
        if self.exchange is not None:
            self.exchange.faults = {}
        for pause in pauses:
            self.stage.move_to(self.stage.now + timedelta(seconds=pause))
            self.command("reconcile")
        self._still()
        last = self.command("reconcile")
        if last.value[0] not in ((0, 7) if self._frozen() else (0,)):
            return [Violation("I2", "reconcile", f"exit code {last.value[0]} on a quiet venue: {last.value[1][-300:]}")]
        expired = "decisions WHERE status = 'expired'"
        before, gone = self._tables(), self._waits(expired)
        self.command("reconcile")
        if self._waits(expired) > gone:  # its time was over between the two: then the next one has nothing to write
            before = self._tables()
            self.command("reconcile")
        after = self._tables()
        found = [
            Violation("I2", name, "a second reconcile wrote something")
            for name in before
            if before[name] != after[name]
        ]
        found += self._check(self._converged)
        if found:
            return found
        self.command("monitor-exits")
        return self._check(lambda books, journal, ended: checker.protected(books, journal, self.stage.now))

    def _still(self) -> None:
        """Until nothing fills any more before the next bar: the books are compared while the venue is at rest."""
        if self.exchange is None:
            return
        for _ in range(20):
            soon = [when for when in self.exchange._moments() if when - self.stage.now < timedelta(seconds=2)]
            if not soon:
                return
            self.stage.move_to(max(soon) + timedelta(milliseconds=1))
            self.command("reconcile")

    def _crash(self) -> list[Violation]:
        """Every price falls through every stop: all must be sold, halted or not."""
        if self._waits("orders WHERE purpose = 'entry' AND status IN ('submitted', 'open', 'partially_filled')"):
            self.stage.move_to(self.stage.now + timedelta(seconds=61))  # else it would buy in the middle of the crash
            for _ in range(2):
                self.command("reconcile")
                self.stage.move_to(self.stage.now + timedelta(seconds=61))
        if self.schedule.seed % 2:
            self.command("halt")
        if self.schedule.seed % 4 > 1 and self.exchange is not None:
            for symbol in SYMBOLS:
                self.exchange.hand("venue-cancel", symbol, 0)  # now only the desk's own rules can sell
        self.stage.move_to(max(CRASH, self.stage.now + timedelta(seconds=1)))
        for _ in range(9):
            self.command("monitor-exits")
            if not self._waits("positions WHERE closed_at IS NULL"):
                break
            self.stage.move_to(self.stage.now + timedelta(seconds=45))
        self.command("reconcile")
        return self._check(self._flat) + self._check(checker.always)

    def _flat(self, books: Books, journal: list[Entry], ended: list[Ended]) -> Iterator[Violation]:
        frozen = self._frozen()
        return (v for v in checker.flat(books) if v.subject.split("-")[0] not in frozen)

    def _frozen(self) -> set[str]:
        """Symbols that the desk froze aloud, because a venue without client ids shows no single order for an intent."""
        if self.schedule.profile != "none":
            return set()
        books = Books(self.folder / "desk.db")
        try:
            return {e["symbol"] for e in books.events if e["kind"] == "alert.frozen"}
        finally:
            books.close()

    def _waits(self, rows: str) -> int:
        """How many rows of a kind the store has."""
        db = sqlite3.connect(self.folder / "desk.db")
        try:
            return int(db.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])
        finally:
            db.close()

    # looking

    def journal(self) -> list[Entry]:
        """What the venue did, in order."""
        return self.exchange.journal if self.exchange is not None else paper_journal(self.folder)

    def _check(self, rule: Any) -> list[Violation]:
        books = Books(self.folder / "desk.db")
        try:
            found = list(rule(books, self.journal(), self.ended))
        finally:
            books.close()
        if not found and self.exchange is None and rule is checker.always and not self.faulty:
            from tradekit.reports.footing import foot

            found = [
                Violation("I9", f.subject, f"{f.check}: {f.found}")
                for f in foot(self.folder / "desk.db", self.folder / "paper.db")
            ]
        return found

    def _converged(self, books: Books, journal: list[Entry], ended: list[Ended]) -> Iterator[Violation]:
        holdings = self.exchange.holdings if self.exchange is not None else paper_holdings(self.folder)
        return checker.converged(books, journal, holdings, frozen=self._frozen())

    def _tables(self) -> dict[str, str]:
        """A digest of every table but the runs."""
        db = sqlite3.connect(self.folder / "desk.db")
        try:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: hashlib.sha1(repr(db.execute(f"SELECT * FROM {name}").fetchall()).encode()).hexdigest()
                for name in names
                if name not in ("runs", "sqlite_sequence", "sessions")
            }
        finally:
            db.close()


def decide(store: Store, symbol: str, price: Decimal, now: datetime, n: int, plan: dict[str, Any]) -> None:
    """A pending BUY as `decide` leaves it."""
    store.decisions.add(
        Decision(
            id=f"d-{symbol}-{now:%Y%m%dT%H%M%S}-{n}",
            candidate_id=None,
            position_id=None,
            session=now.date(),
            at=now,
            expires_at=now + timedelta(minutes=5),
            symbol=symbol,
            action="BUY",
            by="rules",
            score=15.0,
            conviction=0.7,
            intent="day",
            stop_price=None,
            target_price=None,
            order_kind="limit",
            because="a drill",
            status="pending",
            strategy="momentum",
            cap="mid",
            price=price,
            rvol=2.0,
            plan={"intent": "day", "flat_before_close_s": 900, **plan},
        )  # fmt: skip
    )


def paper_journal(folder: Path) -> list[Entry]:
    """paper.db's orders and fills as journal lines, in the order of the exchange's own times.

    Where the clock stands still many things share an instant. Then what became of earlier orders comes first, and of
    an order that came in that instant its accept, its fills, its end, before the order that came next.
    """
    if not (folder / "paper.db").exists():
        return []
    db = sqlite3.connect(folder / "paper.db")
    db.row_factory = sqlite3.Row
    found: list[tuple[str, float, Entry]] = []

    def add(rank: int, kind: str, at: str, order: sqlite3.Row, qty: float, price: float | None = None) -> None:
        turn = order["n"] + rank / 10 if at == order["submitted_at"] else -9 + rank
        line = Entry(
            0, datetime.fromisoformat(at), kind, order["client_order_id"], order["symbol"], order["side"],
            Decimal(str(qty)), None if price is None else Decimal(str(price)), order["id"],
        )  # fmt: skip
        found.append((at, turn, line))

    try:
        orders = {row["id"]: row for row in db.execute("SELECT * FROM orders ORDER BY n")}
        for row in orders.values():
            add(0, "accept", row["submitted_at"], row, row["qty"])
            if row["status"] in ("cancelled", "expired"):
                add(2, row["status"], row["changed_at"], row, row["qty"])
        for fill in db.execute("SELECT * FROM fills ORDER BY rowid"):
            add(1, "fill", fill["known_at"], orders[fill["order_id"]], fill["qty"], fill["price"])
    finally:
        db.close()
    found.sort(key=lambda one: one[:2])
    for n, (_, _, line) in enumerate(found, 1):
        line.n = n
    return [line for _, _, line in found]


def paper_holdings(folder: Path) -> dict[str, Decimal]:
    """What the paper account holds."""
    if not (folder / "paper.db").exists():
        return {s: Decimal(q) for s, q in HOLDINGS.items()}
    db = sqlite3.connect(folder / "paper.db")
    try:
        return {symbol: Decimal(str(qty)) for symbol, qty in db.execute("SELECT symbol, qty FROM holdings")}
    finally:
        db.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one, gone afterwards."""
    folder = Path(mkdtemp(prefix="tradekit-schedule-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(schedule: Schedule, *, keep: Path | None = None) -> Result:
    """Play a schedule and check it. `keep`: leave the desk's folder there."""
    began, children = time.process_time(), _children_cpu()
    with scratch() as folder:
        play_ = Play(schedule, folder)
        try:
            violations = play_.all()
        except RuntimeError as stuck:
            violations = [Violation("I15", "stage", str(stuck))]
        journal = play_.journal()
        if keep is not None:
            shutil.copytree(folder, keep, dirs_exist_ok=True)
    venue = play_.exchange
    return Result(
        seed=schedule.seed,
        violations=violations,
        commands=len(play_.ended),
        kills=sum(one.killed for one in play_.ended),
        turns=play_.stage.turns,
        faults=Counter(venue.injected if venue is not None else play_.paper_faults),
        fills=sum(entry.kind == "fill" for entry in journal),
        orders=sum(entry.kind == "accept" for entry in journal),
        cpu_s=time.process_time() - began + _children_cpu() - children,
        profile=schedule.profile,
        log=play_.log,
    )


def _children_cpu() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
