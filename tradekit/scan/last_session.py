"""The last complete session in the place of today, with the sessions before it as history."""

from dataclasses import replace

import numpy as np

from tradekit.scan.windows import before, mean_before_with_holes, whole
from tradekit.strategies.base import Panel, Today

USUAL, LEAST = 20, 10  # sessions behind a usual day


def as_if_today(panel: Panel) -> Panel:
    """A panel whose today[t] is row t - 1 and whose history ends a row earlier.

    The price is the last pre-market trade of row t where there is one, else the close of row t - 1. Volume and usual
    volume are those of whole days, so both come from the same feed.
    """
    past = replace(
        panel,
        open=before(panel.open),
        high=before(panel.high),
        low=before(panel.low),
        close=before(panel.close),
        volume=before(panel.volume),
    )
    extended = panel.today.last_extended
    today = Today(
        open=past.open,
        high=past.high,
        low=past.low,
        price=np.where(np.isfinite(extended) & np.isfinite(past.close), extended, past.close),
        volume=past.volume,
        usual=whole(mean_before_with_holes(past.volume, USUAL, LEAST, panel.first), panel.first),
        last_extended=extended,
        cross_feed=np.zeros(panel.close.shape, dtype=bool),
    )
    return replace(past, today=today)
