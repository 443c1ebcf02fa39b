"""The rules: enough points and a breakout buy, fewer are watched. Conviction follows from the score."""

from typing import Literal, NamedTuple

from tradekit.model import Candidate

BASE, STEP = 0.6, 0.05  # conviction at the buying score, and for each point above it


class Verdict(NamedTuple):
    """What to do about a candidate, how sure (0-1, None without a score) and the sentence that says why."""

    action: Literal["BUY", "WATCH", "SKIP"]
    conviction: float | None
    because: str


def rules(candidate: Candidate, *, buy_score: float, watch_score: float) -> Verdict:
    """BUY from `buy_score` with a breakout, WATCH from `watch_score` or without one, else SKIP."""
    if not candidate.passed:
        return Verdict("SKIP", None, f"the scan rejected it: {candidate.reject_reason}")
    if candidate.score is None:
        return Verdict("SKIP", None, "it has no score")
    sure = conviction(candidate.score, buy_score)
    points = f"score {candidate.score:g}"
    if candidate.score < watch_score:
        return Verdict("SKIP", sure, f"{points} is below {watch_score:g}; {candidate.because}")
    if candidate.score < buy_score:
        return Verdict("WATCH", sure, f"{points} is below {buy_score:g}; {candidate.because}")
    if not candidate.features.get("momentum_breakout"):
        return Verdict("WATCH", sure, f"{points} but no breakout; {candidate.because}")
    return Verdict("BUY", sure, f"{points} with a breakout; {candidate.because}")


def conviction(score: float, buy_score: float = 12.0) -> float:
    """0.6 at the buying score, 0.05 more for each point above it, between 0 and 1."""
    return round(min(1.0, max(0.0, BASE + STEP * (score - buy_score))), 4)
