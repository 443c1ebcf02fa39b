"""What a simulated fill costs: pure arithmetic on one price, always rounded to the tick against us."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from tradekit.model import Side
from tradekit.money import ZERO, against_us, ceil_tick, floor_tick


@dataclass(frozen=True)
class Costs:
    """Half spread and slippage as fractions of the price, for one symbol."""

    tick: Decimal
    half_spread: Decimal
    slippage: Decimal

    def half(self, price: Decimal) -> Decimal:
        """Half the spread at `price`: the larger of half a tick and the fraction."""
        return max(self.tick / 2, price * self.half_spread)

    def market(self, side: Side, price: Decimal) -> Decimal:
        """A market order's fill when the tape shows `price`: half spread and slippage beyond it."""
        return self._beyond(side, price, self.half(price) + price * self.slippage)

    def stop(self, side: Side, price: Decimal) -> Decimal:
        """A triggered stop's fill at `price` (the worse of open and level): slippage beyond it."""
        return self._beyond(side, price, price * self.slippage)

    def auction(self, side: Side, price: Decimal) -> Decimal:
        """The opening or closing price itself: an auction has no spread to cross."""
        return against_us(price, self.tick, side)

    def marketable(self, side: Side, limit: Decimal, price: Decimal) -> Decimal | None:
        """A limit's fill where the other side of the quote around `price` meets it, never beyond the limit."""
        half = self.half(price)
        if side == "buy":
            return min(limit, self.market(side, price)) if price + half <= limit else None
        return max(limit, self.market(side, price)) if price - half >= limit else None

    def _beyond(self, side: Side, price: Decimal, cost: Decimal) -> Decimal:
        if side == "buy":
            return ceil_tick(price + cost, self.tick)
        return max(self.tick, floor_tick(price - cost, self.tick))


def trail_level(side: Side, watermark: Decimal, trail: Decimal, tick: Decimal) -> Decimal:
    """Where a trailing stop stands: sells below the highest price seen, rounded down; buys above the lowest, up."""
    if side == "sell":
        return floor_tick(watermark * (1 - trail), tick)
    return ceil_tick(watermark * (1 + trail), tick)


def traded_through(side: Side, limit: Decimal, low: Decimal, high: Decimal, tick: Decimal, touch: bool) -> bool:
    """Did price trade one tick beyond the limit (with `touch`: reach it)?"""
    margin = ZERO if touch else tick
    return low <= limit - margin if side == "buy" else high >= limit + margin


def whole_lots(qty: Decimal, lot: Decimal) -> Decimal:
    """The largest multiple of `lot` that is not above `qty`."""
    return max(ZERO, (qty / lot).to_integral_value(ROUND_FLOOR) * lot)
