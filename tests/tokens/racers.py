"""N forked processes that meet an expired token at a barrier: `python -m tests.tokens.racers JOB.json`.

Mode `ours` asks the coordinator; mode `naive` is what many bots do: read the file, refresh, write it in place.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

import httpx  # so that no racer pays for the import between the barrier and the request

from tradekit.clock import ManualClock, parse_time
from tradekit.config import ProviderSettings, Settings
from tradekit.tokens import (
    grant,  # noqa: F401  loaded before the fork
    open_owner,
)
from tradekit.tokens.coordinator import Coordinator


def settings_of(job: dict) -> Settings:
    return Settings(providers={job["name"]: ProviderSettings(**job["provider"])})


def owner_of(job: dict) -> Coordinator:
    return open_owner(
        job["name"], settings_of(job), ManualClock(parse_time(job["now"])), os.environ, lambda kind, text: None
    )


def die_once(job: dict) -> None:
    """The first process that passes the crash point is killed there, the next one is not."""
    import tradekit.tokens.coordinator as first
    import tradekit.tokens.vault as second

    def crash(name: str) -> None:
        if name == job["crash"]:
            try:
                os.close(os.open(job["folder"] + "/died", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    first.crash_point = second.crash_point = crash


def ours(job: dict) -> dict:
    outcome = owner_of(job).ensure(strict=True)
    return {"did": outcome.did, "generation": outcome.token.generation, "mark": hash_of(outcome.token.access_token)}


def naive(job: dict) -> dict:
    """Read, refresh, write: no lock, no second look, in place."""
    path = Path(job["folder"]) / "naive.json"
    token = json.loads(path.read_text())
    client, secret = job["provider"]["client_id"], os.environ["TRADEKIT_SECRET_RACE"]
    form = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]}
    form |= {"client_id": client, "client_secret": secret}
    answer = httpx.post(job["provider"]["token_url"], data=form, trust_env=False, timeout=30)
    if answer.status_code != 200:
        return {"did": "failed", "mark": str(answer.status_code)}
    path.write_text(json.dumps(answer.json()))
    return {"did": "refreshed", "mark": hash_of(answer.json()["access_token"])}


def read_on(job: dict, stop: Path) -> dict:
    """Read the token as fast as possible until told to stop: how many reads, how many torn."""
    reads = torn = 0
    path = Path(job["folder"]) / "naive.json"
    owner = owner_of(job)
    while not stop.exists():
        reads += 1
        try:
            if job["mode"] == "ours":
                owner.vault.read()
            else:
                json.loads(path.read_text())["refresh_token"]
        except Exception:
            torn += 1
    return {"did": "read", "reads": reads, "torn": torn}


def hash_of(text: str) -> str:
    from hashlib import blake2s

    return blake2s(text.encode(), digest_size=6).hexdigest()


def child(job: dict, number: int, barrier: int, stop: Path) -> None:
    result: dict = {"did": "failed"}
    try:
        if number >= job["racers"]:
            result = read_on(job, stop)
        else:
            if job.get("crash"):
                die_once(job)
            os.read(barrier, 1)  # all are released when the parent closes its end
            result = ours(job) if job["mode"] == "ours" else naive(job)
    except Exception as error:
        result = {"did": "failed", "mark": f"{type(error).__name__}: {error}"}
        if not hasattr(error, "code"):
            traceback.print_exc()
    (Path(job["folder"]) / f"racer-{number}.json").write_text(json.dumps(result))
    os._exit(0)


def main(job: dict) -> list[dict]:
    waiting, gate = os.pipe()
    folder = Path(job["folder"])
    stop = folder / "stop"
    pids = []
    for number in range(job["racers"] + job["readers"]):
        pid = os.fork()
        if pid == 0:
            os.close(gate)
            child(job, number, waiting, stop)
        pids.append(pid)
    os.close(waiting)
    os.close(gate)
    results = []
    for number, pid in enumerate(pids):
        if number == job["racers"]:
            stop.touch()
        _, status = os.waitpid(pid, 0)
        file = folder / f"racer-{number}.json"
        results.append(json.loads(file.read_text()) if file.exists() else {"did": f"killed {status}"})
    return results


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
