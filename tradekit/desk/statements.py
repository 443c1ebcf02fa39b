"""Fills out of a broker's statement: IBKR activity CSV, Flex XML, Schwab CSV, Alpaca activities, Kraken ledgers, CSV.

Pure: text in, fills and what was left out. Times without a zone are exchange time; a date without a time is noon, in
the file's order (Schwab's newest first is turned round). Ids come from the statement, else from the row itself.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from hashlib import blake2s
from io import StringIO
from itertools import chain, repeat
from operator import attrgetter, itemgetter
from typing import NamedTuple
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
REMEMBERED = 100_000  # texts of numbers
BLOCK = 65_536  # characters
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
    wanted = columns or {}
    if wanted:
        kind, rows = "csv", _csv_rows(text, wanted)
    elif head.startswith("<"):
        kind, rows = "ibkr-flex", _dict_rows(_flex_rows(text), owed=True)
    elif head.startswith(("[", "{")):
        kind, rows = "alpaca", _dict_rows(_alpaca_rows(text, left_out))
    elif '"refid"' in head or ",refid," in head:
        kind, rows = "kraken-ledgers", _dict_rows(_kraken_rows(text, left_out))
    elif ",Header," in text:
        kind, rows = "ibkr-activity", _activity_rows(text, left_out)
    elif "fees & comm" in _header(text):
        kind, rows = "schwab", reversed(list(_csv_rows(text, wanted)))
    else:
        kind, rows = "csv", _csv_rows(text, wanted)
    found = _fills(rows, kind, zone, currency, left_out)
    found.sort(key=attrgetter("at"))
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


class Columns:
    """Where a header has our fields. `pick` takes their cells out of a row that ends with an empty one."""

    def __init__(self, header: Sequence[str], wanted: Mapping[str, str], owed: bool = False) -> None:
        self.width = len(header)
        places = {name: i for i, name in enumerate(header)}
        found = [_places(name, places, wanted) for name in FIELDS]
        self.pick: Callable[[list[str]], tuple[str, ...]] = itemgetter(*(each[0] for each in found))
        self.spare = [(i, each[1:]) for i, each in enumerate(found) if len(each) > 1]
        self.asset = [places[name] for name in ("fee asset", "ibcommissioncurrency") if name in places]
        self.zone = places.get("zone", -1)
        self.fees = _Fees(owed, "commission" in places)


def _places(name: str, places: Mapping[str, int], wanted: Mapping[str, str]) -> list[int]:
    """The columns that can hold a field, the first one that is not empty does; -1, the empty cell, without one."""
    if name in wanted:
        column = wanted[name].lower()
        if column not in places:
            raise UsageError(f"--map {name}={wanted[name]}: no such column", f"there are: {', '.join(places)}")
        return [places[column]]
    return [places[known] for known in dict.fromkeys((name, *KNOWN[name])) if known in places] or [-1]


Rows = Iterable[tuple[Columns, list[str]]]


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends, a block at a time: a StringIO of the whole would be a copy of four bytes a character."""
    return chain.from_iterable(StringIO(block, newline="\n") for block in _blocks(text))


def _blocks(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = text.find("\n", start + BLOCK) + 1 or len(text)
        yield text[start:end]
        start = end


def _header(text: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader(_lines(text.lstrip("\ufeff"))), [])]


def _csv_rows(text: str, wanted: Mapping[str, str]) -> Iterator[tuple[Columns, list[str]]]:
    reader = csv.reader(_lines(text.lstrip("\ufeff")))
    header = [name.strip().lower() for name in next(reader, [])]
    rows = filter(None, reader)
    first = next(rows, None)
    return iter(()) if first is None else zip(repeat(Columns(header, wanted)), chain([first], rows))


def _dict_rows(rows: Iterable[Mapping[str, str]], owed: bool = False) -> Iterator[tuple[Columns, list[str]]]:
    known: dict[tuple[str, ...], Columns] = {}
    for row in rows:
        header = tuple(row)
        if header not in known:
            known[header] = Columns(header, {}, owed)
        yield known[header], list(row.values())


