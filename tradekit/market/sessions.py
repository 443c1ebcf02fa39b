"""The session table of a calendar, worked out once by exchange_calendars; commands read the table, never this."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from tradekit.errors import ConfigError, UsageError
from tradekit.model import Session

AROUND_THE_CLOCK = "24/7"
# IANA zones by exchange_calendars' name, for settings that must not wait for its import.
ZONES: Mapping[str, str] = {
    "XNYS": "America/New_York", "XNAS": "America/New_York", "XTSE": "America/Toronto", "XLON": "Europe/London",
    "XETR": "Europe/Berlin", "XFRA": "Europe/Berlin", "XPAR": "Europe/Paris", "XAMS": "Europe/Amsterdam",
    "XSWX": "Europe/Zurich", "XTKS": "Asia/Tokyo", "XHKG": "Asia/Hong_Kong", "XASX": "Australia/Sydney",
}  # fmt: skip


def build(calendar_name: str, first: date, last: date) -> list[Session]:
    """The sessions from `first` to `last`, both included, half days flagged; takes half a second.

    A session is a half day when it closes earlier than the calendar's usual time on that day. Raises ConfigError
    for a name that exchange_calendars does not know, UsageError for 24/7 (it has no table) or an empty span.
    """
    if calendar_name == AROUND_THE_CLOCK:
        raise UsageError("a 24/7 desk has no session table")
    if first > last:
        raise UsageError(f"{first} is after {last}")
    import exchange_calendars
    import pandas as pd
    from exchange_calendars.errors import InvalidCalendarName

    try:
        calendar = exchange_calendars.get_calendar(calendar_name, start=_padded(first, -14), end=_padded(last, 14))
    except InvalidCalendarName:
        raise ConfigError(
            f"desk.calendar: {calendar_name} is not a calendar",
            "XNYS, XTKS, XLON ... or 24/7 (exchange_calendars names)",
        ) from None
    early = set(calendar.early_closes) | set(calendar.late_opens)
    rows = calendar.schedule.loc[pd.Timestamp(first) : pd.Timestamp(last)]
    return [
        Session(day.date(), _utc(opens), _utc(closes), day in early)
        for day, opens, closes in zip(rows.index, rows["open"], rows["close"], strict=True)
    ]


def zone_of(calendar_name: str) -> str:
    """The IANA time zone of a calendar; ConfigError for an unknown one."""
    if calendar_name == AROUND_THE_CLOCK:
        return "UTC"
    if calendar_name in ZONES:
        return ZONES[calendar_name]
    import exchange_calendars
    from exchange_calendars.errors import InvalidCalendarName

    try:
        zone = exchange_calendars.get_calendar(calendar_name).tz
    except InvalidCalendarName:
        raise ConfigError(f"desk.calendar: {calendar_name} is not a calendar", "XNYS, XTKS ... or 24/7") from None
    return ZoneInfo(str(zone)).key


def _padded(day: date, days: int) -> str:
    """A little more than asked: the library refuses spans without a session."""
    return date.fromordinal(day.toordinal() + days).isoformat()


def _utc(at: datetime) -> datetime:
    return datetime.fromtimestamp(at.timestamp(), UTC)
