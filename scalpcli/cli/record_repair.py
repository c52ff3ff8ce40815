"""`scalpcli record repair`: seals what a crash left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalpcli.cli.options import ConfigFiles, Format, FormatOption, Json, Overrides, Quiet, Verbose, chosen_format
from scalpcli.errors import DataError, ScalpcliError

if TYPE_CHECKING:
    from scalpcli.model.params import RecordParams

EXAMPLE = "Example: scalpcli record repair tapes"


def repair(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Folder of tapes, or one recording in it", show_default=False),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the recordings where they are")] = False,
    config: ConfigFiles = None,
    param: Overrides = None,
    form: FormatOption = Format.TABLE,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Seal the recordings that a crash, a power cut or a full disk left, and say what is missing in them.

    Every whole row is kept; what is lost becomes gap rows. A recording that is being written is left alone. One of
    a session that is not over stays beside its tape, so that `scalpcli record` goes on with it.
    Leaves with 4 where one cannot be sealed.
    """
    from scalpcli.cli.output import emit, say
    from scalpcli.config import load
    from scalpcli.runtime.clock import MarketClock
    from scalpcli.runtime.seal import find_recordings

    del verbose
    params = load(config, param).params
    root = folder or Path(params.record.out)
    is_one = root.name.endswith(".recording")
    if not root.is_dir():
        raise DataError(f"`{root}` is no folder", place=f"`{root}`", hint="name the folder that receives tapes")
    found = [root] if is_one else find_recordings(root)
    if not found:
        say(f"nothing to repair in {root}", quiet=quiet)
        return
    now_ns = MarketClock().now_ns()
    rows = []
    for path in found:
        is_unfinished = _is_unfinished(path, params.record, now_ns)
        rows.append(_repair_one(path, params.tape, keep=keep or is_unfinished))
        if is_unfinished and not rows[-1]["error"]:
            say(f"{path} stays: its session is not over, `scalpcli record` goes on with it", quiet=quiet)
    emit(rows, chosen_format(form, json))
    broken = [row for row in rows if row["error"]]
    if broken:
        raise DataError(
            f"{len(broken)} of {len(rows)} recordings cannot be sealed: {broken[0]['error']}",
            place=f"`{broken[0]['recording']}`",
            hint=broken[0]["hint"],
        )


def _is_unfinished(path: Path, params: RecordParams, now_ns: int) -> bool:
    """Whether a recorder may still go on with it: without it, a tape of today would pass for the whole day."""
    from scalpcli.runtime.record_window import next_window

    try:
        session = next_window(now_ns, params).session
    except DataError:
        # Past the calendar's end nothing is recorded any more.
        return False
    return path.resolve().name == f".{session.date.isoformat()}.recording"


def _repair_one(path: Path, tape_params: Any, *, keep: bool) -> dict[str, Any]:
    from scalpcli.runtime.seal import seal_recording
    from scalpcli.runtime.tape import read_manifest

    row: dict[str, Any] = {"recording": str(path), "tape": None, "rows": None, "rows_lost": None, "error": None}
    try:
        tape = seal_recording(path, path.parent.parent, tape_params, keep=keep)
        manifest = read_manifest(tape)
    except ScalpcliError as error:
        return row | {"error": error.found, "hint": error.hint}
    return row | {"tape": str(tape), "rows": manifest.rows, "rows_lost": manifest.source.get("rows_lost"), "hint": ""}