def _activity_rows(text: str, left_out: Counter[str]) -> Iterator[tuple[Columns, list[str]]]:
    """IBKR's activity statement: sections, each with its own header line; trades are in one of two of them."""
    known: dict[str, tuple[Columns, int]] = {}
    for cells in csv.reader(_lines(text.lstrip("\ufeff"))):
        if len(cells) < 3:
            continue
        section, what = cells[0], cells[1]
        if section not in ("Trades", "Transaction History"):
            continue
        if what == "Header":
            header = [cell.strip().lower() for cell in cells[2:]]
            level = header.index("datadiscriminator") if "datadiscriminator" in header else -1
            known[section] = Columns(header, {}, owed=True), level
        elif what == "Data" and section in known:
            columns, level = known[section]
            row = cells[2:]
            word = row[level].strip() if 0 <= level < len(row) else "Order"
            if word in ("Order", "Trade"):
                yield columns, row
            else:
                left_out[f"{section}: {word}"] += 1


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
    reader = csv.reader(_lines(text.lstrip("\ufeff")))
    header = [name.strip().lower() for name in next(reader, [])]
    for cells in reader:
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if not row:
            continue
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


def _fills(rows: Rows, kind: str, zone: ZoneInfo, currency: str, left_out: Counter[str]) -> list[Fill]:
    """The fills of rows. What texts mean is looked up once for each text: a statement says the same over and over."""
    numbers, sizes, sides, symbols = _Numbers(), _Sizes(), _Sides(), _Symbols()
    local, universal = _Times(zone, zone), _Times(ZoneInfo("UTC"), zone)
    equal: Counter[str] = Counter()
    found: list[Fill] = []
    for n, (columns, cells) in enumerate(rows, 1):
        if len(cells) < columns.width:
            cells.extend([""] * (columns.width - len(cells)))
        cells.append("")
        got = columns.pick(cells)
        if columns.spare:
            got = _filled(got, columns, cells)
        name, when, shown, word, amount, price_text, paid = got
        qty, side, symbol = numbers[amount], sides[word], symbols[shown]
        if side == "" and qty:
            side = "buy" if qty > ZERO else "sell"  # a signed quantity says it
        if not side or not qty or not symbol:
            left_out[(word.strip() or "no trade").lower()] += 1
            continue
        price = numbers[price_text]
        if price is None or price <= ZERO:
            text = price_text.strip()
            raise UsageError(
                f"row {n}: {shown.strip()}: price {text!r} is not a number above 0", "mend the row, or --map"
            )
        times = universal if columns.zone >= 0 and cells[columns.zone] == "UTC" else local
        at, session = times.read(when, n)
        asset = currency
        if columns.asset:
            asset = next((cells[i].strip() for i in columns.asset if cells[i].strip()), currency)
        id = f"{kind}-{name.strip() or _hashed(got, equal)}"
        found.append(
            Fill(
                id=fill_id(id), broker_fill_id=id, order_id=None, at=at, symbol=symbol,
                side="buy" if side == "buy" else "sell", qty=sizes[amount], price=price, fee=columns.fees[paid],
                fee_asset=asset, fee_estimated=False, session=session,
            )
        )  # fmt: skip
    return found


def _filled(got: Sequence[str], columns: Columns, cells: Sequence[str]) -> tuple[str, ...]:
    """With the cells of other columns that can hold a field where the first is empty."""
    texts = list(got)
    for i, others in columns.spare:
        if not texts[i].strip():
            texts[i] = next((cells[k] for k in others if cells[k].strip()), "")
    return tuple(texts)


class _Numbers(dict[str, Decimal | None]):
    """Texts as Decimal with the 15 digits that the store keeps; None for what is no number."""

    def __missing__(self, text: str) -> Decimal | None:
        if len(self) >= REMEMBERED:
            self.clear()
        number = _number(text)
        found = self[text] = None if number is None else wire(number)
        return found


class _Sizes(dict[str, Decimal]):
    """Texts that are numbers without their sign."""

    def __missing__(self, text: str) -> Decimal:
        if len(self) >= REMEMBERED:
            self.clear()
        found = self[text] = abs(wire(_number(text) or ZERO))
        return found


