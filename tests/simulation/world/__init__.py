"""A small world in which everything that trades runs in one thread, in virtual time, from one seed.

The product's own code trades in it: engine, executor, trader, the broker's adapter (bytes over an in-memory
transport), the guard and the exchange. What is made up is the market, the network, the clock and the disk's crashes:

* `loop.py`: an event loop whose clock jumps to the next timer; processes that can be stopped and killed.
* `disk.py`: what a killed process leaves behind, and what was waited for.
* `chance.py`: which faults a schedule holds, and how many of them happened.
* `market.py`: a session of half a minute with bursts.
* `wire.py`: requests and updates between a process and the exchange, with faults.
* `watch.py`: what must always be true, looked at where the exchange sees it.
* `schedule.py`: one schedule, from its seed to its end.
* `many.py`: many schedules, and what they held.

`python -m tests.simulation.world --schedules 20000` runs as many as wanted; `--seed 17 --trace` tells one.
"""
