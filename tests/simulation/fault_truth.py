"""Holds a recorded tape against what the exchange's own log says it did.

Decides what is right from three things alone: the rows that were served, the exchange's log (which row went out on
which connection, which faults befell whom and when), and the files of the tape. Nothing of the recorder is asked, but
its final figures, which must agree with the tape.

Times are those of the exchange. What was served at a moment is known to the row; a tape's stamps are our clock's,
which `Run.ahead_ns` and the scenario's own step put apart.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from scalpcli.model.row import (
    BACKFILLED,
    CANCELLED,
    CHANNEL_NAMES,
    CHANNEL_OPTION_QUOTES,
    CHANNEL_OPTION_TRADES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    CORRECTED,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_verify import verify
from tests.recorded import IDENTITY
from tests.simulation.fault_gaps import NEVER, OPTION, SCOPES, STOCK, Blind, connections, gaps_of, reasons
from tests.simulation.fault_runs import ALPACA, NS_PER_S, SPEED, START_NS, UNTIL_NS, Run, all_rows

CHANNEL_OF: Final = {
    STOCK_TRADE: CHANNEL_STOCK_TRADES,
    STATUS: CHANNEL_STOCK_TRADES,
    STOCK_QUOTE: CHANNEL_STOCK_QUOTES,
    OPTION_TRADE: CHANNEL_OPTION_TRADES,
    OPTION_QUOTE: CHANNEL_OPTION_QUOTES,
}
HAVE_HISTORY: Final = (STOCK_TRADE, STOCK_QUOTE, OPTION_TRADE)
CLOCKS_APART_NS: Final = NS_PER_S // 2
"""What reading two clocks one after the other may put between them: 8 ms at this speed."""
STARTING_NS: Final = 3 * NS_PER_S
"""From the recorder's start to its first wish for symbols: 50 ms at this speed."""
LOST: Final = "rows lost outside gaps"
OWED: Final = "rows owed by history"


@dataclass(slots=True)
class Verdict:
    """What a run showed.

    Attributes:
        wrong: Sentences, one for each rule that was broken; empty for a faultless run.
        seen: Counts for people.
    """

    wrong: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)


