"""`--require 'win_rate>=55'`: a small language that compares the figures of a report.

Decides what a requirement may say, whether it holds, and what is told when it does not. Nothing heavy is
imported here, so that a command can refuse a wrong requirement before it starts work.

One requirement is one comparison of two sums; a term is a figure of `figures.py`, a number, `-term`,
`(sum)`, or a product or quotient of these:

    win_rate >= 55
    fees_usd <= 0.2 * gross_pnl_usd
    avg_winner_usd + 1.5 * avg_loser_usd > 0

Nothing else is understood: no calls, no attributes, no powers, so a requirement from a stranger's CI file
can only compare. A figure that is unknown, and a division by zero, make the sum unknown; what is unknown
meets no requirement.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scalpcli.errors import CheckFailed, UsageError
from scalpcli.report.figures import FIGURES, NAMES

TEXT_CHARS_MAX: Final = 200
DEPTH_MAX: Final = 20
"""Parentheses and minus signs inside one another at most; bounds the recursion."""

Values = Mapping[str, float | None]
_Sum = Callable[[Values], float | None]

_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>>=|<=|==|!=|[<>+\-*/()]))",
    re.ASCII,
)
_EXAMPLE: Final = "write a comparison like `win_rate>=55` or `max_drawdown_pct<=10`"
_LIST: Final = "`scalpcli report --list-figures` lists all"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One comparison.

    Args:
        text: As the user wrote it, without blanks around it.
        left: What stands before the comparison.
        mark: `>=`, `<=`, `>`, `<`, `==` or `!=`.
        right: What stands after it.
        names: Figures it names, in order, each once.
    """

    text: str
    left: _Sum
    mark: str
    right: _Sum
    names: tuple[str, ...]

    def holds(self, figures: Values) -> bool:
        """Whether it is met; never by an unknown value."""
        left, right = self.left(figures), self.right(figures)
        return left is not None and right is not None and _COMPARISONS[self.mark](left, right)


@dataclass(frozen=True, slots=True)
class Failure:
    """A requirement that is not met: its text and what was found instead."""

    text: str
    found: str


