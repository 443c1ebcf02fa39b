"""Die by SIGKILL at a named place, because TRADEKIT_CRASHPOINT=name[:n] asked for it: how we test that nothing is lost.

The places are named in docs/reliability.md. Refused on a desk that trades real money.
"""

import os
import signal

POINTS = frozenset(
    {
        "intent_committed", "request_sent", "response_read", "response_committed", "fill_committed", "cancel_sent",
        "stop_committed", "token_response_read", "token_tmp_written", "token_renamed", "run_row_open",
    }
)  # fmt: skip
VARIABLE = "TRADEKIT_CRASHPOINT"
_passed: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Kill this process when the environment names this place and this is its n-th pass (the first without n)."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    place, _, n = wanted.partition(":")
    if place != name:
        return
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(n or 1):
        os.kill(os.getpid(), signal.SIGKILL)
