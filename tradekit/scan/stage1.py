"""Stage 1: the cheap filters, in the order in which their reasons are named."""

from tradekit.scan import (
    change,
    no_data,
    no_history,
    notional,
    price,
    rvol,
    rvol_cross_feed,
)
from tradekit.scan.limits import Limits
from tradekit.strategies.base import Array, Mask, Panel

FILTERS = {
    "no-data": no_data.rejects,
    "no-history": no_history.rejects,
    "price": price.rejects,
    "notional": notional.rejects,
    "change": change.rejects,
    "rvol-cross-feed": rvol_cross_feed.rejects,
    "rvol": rvol.rejects,
}


def stage1(panel: Panel, found: dict[str, Array], limits: Limits) -> dict[str, Mask]:
    """Who each filter rejects, [time, symbol]; the first filter that rejects names the reason."""
    return {name: rejects(panel, found, limits) for name, rejects in FILTERS.items()}
