"""The desk's memory: the only SQL over desk.db. Everybody else says what they mean to a Store."""

from tradekit.store.booking import Booked
from tradekit.store.fold import Opening
from tradekit.store.orders import IllegalTransition
from tradekit.store.store import Store, open_store

__all__ = ["Booked", "IllegalTransition", "Opening", "Store", "open_store"]
