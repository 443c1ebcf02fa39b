"""A simulated venue for a test: one server for the whole run, a venue of its own for each test."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.tape import CALENDAR, YESTERDAY, D, Tape, at
from tradekit.base.net import Deadlines, Http
from tradekit.brokers.http import HttpBroker
from tradekit.clock import Clock, ManualClock
from tradekit.config import PaperSettings
from tradekit.model import PriceBar
from tradekit.sim.account import VenueAccount
from tradekit.sim.faults import Faults
from tradekit.sim.server import VenueServer, open_venue
from tradekit.sim.venue import Profile, Venue

QUICK = Deadlines(connect_s=1.0, read_s=0.25, total_s=0.8)


class Served:
    """A venue behind a URL, its clock, and as many adapters as a test wants."""

    def __init__(self, server: VenueServer, venue: Venue, clock: ManualClock) -> None:
        self.server, self.venue, self.clock = server, venue, clock
        self.url = server.add(venue)
        self._brokers: list[HttpBroker] = []

    def broker(self, *, deadlines: Deadlines = QUICK, retries: int = 0, settle_s: float = 10.0, **more: Any):
        """An adapter; `http` options (token, limit, audit, unreadable) and HttpBroker's (account_id, client_ids)."""
        ours = {name: more.pop(name) for name in ("account_id", "client_ids", "urgent") if name in more}
        broker = HttpBroker(
            Http(self.url, name="http", deadlines=deadlines, retries=retries, **more), settle_s=settle_s, **ours
        )
        self._brokers.append(broker)
        return broker

    def faults(self, *rules: dict[str, Any]) -> None:
        """More lines for the fault script, counted from now."""
        self.venue.faults.add(*rules)

    def move(self, when: str) -> None:
        """The venue's clock: `9:36` New York time."""
        self.clock.set(at(when))

    def journal(self, *kinds: str) -> list[dict[str, Any]]:
        return self.venue.journal.of(*kinds)

    def close(self) -> None:
        for broker in self._brokers:
            broker.close()
        self.server.remove(self.url)


@pytest.fixture(scope="session")
def venue_server() -> Iterator[VenueServer]:
    """The server of the whole run, in a thread; add venues with `add` or take `http_venue`."""
    with VenueServer() as server:
        yield server


@pytest.fixture
def http_venue(venue_server: VenueServer, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """`http_venue([bar("9:35", 100.0)], now="9:35", profile="open-only", faults=[{"kind": "drop-after"}])`."""
    made: list[Served] = []

    def make(
        bars: Sequence[PriceBar] = (),
        *,
        now: str = "9:35",
        profile: str | Profile = "unique",
        faults: Sequence[dict[str, Any]] = (),
        follow: bool = False,
        token: str | None = None,
        folder: Path | None = None,
        **settings: Any,
    ) -> Served:
        clock = ManualClock(at(now))
        chosen = profile if isinstance(profile, Profile) else Profile(client_ids=profile)  # type: ignore[arg-type]
        folder = folder or tmp_path / f"venue{len(made)}"
        folder.mkdir(exist_ok=True)
        account = VenueAccount(
            folder / "paper.db", bars=Tape([YESTERDAY, *bars]), clock=clock, calendar=CALENDAR,
            settings=PaperSettings(**settings), currency="USD", tick=D("0.01"), half_spread_of=lambda _: 0.0002,
            exit_interval_s=60, synchronous="OFF", create=True,
        )  # fmt: skip
        script = Faults((), chosen.client_ids)
        script.add(*faults)
        venue = Venue(
            account, clock, profile=chosen, journal=folder / "journal.jsonl", faults=script, follow=follow, token=token
        )
        made.append(Served(venue_server, venue, clock))
        return made[-1]

    yield make
    for served in made:
        served.close()


def serve_desk(
    server: VenueServer, desk: Path, clock: Clock, profile: str = "unique", **more: Any
) -> tuple[Venue, str]:
    """A venue over a desk's own folder (bars, sessions, paper settings), and its URL; `more` is open_venue's."""
    venue = open_venue(
        desk, clock=clock, profile=Profile(client_ids=profile), journal=desk / "venue" / "journal.jsonl",  # type: ignore[arg-type]
        synchronous="OFF", **more,
    )  # fmt: skip
    return venue, server.add(venue)
