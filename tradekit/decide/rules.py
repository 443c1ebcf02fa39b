"""The rules: enough points and a breakout buy, fewer are watched; a held position closes when it has turned.

Conviction follows from the score.
"""

from typing import Literal, NamedTuple

from tradekit.model import Candidate


class Verdict(NamedTuple):
    """What to do about a candidate or a held position, how sure (0-1 or None) and the sentence that says why."""

    action: Literal["BUY", "WATCH", "SKIP", "CLOSE", "HOLD"]
    conviction: float | None
    because: str


def rules(
    candidate: Candidate, *, buy_score: float, watch_score: float, base: float = 0.6, step: float = 0.05
) -> Verdict:
    """BUY from `buy_score` with a breakout, WATCH from `watch_score` or without one, else SKIP.

    `base` and `step` as in `conviction`.
    """
    if not candidate.passed:
        return Verdict("SKIP", None, f"the scan rejected it: {candidate.reject_reason}")
    if candidate.score is None:
        return Verdict("SKIP", None, "it has no score")
    sure = conviction(candidate.score, buy_score, base=base, step=step)
    points = f"score {candidate.score:g}"
    if candidate.score < watch_score:
        return Verdict("SKIP", sure, f"{points} is below {watch_score:g}; {candidate.because}")
    if candidate.score < buy_score:
        return Verdict("WATCH", sure, f"{points} is below {buy_score:g}; {candidate.because}")
    if not candidate.features.get("momentum_breakout"):
        return Verdict("WATCH", sure, f"{points} but no breakout; {candidate.because}")
    return Verdict("BUY", sure, f"{points} with a breakout; {candidate.because}")


def hold_or_close(reversal: int, *, close_score: int, seen: str | None = None) -> Verdict:
    """CLOSE from `close_score` points of reversal (0-13), else HOLD; `seen` are the signs that made the score."""
    signs = f"; {seen}" if seen else ""
    if reversal >= close_score:
        return Verdict("CLOSE", None, f"reversal score {reversal} of 13, {close_score} closes{signs}")
    return Verdict("HOLD", None, f"reversal score {reversal} of 13 is below {close_score}{signs}")


def conviction(score: float, buy_score: float = 12.0, *, base: float = 0.6, step: float = 0.05) -> float:
    """`base` at the buying score, `step` more for each point above it, between 0 and 1."""
    return round(min(1.0, max(0.0, base + step * (score - buy_score))), 4)
