"""One race: a local provider, a login, an expired token, N processes at a barrier; what happened as figures."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from tradekit.clock import ManualClock, iso
from tradekit.sim.oauth import RULES, IdentityProvider
from tradekit.sim.oauth_server import OAuthServer

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 2, 13, 14, 0, tzinfo=UTC)
CLIENT, SECRET = "race-client-id", "race-client-secret-value"


class Race(NamedTuple):
    """`requests`: token requests the provider saw; `served`: racers that ended with the newest token."""

    racers: int
    requests: int
    refreshes: int
    reuses: int
    refused: int
    at_once: int
    served: int
    failed: int
    killed: int
    reads: int
    torn: int
    alive: bool  # the login still works afterwards
    seconds: float


def race(
    mode: str = "ours", racers: int = 50, *, readers: int = 1, crash: str | None = None, one_use: bool = True,
    overlap_s: float = 0.0, folder: Path | None = None,
) -> Race:  # fmt: skip
    """Run one race and say what happened."""
    with tempfile.TemporaryDirectory(prefix="tradekit-race-", dir=folder) as place:
        return _race(Path(place), mode, racers, readers, crash, one_use, overlap_s)


def _race(
    place: Path, mode: str, racers: int, readers: int, crash: str | None, one_use: bool, overlap_s: float
) -> Race:
    clock = ManualClock(START)
    rules = replace(RULES["tradestation"], one_use=one_use, overlap_s=overlap_s)
    provider = IdentityProvider(rules, clock, clients={CLIENT: SECRET})
    environ = {**os.environ, "XDG_STATE_HOME": str(place / "state"), "PYTHONPATH": str(ROOT),
               "TRADEKIT_SECRET_RACE": SECRET}  # fmt: skip
    with OAuthServer(provider) as server:
        section = {
            "client_id": CLIENT, "type": "tradestation", "token_url": server.token_url, "secret_name": "race",
            "authorize_url": server.authorize_url, "one_use": one_use, "retry_lost": overlap_s > 0,
            "redirect_uri": "http://127.0.0.1:1/cb",
        }  # fmt: skip
        first = provider.tokens_of(provider.log_in(CLIENT))
        clock.sleep(1300)  # the access token has just ended
        now = clock.now()
        job = {
            "mode": mode, "racers": racers, "readers": readers, "crash": crash, "folder": str(place), "name": "race",
            "provider": section, "now": iso(now),
        }  # fmt: skip
        _store(place, job, first, environ)
        (place / "job.json").write_text(json.dumps(job))
        began = datetime.now(UTC)
        done = subprocess.run(
            [sys.executable, "-m", "tests.tokens.racers", str(place / "job.json")], cwd=ROOT, env=environ,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr)
        seconds = (datetime.now(UTC) - began) / timedelta(seconds=1)
        results = json.loads(done.stdout)
        marks = Counter(found["mark"] for found in results if found["did"] in ("refreshed", "adopted", "fresh"))
        counts = provider.counts.copy()
        alive = any(not family.dead for family in provider._families)
    return Race(
        racers=racers,
        requests=counts["token_requests"],
        refreshes=counts["refreshes"],
        reuses=counts["reuses"],
        refused=counts["refused"],
        at_once=counts["at_once"],
        served=max(marks.values(), default=0),
        failed=sum(found["did"] == "failed" for found in results),
        killed=sum(found["did"].startswith("killed") for found in results),
        reads=sum(found.get("reads", 0) for found in results),
        torn=sum(found.get("torn", 0) for found in results),
        alive=alive,
        seconds=seconds,
    )


def _store(place: Path, job: dict, first: dict, environ: dict) -> None:
    """The token of the login, as both kinds of client keep it."""
    from tests.tokens.racers import settings_of
    from tradekit.tokens import open_owner
    from tradekit.tokens.token import Token

    (place / "naive.json").write_text(json.dumps(first))
    owner = open_owner("race", settings_of(job), ManualClock(START), environ)
    owner.adopt(
        Token(
            provider="race", client_id=CLIENT, access_token=first["access_token"],
            refresh_token=first["refresh_token"], issued_at=START, expires_in=1200.0, login_at=START,
        ),
        "login",
    )  # fmt: skip
