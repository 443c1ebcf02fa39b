"""The tear sheet: one HTML file that needs nothing else, no network and no script; light and dark, phone and desk."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from math import isnan
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tradekit.exits import NO_STATE, NONE, advance, begin, levels, verdict
from tradekit.exits.base import Bar, Plan
from tradekit.exits.trailing_stop import trailing_level
from tradekit.metrics import Tally, cumulative, drawdowns, growth, merged
from tradekit.model import ExitPlan, Performance, Trade
from tradekit.reports.exits import ExitLine
from tradekit.reports.funnel import FunnelLine
from tradekit.reports.performance import Window
from tradekit.reports.svg import (
    Frame,
    Line,
    axes,
    bars,
    histogram,
    line_chart,
    nothing,
    path,
    scatter,
    svg,
)
from tradekit.reports.svg import n as short

POLICY = "default-src 'none';style-src 'unsafe-inline';img-src data:"  # nothing from outside, no script
COLUMNS = 130  # of a price path: five points of a screen each
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Walk(NamedTuple):
    """A trade's regular bars of its session, its plan, and what the plan's levels were."""

    bars: Sequence[Bar]
    plan: ExitPlan
    tick: float
    close: datetime


class Sheet(NamedTuple):
    """What the page is made of."""

    title: str
    currency: str
    zone: ZoneInfo
    made_at: datetime
    days: Sequence[Performance]
    trades: Sequence[Trade]
    windows: Sequence[Window]
    exits: Sequence[ExitLine]
    tallies: Sequence[Tally]
    funnel: Sequence[FunnelLine]
    walks: Mapping[str, Walk]


def tearsheet(sheet: Sheet) -> str:
    """The whole page as text."""
    parts = [
        _head(sheet),
        _tiles(sheet),
        _section("Equity", _equity(sheet)),
        _section("Drawdown", _drawdown(sheet)),
        _section("Months, %", _months(sheet.days)),
        _section("Exits", _exits(sheet)),
        _section("Returns of trades", histogram([t.return_pct * 100 for t in sheet.trades if t.return_pct is not None],
                                                "distribution of trade returns")),
        _section("Worst against best while held, %", _excursions(sheet.trades)),
        _section("Exposure at the close", _exposure(sheet.days)),
        _section("Funnel", _funnel(sheet.funnel)),
        _section("Trades", _table(sheet), wide=True),
        *(_trade(sheet, trade) for trade in reversed(sheet.trades) if trade.id in sheet.walks),
        "</main></body></html>\n",
    ]  # fmt: skip
    return "".join(parts)


def _head(sheet: Sheet) -> str:
    first = sheet.days[0].session if sheet.days else (sheet.trades[0].session if sheet.trades else None)
    last = sheet.days[-1].session if sheet.days else (sheet.trades[-1].session if sheet.trades else None)
    span = f"{first} to {last}" if first else "no session yet"
    made = f"made {sheet.made_at:%Y-%m-%d %H:%M} UTC, times {sheet.zone.key}"
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width,initial-scale=1">'
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">'
        '<meta name=color-scheme content="light dark"><link rel=icon href="data:,">'
        f"<title>{escape(sheet.title)}</title><style>{CSS}</style></head><body><main>"
        f"<header><h1>{escape(sheet.title)}</h1><p>{span} · {escape(sheet.currency)} · {made}</p></header>"
    )


def _section(title: str, body: str, *, wide: bool = False) -> str:
    return f"<section{' class=wide' if wide else ''}><h2>{escape(title)}</h2>{body}</section>"


def _tiles(sheet: Sheet) -> str:
    all_ = merged(sheet.tallies)
    whole = sheet.windows[0] if sheet.windows else None
    tiles = [
        ("net", f"{all_.net:+,.2f}" if all_.n else None, f"{all_.fees:,.2f} fees" if all_.n else ""),
        ("trades", str(all_.n), f"{all_.wins} won, {all_.losses} lost"),
        ("win rate", _pc(all_.wins / all_.n if all_.n else None), f"n = {all_.n}"),
        ("profit factor", f"{all_.won / -all_.lost:.2f}" if all_.lost < 0 else None, "won / lost"),
        ("average R", f"{all_.r / all_.rs:+.2f}" if all_.rs else None, f"n = {all_.rs}"),
    ]
    if whole is not None:
        tiles += [
            ("return", _pc(whole.total_return, sign=True), f"n = {whole.n} sessions"),
            (f"{whole.benchmark or 'benchmark'}", _pc(whole.benchmark_return, sign=True), f"n = {whole.benchmark_n}"),
            ("drawdown", _pc(whole.max_drawdown), "deepest"),
            ("Sharpe", None if whole.sharpe is None else f"{whole.sharpe:.2f}", f"n = {whole.n}"),
            ("a year", _pc(whole.annual_return, sign=True), f"volatility {_pc(whole.volatility) or 'unknown'}"),
        ]
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd{_tone(value)}>{escape(value or '–')}</dd><small>{escape(note)}</small></div>"
        for name, value, note in tiles
    )
    return f"<dl class=tiles>{cells}</dl>"


def _tone(text: str | None) -> str:
    return ' class="neg"' if text and text.startswith("-") else ' class="pos"' if text and text.startswith("+") else ""


def _pc(x: float | None, *, sign: bool = False) -> str | None:
    return None if x is None else f"{x * 100:{'+' if sign else ''}.2f} %"


def _equity(sheet: Sheet) -> str:
    names = ["start", *(f"{row.session}" for row in sheet.days)] if sheet.days else []
    start = [100.0] if sheet.days else []
    ours = start + [100 * g for g in growth([row.pnl_pct or 0.0 for row in sheet.days])]
    theirs = start + [100 * g for g in growth([row.benchmark_return or 0.0 for row in sheet.days])]
    known = any(row.benchmark_return is not None for row in sheet.days)
    lines = [Line(ours, "us", "this desk")]
    name = next((row.benchmark for row in reversed(sheet.days) if row.benchmark), None)
    if known:
        lines.append(Line(theirs, "bench", name or "benchmark"))
    legend = "<p class=legend><b class=us>this desk</b>" + (
        f" <b class=bench>{escape(name or '')}</b>" if known else ""
    )
    return line_chart(lines, names, "equity, start = 100") + (legend + " start = 100</p>" if sheet.days else "")


def _drawdown(sheet: Sheet) -> str:
    names = ["start", *(f"{row.session}" for row in sheet.days)] if sheet.days else []
    start = [0.0] if sheet.days else []
    depths = start + [100 * x for x in drawdowns([row.pnl_pct or 0.0 for row in sheet.days])]
    return line_chart([Line(depths, "loss", "drawdown")], names, "drawdown", unit=" %", fill=True, zero=True)


def _exposure(days: Sequence[Performance]) -> str:
    values = [None if row.exposure_pct is None else 100 * row.exposure_pct for row in days]
    names = [f"{row.session}" for row in days]
    return line_chart([Line(values, "us", "exposure")], names, "exposure", unit=" %", fill=True, zero=True)


def _months(days: Sequence[Performance]) -> str:
    """A heat map: a year a line; the colour's strength is the size."""
    if not days:
        return nothing("months")
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in days:
        if row.pnl_pct is not None:
            found[row.session.year, row.session.month].append(row.pnl_pct)
    months = {key: cumulative(values) or 0.0 for key, values in found.items()}
    largest = max((abs(x) for x in months.values()), default=0.0) or 1.0
    lines = []
    for year in sorted({year for year, _ in months}):
        cells = []
        for month in range(1, 13):
            value = months.get((year, month))
            strength = 0 if value is None else max(8, round(abs(value) / largest * 75))
            style = "" if value is None else f' style="--s:{strength}%" class={"hl" if value < 0 else "hg"}'
            cells.append(f"<td{style}>{'' if value is None else f'{value * 100:.1f}'}</td>")
        whole = cumulative([x for (y, _), values in found.items() if y == year for x in values]) or 0.0
        lines.append(f"<tr><th>{year}</th>{''.join(cells)}<td><b>{whole * 100:.1f}</b></td></tr>")
    heads = "".join(f"<th>{month}</th>" for month in MONTHS)
    return f"<div class=scroll><table class=heat><tr><th></th>{heads}<th>year</th></tr>{''.join(lines)}</table></div>"


