"""What holds in every file of the product, each rule with what to write instead."""

from __future__ import annotations

import ast
import dataclasses
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import scalpcli
from scalpcli.model.params import Params

PACKAGE = Path(scalpcli.__file__).resolve().parent
LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
ENGINE = [name for name in FILES if name.startswith(("core/", "model/"))]
CLOCK = "runtime/clock.py"


@cache
def tree(name: str) -> ast.Module:
    """A file of the product, parsed."""
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def imports_of(name: str) -> set[str]:
    """Modules a file imports anywhere, in full: `from a import b` gives `a` and `a.b`."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively; write the full name"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def heads(modules: set[str]) -> set[str]:
    """First parts of module names."""
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("name", FILES)
def test_files_stay_short(name):
    """A newcomer finds any behaviour in 30 seconds: split by what the parts decide."""
    lines = (PACKAGE / name).read_text(encoding="utf-8").count("\n")

    assert lines < LINES_MAX


def functions_of(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file, inner ones too."""
    return (node for node in ast.walk(tree(name)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function after its docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("name", FILES)
def test_functions_fit_a_screen(name):
    """Branches in the caller, arithmetic in helpers that return values; docstring and parameters are not counted."""
    too_long = {
        function.name: length
        for function in functions_of(name)
        if (length := body_lines(function)) > FUNCTION_LINES_MAX
    }

    assert too_long == {}


@pytest.mark.parametrize("name", FILES)
def test_everything_public_says_what_it_is_for(name):
    """Modules, classes, functions and public methods; those of the private ones are read by whoever changes them."""
    bare = [] if ast.get_docstring(tree(name)) else ["the module"]
    bare += [node.name for node in public_definitions(tree(name)) if not ast.get_docstring(node)]

    assert bare == []


def public_definitions(
    node: ast.Module | ast.ClassDef,
) -> Iterator[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """Public classes and functions at the top, and public methods of public classes."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child)


FORBIDDEN_IN_THE_ENGINE = {
    # Disk, network, processes, threads.
    "asyncio", "concurrent", "ftplib", "http", "httpx", "io", "mmap", "multiprocessing", "os", "pathlib", "pickle",
    "queue", "requests", "select", "shelve", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile",
    "threading", "urllib",
    # Clock, chance, logs, the compiler, tables, settings, terminals, vendors.
    "time", "random", "secrets", "uuid", "logging", "warnings", "numba", "llvmlite", "polars", "pandas", "pyarrow",
    "pydantic", "pydantic_settings", "rich", "typer", "alpaca", "websockets",
}  # fmt: skip


@pytest.mark.parametrize("name", ENGINE)
def test_the_engine_imports_nothing_that_touches_the_world(name):
    """What it decides is a function of rows, settings and mode; whoever drives it reads and writes."""
    assert heads(imports_of(name)) & FORBIDDEN_IN_THE_ENGINE == set()


@pytest.mark.parametrize("name", ENGINE)
def test_the_engine_opens_prints_and_draws_nothing(name):
    """Built-ins need no import: `open`, `print`, `input` and NumPy's random numbers."""
    called = {ast.unparse(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)}

    assert called & {"open", "print", "input", "exec", "eval", "__import__"} == set()
    assert [call for call in called if ".random." in call or call.startswith("random.")] == []


WALL_CLOCK = ("now", "utcnow", "today")


@pytest.mark.parametrize("name", [name for name in FILES if name != CLOCK])
def test_the_wall_clock_is_read_in_one_place(name):
    """Write `clock.utc_now()` or `clock.seconds()`; time in the engine is the row's."""
    reads = [
        ast.unparse(node.func)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WALL_CLOCK
    ]

    assert reads == []
    assert "time" not in heads(imports_of(name))


def test_the_clock_reads_the_clock():
    """Else the rule above would hold because nobody can tell the time."""
    assert "time" in heads(imports_of(CLOCK))
    assert any(isinstance(node, ast.Attribute) and node.attr == "now" for node in ast.walk(tree(CLOCK)))


OUR_LAYERS = {
    "cli": 5, "exchange": 4, "optimize": 4, "report": 4, "scan": 4, "runtime": 3, "adapters": 3, "core": 2, "model": 1,
    "units": 0, "errors": 0,
}  # fmt: skip


def layer_of(module: str) -> str:
    """The layer of `scalpcli.x.y`."""
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("name", [name for name in FILES if name.partition("/")[0].removesuffix(".py") in OUR_LAYERS])
def test_imports_go_down(name):
    """Never upwards, never sideways between two parts of one level; settings are read by the command line alone."""
    own = name.partition("/")[0].removesuffix(".py")

    others = {
        layer_of(module) for module in imports_of(name) if module.startswith("scalpcli.") and layer_of(module) != own
    }

    wrong = {other for other in others if OUR_LAYERS.get(other, -1) >= OUR_LAYERS[own]}
    settings = {other for other in others if other.startswith("config")}
    assert wrong == set()
    assert settings == set() or own == "cli"


ALLOWED = {
    "typer": ("cli/",),
    "rich": ("cli/",),
    "textual": ("cli/",),
    "pydantic": ("config",),
    "pydantic_settings": ("config",),
    "numba": ("runtime/compiler.py",),
    "llvmlite": ("runtime/compiler.py",),
    "polars": ("runtime/", "adapters/", "report/", "scan/", "cli/"),
    "alpaca": ("adapters/",),
    "apprise": ("adapters/",),
    "httpx": ("adapters/",),
    "h11": ("adapters/lean_http.py",),
    "requests": ("adapters/alpaca_session.py",),
    "msgspec": ("adapters/",),
    "msgpack": ("exchange/",),
    "starlette": ("exchange/",),
    "uvicorn": ("exchange/",),
    "websockets": ("adapters/", "exchange/"),
    "filelock": ("runtime/",),
    "optuna": ("optimize/proposals.py",),
    "distributed": ("optimize/work.py",),
    "fsspec": ("runtime/remote_tape.py",),
    "zstandard": ("runtime/",),
}
"""Module -> beginnings of the files that may import it."""
NEVER = {"pandas", "pyarrow", "scipy"}
"""What nothing may import: it is not among the dependencies."""


@pytest.mark.parametrize("name", FILES)
def test_libraries_stay_where_they_belong(name):
    """One part knows each library, so that it can be replaced."""
    imported = heads(imports_of(name))

    assert [module for module in imported if module in ALLOWED and not name.startswith(ALLOWED[module])] == []
    assert imported & NEVER == set()
    known = {"scalpcli", "numpy", "tomli_w", "tzdata", *ALLOWED, *sys.stdlib_module_names}
    assert imported - known == set()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("cli/")])
def test_commands_import_nothing_heavy_before_they_run(name):
    """`--help` answers at once: heavy imports live inside commands.

    Files that only commands import, like `cli/output.py`, may import what they need themselves.
    """
    at_top = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in tree(name).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert heads(at_top) & {"numpy", "polars", "numba", "pydantic", "pydantic_settings"} == set()


# --- settings --------------------------------------------------------------------------------------------

SETTINGS = [
    (section.name, field.name)
    for section in dataclasses.fields(Params)
    for field in dataclasses.fields(section.default_factory)
]
READERS = [name for name in FILES if not name.endswith("params.py") and not name.startswith("config")]


@cache
def attributes_read() -> frozenset[tuple[str, str]]:
    """Every `owner.name` that the product reads outside the settings' own files; `a.b.c` gives `(b, c)`."""
    found = set()
    for name in READERS:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = node.value
                last = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                found.add((last, node.attr))
    return frozenset(found)


OWNERS = {
    "scalp": {"scalp"},
    "gates": {"gates", "_gates"},
    "selection": {"selection"},
    "exits": {"exits", "_exits"},
    "risk": {"risk", "_risk"},
    # Whoever works with one section alone is handed it as its parameters.
    "simulated_broker": {"simulated_broker", "params"},
    "fees": {"fees"},
    "tape": {"params", "_params"},
    "replay": {"replay"},
    "alpaca": {"alpaca", "params", "_params"},
    "record": {"record", "params", "_params"},
    "live": {"live", "params", "_params"},
}
"""Section -> what a value of it is called where it is read."""
OPENED_BY_CONFIG = {("gates", "blackout_file")}
"""A file that the settings themselves read; its content reaches the engine."""


@pytest.mark.parametrize(("section", "name"), sorted(set(SETTINGS) - OPENED_BY_CONFIG), ids=lambda part: part)
def test_every_setting_is_read_somewhere(section, name):
    """A setting that changes nothing is a promise that is not kept; read it, or take it away."""
    assert any((owner, name) in attributes_read() for owner in OWNERS[section])
