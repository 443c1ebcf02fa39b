"""Which desk trades which symbol of an account: two desks may share an account, but never a symbol.

The claims lie in the account's folder as one small JSON file. It is read and written under the account's submit lock,
so the second desk sees the first one's claim before its own order can leave.
"""

from pathlib import Path

import msgspec

from tradekit.base.files import write_bytes
from tradekit.desk.desk import Desk
from tradekit.errors import StoreError

FILE = "symbols.json"


def others(desk: Desk) -> frozenset[str]:
    """Symbols of this account that belong to another desk."""
    return frozenset(symbol for symbol, owner in _read(desk.account_dir).items() if owner != desk.id)


def claim(desk: Desk, symbol: str) -> None:
    """Take a symbol before the order for it leaves. The caller holds the submit lock and has asked `others`."""
    claims = _read(desk.account_dir)
    if claims.get(symbol) != desk.id and not desk.dry_run:
        _write(desk.account_dir, {**claims, symbol: desk.id})


def release_idle(desk: Desk) -> None:
    """Give back what this desk neither holds nor has an order in. The caller holds the submit lock."""
    claims = _read(desk.account_dir)
    if not any(owner == desk.id for owner in claims.values()):
        return
    busy = {order.symbol for order in desk.store.orders.live()} | {p.symbol for p in desk.store.positions.open()}
    kept = {symbol: owner for symbol, owner in claims.items() if owner != desk.id or symbol in busy}
    if kept != claims and not desk.dry_run:
        _write(desk.account_dir, kept)


def _read(folder: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreError(
            f"{folder / FILE} cannot be read: {error}",
            "with no desk of this account at work, delete it: it is made again from the open positions",
        ) from None


def _write(folder: Path, claims: dict[str, str]) -> None:
    write_bytes(folder / FILE, msgspec.json.encode(dict(sorted(claims.items()))))
