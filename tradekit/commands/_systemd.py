"""Units for systemd: a supervisor, or a timer for every slot that calls run-slot with its due-check."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from tradekit.commands._crontab import with_followers
from tradekit.model import Session
from tradekit.schedule import SlotSpec, due_times

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SANDBOX = """\
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictSUIDSGID=yes
LockPersonality=yes
"""
SUPERVISE = """\
[Unit]
Description=tradekit supervise, {desk}
After=network-online.target time-sync.target
Wants=network-online.target time-sync.target

[Service]
Type=notify
{user}ExecStart={command} supervise
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=300
Restart=always
RestartSec=5
SuccessExitStatus=130 143
RestartPreventExitStatus=2 8
TimeoutStopSec=20
MemoryHigh=1G
OOMPolicy=continue
ReadWritePaths={writable}
{sandbox}
[Install]
WantedBy={target}
"""
BOT = """\
[Unit]
Description=tradekit bot, {desk}
After=network-online.target
Wants=network-online.target

[Service]
{user}ExecStart={command} bot
Restart=always
RestartSec=5
SuccessExitStatus=130 143
RestartPreventExitStatus=2 4 8
TimeoutStopSec=20
ReadWritePaths={writable}
{sandbox}
[Install]
WantedBy={target}
"""
SERVICE = """\
[Unit]
Description=tradekit {names}, {desk}
After=network-online.target

[Service]
Type=oneshot
{user}{lines}
SuccessExitStatus=7 8
ReadWritePaths={writable}
{sandbox}"""
TIMER = """\
[Unit]
Description=when tradekit {name} may be due, {desk}

[Timer]
{moments}
AccuracySec=1s
Persistent=false
Unit={unit}.service

[Install]
WantedBy=timers.target
"""


def unit_name(folder: str) -> str:
    """A desk's folder as part of a unit's name, where systemd takes letters, digits and some marks only."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", folder)


def supervise_unit(command: str, desk: str, writable: str, *, user: str | None) -> str:
    """The unit of the supervisor; with `user` for /etc/systemd/system, without for `systemctl --user`."""
    return SUPERVISE.format(
        command=command,
        desk=desk,
        writable=writable,
        user="" if user is None else f"User={user}\n",
        target="default.target" if user is None else "multi-user.target",
        sandbox=SANDBOX,
    )


def slot_units(
    specs: Sequence[SlotSpec],
    days: Sequence[tuple[date, Session | None]],
    zone: ZoneInfo,
    command: str,
    desk: str,
    writable: str,
    *,
    user: str | None,
) -> dict[str, str]:
    """File name -> text: a service and a timer for every slot that waits for no other; its followers share them.

    Timers name their zone, the exchange's: they stay right when clocks change, and run-slot drops what is not due.
    """
    found: dict[str, str] = {}
    for spec in specs:
        if spec.after is not None:
            continue
        moments = calendar_lines(spec, days, zone)
        if not moments:
            continue
        names, unit = with_followers(spec.name, specs), f"tradekit-{desk}-{spec.name}"
        lines = "\n".join(f"ExecStart={command} run-slot {name}" for name in names)
        found[f"{unit}.service"] = _service(" -> ".join(names), lines, desk, writable, user)
        found[f"{unit}.timer"] = TIMER.format(name=spec.name, desk=desk, moments="\n".join(moments), unit=unit)
    return found


def notify_units(command: str, desk: str, writable: str, *, user: str | None) -> dict[str, str]:
    """File name -> text: a look each minute for what waits to be told to a human."""
    unit = f"tradekit-{desk}-notify"
    return {
        f"{unit}.service": _service("notify", f"ExecStart={command} -q notify", desk, writable, user),
        f"{unit}.timer": TIMER.format(name="notify", desk=desk, moments="OnCalendar=*-*-* *:*:00", unit=unit),
    }


def bot_unit(command: str, desk: str, writable: str, *, user: str | None) -> dict[str, str]:
    """File name -> text: the Telegram bot as a service of its own, where no supervisor runs it."""
    who, target = ("", "default.target") if user is None else (f"User={user}\n", "multi-user.target")
    text = BOT.format(command=command, desk=desk, writable=writable, user=who, target=target, sandbox=SANDBOX)
    return {f"tradekit-{desk}-bot.service": text}


def _service(names: str, lines: str, desk: str, writable: str, user: str | None) -> str:
    who = "" if user is None else f"User={user}\n"
    return SERVICE.format(names=names, desk=desk, user=who, lines=lines, writable=writable, sandbox=SANDBOX)


def calendar_lines(spec: SlotSpec, days: Sequence[tuple[date, Session | None]], zone: ZoneInfo) -> list[str]:
    """`OnCalendar=Mon..Fri *-*-* 09:35:00 America/New_York`, one line per set of weekdays and hour."""
    local = [at.astimezone(zone) for day, session in days for at in due_times(spec, session, zone, day)]
    on = {at.weekday() for at in local}  # of all of them: next year's half days fall on other weekdays
    hours: dict[tuple[int, int], set[int]] = {}
    for at in local:
        hours.setdefault((at.hour, at.second), set()).add(at.minute)
    lines = []
    for (hour, second), minutes in sorted(hours.items(), key=lambda item: (item[0][0], min(item[1]))):
        text = "*" if len(minutes) == 60 else ",".join(f"{minute:02}" for minute in sorted(minutes))
        lines.append(f"OnCalendar={_days(on)} *-*-* {hour:02}:{text}:{second:02} {zone.key}")
    return lines


def _days(weekdays: Iterable[int]) -> str:
    return ",".join(DAYS[day] for day in sorted(weekdays))


def quoted(words: Iterable[str]) -> str:
    """Words of an ExecStart line: quoted where needed, % and $ doubled."""
    found = []
    for word in words:
        text = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
        found.append('"' + text.replace('"', '\\"') + '"' if any(c in text for c in " \t\"'") else text)
    return " ".join(found)
