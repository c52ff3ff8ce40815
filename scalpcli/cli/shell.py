"""How every command behaves in a shell: help, errors, exit codes.

Decides that expected failures print one message and leave with their exit code, that faults of ours print
one line unless a traceback is asked for, and that help ends with a line to paste. Leaves what commands do
to their own files.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import typer
import typer.core

from scalpcli.cli.parameters import make_plain
from scalpcli.errors import ScalpcliError

DEBUG_VARIABLE: Final = "SCALPCLI_DEBUG"
VERBOSE_KEY: Final = "scalpcli.verbose"
"""Where `-v` leaves its mark in the context that all commands of one call share."""
DEFAULT_COMMAND: Final = "run"
INTERNAL_ERROR: Final = 1
INTERRUPTED: Final = 130
_DEVELOPERS_SECTIONS: Final = ("Args", "Raises", "Returns", "Source")
BROKEN_PIPE: Final = 141
"""As a program that SIGPIPE ends: whoever read our output has left, so it is not known to be complete."""


def new_app(help: str, example: str) -> typer.Typer:  # noqa: A002 - the word typer uses
    """An app whose help is plain text and ends with `Example: …`.

    Args:
        help: One line that starts with a verb.
        example: The command line after `Example: `.
    """
    return adopt(
        typer.Typer(
            help=help,
            epilog=f"Example: {example}",
            no_args_is_help=True,
            # Rich panels would cost 55 ms of every --help and wrap the line to paste.
            rich_markup_mode=None,
            pretty_exceptions_enable=False,
        )
    )


def adopt(app: typer.Typer) -> typer.Typer:
    """Give an app and all its commands this module's help and errors."""
    app.info.cls = HouseGroup
    for command in app.registered_commands:
        command.cls = HouseCommand
        if command.help is None and command.callback is not None:
            command.help = help_of(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            adopt(group.typer_instance)
    return app


def help_of(function: Callable[..., Any]) -> str:
    """The part of a docstring that users read: up to `Args:` and its like, the first line without its period."""
    text = inspect.getdoc(function) or ""
    for section in _DEVELOPERS_SECTIONS:
        text = text.split(f"\n\n{section}:\n", 1)[0]
    first, *rest = text.rstrip().split("\n\n")
    return "\n\n".join([first.removesuffix("."), *rest])


def _write_epilog(epilog: str | None, formatter: Any) -> None:
    """The epilog as it is: a line to paste must not be wrapped or indented."""
    if epilog:
        formatter.write(f"\n{epilog.strip()}\n")


class HouseCommand(typer.core.TyperCommand):
    """A command whose help ends with its example, unwrapped."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, converted without pydantic where that is possible."""
        return make_plain(super().get_params(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the example."""
        del ctx
        _write_epilog(self.epilog, formatter)


class HouseGroup(typer.core.TyperGroup):
    """A group that turns every failure into a message and an exit code.

    A group that has a command `run` does it where no command is named: `optimize tapes` is `optimize run tapes`.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse, the command to run put in where none is named."""
        is_named = bool(args) and args[0] in {*self.commands, *ctx.help_option_names}
        if DEFAULT_COMMAND in self.commands and not is_named and (args or not self.no_args_is_help):
            args = [DEFAULT_COMMAND, *args]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> Any:
        """The parameters, converted without pydantic where that is possible."""
        return make_plain(super().get_params(ctx))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the example."""
        del ctx
        _write_epilog(self.epilog, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; at the root, also report what went wrong."""
        if ctx.parent is not None:
            return super().invoke(ctx)
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _leave_pipe()
            raise typer.Exit(BROKEN_PIPE) from None
        except ScalpcliError as error:
            _report(error.render(), error, ctx)
            raise typer.Exit(error.exit_code) from None
        except (KeyboardInterrupt, typer.Abort):
            print("interrupted", file=sys.stderr)  # noqa: T201 - words go to stderr
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.TyperException):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback without -v
            _report(_internal_error(error), error, ctx)
            raise typer.Exit(INTERNAL_ERROR) from None
        return None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse, run, and leave with an exit code."""
        # One name in messages and examples, also under `python -m scalpcli`.
        name = prog_name or "scalpcli"
        try:
            result = super().main(args, name, complete_var, False, windows_expand_args, **extra)
        except typer.TyperException as error:
            if not standalone_mode:
                raise
            print(_usage_error(error), file=sys.stderr)  # noqa: T201 - words go to stderr
            result = error.exit_code
        if standalone_mode:
            sys.exit(result or 0)
        return result


def _usage_error(error: typer.TyperException) -> str:
    """A wrong flag or argument in the form of every other error."""
    found = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        return found
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "scalpcli"
    found = found[:1].lower() + found[1:].rstrip(".")
    return ScalpcliError(found, place=f"`{command}`", hint=f"`{command} --help` shows what it takes").render()


def _internal_error(error: Exception) -> str:
    name = type(error).__name__
    if isinstance(error, OSError) and error.filename is not None:
        found = f"{(error.strerror or name).lower()}: `{error.filename}`"
        return ScalpcliError(found, hint="check that the path exists, is writable and has room").render()
    frames = traceback.extract_tb(error.__traceback__)
    place = f"`{_inside_package(frames[-1].filename)}`, line {frames[-1].lineno}" if frames else ""
    first_line = (str(error).splitlines() or [""])[0]
    return ScalpcliError(
        f"internal error: {name}: {first_line}".rstrip(": "),
        place=place,
        hint=f"this is a fault of scalpcli, not of your input; set {DEBUG_VARIABLE}=1 for the traceback and report it",
    ).render()


def _inside_package(filename: str) -> str:
    """The end of a path from `scalpcli/` or `site-packages/` on: no one's home folder is shown."""
    parts = Path(filename).parts
    for anchor in ("site-packages", "scalpcli"):
        if anchor in parts:
            start = len(parts) - 1 - parts[::-1].index(anchor)
            return "/".join(parts[start + (anchor == "site-packages") :])
    return parts[-1]


def _report(text: str, error: Exception, ctx: Any) -> None:
    """Print a message, with its traceback where that was asked for, and no key in either."""
    if os.environ.get(DEBUG_VARIABLE) or ctx.meta.get(VERBOSE_KEY):
        text = "".join(traceback.format_exception(error)) + text
    from scalpcli.config_secrets import redact

    print(_printable(redact(text, os.environ)), file=sys.stderr)  # noqa: T201 - words go to stderr


def _printable(text: str) -> str:
    """Without control characters: a name in a damaged file must not move the cursor."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


def _leave_pipe() -> None:
    """Point stdout nowhere, so that the interpreter's last flush has nothing to complain about."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        # A stdout without a descriptor (a test's buffer) is not flushed at exit either.
        return
