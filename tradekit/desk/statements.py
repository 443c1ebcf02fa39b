"""Fills out of a broker's statement: IBKR activity CSV, Flex XML, Schwab CSV, Alpaca activities, Kraken ledgers, CSV.

Pure: text in, fills and what was left out. Times without a zone are exchange time; a date without a time is noon, in
the file's order (Schwab's newest first is turned round). Ids come from the statement, else from the row itself.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from hashlib import blake2s
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from tradekit.errors import UsageError
from tradekit.ids import fill_id
from tradekit.model import Fill
from tradekit.money import ZERO, wire

FIELDS = ("id", "at", "symbol", "side", "qty", "price", "fee")
KNOWN: dict[str, tuple[str, ...]] = {
    "id": ("trade_id", "tradeid", "trade id", "exec_id", "execution id", "id", "txid", "transaction id"),
    "at": ("exec_time_et", "date/time", "datetime", "transaction_time", "execution time", "time", "timestamp", "date"),
    "symbol": ("symbol", "ticker", "instrument", "pair"),
    "side": ("side", "buy/sell", "buysell", "action", "transaction type", "type"),
    "qty": ("quantity", "qty", "shares", "vol", "volume"),
    "price": ("price", "t. price", "tradeprice", "trade price", "exec price", "fill price"),
    "fee": ("commission", "comm/fee", "ibcommission", "fees & comm", "fee", "fees"),
}
BUYS = frozenset({"buy", "b", "bot", "bought", "reinvest shares", "buy to open", "buy to close"})
SELLS = frozenset({"sell", "s", "sld", "sold", "sell short", "sell_short", "sell to open", "sell to close"})
MONEY = frozenset({"USD", "EUR", "GBP", "CAD", "JPY", "CHF", "AUD", "USDT", "USDC"})


class Statement(NamedTuple):
    """What a file holds: fills, oldest first, and how many rows of what kind were no fills."""

    kind: str
    fills: list[Fill]
    left_out: Counter[str]


def read_statement(
    text: str, *, zone: ZoneInfo, columns: Mapping[str, str] | None = None, currency: str = "USD"
) -> Statement:
    """The fills of a statement; `columns` maps our fields to a plain CSV's. UsageError names the row and the field."""
    left_out: Counter[str] = Counter()
    head = text.lstrip("\ufeff \r\n")[:400]
    if columns:
        kind, rows = "csv", _csv_rows(text)
    elif head.startswith("<"):
        kind, rows = "ibkr-flex", _flex_rows(text)
    elif head.startswith(("[", "{")):
        kind, rows = "alpaca", _alpaca_rows(text, left_out)
    elif '"refid"' in head or ",refid," in head:
        kind, rows = "kraken-ledgers", _kraken_rows(text, left_out)
    elif ",Header," in text:
        kind, rows = "ibkr-activity", _activity_rows(text, left_out)
    else:
        rows = _csv_rows(text)
        kind = "schwab" if rows and "fees & comm" in rows[0] else "csv"
        rows = rows[::-1] if kind == "schwab" else rows
    found, seen = [], Counter[str]()
    for n, row in enumerate(rows, 1):
        fill = _fill(row, n, kind, zone, columns or {}, currency, seen, left_out)
        if fill is not None:
            found.append(fill)
    found.sort(key=lambda fill: fill.at)
    return Statement(kind, found, left_out)


def parse_columns(words: Iterable[str]) -> dict[str, str]:
    """`qty=Shares` as a map; UsageError for a field we do not have."""
    found = {}
    for word in words:
        name, sign, column = word.partition("=")
        if not sign or name not in FIELDS:
            raise UsageError(f"--map {word}: not understood", f"--map FIELD=COLUMN with {', '.join(FIELDS)}")
        found[name] = column
    return found