def _exits(sheet: Sheet) -> str:
    rows = [row for row in sheet.exits if row.reason != "all"]
    lines = []
    for row in rows:
        note = "" if row.note == "few" else f" {row.note}"
        lines.append((row.reason, float(row.net), f"{row.net:+,.0f} · {row.wins}/{row.trades} won{note}"))
    return bars(lines, "net by exit rule")


def _excursions(trades: Sequence[Trade]) -> str:
    points = [(t.mae * 100, t.mfe * 100, t.net > 0) for t in trades if t.mae is not None and t.mfe is not None]
    return scatter(points, "worst against best price while held", "worst, %", "best, %")


def _funnel(lines: Sequence[FunnelLine]) -> str:
    if not lines:
        return nothing("funnel")
    rows = "".join(
        f"<tr><td>{escape(line.stage)}<td class=r>{line.into:,}<td class=r>{line.out:,}<td>"
        f'<i style="width:{round(100 * line.out / (line.into or 1))}%"></i>'
        f"<td><small>{escape(', '.join(f'{name} {count:,}' for name, count in list(line.reasons.items())[:4]))}</small>"
        for line in lines
    )
    head = "<tr><th>stage<th class=r>in<th class=r>out<th><th>lost to"
    return f"<div class=scroll><table class=funnel>{head}{rows}</table></div>"


