"""An event loop in virtual time, and processes in it that can be stopped and killed between any two steps.

The clock stands while anything can run and then jumps to the next timer, so an hour takes as long as its work. A
process is whatever was started inside it: tasks, callbacks and timers inherit it, as they inherit every context
variable. A killed process takes no further step and cleans nothing up; what it handed to others goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import math
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

NOBODY = None


class Killed(BaseException):
    """Raised inside a process that was killed in the middle of a step: whatever it does next does not happen."""


class Stuck(Exception):
    """Nothing can run and no timer is set: somebody waits for ever."""


class Process:
    """One process of the world.

    Args:
        loop: Where it runs.
        name: What traces call it.
        pid: Its number.

    Attributes:
        is_alive: Whether it was not killed.
        is_stopped: Whether it takes no steps for now (SIGSTOP).
        died_s: When it was killed, virtual seconds; infinity before.
        steps: Steps it took so far: each is the code between two awaits.
        dies_at: The step after which it is killed; 0 = none.
        tasks: Tasks started in it, so that none is collected, and so cleaned up, before the world ends.
    """

    def __init__(self, loop: VirtualLoop, name: str, pid: int) -> None:
        self.name, self.pid = name, pid
        self.is_alive, self.is_stopped = True, False
        self.died_s = math.inf
        self.steps, self.dies_at = 0, 0
        self.on_death: Callable[[], None] | None = None
        self.tasks: list[asyncio.Task[Any]] = []
        self.loop = loop
        self._held: list[asyncio.Handle] = []
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in this process."""
        return self._context.copy().run(self.loop.create_task, work)

    def soon(self, delay_s: float, act: Callable[..., Any], *arguments: Any) -> None:
        """Call `act` in this process after a while."""
        self.loop.call_later(delay_s, act, *arguments, context=self._context)

    def here(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Call `act` now, as this process."""
        return self._context.copy().run(act, *arguments)

    def kill(self) -> None:
        """End it as `kill -9` does; its files stay as they are."""
        if self.is_alive:
            self.is_alive = False
            self.died_s = self.loop.time()
            if self.on_death is not None:
                # Whoever starts the next one is not part of this one.
                contextvars.Context().run(self.on_death)

    def stop(self) -> None:
        """Let it take no more steps until `go_on`."""
        self.is_stopped = True

    def go_on(self) -> None:
        """Let it take steps again; what became due meanwhile is late."""
        self.is_stopped = False
        held, self._held = self._held, []
        self.loop.put_back(held)

    def hold(self, handle: asyncio.Handle) -> None:
        """Keep a step until the process goes on; of a dead one, until the world ends."""
        self._held.append(handle)


_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=NOBODY)


def process_now() -> Process | None:
    """The process that takes this step; nothing outside of one."""
    return _PROCESS.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop without sockets, threads or waiting.

    Args:
        steps_max: Steps after which a world is taken to run for ever.
    """

    def __init__(self, steps_max: int = 2_000_000) -> None:
        super().__init__()
        self._now_s = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = 0
        self._clock_resolution = 1e-9
        self._steps_left = steps_max
        self.processes: list[Process] = []
        self.errors: list[dict[str, Any]] = []
        """What a task or a callback raised and nobody took."""
        self.executor_s: Callable[[], float] = lambda: 0.0
        """How long work in a thread takes, seconds."""
        self.set_exception_handler(self._on_error)
        self.set_task_factory(_factory)

    def process(self, name: str) -> Process:
        """A new process."""
        self.processes.append(Process(self, name, 1000 + len(self.processes)))
        return self.processes[-1]

    def time(self) -> float:
        """Seconds since the world began."""
        return self._now_s

    def bury(self) -> None:
        """Let what is left of all processes clean up, now that nobody looks any more; nothing of it is an error."""
        for process in self.processes:
            process.is_alive, process.dies_at, process.on_death = True, 0, None
            process.go_on()
        left = [task for task in asyncio.all_tasks(self) if not task.done()]
        for task in left:
            task.cancel()
        with contextlib.suppress(Stuck), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.run_until_complete(asyncio.wait(left, timeout=600.0)) if left else None
        self.close()

    def put_back(self, handles: list[asyncio.Handle]) -> None:
        """Let steps that were held run now."""
        self._ready.extend(handles)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run `func` in this thread, in one step of the process that asks, after the time a thread takes."""
        del executor
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self.executor_s(), work)
        return future

    def _on_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), Killed):
            self.errors.append(context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """Call `callback` at a time; timers of one time in the order they were set."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._numbers += 1
        heapq.heappush(self._timers, (when, self._numbers, timer))
        return timer

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """Call `callback` after a while."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """Run what is ready, step by step; where nothing is, let the clock jump to the next timer."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not self._ready and not self._stopping:
            if not timers:
                raise Stuck("nothing can run and no timer is set")
            self._now_s = max(self._now_s, timers[0][0])
        end_s = self._now_s + self._clock_resolution
        while timers and timers[0][0] < end_s:
            self._ready.append(heapq.heappop(timers)[2])
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                self._step(handle)

    def _step(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(_PROCESS)
        if process is None:
            handle._run()
            return
        if not process.is_alive or process.is_stopped:
            process.hold(handle)
            return
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Stuck("too many steps: somebody runs for ever")
        process.steps += 1
        try:
            handle._run()
        except Killed:
            process.kill()
        if process.steps == process.dies_at:
            process.kill()

    def _process_events(self, event_list: Any) -> None:
        """There are none: nothing here has a descriptor."""

    def _write_to_self(self) -> None:
        """Nobody has to be woken."""


def _factory(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(work, loop=loop, **more)
    process = process_now()
    if process is not None:
        process.tasks.append(task)
    return task
