"""CSV and Parquet files of bars as columns: symbol codes, epoch milliseconds, five floats."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tradekit.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    import pandas as pd

    Series = Any  # pandas' stubs know a column's type, this module finds it out

COLUMNS = ("symbol", "ts", "open", "high", "low", "close", "volume")
NO_TIME = np.iinfo(np.int64).min  # what stands for a time that could not be read
AWARE = r"(?:[Zz]|[+-]\d\d:?\d\d)$"
DATED = r"^\d{4}-\d\d-\d\d"  # anything else is no time, with or without a zone
# Epoch numbers by their size: seconds until the year 5138, then milli-, micro- and nanoseconds.
EPOCH_UNITS = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (float("inf"), 1e-6))


@dataclass
class Table:
    """Rows as they stood; `values` is [5, row]: open, high, low, close, volume, NaN for what is no number."""

    path: Path
    names: list[str]  # symbols by code
    codes: NDArray[np.intp]
    ms: NDArray[np.int64]  # epoch milliseconds, NO_TIME where unreadable
    values: NDArray[np.float64]
    labels: bool  # times without a zone and without a time of day: session dates

    def __len__(self) -> int:
        return len(self.ms)


def read(path: Path, zone: str | None = None, *, daily: bool = False) -> Table:
    """A file's bars. Times are aware, epoch seconds or milliseconds, or naive in `zone`; naive dates label daily bars.

    Raises UsageError for a missing or unreadable file, missing columns or naive times without `zone`; MissingExtra
    for Parquet without pyarrow.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    frame = _parquet(path) if _is_parquet(path) else _csv(path)
    lowered = {str(name).strip().lower(): name for name in frame.columns}
    missing = [name for name in COLUMNS if name not in lowered]
    if missing:
        found = ", ".join(map(str, frame.columns[:12])) or "none"
        raise UsageError(f"{path}: no column {', '.join(missing)} (found: {found})", f"name them {', '.join(COLUMNS)}")
    import pandas as pd

    symbols = frame[lowered["symbol"]]
    codes, names = pd.factorize(symbols.astype(object), use_na_sentinel=True)
    values = np.empty((5, len(frame)))
    for row, name in enumerate(COLUMNS[2:]):
        values[row] = pd.to_numeric(frame[lowered[name]], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    ms, labels = _times(frame[lowered["ts"]], zone, path, daily)
    return Table(path, [str(name).strip() for name in names], codes.astype(np.intp), ms, values, labels)


def _is_parquet(path: Path) -> bool:
    """By its name or its first bytes: a broken .parquet is no CSV file."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return True
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _parquet(path: Path) -> "pd.DataFrame":
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        raise MissingExtra(f"{path}: Parquet needs pyarrow", "pip install 'tradekit[parquet]', or export CSV") from None
    try:
        file = parquet.ParquetFile(path)
        wanted = [name for name in file.schema_arrow.names if name.strip().lower() in COLUMNS]
        frame: pd.DataFrame = file.read(columns=wanted).to_pandas()
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    return frame


def _csv(path: Path) -> "pd.DataFrame":
    """Text stays exact: prices are read to the nearest double, and a symbol named NA stays a symbol."""
    import pandas as pd

    old = tuple(int(part) for part in pd.__version__.split(".")[:2]) < (3, 1)  # newer ones are exact unasked
    exact: dict[str, Any] = {"float_precision": "round_trip"} if old else {}
    nothing = ["", "NaN", "nan", "null", "None"]
    try:
        head = pd.read_csv(path, nrows=0)
        kept = [name for name in head.columns if str(name).strip().lower() in COLUMNS]
        text = [name for name in kept if str(name).strip().lower() == "symbol"]
        frame: pd.DataFrame = pd.read_csv(
            path,
            usecols=kept,
            dtype=dict.fromkeys(text, "object"),
            keep_default_na=False,
            na_values={name: ([""] if name in text else nothing) for name in kept},
            low_memory=False,
            **exact,
        )
        return frame
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, ValueError) as error:
        raise UsageError(f"{path}: not a readable CSV file ({str(error).splitlines()[0]})") from None


def _times(column: "Series", zone: str | None, path: Path, daily: bool) -> tuple[NDArray[np.int64], bool]:
    """Epoch milliseconds, and whether they are labels (UTC midnights of naive dates)."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column):
        raise UsageError(f"{path}: ts is no time")
    if pd.api.types.is_numeric_dtype(column):
        return _epoch(column.to_numpy(dtype=np.float64, na_value=np.nan)), False
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return _milliseconds(column.dt.tz_convert("UTC").dt.tz_localize(None)), False
    if not pd.api.types.is_datetime64_dtype(column):
        text = column.astype("string").str.strip()
        if bool(text.str.fullmatch(r"\d+(\.\d+)?").fillna(True).all()):
            return _epoch(pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)), False
        dated = text.str.contains(DATED).fillna(False).astype(bool)
        aware = text[dated].str.contains(AWARE)
        if len(aware) and bool(aware.all()):
            times = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")
            return _milliseconds(times.dt.tz_localize(None)), False
        if bool(aware.any()):
            raise UsageError(f"{path}: some times have a zone and some have none", "write all of them with one")
        column = pd.to_datetime(text, format="ISO8601", errors="coerce")
    naive = _milliseconds(column)
    known = naive[naive != NO_TIME]
    if daily and not (known % 86_400_000).any():
        return naive, True
    if zone is None:
        raise UsageError(
            f"{path}: times without a zone", "add --zone America/New_York (or UTC, or where they are from)"
        )
    try:
        local = column.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"--zone {zone}: no such time zone ({error})", "America/New_York, UTC, Asia/Tokyo ..."
        ) from None
    return _milliseconds(local.dt.tz_convert("UTC").dt.tz_localize(None)), False


def _milliseconds(times: "Series") -> NDArray[np.int64]:
    raw = times.to_numpy(dtype="datetime64[us]")
    whole = raw.astype(np.int64)
    ms = np.where(whole % 1000 == 0, whole // 1000, NO_TIME)  # bars do not start inside a millisecond
    return np.where(np.isnat(raw), NO_TIME, ms).astype(np.int64)


def _epoch(numbers: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    good = np.isfinite(numbers) & (numbers > 0)
    largest = float(numbers[good].max()) if good.any() else 0.0
    scale = next(scale for limit, scale in EPOCH_UNITS if largest < limit)
    ms = np.where(good, numbers, 0.0) * scale
    return np.where(good & (np.abs(ms) < 2**53), np.rint(ms), NO_TIME).astype(np.int64)