def _csv_rows(text: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    return [
        {name.strip().lower(): (cell or "").strip() for name, cell in row.items() if isinstance(name, str)}
        for row in reader
    ]


def _activity_rows(text: str, left_out: Counter[str]) -> list[dict[str, str]]:
    """IBKR's activity statement: sections, each with its own header line; trades are in one of two of them."""
    header: dict[str, list[str]] = {}
    found = []
    for cells in csv.reader(io.StringIO(text.lstrip("\ufeff"))):
        if len(cells) < 3:
            continue
        section, what = cells[0], cells[1]
        if what == "Header":
            header[section] = [cell.strip().lower() for cell in cells[2:]]
        elif what == "Data" and section in ("Trades", "Transaction History"):
            row = dict(zip(header.get(section, []), (cell.strip() for cell in cells[2:]), strict=False))
            if row.get("datadiscriminator", "Order") not in ("Order", "Trade"):
                left_out[f"{section}: {row['datadiscriminator']}"] += 1
                continue
            found.append(row)
    return found


def _flex_rows(text: str) -> list[dict[str, str]]:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UsageError("a Flex report has no document type", "download it again from the broker")
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(text.lstrip("\ufeff"))
    except ElementTree.ParseError as error:
        raise UsageError(f"not XML: {error}", "a Flex query with the section Trades, as XML") from None
    rows = [{k.lower(): v for k, v in each.attrib.items()} for each in root.iter("Trade")]
    levels = {row.get("levelofdetail", "EXECUTION") for row in rows}
    wanted = "EXECUTION" if "EXECUTION" in levels else next(iter(levels), "")
    return [row for row in rows if row.get("levelofdetail", "EXECUTION") == wanted]


def _alpaca_rows(text: str, left_out: Counter[str]) -> list[dict[str, str]]:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UsageError(f"not JSON: {error}", "the answer of GET /v2/account/activities") from None
    rows = []
    for row in found if isinstance(found, list) else [found]:
        if not isinstance(row, dict) or row.get("activity_type", "FILL") != "FILL":
            left_out[str(row.get("activity_type") if isinstance(row, dict) else "no object")] += 1
            continue
        rows.append({str(k).lower(): str(v) for k, v in row.items()})
    return rows


def _kraken_rows(text: str, left_out: Counter[str]) -> list[dict[str, str]]:
    """A trade is two lines of one refid: what came and what went. Kraken's fees are in the asset of their line."""
    pairs: dict[str, list[dict[str, str]]] = {}
    for row in _csv_rows(text):
        if row.get("type") == "trade":
            pairs.setdefault(row["refid"], []).append(row)
        else:
            left_out[row.get("type") or "unknown"] += 1
    found = []
    for refid, rows in pairs.items():
        money = [row for row in rows if _asset(row["asset"]) in MONEY]
        coins = [row for row in rows if row not in money[:1]]
        if len(rows) != 2 or len(money) < 1 or len(coins) != 1:
            left_out["trade between coins"] += 1
            continue
        paid, coin = money[0], coins[0]
        qty, value = _number(coin["amount"]), _number(paid["amount"])
        if not qty or value is None:
            left_out["trade without an amount"] += 1
            continue
        base, quote = _asset(coin["asset"]), _asset(paid["asset"])
        coin_fee = _number(coin.get("fee", "")) or ZERO
        fee, asset = (coin_fee, base) if coin_fee else (_number(paid.get("fee", "")) or ZERO, quote)
        found.append({"id": refid, "at": paid["time"], "time": paid["time"], "symbol": f"{base}/{quote}",
                      "side": "buy" if qty > 0 else "sell", "qty": str(abs(qty)), "price": str(abs(value / qty)),
                      "fee": str(fee), "fee asset": asset, "zone": "UTC"})  # fmt: skip
    return found


def _asset(name: str) -> str:
    name = name.partition(".")[0].upper()
    short = name[1:] if len(name) == 4 and name[0] in "XZ" else name
    return "BTC" if short == "XBT" else short


def _fill(
    row: Mapping[str, str],
    n: int,
    kind: str,
    zone: ZoneInfo,
    columns: Mapping[str, str],
    currency: str,
    seen: Counter[str],
    left_out: Counter[str],
) -> Fill | None:
    got = {name: _field(row, name, columns) for name in FIELDS}
    qty = _number(got["qty"])
    side = _side(got["side"], qty)
    if side is None or not qty or not got["symbol"] or got["symbol"] == "-":
        left_out[(got["side"] or "no trade").lower()] += 1
        return None
    price = _number(got["price"])
    if price is None or price < 0:
        raise UsageError(f"row {n}: {got['symbol']}: price {got['price']!r} is not a number", "mend the row, or --map")
    at = _time(got["at"], n, ZoneInfo("UTC") if row.get("zone") == "UTC" else zone)
    identity = got["id"] or _hashed(got)
    seen[identity] += 1
    if seen[identity] > 1 and not got["id"]:
        identity += f"-{seen[identity]}"  # two equal rows are two fills
    fee = _number(got["fee"]) or ZERO
    return Fill(
        id=fill_id(f"{kind}-{identity}"),
        broker_fill_id=f"{kind}-{identity}",
        order_id=None,
        at=at,
        symbol=got["symbol"].upper(),
        side="buy" if side == "buy" else "sell",
        qty=wire(abs(qty)),
        price=wire(price),
        fee=wire(-fee if kind.startswith("ibkr") or fee < 0 and "commission" in row else abs(fee)),
        fee_asset=row.get("fee asset") or row.get("ibcommissioncurrency") or currency,
        fee_estimated=False,
        session=at.astimezone(zone).date(),
    )


def _field(row: Mapping[str, str], name: str, columns: Mapping[str, str]) -> str:
    if name in columns:
        if columns[name].lower() not in row:
            raise UsageError(f"--map {name}={columns[name]}: no such column", f"there are: {', '.join(row)}")
        return row[columns[name].lower()]
    return next((row[known] for known in (name, *KNOWN[name]) if row.get(known)), "")


def _side(text: str, qty: Decimal | None) -> str | None:
    word = text.strip().lower()
    if word in BUYS or word in SELLS:
        return "buy" if word in BUYS else "sell"
    if not word and qty:  # a signed quantity says it
        return "buy" if qty > 0 else "sell"
    return None


def _number(text: str) -> Decimal | None:
    """`$1,234.50`, `(12)` and `-$3` as Decimal; None for what is none."""
    word = text.replace("$", "").replace(",", "").replace(" ", "").strip()
    if word.startswith("(") and word.endswith(")"):
        word = "-" + word[1:-1]
    try:
        found = Decimal(word)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


FORMATS = ("%Y-%m-%d, %H:%M:%S", "%Y%m%d;%H%M%S", "%Y%m%d", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y")


def _time(text: str, n: int, zone: ZoneInfo) -> datetime:
    word = text.split(" as of ")[0].strip()
    found: datetime | None = None
    try:
        found = datetime.fromisoformat(word.replace(" UTC", "+00:00"))
    except ValueError:
        for each in FORMATS:
            try:
                found = datetime.strptime(word, each)
                break
            except ValueError:
                continue
    if found is None:
        raise UsageError(f"row {n}: {text!r} is not a time", "2026-02-13 09:35:00, or --map at=COLUMN")
    if len(word) <= 10 and (found.hour, found.minute) == (0, 0):
        found = found.replace(hour=12) + timedelta(microseconds=min(n, 999_999))  # a date: noon, in the file's order
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def _hashed(got: Mapping[str, Any]) -> str:
    text = "|".join(str(got[name]) for name in FIELDS)
    return blake2s(text.encode(), digest_size=8).hexdigest()


def in_order(statements: Sequence[Statement]) -> Iterator[Fill]:
    """The fills of several statements, oldest first."""
    yield from sorted((fill for each in statements for fill in each.fills), key=lambda fill: fill.at)
