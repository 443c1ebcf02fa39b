"""The desk's memory: the only SQL over desk.db. Everybody else says what they mean to a Store."""

from typing import TYPE_CHECKING, Any

from tradekit.store.orders import IllegalTransition
from tradekit.store.store import Store, open_store

if TYPE_CHECKING:
    from tradekit.store.booking import Booked
    from tradekit.store.fold import Opening

__all__ = ["Booked", "IllegalTransition", "Opening", "Store", "open_store"]


def __getattr__(name: str) -> Any:
    """Reads and idle passes book nothing: what booking needs is loaded when it is asked for."""
    if name == "Booked":
        from tradekit.store.booking import Booked

        return Booked
    if name == "Opening":
        from tradekit.store.fold import Opening

        return Opening
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
