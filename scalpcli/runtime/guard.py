"""The guard: takes the position out when the engine stops answering, and never while it answers.

Decides when the engine counts as gone. One thing keeps engine and guard from both selling: whoever holds the run's
lock may send orders. The guard ends the engine's process, so that a stopped one never wakes, and takes its lock before
it asks the broker for anything; an engine that is started meanwhile finds the lock taken. The fence (`guard_fence.py`)
is on disk before, so that a guard or an engine that is started after a death in the middle knows what was done.

Leaves taking out to `guard_sale.py`, the process, its lock and its socket to `EngineProcess`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from scalpcli.model.broker import BrokerSilent
from scalpcli.runtime.desk import Desk
from scalpcli.runtime.guard_fence import Fence, FenceKeeper, Phase
from scalpcli.runtime.guard_journal import JournalBook
from scalpcli.runtime.guard_ports import EngineProcess, GuardClock, GuardEnd, GuardRules
from scalpcli.runtime.guard_sale import AfterClose, Evacuation, Stake
from scalpcli.runtime.process_identity import ProcessIdentity
from scalpcli.units import NS_PER_S

_TOLD_S: Final = 30.0
"""Seconds between two words about the same trouble."""
_IDLE_LOOK_S: Final = 5.0
"""Seconds between two questions to the broker while the engine is gone and nothing is at stake."""


class Guard:
    """Watches one run.

    Args:
        folder: The run's folder: its journal is read, the fence is written there.
        engine: The engine's process.
        desk: The broker.
        bid_e4: Asks for the best bid of a contract, 1/10000 USD; 0 where nobody knows.
        clock: Time.
        rules: How patient it is.
        say: Takes every word for people, alarms as well as what was done.
        close_ns: Close of the session, for a run that has no journal yet.

    Raises:
        DataError: an earlier guard's fence cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        engine: EngineProcess,
        desk: Desk,
        bid_e4: Callable[[str], Awaitable[int]],
        clock: GuardClock,
        rules: GuardRules,
        say: Callable[[str], None],
        close_ns: int = 0,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._rules = rules
        self._say = say
        self._book = JournalBook(folder, close_ns=close_ns)
        self._keeper = FenceKeeper(folder, say)
        self._evacuation = Evacuation(self._book, self._keeper, desk, bid_e4, clock, rules, say)
        self._silent_since_s: float | None = None
        self._broker_silent_since_s: float | None = None
        self._told_s = float("-inf")
        self._look_s = float("-inf")
        self._acted = 0
        self._held: dict[str, int] = {}

    async def run(self) -> GuardEnd:
        """Watch until the engine is gone, in order or not, with nothing held, or the session is over."""
        while self._engine.is_here():
            if await self._ping():
                self._withdraw("the engine answers")
            else:
                self._book.read()
                stake = await self._look()
                if stake is not None and self._is_due() and not self._is_over(0.0):
                    await self._act_on(stake)
                if stake is not None and not self._held and (reason := self._why_leave()):
                    return self._end(reason)
                if self._is_broker_gone():
                    return self._end("neither the engine nor the broker is there")
                if self._is_over(0.0 if stake is not None else self._rules.stay_s):
                    return self._end("the session is over")
            await self._clock.sleep(self._rules.ping_s)
        return self._end("the run was set aside for another of the day")

    def _end(self, reason: str) -> GuardEnd:
        return GuardEnd(reason, self._acted, dict(self._held))

    # --- watching --------------------------------------------------------------------------------------

    async def _ping(self) -> bool:
        """Ask the engine once, waiting for as long as it has left to answer."""
        asked_s = self._clock.seconds()
        # From the first question without an answer, not from the last answer: when this machine slept, both did.
        since_s = asked_s if self._silent_since_s is None else self._silent_since_s
        left_s = since_s + self._rules.timeout_s - asked_s
        is_answering = await self._engine.ping(max(left_s, self._rules.ping_s))
        self._silent_since_s = None if is_answering else since_s
        return is_answering

    def _is_due(self) -> bool:
        since_s = self._silent_since_s
        return since_s is not None and self._clock.seconds() - since_s >= self._rules.timeout_s

    def _is_over(self, later_s: float) -> bool:
        close_ns = self._book.close_ns
        return bool(close_ns) and self._clock.now_ns() >= close_ns + later_s * NS_PER_S

    async def _look(self) -> Stake | None:
        """What is at stake, where it is time to ask; none where it is not, or nobody says."""
        now_s = self._clock.seconds()
        is_wanted = self._is_due() or self._engine.has_ended() or self._is_over(0.0)
        if not is_wanted or now_s < self._look_s:
            return None
        stake = await self._stake()
        # Where nothing is at stake and no engine is there, nothing comes up by itself.
        self._look_s = now_s + (_IDLE_LOOK_S if stake is not None and not stake else 0.0)
        return stake

    async def _stake(self) -> Stake | None:
        """What is at stake by the broker; none where it does not say."""
        if not self._book.orders:
            return Stake({}, [])
        try:
            stake = await self._evacuation.stake()
        except BrokerSilent as silent:
            self._held = self._book.held
            if self._broker_silent_since_s is None:
                self._broker_silent_since_s = self._clock.seconds()
            self._say_seldom(
                f"the engine does not answer, nor does the broker: {silent.reason}; "
                f"held by the journal: {_words(self._held)}; asking on"
            )
            return None
        self._held = stake.held
        self._broker_silent_since_s = None
        return stake

    def _say_seldom(self, words: str) -> None:
        """Say what may last, now and then."""
        if self._clock.seconds() - self._told_s >= _TOLD_S:
            self._told_s = self._clock.seconds()
            self._say(words)

    def _withdraw(self, reason: str) -> None:
        """Leave an unfinished fence to an engine that is there again: it knows what to do with it."""
        # Whoever took the run meanwhile may have written a fence of its own, which stays.
        if not self._keeper.refresh() and self._keeper.is_open:
            self._keeper.update(phase=Phase.LEFT, ended_ns=self._clock.now_ns())
            self._say(f"leaving it to the engine: {reason}")

    def _why_leave(self) -> str:
        """Why nothing is left to watch, where nothing is at stake; an engine that is started again brings its guard."""
        process = self._engine.identity()
        if self._engine.has_ended():
            return "the run has ended and nothing is held"
        is_gone = process is None or not self._engine.is_running(process)
        return "the engine is gone and nothing is held" if is_gone and self._is_due() else ""

    def _is_broker_gone(self) -> bool:
        since_s = self._broker_silent_since_s
        return since_s is not None and self._clock.seconds() - since_s >= self._rules.broker_gone_s

    # --- acting ----------------------------------------------------------------------------------------

    async def _act_on(self, stake: Stake) -> None:
        """Take the engine's place, where anything is at stake."""
        if stake or self._keeper.is_open:
            process = self._engine.identity()
            self._begin(process, stake)
            try:
                if await self._fence_off(process):
                    self._acted += 1
                    await self._take_out()
            finally:
                self._engine.unlock()

    def _begin(self, process: ProcessIdentity | None, stake: Stake) -> None:
        if self._keeper.is_open:
            self._say(f"going on where an earlier guard was; at stake: {stake}")
            self._keeper.update(phase=Phase.FENCING, held=stake.held)
            return
        reason = f"the engine did not answer for {self._rules.timeout_s:g} s"
        self._say(f"{reason}; at stake: {stake}; ending its process and taking it out")
        self._keeper.begin(
            Fence(
                number=1,
                phase=Phase.FENCING,
                reason=reason,
                at_ns=self._clock.now_ns(),
                engine_pid=process.pid if process else 0,
                engine_started=process.started if process else "",
                held=stake.held,
            )
        )

    async def _fence_off(self, process: ProcessIdentity | None) -> bool:
        """End the engine's process and take its lock; whether that could be done."""
        until_s = self._clock.seconds() + self._rules.lock_s
        while True:
            if process is not None and self._engine.is_running(process):
                try:
                    self._engine.kill(process)
                except PermissionError:
                    self._say_seldom(f"process {process.pid} is another user's and cannot be ended: nothing is sold")
                    return False
                if self._clock.seconds() >= until_s:
                    # The system ends it when its disk answers; until then it may still wake.
                    self._say_seldom(f"process {process.pid} was killed and is still there: nothing is sold yet")
            elif self._engine.lock():
                return True
            elif self._clock.seconds() >= until_s:
                # An engine was started a moment ago and holds the run: it has as long to answer as any other.
                self._silent_since_s = None
                self._withdraw("another process holds the run")
                return False
            await self._clock.sleep(self._rules.poll_s)

    async def _take_out(self) -> None:
        self._book.read()
        try:
            await self._evacuation.run()
        except AfterClose:
            # Where the broker is silent it tells what the journal says.
            await self._stake()
        else:
            self._held = {}
        is_flat = not self._held
        self._keeper.update(phase=Phase.DONE, is_flat=is_flat, held=self._held, ended_ns=self._clock.now_ns())
        if is_flat:
            self._say("flat: the broker says that nothing of this run is held")
        else:
            self._say(f"NOT flat at the close: {_words(self._held)} held; look at the account by hand now")


def _words(held: dict[str, int]) -> str:
    return ", ".join(f"{quantity} {symbol}" for symbol, quantity in held.items()) or "nothing"
