"""systemd units that trade every session: the run, its guard, and the timer that starts both.

Decides their text. The run's process is started again after whatever may pass, and left alone after what must be
looked at; the guard's unit is there for the hour in which this program's own guard is gone too.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scalpcli.cli.record_schedule import executable, systemd_escaped, systemd_word

_STOP_S: Final = 180
"""Seconds for SIGTERM to sell what is held, seal and sum up."""


def units_text(arguments: Sequence[str], folder: Path, program: str = "") -> str:
    """Three units, one after the other, each with the name of its file.

    Args:
        arguments: Arguments of `scalpcli live run`.
        folder: Where it runs.
        program: The command; this installation's where empty.
    """
    program = program or executable()
    mode = "live" if "--live" in arguments else "shadow" if "--shadow" in arguments else "paper"
    words = " ".join(systemd_word(word) for word in arguments)
    place = systemd_escaped(str(folder))
    return "\n".join(
        [
            "# ~/.config/systemd/user/scalpcli-live.service",
            "[Unit]",
            "Description=Trade the session of the New York Stock Exchange with scalpcli",
            "Documentation=man:systemd.service(5)",
            "After=network-online.target",
            "# Six starts in ten minutes and no more: what fails so often is looked at by a person.",
            "StartLimitIntervalSec=600",
            "StartLimitBurst=6",
            "",
            "[Service]",
            "Type=exec",
            f"WorkingDirectory={place}",
            "# Keys, one NAME=value a line, mode 0600; not needed where the secrets file holds them.",
            "EnvironmentFile=-%h/.config/scalpcli/environment",
            f"ExecStart={program} live run --no-watch {words}".rstrip(),
            "UMask=0077",
            "# SIGTERM stops entries, sells what is held, seals and sums up.",
            "KillSignal=SIGTERM",
            f"TimeoutStopSec={_STOP_S}",
            "# The guard is a process of the run's own and must outlive it.",
            "KillMode=process",
            "# A crash goes on where it stopped. 75 is outside the session; 2 and 3 are a wrong flag or key, 4 a full",
            "# disk, 5 a journal that does not come out again, 7 a protection, 8 something still held: a person looks.",
            "SuccessExitStatus=75",
            "Restart=on-failure",
            "RestartSec=1",
            "RestartPreventExitStatus=2 3 4 5 7 8 75 130",
            "",
            *_guard_unit(arguments, mode, place, program),
            "# ~/.config/systemd/user/scalpcli-live.timer",
            "[Unit]",
            "Description=Start trading before each session",
            "",
            "[Timer]",
            "# A minute inside record.start_before_open_minutes: what starts before it leaves with 75.",
            "OnCalendar=Mon..Fri *-*-* 09:26:00 America/New_York",
            "AccuracySec=1s",
            "Persistent=false",
            "",
            "[Install]",
            "WantedBy=timers.target",
            "",
            "# Put all three where their first lines say, then:",
            "#   systemctl --user daemon-reload && systemctl --user enable --now scalpcli-live.timer",
            '#   loginctl enable-linger "$USER"   # so that it runs while you are logged out',
            "# The run starts a guard by itself. After a reboot in the middle of a day, one without a run:",
            "#   systemctl --user start scalpcli-live-guard.service",
            "",
        ]
    )


def _guard_unit(arguments: Sequence[str], mode: str, place: str, program: str) -> list[str]:
    """The guard's unit for today's run; none in SHADOW, which holds nothing."""
    if mode == "shadow":
        return []
    out, symbol = _value(arguments, "--out") or "live", _value(arguments, "--symbol") or "TSLA"
    run = systemd_escaped(shlex.quote(f"{out}/{mode}/{symbol.replace('/', '.')}/"))
    ends = _value(arguments, "--account-ends")
    words = f" --account-ends {systemd_escaped(shlex.quote(ends))}" if ends else ""
    # The shell tells today's folder; systemd takes `$$` and `%%` for one.
    today = "$$(TZ=America/New_York date +%%F)"
    command = f"exec {systemd_escaped(program)} live guard {run}{today}{words}"
    return [
        "# ~/.config/systemd/user/scalpcli-live-guard.service",
        "[Unit]",
        "Description=Sell what scalpcli holds when it does not answer",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=exec",
        f"WorkingDirectory={place}",
        "EnvironmentFile=-%h/.config/scalpcli/environment",
        f'ExecStart=/bin/sh -c "{command}"',
        "UMask=0077",
        "Restart=on-failure",
        "RestartSec=5",
        "RestartPreventExitStatus=2 3 75",
        "SuccessExitStatus=75",
        "",
    ]


def _value(arguments: Sequence[str], flag: str) -> str:
    for place, word in enumerate(arguments[:-1]):
        if word == flag:
            return arguments[place + 1]
    return ""
