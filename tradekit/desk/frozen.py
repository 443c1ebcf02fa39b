"""Frozen symbols: something about them cannot be told apart, so no entry goes out in them until it is settled.

A freeze never stops the exits of another symbol. Of its own symbol it stops what would act on a number that may be
wrong: `match` (an order whose fate cannot be found) and `empty` (the venue lists nothing, and not what the account is
worth) nothing but entries, `split` and `gone` (renamed or delisted) also the price rules.
"""

from tradekit.desk.desk import Desk
from tradekit.desk.events import alert, alert_once, event

MATCH, EMPTY, SPLIT, GONE = "match", "empty", "split", "gone"
UNPRICED = (SPLIT, GONE)  # the price or the quantity may be of another paper
KINDS = (MATCH, EMPTY, *UNPRICED)


def why_frozen(desk: Desk, symbol: str, *kinds: str) -> str | None:
    """The sentence that says why a symbol is frozen, None where it is not."""
    for kind in kinds or KINDS:
        because = desk.store.meta.get(f"frozen:{kind}:{symbol}")
        if because is not None:
            return because
    return None


def frozen(desk: Desk) -> dict[tuple[str, str], str]:
    """Everything that is frozen: (kind, symbol) -> why."""
    found = {}
    for key, because in desk.store.meta.under("frozen:").items():
        _, kind, symbol = key.split(":", 2)
        found[kind, symbol] = because
    return found


def freeze(desk: Desk, kind: str, symbol: str, because: str, ref: str | None = None) -> None:
    """Freeze a symbol, loudly and once; one that stays frozen says so every hour."""
    message = f"{symbol} is frozen: {because}"
    if desk.store.meta.get(f"frozen:{kind}:{symbol}") is not None:
        alert_once(desk, "frozen", message, symbol=symbol, ref=ref)
        return
    with desk.store.transaction():
        desk.store.meta.set(f"frozen:{kind}:{symbol}", because)
        alert(desk, "frozen", message, symbol=symbol, ref=ref, freeze=kind)


def unfreeze(desk: Desk, kind: str, symbol: str, because: str) -> None:
    """Let a symbol go again; nothing happens where it was not frozen."""
    if desk.store.meta.get(f"frozen:{kind}:{symbol}") is None:
        return
    with desk.store.transaction():
        desk.store.meta.set(f"frozen:{kind}:{symbol}", None)
        event(desk, "unfrozen", symbol=symbol, because=because, freeze=kind)


def unfreeze_all(desk: Desk, because: str) -> list[str]:
    """The operator has looked: every symbol is free. What is still unclear is frozen again by the next pass,
    but for a corporate action or a sale of this session, which the operator knows better.
    """
    today = desk.calendar.day(desk.clock.now()).isoformat()
    found = sorted(frozen(desk))
    for kind, symbol in found:
        if kind != MATCH:
            desk.store.meta.set(f"{kind}-ok:{symbol}", today)
        unfreeze(desk, kind, symbol, because)
    return [symbol for _, symbol in found]