class _Fees(dict[str, Decimal]):
    """Texts as fees, 0 for none: what was paid is above 0, a rebate below where the statement's sign says so.

    `owed`: IBKR's are below 0 where money was paid; a column named commission (`signed`) uses both signs.
    """

    def __init__(self, owed: bool, signed: bool) -> None:
        super().__init__()
        self._owed, self._signed = owed, signed

    def __missing__(self, text: str) -> Decimal:
        if len(self) >= REMEMBERED:
            self.clear()
        fee = wire(_number(text) or ZERO)
        found = self[text] = -fee if self._owed or (fee < 0 and self._signed) else abs(fee)
        return found


class _Sides(dict[str, str | None]):
    """Words as buy or sell; empty where there is no word, None for one that is no trade."""

    def __missing__(self, text: str) -> str | None:
        word = text.strip().lower()
        found = self[text] = "buy" if word in BUYS else "sell" if word in SELLS else None if word else ""
        return found


class _Symbols(dict[str, str | None]):
    """Symbols as we write them; None for an empty cell or a dash."""

    def __missing__(self, text: str) -> str | None:
        word = text.strip().upper()
        found = self[text] = None if word in ("", "-") else word
        return found


class _Times:
    """Texts as UTC times with their session's date in `home`; texts without a zone are in `zone`.

    The zone's offset and the session are looked up once an hour of the wall clock; hours in which one of them
    changes are read one by one.
    """

    def __init__(self, zone: ZoneInfo, home: ZoneInfo) -> None:
        self._zone, self._home = zone, home
        self._hours: dict[int, tuple[datetime, datetime, date] | None] = {}  # of the wall clock: its start, in UTC too
        self._days: dict[int, date | None] = {}  # sessions by UTC hours

    def read(self, text: str, n: int) -> tuple[datetime, date]:
        """(time, session) of row `n`. UsageError for what is not a time."""
        if len(text) > 10:
            try:
                wall = datetime.fromisoformat(text)
            except ValueError:
                pass
            else:
                if wall.tzinfo is None:
                    hour = wall.toordinal() * 24 + wall.hour
                    if hour not in self._hours:
                        self._hours[hour] = self._hour(wall.replace(minute=0, second=0, microsecond=0))
                    known = self._hours[hour]
                    if known is not None:
                        return known[1] + (wall - known[0]), known[2]
                else:
                    at = wall.astimezone(UTC)
                    hour = at.toordinal() * 24 + at.hour
                    if hour not in self._days:
                        self._days[hour] = self._day(at.replace(minute=0, second=0, microsecond=0))
                    return at, self._days[hour] or at.astimezone(self._home).date()
        at = _time(text, n, self._zone)
        return at, at.astimezone(self._home).date()

    def _hour(self, start: datetime) -> tuple[datetime, datetime, date] | None:
        ends = start, start + timedelta(hours=1, microseconds=-1)
        first, last = (wall.replace(tzinfo=self._zone).astimezone(UTC) for wall in ends)
        session = first.astimezone(self._home).date()
        same = last - first == ends[1] - ends[0] and last.astimezone(self._home).date() == session
        return (start, first, session) if same else None

    def _day(self, start: datetime) -> date | None:
        last = start + timedelta(hours=1, microseconds=-1)
        first, other = (at.astimezone(self._home).date() for at in (start, last))
        return first if first == other else None


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


def _hashed(got: Sequence[str], equal: Counter[str]) -> str:
    """An id from the row itself; two equal rows are two fills."""
    text = "|".join(cell.strip() for cell in got)
    found = blake2s(text.encode(), digest_size=8).hexdigest()
    equal[found] += 1
    return found if equal[found] == 1 else f"{found}-{equal[found]}"


def in_order(statements: Sequence[Statement]) -> list[Fill]:
    """The fills of several statements, oldest first."""
    if len(statements) == 1:
        return statements[0].fills
    return sorted((fill for each in statements for fill in each.fills), key=attrgetter("at"))
