"""Reports as text for a person: sections with units, times in the exchange's zone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tradekit.commands._output import as_table, visible
from tradekit.commands._pictures import bar, drawn, pictured, share, sparkline
from tradekit.model import Session
from tradekit.reports.daily import AccountLine, Blind, Books, Daily, Result
from tradekit.reports.why import Step

INDENT = " " * 11
SHOWN_ALERTS = 20
SHOWN_MISSED = 10


def daily_text(found: Daily, session: Session, zone: ZoneInfo, equity: Sequence[float | None] = ()) -> str:
    """The report of a day; every number with its unit. `equity`: of the sessions so far, drawn on a terminal."""
    hours = f"{_clock(session.open, zone)} - {_clock(session.close, zone)} {zone.key}"
    parts = [
        f"{session.day:%A} {session.day}, {hours}" + (", half day" if session.half else ""),
        "",
        *_books(found.books, found.currency),
        *_blind(found.blind, zone),
        _account(found.account, found.currency, zone),
        *([f"{INDENT}{sparkline(equity)} {len(equity)} sessions"] if len(equity) > 1 and drawn() else []),
        "",
        _result(found.result, found.currency),
    ]
    text = "\n".join(parts) + "\n" + _trades(found)
    text += "\nfunnel (in = out + lost, by id)\n" + funnel_text(found.funnel)
    text += "".join(f"{INDENT}{finding}\n" for finding in found.funnel_findings)
    vetoes = ", ".join(f"{rule} {n}" for rule, n in found.vetoes.items())
    return text + f"\nvetoes     {vetoes or 'none'}\n" + _missed(found, zone) + _positions(found)


def funnel_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The stages as a table; reasons of the lost, kinds of those that came out of the last stage."""
    return pictured([_funnel_row(row) for row in rows])


def _funnel_row(row: Mapping[str, Any]) -> dict[str, Any]:
    parts = (_tally("lost: ", row["reasons"]), _tally("", row["kinds"]))
    return {name: row[name] for name in ("stage", "counts", "in", "out", "lost")} | {
        " ": share(row["out"], row["in"]),
        "where to": "; ".join(part for part in parts if part),
    }


def story(title: str, steps: Sequence[Step], zone: ZoneInfo) -> str:
    """A chain as a story: a line a step, a new date where the day changes."""
    lines, day = [title], None
    for step in steps:
        at = step.at.astimezone(zone) if step.at else None
        if at is not None and at.date() != day:
            day = at.date()
            lines.append(f"{day:%A} {day} ({zone.key})")
        time = f"{at:%H:%M:%S}" if at else "now".ljust(8)
        lines.append(f"  {time}  {step.step.ljust(9)}  {visible(step.because)}")
        if step.step == "candidate":
            facts = [
                f"{name} {_short(value)}" for name, value in step.data.items() if isinstance(value, float | Decimal)
            ]
            lines += [f"  {' ' * 21}{', '.join(facts)}"] if facts else []
    return "\n".join(lines) + "\n"


def _books(books: Books, currency: str) -> list[str]:
    words = {True: "match the broker's", False: f"DO NOT MATCH: {len(books.findings)} findings", None: "not compared"}
    unknown = f"{len(books.unknown_orders)} orders of unknown fate"
    fees = f"{books.estimated_fees} estimated fees ({_money(books.estimated_fees_sum)} {currency})"
    lines = [f"books      {words[books.match]}; {unknown}, {fees}"]
    return lines + [f"{INDENT}{visible(finding)}" for finding in [*books.findings, *books.unknown_orders]]


def _blind(blind: Blind, zone: ZoneInfo) -> list[str]:
    if blind.minutes_without_exit_check is None:
        lines = ["watch      no run is recorded for this session"]
    else:
        gap = f"{blind.minutes_without_exit_check:g} min of the session without one"
        held = f"{blind.minutes_blind_while_holding:g} min of them while holding"
        lines = [f"watch      {blind.exit_checks} exit checks, {gap}, {held}"]
    slots = f"{len(blind.missed_slots)} missed slots, {len(blind.failed_slots)} failed"
    lines.append(f"{INDENT}{slots}, {blind.restarts} restarts, {blind.stale_data} x stale data")
    lines += [f"{INDENT}{_slots(row, zone)}" for row in blind.slots]
    lines += [f"{INDENT}failed run: {visible(name)}" for name in blind.failed_runs]
    lines.append(f"alerts     {len(blind.alerts) or 'none'}")
    for alert in blind.alerts[:SHOWN_ALERTS]:
        lines.append(f"{INDENT}{_clock(alert['at'], zone)} {alert['kind']}: {visible(str(alert['message'] or ''))}")
    if len(blind.alerts) > SHOWN_ALERTS:
        lines.append(f"{INDENT}and {len(blind.alerts) - SHOWN_ALERTS} more: tradekit events")
    return lines


