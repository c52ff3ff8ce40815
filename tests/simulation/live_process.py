"""Real processes for tests of live trading: a local exchange, `live run` against it, its guard, commands beside it.

Decides how they are started, watched and ended. Everything waits for a condition with a long deadline: how fast this
machine is decides nothing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import ScalpcliError
from scalpcli.runtime.control import ask
from scalpcli.runtime.run_lock import RunOwner, read_run_owner

PATIENCE_S: Final = 60.0
"""A condition that does not come by then never does."""
LOOK_S: Final = 0.02
MINUTES: Final = 20
LONG_HELD: Final = (
    "scalp.take_profit_pct=900", "scalp.stop_loss_pct=99", "scalp.max_hold_minutes=200",
)  # fmt: skip
"""Settings under which what is bought stays."""
EAGER: Final = (
    "scalp.enabled=true", "scalp.momentum_window_seconds=5", "scalp.momentum_threshold_pct=0.01",
    "scalp.volume_spike_ratio=0.0", "scalp.min_signal_interval_seconds=1", "scalp.cooldown_after_loss_minutes=0",
    "scalp.max_daily_scalps=100", "scalp.max_hold_minutes=0.4", "scalp.scalp_position_size_pct=2.0",
    "scalp.take_profit_pct=15", "scalp.stop_loss_pct=12", "selection.delta_min=0.2", "selection.delta_max=0.5",
    "gates.gap_quiet_s=0", "live.on_stall=hold", "live.guard_timeout_s=30", "live.late_entry_ms_max=60000",
)  # fmt: skip
"""Settings under which something is bought every half minute, from the first seconds on."""


def command(*words: object) -> list[str]:
    """A command of ours, in a process of its own."""
    return [sys.executable, "-m", "scalpcli", *map(str, words)]


def until(found: Callable[[], Any], what: str, patience_s: float = PATIENCE_S, look_s: float = LOOK_S) -> Any:
    """Wait until `found` gives something, and give that.

    Whoever asks the exchange looks rarely: its requests of a minute are counted, and the trader and its guard need them.
    """
    deadline_s = time.monotonic() + patience_s
    while not (result := found()):
        assert time.monotonic() < deadline_s, f"never came: {what}"
        time.sleep(look_s)
    return result


@functools.cache
def made_tape(root: Path, minutes: int = MINUTES, rows: int = 48_000, seed: int = 6, bursts: int = 8) -> Path:
    """The first minutes of a made-up session, full of bursts."""
    made = ["--date", "2026-11-20", "--rows", rows, "--contracts", 12, "--seed", seed, "--bursts", bursts]
    subprocess.run(
        command("tape", "synth", root, *made, "--minutes", minutes, "--quiet"), check=True, capture_output=True
    )
    return root / "TSLA" / "2026-11-20"


@dataclass
class Exchange:
    """A local exchange in a process.

    Attributes:
        url: Address of its requests.
    """

    url: str

    def get(self, path: str) -> Any:
        """What it says to a question of anyone with keys."""
        request = urllib.request.Request(  # noqa: S310 - an address of this machine
            f"{self.url}{path}", headers={"APCA-API-KEY-ID": "rehearsal", "APCA-API-SECRET-KEY": "rehearsal"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return json.loads(answer.read())

    def orders(self) -> list[dict[str, Any]]:
        """Every order it ever had."""
        return self.get("/v2/orders?status=all&limit=500&direction=asc")

    def held(self) -> dict[str, int]:
        """Contracts held."""
        return {each["symbol"]: int(each["qty"]) for each in self.get("/v2/positions")}

    def cash(self) -> float:
        """Cash of the account, USD."""
        return float(self.get("/v2/account")["cash"])


@contextlib.contextmanager
def exchange(tape: Path, *words: object) -> Iterator[Exchange]:
    """`scalpcli exchange` over a tape while the block runs."""
    serving = subprocess.Popen(
        command("exchange", tape, "--port", 0, "--wait-for", 2, "--start", "09:30", "--json", "--quiet", *words),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        yield Exchange(str(json.loads(serving.stdout.readline())["rest"]))
    finally:
        serving.kill()
        serving.communicate(timeout=20)


@dataclass
class Live:
    """`scalpcli live run` in processes one after the other, all of the same run.

    Attributes:
        out: Folder of runs.
        url: Address of the exchange.
        words: Further flags.
        settings: Settings, as `-p` takes them.
        process: The latest process.
        started_s: When it was started.
    """

    out: Path
    url: str
    words: tuple[object, ...] = ()
    settings: tuple[str, ...] = EAGER
    process: subprocess.Popen[str] | None = None
    started_s: float = 0.0
    processes: int = 0
    guards: set[int] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.out / "paper" / "TSLA" / "2026-11-20"

    @property
    def said(self) -> str:
        """What its processes said so far."""
        return (self.out / "said.txt").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start a process, with the same words each time."""
        self.out.mkdir(parents=True, exist_ok=True)
        settings = [word for each in self.settings for word in ("-p", each)]
        words = command("live", "run", "--rehearse", self.url, "--out", self.out, "--no-watch", *settings, *self.words)
        with (self.out / "said.txt").open("a", encoding="utf-8") as said:
            self.process = subprocess.Popen(words, stdout=said, stderr=said, text=True)
        self.started_s = time.monotonic()
        self.processes += 1

    def worked_s(self) -> float:
        """Seconds of processor time its process took so far: what it would take where nobody else works."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def command_now(self, command: str) -> None:
        """What `scalpcli live COMMAND` says to the process, without the time a new process takes."""
        ask(self.owner().control, command, answer_s=20.0)

    def owner(self) -> RunOwner:
        """Who holds the run, by its files."""
        owner = read_run_owner(self.folder)
        if owner.guard_pid:
            self.guards.add(owner.guard_pid)
        return owner

    def state(self) -> dict[str, Any] | None:
        """What the present process says of itself; nothing while it does not."""
        owner = self.owner()
        assert self.process is not None
        assert self.process.poll() is None, self.said[-3000:]
        if owner.pid != self.process.pid or not owner.control:
            return None
        try:
            return dict(ask(owner.control, "status", answer_s=20.0)["state"])
        except ScalpcliError:
            return None

    def held(self) -> dict[str, int] | None:
        """Contracts it believes to hold; nothing while it does not say."""
        state = self.state()
        if state is None:
            return None
        total: Counter[str] = Counter()
        for each in state["positions"]:
            total[each["symbol"]] += each["quantity"]
        return dict(total)

    def state_when(self, what: str, is_so: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Its state as soon as it is so."""

        def look() -> dict[str, Any] | None:
            state = self.state()
            return state if state is not None and is_so(state) else None

        try:
            return dict(until(look, what))
        except AssertionError:
            print(self.said[-3000:])
            raise

    def holding(self) -> dict[str, Any]:
        """Its state as soon as it trades and holds something that it is not about to sell."""
        return self.state_when("a position", lambda state: any(not each["leaving"] for each in state["positions"]))

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Its exit code, when it leaves by itself."""
        assert self.process is not None
        return self.process.wait(patience_s)

    def beside(self, *words: object, patience_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
        """A command from another shell on this run."""
        return subprocess.run(
            command("live", *words, "--run", self.folder),
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )

    def close(self) -> None:
        """End what is left of it."""
        self.owner()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        for pid in self.guards:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if b"live\0guard" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def fence(self) -> dict[str, Any]:
        """What its guard wrote down; an empty phase where none acted."""
        path = self.folder / "fence.json"
        return dict(json.loads(path.read_text())) if path.exists() else {"phase": ""}

    # --- what it left ------------------------------------------------------------------------------------

    def decisions(self) -> list[dict[str, Any]]:
        """Whole lines of its journal."""
        text = (self.folder / "decisions.jsonl").read_bytes()
        return [json.loads(line) for line in text[: text.rfind(b"\n") + 1].splitlines()]

    def of_kind(self, *kinds: str) -> list[dict[str, Any]]:
        """Decisions of some kinds."""
        return [each for each in self.decisions() if each["kind"] in kinds]


@contextlib.contextmanager
def live(out: Path, url: str, *words: object, settings: tuple[str, ...] = EAGER) -> Iterator[Live]:
    """A run whose processes are ended with the block."""
    run = Live(out, url, words, settings)
    try:
        yield run
    finally:
        run.close()


def cash_of(run: Live) -> float:
    """USD that the fills of its journal brought, before fees."""
    sides = {order["order_id"]: order["side"] for order in run.of_kind("order")}
    cents = 0
    for fill in run.of_kind("fill"):
        premium = fill["quantity"] * fill["price_e4"]
        cents += premium if sides[fill["order_id"]] == "sell" else -premium
    # 100 shares a contract, 10,000 parts a dollar.
    return cents / 100


def check_orders(run: Live, at: Exchange) -> Counter[str]:
    """No order is there twice, none that is not in the journal, no entry beyond its signal; counts of what there is."""
    journal = {order["order_id"]: order for order in run.of_kind("order")}
    wanted = {signal["signal"]: signal["suggested_contracts"] for signal in run.of_kind("signal")}
    bought: Counter[int] = Counter()
    sold: Counter[int] = Counter()
    ids = Counter(order["client_order_id"] for order in at.orders())
    assert max(ids.values(), default=1) == 1
    for order in at.orders():
        order_id = order["client_order_id"]
        signal_number = int(order_id.rsplit("-", 2)[1])
        if order["side"] == "buy":
            bought[signal_number] += int(order["filled_qty"])
            assert order_id in journal, f"{order_id} was sent and is not in the journal"
        else:
            sold[signal_number] += int(order["filled_qty"])
            assert order_id in journal or "-g" in order_id, f"{order_id} was sent and is not in the journal"
    for number, contracts in bought.items():
        assert contracts <= wanted[number], f"signal {number}: {contracts} bought of {wanted[number]}"
        assert sold[number] <= contracts, f"signal {number}: more sold than bought"
    return Counter(orders=len(ids), bought=sum(bought.values()), sold=sum(sold.values()))


def against(run: Live) -> subprocess.CompletedProcess[str]:
    """`replay --against` of a run."""
    return subprocess.run(
        command("replay", "--against", run.folder), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