class Truth:
    """The served rows of a run and what became of each.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.verdict = Verdict()
        self.log = run.log
        self.served = self._served_rows()
        streams = connections(run)
        self.sent = {
            channels: [row for number, rows in self.log.sent.items() if streams[number] == channels for row in rows]
            for channels in (STOCK, OPTION)
        }
        self.halted = {row for lost in self.log.lost.values() for row, why in lost if why == "halt"}

    def _served_rows(self) -> pl.DataFrame:
        rows = all_rows(self.run.served.path).filter(
            pl.col("kind").is_in(list(CHANNEL_OF)), pl.col("ts_recv_ns").is_between(START_NS, UNTIL_NS)
        )
        rows = rows.with_columns(channel=pl.col("kind").cast(pl.Int64).replace_strict(CHANNEL_OF))
        shifted = pl.lit(0, pl.Int64)
        for event in self.log.events:
            if event["event"] == "clock_shift":
                is_of = (pl.col("channel") & SCOPES[event["scope"]]) > 0
                after = is_of & (pl.col("at") >= event["from_row"])
                shifted = pl.when(after).then(event["shift_ns"]).otherwise(shifted)
        # A print taken back, and what takes it back, are no history.
        is_mark = (pl.col("kind") == STOCK_TRADE) & ((pl.col("flags") & (CANCELLED | CORRECTED)) > 0)
        void = rows.filter(is_mark)["trade_id"].to_list()
        return rows.with_columns(
            ts_event_ns=pl.col("ts_event_ns") + shifted,
            is_void=(pl.col("kind") == STOCK_TRADE) & pl.col("trade_id").is_in(void),
        )

    def wrong(self, words: str) -> None:
        """Note that a rule was broken."""
        self.verdict.wrong.append(words)

    # The tape.

    def judge(self) -> Verdict:
        """Hold the tape against all of it."""
        run = self.run
        self._count_faults()
        self._judge_end()
        if run.tape is None:
            if self.log.totals["sent"]:
                self.wrong("rows were sent and there is no tape")
            return self.verdict
        self._judge_files(run.tape)
        rows = all_rows(run.tape)
        blind = gaps_of(run, rows, self.wrong)
        matched = self._matched(rows)
        self._judge_rows(matched, blind)
        self._judge_order(matched)
        self._judge_gaps(blind, matched)
        self.verdict.seen["gaps"] += len(blind)
        return self.verdict

    def _count_faults(self) -> None:
        for event in self.log.events:
            if event["event"] == "fault":
                code = f" {event['code']}" if "code" in event else ""
                self.verdict.seen[f"fault: {event['name']}{code}"] += 1
        if self.run.scenario.step_s:
            self.verdict.seen["fault: our clock"] += 1
        self.verdict.seen["runs"] += 1
        self.verdict.seen["rows sent"] += self.log.totals["sent"]

    def _judge_end(self) -> None:
        wanted, found = self.run.scenario.error, self.run.failure
        if (wanted is None) != (found is None) or (wanted is not None and type(found) is not wanted):
            self.wrong(f"ended with {found!r}, not {wanted}")

    def _judge_files(self, tape: Path) -> None:
        for finding in verify(tape).findings:
            self.wrong(f"tape verify: {finding}")
        counts = dict(pl.read_parquet(tape / "rows.parquet")["kind"].value_counts().iter_rows())
        manifest = Tape.open(tape).manifest
        for kind, name in KIND_NAMES.items():
            # A recorder that went on counts its own rows alone.
            recorder = counts.get(kind, 0) if self.run.restarted_ns else self.run.status["counts"][name]
            told = (manifest.counts[name], recorder)
            if told != (counts.get(kind, 0),) * 2:
                self.wrong(f"{counts.get(kind, 0)} rows of {name}; manifest and recorder say {told}")

    def _matched(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of the market on the tape, each with the number of the row that was served."""
        market = rows.filter(pl.col("kind").is_in(list(CHANNEL_OF))).with_columns(
            is_past=(pl.col("flags") & BACKFILLED) > 0, flags=pl.col("flags") & ~BACKFILLED
        )
        known = self.served.select(*IDENTITY, row="at", due_ns="ts_recv_ns", channel="channel")
        if not known.select(IDENTITY).is_unique().all():
            self.wrong("the served tape repeats itself: nothing can be told from it")
        matched = market.join(known, on=IDENTITY, how="left").sort("at")
        strange = matched.filter(pl.col("row").is_null())
        told = [event["message"]["t"] for event in self.log.events if event["event"] == "injected"]
        for row in strange.iter_rows(named=True):
            if row["kind"] == STATUS and row["ts_event_ns"] in told:
                told.remove(row["ts_event_ns"])
            else:
                self.wrong(f"a row that nobody served: { ({name: row[name] for name in IDENTITY}) }")
        if told and set(self.run.scenario.kinds) <= {"halt"}:
            self.wrong("the status of a halt is missing")
        return matched.filter(pl.col("row").is_not_null())

    # Rows.

    def _judge_rows(self, matched: pl.DataFrame, blind: list[Blind]) -> None:
        twice = matched.filter(pl.col("row").is_duplicated())
        if twice.height:
            self.wrong(f"{twice.height} rows are there more than once: {twice['row'].unique().to_list()[:5]}")
        live = set(matched.filter(~pl.col("is_past"))["row"])
        past = set(matched.filter(pl.col("is_past"))["row"])
        sent = {row for rows in self.sent.values() for row in rows}
        if live - sent:
            self.wrong(f"{len(live - sent)} live rows that were never sent: {sorted(live - sent)[:5]}")
        unlived = self.served.filter(~pl.col("at").is_in(list(live)))
        if self.run.scenario.wait_for < 2:
            # What passed before the recorder listened is nobody's loss.
            unlived = unlived.filter(pl.col("ts_recv_ns") > self.run.started_ns + STARTING_NS)
        if self.run.failure is not None:
            unlived = self._before_the_end(unlived, matched, blind)
        self.verdict.seen["rows not received live"] += unlived.height
        lost, owed = [], []
        for row in unlived.iter_rows(named=True):
            words = f"{KIND_NAMES[row['kind']]} {row['at']} ({'sent' if row['at'] in sent else 'not sent'})"
            became = self._became(row, is_past=row["at"] in past, blind=blind)
            self.verdict.seen[became] += 1
            if became == LOST:
                lost.append(words)
            elif became == OWED:
                owed.append(words)
        if lost:
            self.wrong(f"{len(lost)} rows are lost outside every gap: {lost[:5]}")
        if owed:
            self.wrong(f"{len(owed)} rows that history has were not backfilled: {owed[:5]}")

    def _became(self, row: dict[str, Any], *, is_past: bool, blind: list[Blind]) -> str:
        """What became of a row that did not come live."""
        gaps = [one for one in blind if self._covers(one, row)]
        is_halted = row["at"] in self.halted
        if not gaps and not is_halted:
            return "rows of a silence that the end came too soon to tell" if self._ends_mute(row) else LOST
        if is_past:
            if not gaps and not self._nearly(blind, row):
                self.wrong(f"row {row['at']} is backfilled outside every gap")
            return "rows backfilled"
        if is_halted:
            return "rows halted"
        return OWED if self._is_owed(row, gaps) else "rows in gaps for good"

    def _ends_mute(self, row: dict[str, Any]) -> bool:
        """Whether its stream fell mute and the recording ended before so much silence was suspect."""
        patience_ns = round(ALPACA.stale_option_s * 1.15 * SPEED * NS_PER_S)
        return any(
            one.what == "stall"
            and one.channels & row["channel"]
            and one.at_ns - self._slack_ns() <= row["ts_recv_ns"]
            and one.at_ns > UNTIL_NS - patience_ns
            for one in reasons(self.run)
        )

    def _before_the_end(self, unlived: pl.DataFrame, matched: pl.DataFrame, blind: list[Blind]) -> pl.DataFrame:
        """Without what passed after a fatal refusal had ended the recording: its gap was told at that moment."""
        ended_ns = max((one.told_ns for one in blind), default=self.run.started_ns) - self._slack_ns()
        last = {
            channels: matched.filter(~pl.col("is_past"), (pl.col("channel") & channels) > 0)["row"].max() or 0
            for channels in (STOCK, OPTION)
        }
        is_after = (pl.col("ts_recv_ns") > ended_ns) & (
            pl.col("at") > pl.when((pl.col("channel") & STOCK) > 0).then(last[STOCK]).otherwise(last[OPTION])
        )
        return unlived.filter(~is_after)

    def _slack_ns(self) -> int:
        return CLOCKS_APART_NS + round(abs(self.run.scenario.step_s) * NS_PER_S)

    def _covers(self, gap: Blind, row: dict[str, Any]) -> bool:
        slack_ns = self._slack_ns()
        return (
            bool(gap.channels & row["channel"])
            and gap.since_ns - slack_ns <= row["ts_recv_ns"] <= gap.end_ns + slack_ns
        )

    def _nearly(self, blind: list[Blind], row: dict[str, Any]) -> bool:
        """A halted print just before a gap: history has it, and is asked from a little earlier."""
        before_ns = 60 * NS_PER_S
        return any(
            one.channels & row["channel"] and one.since_ns - before_ns <= row["ts_recv_ns"] <= one.end_ns
            for one in blind
        )

    def _is_owed(self, row: dict[str, Any], gaps: list[Blind]) -> bool:
        """Whether history must have brought it: it has it, was asked, and answered."""
        if row["kind"] not in HAVE_HISTORY or row["is_void"] or self.run.status["source"]["backfill_failures"]:
            return False
        if row["ts_event_ns"] < self.run.started_ns + STARTING_NS:
            # History from before the recorder listened is not its own.
            return False
        return not self.run.status["source"]["backfills_waiting"] and any(one.end_ns < NEVER for one in gaps)

    def _judge_order(self, matched: pl.DataFrame) -> None:
        """Each stream's rows stand on the tape in the order they were sent."""
        for channels, sent in self.sent.items():
            live = matched.filter(~pl.col("is_past"), (pl.col("channel") & channels) > 0)["row"].to_list()
            there = set(live)
            if live != [row for row in dict.fromkeys(sent) if row in there]:
                self.wrong(f"the rows of {_name(channels)} are not in the order they were sent")

    # Gaps.

    def _judge_gaps(self, blind: list[Blind], matched: pl.DataFrame) -> None:
        known = reasons(self.run)
        slack_ns = self._slack_ns()
        if self.run.status["gaps"] != len(blind) and not self.run.restarted_ns:
            self.wrong(f"{len(blind)} gaps, the recorder counted {self.run.status['gaps']}")
        for one in known:
            is_told = any(
                gap.channels & one.channels and gap.since_ns - slack_ns <= one.at_ns <= gap.end_ns + slack_ns
                for gap in blind
            )
            if one.what == "garbage" and not is_told:
                # Nobody can know what an unreadable frame held.
                self.wrong(f"an unreadable frame of {_name(one.channels)} has no gap")
        for gap in blind:
            name = f"the gap of {_name(gap.channels)} from {gap.since_ns}, `{gap.cause}`,"
            if gap.channels not in (STOCK, OPTION):
                self.wrong(f"{name} is of no stream")
            why = [
                one
                for one in known
                if one.channels & gap.channels and gap.since_ns - slack_ns <= one.at_ns <= gap.told_ns + slack_ns
            ]
            if not why:
                self.wrong(f"{name} is false: nothing befell the stream until {gap.told_ns}")
            allowed = set().union(*(one.causes for one in why)) if why else {gap.cause}
            if gap.cause not in allowed:
                self.wrong(f"{name} has a wrong cause; right would be {sorted(allowed)}")
            if not gap.note.startswith(gap.cause) or not gap.cause:
                self.wrong(f"{name} has the note `{gap.note}`")
            between = matched.filter(
                ~pl.col("is_past"),
                pl.col("at").is_between(gap.begin_at, gap.end_at),
                (pl.col("channel") & gap.channels) > 0,
            )
            if between.height:
                self.wrong(f"{name} has {between.height} live rows in it")
            self._judge_begin(gap, name, matched)

    def _judge_begin(self, gap: Blind, name: str, matched: pl.DataFrame) -> None:
        """A gap claims no more blindness than there was: it begins where the last live row was served, or later."""
        before = matched.filter(~pl.col("is_past"), pl.col("at") < gap.begin_at, (pl.col("channel") & gap.channels) > 0)
        if before.height:
            last_ns = int(before["ts_event_ns"][-1]) - max(self._shifts())
            if gap.since_ns < last_ns - self._slack_ns() - NS_PER_S:
                self.wrong(f"{name} begins {(last_ns - gap.since_ns) / NS_PER_S:.1f} s before the last row that came")

    def _shifts(self) -> list[int]:
        return [0, *(event["shift_ns"] for event in self.log.events if event["event"] == "clock_shift")]


def _name(channels: int) -> str:
    return " and ".join(name for bit, name in CHANNEL_NAMES.items() if bit & channels)
