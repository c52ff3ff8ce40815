"""Lines that start the recorder every session: for cron and for systemd.

Decides their text. Debian's cron knows the machine's time zone alone (`CRON_TZ` is not honoured), so the cron line
fires every five minutes of the hours, by that zone, in which a session can lie in summer or winter, and the recorder
decides: outside the session it leaves with 75, while one runs with 0. systemd knows time zones by name.
"""

from __future__ import annotations

import datetime as dt
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from scalpcli.model.session import NEW_YORK

_LOCAL_ZONE: Final = Path("/etc/localtime")
_OPENS: Final = dt.time(9, 20)
_CLOSES: Final = dt.time(16, 5)
_SUMMER: Final = dt.date(2026, 7, 1)
_WINTER: Final = dt.date(2026, 12, 1)
_DAYS_OF_CHANGE: Final = (dt.date(2026, 3, 10), dt.date(2026, 10, 28))
"""Days on which New York has changed its clocks and Europe has not, or the other way round."""
KEYS_FILE: Final = "$HOME/.config/scalpcli/secrets.toml"


def executable() -> str:
    """This installation's `scalpcli`, as an absolute path."""
    beside = Path(sys.executable).with_name("scalpcli")
    return str(beside) if beside.exists() else f"{sys.executable} -m scalpcli"


def machine_zone() -> dt.tzinfo:
    """The machine's time zone, with its clock changes; UTC where it does not say."""
    try:
        with _LOCAL_ZONE.open("rb") as file:
            name = str(_LOCAL_ZONE.resolve()).partition("zoneinfo/")[2]
            return ZoneInfo.from_file(file, key=name or "local time")
    except (OSError, ValueError):
        return dt.UTC


def cron_hours(zone: dt.tzinfo) -> tuple[str, str]:
    """Hours and days of the week of a crontab in `zone` that cover every session, whatever the season.

    Returns:
        The hours, like `13-21`, and the days, like `1-5`.
    """
    hours: set[tuple[int, int]] = set()
    for day in (_SUMMER, _WINTER, *_DAYS_OF_CHANGE):
        first, last = (dt.datetime.combine(day, clock, NEW_YORK) for clock in (_OPENS, _CLOSES))
        at = first.replace(minute=0)
        while at <= last:
            local = at.astimezone(zone)
            hours.add(((local.date() - day).days, local.hour))
            at += dt.timedelta(hours=1)
    days = {shift for shift, _ in hours}
    if len(days) == 1:
        (shift,) = days
        numbers = sorted(hour for _, hour in hours)
        return f"{numbers[0]}-{numbers[-1]}", f"{1 + shift}-{5 + shift}"
    # Around midnight: every hour of the days that a session can touch there.
    listed = ",".join(str(hour) for hour in sorted({hour for _, hour in hours}))
    return listed, ",".join(str(day % 7) for day in range(1 + min(days), 6 + max(days)))


def cron_text(arguments: Sequence[str], folder: Path, zone: dt.tzinfo, program: str = "") -> str:
    """A crontab that records every session.

    Args:
        arguments: Arguments of `scalpcli record`.
        folder: Where it runs and logs.
        zone: The machine's time zone, which cron goes by.
        program: The command; this installation's where empty.
    """
    hours, days = cron_hours(zone)
    log = shlex.quote(str(folder / "record.log"))
    words = shlex.join(arguments)
    command = f"cd {shlex.quote(str(folder))} && {program or executable()} record {words}".rstrip()
    # A percent sign is a line end in a crontab.
    command = command.replace("%", r"\%")
    return "\n".join(
        [
            "# scalpcli: records every session of the New York Stock Exchange.",
            "# Fires every five minutes and leaves at once while a recorder runs (exit 0) or outside the session",
            "# (exit 75): half days, holidays and clock changes need no care.",
            f"# The hours are this machine's, {zone_name(zone)}: print the line again after moving it.",
            f"# Keys: in {KEYS_FILE} with mode 0600; cron's environment holds none.",
            "SHELL=/bin/sh",
            f"*/5 {hours} * * {days} umask 077; {command} --quiet >> {log} 2>&1",
            "",
        ]
    )


def systemd_text(arguments: Sequence[str], folder: Path, program: str = "") -> str:
    """A systemd service and its timer, as two files one after the other.

    Args:
        arguments: Arguments of `scalpcli record`.
        folder: Where it runs.
        program: The command; this installation's where empty.
    """
    words = " ".join(systemd_word(word) for word in arguments)
    return "\n".join(
        [
            "# ~/.config/systemd/user/scalpcli-record.service",
            "[Unit]",
            "Description=Record the session of the New York Stock Exchange",
            "Documentation=man:systemd.service(5)",
            "After=network-online.target",
            "",
            "[Service]",
            "Type=exec",
            f"WorkingDirectory={systemd_escaped(str(folder))}",
            "# Keys, one NAME=value a line, mode 0600; not needed where the secrets file holds them.",
            "EnvironmentFile=-%h/.config/scalpcli/environment",
            f"ExecStart={program or executable()} record --quiet {words}".rstrip(),
            "UMask=0077",
            "# SIGTERM flushes and seals; a long session takes its time.",
            "KillSignal=SIGTERM",
            "TimeoutStopSec=600",
            "# 75 is outside the session, 4 a full disk or no contract, 3 wrong keys, 2 a wrong flag.",
            "# Trying again at once helps none of them; the timer tries in five minutes.",
            "SuccessExitStatus=75",
            "Restart=on-failure",
            "RestartSec=5",
            "RestartPreventExitStatus=2 3 4 75",
            "",
            "# ~/.config/systemd/user/scalpcli-record.timer",
            "[Unit]",
            "Description=Start recording before each session",
            "",
            "[Timer]",
            "OnCalendar=Mon..Fri *-*-* 09..16:00/5:00 America/New_York",
            "AccuracySec=1s",
            "Persistent=false",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
            "# Put both where their first lines say, then:",
            "#   systemctl --user daemon-reload && systemctl --user enable --now scalpcli-record.timer",
            '#   loginctl enable-linger "$USER"   # so that it runs while you are logged out',
            "",
        ]
    )


def zone_name(zone: dt.tzinfo) -> str:
    """A time zone in words."""
    return getattr(zone, "key", "") or str(zone)


def systemd_word(word: str) -> str:
    """A word of a unit's command line, quoted where it must be."""
    word = systemd_escaped(word)
    return f'"{word}"' if any(char in word for char in " \t;'") else word


def systemd_escaped(text: str) -> str:
    """A text without anything that systemd would read as its own."""
    # Specifiers and variables of systemd begin with these.
    return text.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