def _table(sheet: Sheet) -> str:
    if not sheet.trades:
        return "<p class=none>no closed trades</p>"
    rows = []
    for t in reversed(sheet.trades):
        name = f"<a href=#{_anchor(t)}>{escape(t.symbol)}</a>" if t.id in sheet.walks else escape(t.symbol)
        at = t.entry_at.astimezone(sheet.zone)
        r = "" if t.r_multiple is None else f"{t.r_multiple:.2f}"
        tone = " class=n" if t.net < 0 else ""
        rows.append(
            f"<tr><td>{name}<td>{at:%Y-%m-%d %H:%M}<td>{_price(t.entry_price)}<td>{_price(t.exit_price)}"
            f"<td>{escape(t.exit_reason)}<td{tone}>{t.net:.2f}<td>{r}"
        )
    head = "<tr><th>symbol<th>entry<th>in<th>out<th>left by<th>net<th>R"
    return f"<div class=scroll><table class=trades>{head}{''.join(rows)}</table></div>"


def _anchor(trade: Trade) -> str:
    return "t-" + "".join(c if c.isalnum() or c == "-" else "_" for c in trade.id)


def _price(x: Decimal) -> str:
    return f"{x:.4f}".rstrip("0").rstrip(".")


def _trade(sheet: Sheet, t: Trade) -> str:
    """The part of one trade: its price with entry, stop, target, trail and exit drawn in."""
    entry, left = (at.astimezone(sheet.zone) for at in (t.entry_at, t.exit_at))
    facts = [
        f"{t.side} {t.qty:g} at {_price(t.entry_price)} ({entry:%H:%M}), out at {_price(t.exit_price)} ({left:%H:%M})",
        f"{t.exit_reason}, net {t.net:+.2f} {sheet.currency}" + (f", {t.r_multiple:+.2f} R" if t.r_multiple else ""),
        t.because,
    ]
    text = "".join(f"<p>{escape(fact)}</p>" for fact in facts if fact)
    title = f"{t.symbol} · {entry:%Y-%m-%d}"
    return f'<section class="trade wide" id={_anchor(t)}><h2>{escape(title)}</h2>{_walk(sheet, t)}{text}</section>'