def _slots(row: Mapping[str, Any], zone: ZoneInfo) -> str:
    """`missed: open-scan at 09:35`, `missed: monitor-exits 27 x, 09:30 - 09:56`."""
    word, first, last = "missed" if row["state"] == "missed" else "failed slot", row["first"], row["last"]
    due = f"at {_clock(first, zone)}" if row["count"] == 1 else f"{row['count']} x, {_clock(first, zone)}"
    return f"{word}: {visible(row['name'])} {due}" + (f" - {_clock(last, zone)}" if row["count"] > 1 else "")


def _account(line: AccountLine | None, currency: str, zone: ZoneInfo) -> str:
    if line is None:
        return "account    no snapshot of this session (jobs snapshot)"
    pnl = "day's P&L unknown"
    if line.daily_pnl is not None:
        pnl = f"day {line.daily_pnl:+,.2f} {currency}"
        pnl += "" if line.daily_pnl_pct is None else f" ({line.daily_pnl_pct * 100:+.2f} %)"
    parts = [
        f"desk equity {_money(line.desk_equity)} {currency}",
        f"cash {_money(line.cash)} {currency}",
        pnl,
        f"exposure {_percent(line.exposure_pct)}",
        f"drawdown {_percent(line.drawdown)}",
    ]
    return f"account    {', '.join(parts)} (at {_clock(line.at, zone)})"


def _result(found: Result, currency: str) -> str:
    if not found.trades:
        return "trades     none closed"
    parts = [
        f"{found.trades} closed, {found.wins} won, {found.losses} lost",
        f"net {found.net:+,.2f} {currency}",
        f"fees {_money(found.fees)} {currency}",
    ]
    if found.average_r is not None:
        parts.append(f"average {found.average_r:+.2f} R")
    return f"trades     {', '.join(parts)}"


def _trades(found: Daily) -> str:
    if not found.trades:
        return ""
    largest = max(abs(trade.net) for trade in found.trades)
    return pictured(
        [
            {
                "id": trade.id, "qty": trade.qty, "entry": trade.entry_price, "exit": trade.exit_price,
                "out by": trade.exit_reason, f"net {found.currency}": round(trade.net, 2),
                " ": bar(trade.net, largest),
                "%": _rounded(trade.return_pct, 100, 2), "R": _rounded(trade.r_multiple, 1, 2),
                "slip in bp": _rounded(trade.entry_slippage_bp, 1, 1),
                "slip out bp": _rounded(trade.exit_slippage_bp, 1, 1),
                "overshoot bp": _rounded(trade.overshoot_bp, 1, 1), "held min": round(trade.hold_s / 60, 1),
            }
            for trade in found.trades
        ]
    )  # fmt: skip


def _missed(found: Daily, zone: ZoneInfo) -> str:
    """What passed and was not bought, and the rejected by reason, with what they did after."""
    known = any(line.max_gain is not None for line in found.missed) or any(line.known for line in found.rejected)
    after = "what they did after" if known else "what they did after is not known yet: tradekit jobs outcomes"
    text = f"missed     {len(found.missed)} passed and were not bought"
    text += f"; {after}\n" if found.missed or found.rejected else "\n"
    if found.missed:
        text += as_table(
            [
                {
                    "id": line.id, "at": _clock(line.at, zone), "price": line.price, "score": line.score,
                    "why": line.why, "next day %": _rounded(line.return_1d, 100, 2),
                    "best %": _rounded(line.max_gain, 100, 2), "worst %": _rounded(line.max_drawdown, 100, 2),
                }
                for line in found.missed[:SHOWN_MISSED]
            ]
        )  # fmt: skip
    if len(found.missed) > SHOWN_MISSED:
        text += f"{INDENT}and {len(found.missed) - SHOWN_MISSED} more: tradekit analyze missed\n"
    if known and found.rejected:
        text += "\nrejected by the scans\n" + as_table(
            [
                {
                    "reason": row.reason, "symbols": row.symbols, "known": row.known,
                    "next day %": _rounded(row.return_1d, 100, 2), "best % (mean)": _rounded(row.max_gain, 100, 2),
                    "worst % (mean)": _rounded(row.max_drawdown, 100, 2), "best": row.best,
                }
                for row in found.rejected
            ]
        )  # fmt: skip
    return text


def _positions(found: Daily) -> str:
    if not found.positions:
        return "open       nothing is held\n"
    table = as_table(
        [
            {
                "id": p.id, "qty": p.qty, "entry": p.avg_price, "last": p.last_price,
                f"open P&L {found.currency}": p.unrealized, "stop": p.stop_price, "target": p.target_price,
                "intent": p.intent, "protected by": p.protected_by,
            }
            for p in found.positions
        ]
    )  # fmt: skip
    return f"open       {len(found.positions)} held\n{table}"


def _tally(word: str, counts: Mapping[str, int]) -> str:
    return word + ", ".join(f"{name} {n}" for name, n in counts.items()) if counts else ""


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%H:%M}"


def _money(x: Decimal | None) -> str:
    return "unknown" if x is None else f"{x:,.2f}"


def _percent(x: float | None) -> str:
    return "unknown" if x is None else f"{x * 100:.2f} %"


def _rounded(x: float | None, times: int, digits: int) -> float | None:
    return None if x is None else round(x * times, digits)


def _short(x: float | Decimal) -> str:
    return f"{float(x):.4g}"
