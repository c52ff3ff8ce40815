"""What can go wrong, one class per exit code (design, section 9).

Every error says what was found, where, and what to write instead. The command line prints
`render()` to stderr and leaves with `exit_code`; nothing else in the product chooses exit codes.
"""

from __future__ import annotations

from typing import ClassVar


class ScalpcliError(Exception):
    """Base of every expected failure.

    Args:
        found: What was found and the limit it broke, without a final period.
        place: File and line, flag, row or contract where it was found.
        hint: What to write or do instead.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, place: str = "", hint: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.place = place
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (`replay --jobs`); keyword fields would be lost otherwise.
        return (_rebuild, (type(self), self.found, self.place, self.hint))

    def render(self) -> str:
        """The message as the command line prints it."""
        lines = [f"error: {self.found}"]
        if self.place:
            lines.append(f"  in {self.place}")
        if self.hint:
            lines.extend(["", f"hint: {self.hint}"])
        return "\n".join(lines)


def _rebuild(kind: type[ScalpcliError], found: str, place: str, hint: str) -> ScalpcliError:
    return kind(found, place=place, hint=hint)


class UsageError(ScalpcliError):
    """A flag or an argument that cannot be meant."""

    exit_code = 2


class ConfigError(ScalpcliError):
    """A setting that is unknown, of the wrong type or outside its bounds."""

    exit_code = 2


class CredentialsError(ScalpcliError):
    """Keys are missing, wrong, or lack a permission."""

    exit_code = 3


class DataError(ScalpcliError):
    """Data is missing, damaged or below the quality asked for."""

    exit_code = 4


class CheckFailed(ScalpcliError):
    """A digest, a parity proof or a threshold did not hold."""

    exit_code = 5


class UpstreamUnavailable(ScalpcliError):
    """A service did not answer after the retries it was given."""

    exit_code = 6


class StoppedByProtection(ScalpcliError):
    """A protection ended the session."""

    exit_code = 7


class NotFlat(ScalpcliError):
    """The session ended with something still held."""

    exit_code = 8


class OutsideSession(ScalpcliError):
    """The market is closed; try again later."""

    exit_code = 75


class Interrupted(ScalpcliError):
    """Stopped by the user after everything was put in order."""

    exit_code = 130