def _walk(sheet: Sheet, t: Trade) -> str:
    walk = sheet.walks[t.id]
    if not walk.bars:
        return nothing("price path")
    entry, left = float(t.entry_price), float(t.exit_price)
    begun, ended = t.entry_at.timestamp(), t.exit_at.timestamp()
    fixed = levels(walk.plan, entry, walk.tick, opened_s=begun, close_s=walk.close.timestamp())
    stop = None if isnan(fixed.stop) else fixed.stop
    target = None if isnan(fixed.target) else fixed.target
    starts, _, _, highs, lows, closes = zip(*walk.bars, strict=True)
    marks = [entry, left, *(x for x in (stop, target) if x is not None)]
    low, high = min(*lows, *marks), max(*highs, *marks)
    pad = (high - low) * 0.06 or 0.01
    frame = Frame(starts[0], max(starts[-1], ended), low - pad, high + pad)
    step = max(1, len(starts) // 6)
    labels = [(x, f"{datetime.fromtimestamp(x, sheet.zone):%H:%M}") for x in starts[::step]]
    each = max(1, -(-len(starts) // COLUMNS))
    cuts = range(0, len(starts), each)
    xs = [f"{frame.x(starts[i]):.0f}" for i in cuts]
    tops = [frame.y(max(highs[i : i + each])) for i in cuts]
    bottoms = [frame.y(min(lows[i : i + each])) for i in cuts]
    ends = [frame.y(closes[min(i + each, len(closes)) - 1]) for i in cuts]
    spans = "".join(f"M{x} {top:.0f}V{bottom:.0f}" for x, top, bottom in zip(xs, tops, bottoms, strict=True))
    line = "L".join(f"{x} {y:.1f}" for x, y in zip(xs, ends, strict=True))
    body = axes(frame, labels) + f'<path class=range d="{spans}"/><path class="us line" d="M{line}"/>'
    body += _level(frame, begun, ended, stop, "loss", "stop") + _level(frame, begun, ended, target, "gain", "target")
    trail = _trail(walk.bars, fixed, entry, begun, ended)
    if trail:
        body += f'<path class="trail line" d="{path(frame, trail)}"><title>trail</title></path>'
    up = "gain" if t.net > 0 else "loss"
    at, out = f"{short(frame.x(begun))} {short(frame.y(entry))}", (short(frame.x(ended)), short(frame.y(left)))
    body += f'<path class=held d="M{at}L{out[0]} {out[1]}"/>'
    body += f'<path class=in d="M{at}l-5 9h10z"><title>entry</title></path>'
    body += f"<circle class={up} cx={out[0]} cy={out[1]} r=5><title>exit</title></circle>"
    key = "".join(f"<b class={css}>{name}</b> " for css, name, there in (
        ("in", "▲ entry", True), (up, "● exit", True), ("loss", "stop", stop), ("gain", "target", target),
        ("trail", "trail", trail)) if there)  # fmt: skip
    return svg(body, f"{t.symbol}: price with entry, stop, target, trail and exit") + f"<p class=legend>{key}</p>"


def _level(frame: Frame, begun: float, ended: float, level: float | None, css: str, name: str) -> str:
    if level is None:
        return ""
    d = f"M{short(frame.x(begun))} {short(frame.y(level))}H{short(frame.x(ended))}"
    return f'<path class="{css} dash" d="{d}"><title>{name} {level:g}</title></path>'


def _trail(
    bars: Sequence[Bar], plan: Plan, entry: float, begun: float, ended: float
) -> list[tuple[float, float | None]]:
    """Where the trailing stop stood, as the exit rules move it: a corner at each step."""
    if isnan(plan.trail):
        return []
    held = begin(plan, entry, begun)
    found: list[tuple[float, float | None]] = []
    for bar in bars:
        if bar.end_s <= begun or bar.start_s > ended:
            continue
        level = trailing_level(held, plan)
        if not isnan(level) and (not found or found[-1][1] != level):
            found += [(bar.start_s, found[-1][1]), (bar.start_s, level)] if found else [(bar.start_s, level)]
        if verdict(held, bar, plan, NO_STATE)[0] != NONE:
            break
        held = advance(held, bar, plan)
    return [*found, (min(ended, bar.end_s), found[-1][1])] if found else []


CSS = """:root{--bg:#fbfbf9;--card:#fff;--ink:#1d2330;--dim:#667085;--rule:#e3e5ea;--us:#2457c5;--bench:#a06a00;
--gain:#0b7f63;--loss:#c4402b;--trail:#7a3fc0}
@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1a1f28;--ink:#e7eaf0;--dim:#98a2b3;--rule:#2c3340;
--us:#7aa7ff;--bench:#e2a83d;--gain:#3cc9a1;--loss:#ff7d66;--trail:#c39bff}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:16px;display:grid;gap:14px;grid-template-columns:repeat(2,minmax(0,1fr))}
header,.tiles,.wide{grid-column:1/-1}h1{margin:0;font-size:1.5rem}h2{margin:0 0 8px;font-size:1rem}
header p,small,.legend,.none{color:var(--dim);margin:2px 0;font-size:.82rem}
section{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 14px;min-width:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:8px;margin:0}
.tiles div{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:8px 12px}
dt{color:var(--dim);font-size:.8rem}dd{margin:0;font-size:1.2rem;font-weight:600;font-variant-numeric:tabular-nums}
.pos{color:var(--gain)}.neg,.n{color:var(--loss)}
svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--dim);font-family:inherit}
.yl{text-anchor:end;dominant-baseline:middle}.xl{text-anchor:middle}.al{text-anchor:end}.g{stroke:var(--rule)}
.z{stroke:var(--dim)}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}.us{stroke:var(--us)}.bench{stroke:var(--bench)}
path.loss{stroke:var(--loss)}path.gain{stroke:var(--gain)}.trail{stroke:var(--trail)}
rect.loss,circle.loss{fill:var(--loss)}rect.gain,circle.gain{fill:var(--gain)}
.fill{stroke:none!important;fill:var(--us);opacity:.18}.loss.fill{fill:var(--loss)}

.trade svg{max-width:900px}.small text{font-size:11px!important}
.dots{stroke-width:8;stroke-linecap:round;opacity:.6;fill:none}
.dash{stroke-dasharray:6 4;stroke-width:1.4;fill:none}
.range{stroke:var(--dim);opacity:.35;fill:none}
.held{stroke:var(--ink);stroke-dasharray:2 3;opacity:.6}.in{fill:var(--ink)}
.legend b{font-weight:600;margin-right:8px;color:var(--ink)}b.us{color:var(--us)}b.bench{color:var(--bench)}
b.loss{color:var(--loss)}b.gain{color:var(--gain)}b.trail{color:var(--trail)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.82rem}
th,td{padding:3px 7px;text-align:left;white-space:nowrap}th{color:var(--dim);font-weight:500}
.heat td,.heat th{text-align:center;padding:4px 5px}.hg{background:color-mix(in srgb,var(--gain) var(--s),transparent)}
.hl{background:color-mix(in srgb,var(--loss) var(--s),transparent)}
.r,.trades td:nth-child(n+6),.trades th:nth-child(n+6){text-align:right}.trades tr:nth-child(even){background:var(--bg)}
.funnel i{display:block;height:10px;background:var(--us);border-radius:2px;min-width:1px}
.funnel td:nth-child(4){width:30%}.funnel td:last-child{white-space:normal}a{color:var(--us)}.trade p{margin:4px 0}
.trade:target{outline:2px solid var(--us)}
@media(max-width:760px){main{grid-template-columns:minmax(0,1fr);padding:10px}svg text{font-size:17px}
.small text{font-size:14px!important}.trades td:nth-child(3),.trades th:nth-child(3),.trades td:nth-child(4),
.trades th:nth-child(4){display:none}}
@media print{body{background:#fff}section{break-inside:avoid}}"""
