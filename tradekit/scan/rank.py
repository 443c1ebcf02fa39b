"""The order of buys; no numpy here, decisions and listings load it too."""

from tradekit.model import Candidate


def rank(candidate: Candidate) -> tuple[float, float, str]:
    """A sort key: score, then RVOL, then symbol; what is unknown comes last."""
    score, rvol = candidate.score, candidate.features.get("surge")
    return (-score if score is not None else 1.0, -rvol if rvol is not None else 0.0, candidate.symbol)