def parse_requirement(text: str, vocabulary: Mapping[str, str] | None = None) -> Requirement:
    """Read one requirement.

    Args:
        text: As the user wrote it.
        vocabulary: Formulas of the figures it may name; `None` = those of a report.

    Raises:
        UsageError: It is no single comparison, or names a figure that does not exist.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise _not_understood(text[:40] + "…", f"it has {len(text)} characters, the limit is {TEXT_CHARS_MAX}")
    reader = _Reader(text.strip(), vocabulary)
    left = reader.sum()
    mark = reader.take()
    if mark not in _COMPARISONS:
        raise _not_understood(text, f"a comparison (>=, <=, >, <, ==, !=) should stand {_where(mark)}")
    right = reader.sum()
    rest = reader.take()
    if rest in _COMPARISONS:
        raise _not_understood(text, "it compares twice; give `--require` once for each comparison")
    if rest:
        raise _not_understood(text, f"`{rest}` has no place after the comparison")
    if not reader.names:
        raise _not_understood(text, "it names no figure")
    return Requirement(text.strip(), left, mark, right, tuple(dict.fromkeys(reader.names)))


def check_requirements(figures: Values, texts: Sequence[str]) -> list[Failure]:
    """The requirements that are not met, in the order given.

    Args:
        figures: Values by name; a name that is absent counts as unknown.
        texts: Requirements as the user wrote them.

    Raises:
        UsageError: A text is no requirement.
    """
    requirements = [parse_requirement(text) for text in texts]
    return [Failure(each.text, _found(each, figures)) for each in requirements if not each.holds(figures)]


def enforce(figures: Values, texts: Sequence[str], *, place: str = "") -> None:
    """Hold figures against requirements.

    Args:
        figures: Values by name.
        texts: Requirements as the user wrote them.
        place: What was judged, like the run's folder.

    Raises:
        CheckFailed: At least one is not met; the message tells each of them.
        UsageError: A text is no requirement.
    """
    failures = check_requirements(figures, texts)
    if not failures:
        return
    count = f"{len(failures)} of {len(texts)} requirements" if len(texts) > 1 else "the requirement"
    lines = [f"{count} fell short", *(f"  {failure.text}: {failure.found}" for failure in failures)]
    is_unknown = any("unknown" in failure.found for failure in failures)
    hint = "an unknown figure meets no requirement" if is_unknown else ""
    raise CheckFailed("\n".join(lines), place=place, hint=hint)


def _found(requirement: Requirement, figures: Values) -> str:
    """What stood in place of what was asked for."""
    return ", ".join(
        f"{name} is {'unknown' if (value := _known(figures.get(name))) is None else format(value, '.10g')}"
        + (f" ({NAMES[name].formula})" if value is None else "")
        for name in requirement.names
    )


class _Reader:
    """Reads sums from the left; one token of look-ahead, depth bounded."""

    def __init__(self, text: str, vocabulary: Mapping[str, str] | None) -> None:
        self.names: list[str] = []
        self._vocabulary = vocabulary
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def take(self, kind: str = "") -> str:
        """The next token, passing it; empty at the end or where it is of another kind."""
        if self._next == len(self._tokens) or (kind and self._tokens[self._next][0] != kind):
            return ""
        self._next += 1
        return self._tokens[self._next - 1][1]

    def sum(self) -> _Sum:
        """Products, added and subtracted."""
        return self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._factor))

    def _chain(self, marks: tuple[str, ...], part: Callable[[], _Sum]) -> _Sum:
        value = part()
        while self._peek() in marks:
            value = _combined(value, _ARITHMETIC[self.take()], part())
        return value

    def _peek(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _factor(self) -> _Sum:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _not_understood(self._text, f"it is nested deeper than {DEPTH_MAX}")
        try:
            if name := self.take("name"):
                return self._figure(name)
            if number := self.take("number"):
                value = float(number)
                if not math.isfinite(value):
                    raise _not_understood(self._text, f"`{number}` is too large")
                return lambda _: value
            return self._marked()
        finally:
            self._depth -= 1

    def _marked(self) -> _Sum:
        """What begins with a minus or a parenthesis."""
        mark = self.take()
        if mark == "-":
            inner = self._factor()
            return lambda figures: None if (value := inner(figures)) is None else -value
        if mark != "(":
            raise _not_understood(self._text, f"a figure or a number should stand {_where(mark)}")
        value = self.sum()
        if (closing := self.take()) != ")":
            raise _not_understood(self._text, f"a `)` should stand {_where(closing)}")
        return value

    def _figure(self, name: str) -> _Sum:
        if self._vocabulary is not None and name not in self._vocabulary:
            raise _unknown_word(name, self._text, self._vocabulary)
        if self._vocabulary is None and name not in NAMES:
            raise _unknown_figure(name, self._text)
        self.names.append(name)
        return lambda figures: _known(figures.get(name))


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            if rest.startswith("="):
                raise _not_understood(text, "a single `=` compares nothing; write `==`, `>=` or `<=`")
            if rest.startswith("%"):
                raise _not_understood(text, "percents are written without a sign; 55 is fifty-five percent")
            raise _not_understood(text, f"`{rest[0]}` means nothing here")
        tokens.append((match.lastgroup or "", match.group(match.lastgroup or 0)))
        place = match.end()
    return tokens


def _combined(left: _Sum, arithmetic: Callable[[float, float], float], right: _Sum) -> _Sum:
    def value(figures: Values) -> float | None:
        first, second = left(figures), right(figures)
        if first is None or second is None or (arithmetic is operator.truediv and second == 0):
            return None
        result = arithmetic(first, second)
        return result if math.isfinite(result) else None

    return value


def _known(value: float | None) -> float | None:
    """The value, unknown where it is not finite: NaN would meet every `!=`."""
    return value if value is not None and math.isfinite(value) else None


def _where(token: str) -> str:
    return f"where `{token}` stands" if token else "at its end"


def _not_understood(text: str, why: str) -> UsageError:
    return UsageError(f"`--require {text!r}` is not understood: {why}", place="`--require`", hint=_EXAMPLE)


def _unknown_word(name: str, text: str, vocabulary: Mapping[str, str]) -> UsageError:
    near = difflib.get_close_matches(name.lower(), vocabulary, n=1, cutoff=0.5)
    hint = f"the nearest is `{near[0]}`: {vocabulary[near[0]]}" if near else f"figures are {', '.join(vocabulary)}"
    return UsageError(f"no figure is named `{name}`", place=f"`{text}`", hint=hint)


def _unknown_figure(name: str, text: str) -> UsageError:
    known = NAMES if name.lower().endswith(("_low", "_high")) else FIGURES
    near = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.5)
    if near:
        hint = f"the nearest is `{near[0]}`: {NAMES[near[0]].formula}"
        hint += f", or `{near[1]}`" if len(near) > 1 else ""
        hint += f"; {_LIST}"
    else:
        hint = f"figures are {', '.join(FIGURES)}; {_LIST}"
    return UsageError(f"no figure is named `{name}`", place=f"`--require {text!r}`", hint=hint)
