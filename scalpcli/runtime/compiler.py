"""Compiles the kernel once per machine and version, and loads it without the compiler afterwards.

numba turns the plain functions of `core` into machine code with a C interface. The object file is kept
in a folder named by a digest of the kernel's sources, the compiler and the processor; later processes
load it through llvmlite alone, which saves importing numba (0.4 s and 40 MB, measured) and makes a call
cost under 1 microsecond instead of 2 to 14. numba's own `cache=True` goes stale when a helper in another
file changes and needs numba at every start.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.metadata
import inspect
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from scalpcli import units
from scalpcli.core import book, greeks, kernel, layout, levels, triggers, velocity, volume, vwap
from scalpcli.core.layout import STATE_ARRAYS, State
from scalpcli.core.market_state import BoundAdvance
from scalpcli.model import params, row
from scalpcli.model.row import COLUMNS, ENGINE_COLUMNS, RowBatch

KERNEL_MODULES: Final[tuple[ModuleType, ...]] = (
    row, layout, book, velocity, vwap, volume, levels, triggers, greeks, kernel,
)  # fmt: skip
"""Modules whose functions are compiled."""
NAMING_MODULES: Final[tuple[ModuleType, ...]] = (*KERNEL_MODULES, params, units)
"""Modules whose sources name the stored kernel: those compiled, and those whose constants are compiled in."""

_UNREACHABLE: Final = re.compile(rb"\b(?:NRT|numba)_[A-Za-z_]+")
"""numba's run-time helpers: error paths that the kernel cannot reach, since it neither raises nor allocates."""


class Entry(NamedTuple):
    """One function Python may call in machine code.

    `call` is the expression the entry returns; in it `a0, a1, ...` are the arrays and `x0, x1, ...` the
    numbers. Arrays cross as a table of addresses and lengths, so that a call has few arguments.
    """

    function: Callable[..., Any]
    arrays: tuple[np.dtype[Any], ...]
    numbers: int
    number_type: str
    result_type: str
    call: str


def _names(prefix: str, first: int, count: int) -> str:
    return ", ".join(f"{prefix}{index}" for index in range(first, first + count))


_NOTHING: Final = np.zeros(0)
_FLOATS: Final = np.dtype(np.float64)
_BATCH_ARRAYS: Final = tuple(COLUMNS[name] for name in ENGINE_COLUMNS)
ENTRIES: Final = {
    "advance": Entry(
        kernel.advance,
        (*STATE_ARRAYS, *_BATCH_ARRAYS),
        3,
        "int64",
        "int64",
        f"function(State({_names('a', 0, len(STATE_ARRAYS))}), "
        f"RowBatch({_names('a', len(STATE_ARRAYS), len(_BATCH_ARRAYS))}), x0, x1, x2)",
    ),
    "chain_greeks": Entry(
        greeks.chain_greeks,
        (_FLOATS, _FLOATS, _FLOATS, np.dtype(np.int8), *([_FLOATS] * 6)),
        4,
        "float64",
        "float64",
        f"function(a0, a1, a2, a3, x0, x1, x2, int(x3), {_names('a', 4, 6)})",
    ),
}
_C_TYPES: Final[dict[str, Any]] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}


def cache_folder() -> Path | None:
    """Where compiled kernels are kept: `SCALPCLI_CACHE_DIR`, else the user's cache folder; `None` without a home."""
    chosen = os.environ.get("SCALPCLI_CACHE_DIR")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scalpcli"
    except RuntimeError:
        # A container may run us as a user that nobody registered.
        return None


def kernel_digest() -> str:
    """Names what the machine code depends on: sources, compiler, processor."""
    digest = hashlib.sha256()
    sources = [Path(str(module.__file__)) for module in NAMING_MODULES]
    for source in (*sources, Path(__file__)):
        digest.update(source.read_bytes())
    versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite", "numpy")]
    processor = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten(), llvm.get_default_triple()]
    digest.update("\n".join([*versions, *processor]).encode())
    return digest.hexdigest()[:32]


class CompiledKernel:
    """The hot functions as machine code.

    Args:
        addresses: Function name -> address in this process.
        keep: Whatever must live as long as the code does.
    """

    def __init__(self, addresses: dict[str, int], keep: object) -> None:
        self._keep = keep
        self._calls = {
            name: ctypes.CFUNCTYPE(
                _C_TYPES[entry.result_type], ctypes.c_void_p, *([_C_TYPES[entry.number_type]] * entry.numbers)
            )(addresses[name])
            for name, entry in ENTRIES.items()
        }

    def bind(self, state: State) -> BoundAdvance:
        """`kernel.advance` over this state."""
        call = self._calls["advance"]
        table = _address_table((*state, *([_NOTHING] * len(_BATCH_ARRAYS))))
        first = 2 * len(state)
        address = _address(table)
        handed_in: list[RowBatch | None] = [None]

        def bound(batch: RowBatch, start: int, until_ns: int, known_ns: int) -> int:
            # The arrays must outlive the addresses in the table; the closure holds them.
            if batch is not handed_in[0] and state is not None:
                table[first::2] = [_address(column) for column in batch]
                table[first + 1 :: 2] = len(batch.ts_recv_ns)
                handed_in[0] = batch
            following: int = call(address, start, until_ns, known_ns)
            return following

        return bound

    def chain_greeks(
        self,
        bid: NDArray[np.float64],
        ask: NDArray[np.float64],
        strike: NDArray[np.float64],
        is_call: NDArray[np.int8],
        years: float,
        spot: float,
        rate: float,
        strikes_for_forward: int,
        *scratch_and_outputs: NDArray[np.float64],
    ) -> float:
        """`greeks.chain_greeks`."""
        table = _address_table((bid, ask, strike, is_call, *scratch_and_outputs))
        forward: float = self._calls["chain_greeks"](_address(table), years, spot, rate, strikes_for_forward)
        return forward


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _address_table(arrays: tuple[Any, ...]) -> NDArray[np.int64]:
    return np.array([entry for array in arrays for entry in (_address(array), len(array))], np.int64)


def load_kernel(say: Callable[[str], None] = lambda _: None) -> CompiledKernel:
    """The compiled kernel, from the cache where it is there.

    Args:
        say: Told that compiling begins, once per machine and version.
    """
    folder = cache_folder()
    path = folder / "kernels" / f"{kernel_digest()}.kernel" if folder else None
    stored = _read(path) if path else None
    if stored is None:
        say("compiling the engine, once per version and machine (under 20 s)")
        stored = compile_kernel()
        if path:
            _write(path, *stored)
    return _link(*stored)


def _read(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Facts and code of a stored kernel; `None` where there is none, or a damaged one, which would crash us."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if digest.decode(errors="replace") != hashlib.sha256(content).hexdigest():
        return None
    head, _, code = content.partition(b"\n")
    facts: dict[str, Any] = json.loads(head)
    return facts, code


def _write(path: Path, facts: dict[str, Any], code: bytes) -> None:
    """Store atomically; a folder that cannot be written only costs the next process a compilation."""
    content = json.dumps(facts).encode() + b"\n" + code
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        Path(temporary).replace(path)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def _link(facts: dict[str, Any], code: bytes) -> CompiledKernel:
    """Make the machine code callable in this process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
    for symbol in facts["unreachable"]:
        if llvm.address_of_symbol(symbol) is None:
            llvm.add_symbol(symbol, abort)
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True, codemodel="jitdefault")
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for start, end in facts["objects"]:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code[start:end]))
    engine.finalize_object()
    addresses = {name: engine.get_function_address(symbol) for name, symbol in facts["symbols"].items()}
    return CompiledKernel(addresses, (engine, machine))


def compile_kernel() -> tuple[dict[str, Any], bytes]:
    """Compile every entry.

    Returns:
        Facts about the code (where each entry's object and symbol are, what it leaves open), and the code.
    """
    import numba
    from numba.core import cgutils, types
    from numba.extending import intrinsic, register_jitable

    def typed_pointer(_context: Any, _address: Any) -> Any:
        def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(types.int64), generate

    pointer: Any = intrinsic(typed_pointer)

    for module in KERNEL_MODULES:
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                register_jitable(error_model="numpy", forceinline=True, _nrt=False)(function)
    code = b""
    objects, symbols = [], {}
    for name, entry in ENTRIES.items():
        kinds = {f"t{index}": kind for index, kind in enumerate(entry.arrays)}
        scope = {
            "function": entry.function, "State": State, "RowBatch": RowBatch,
            "carray": numba.carray, "pointer": pointer, **kinds,
        }  # fmt: skip
        exec(_entry_source(entry), scope)  # noqa: S102 - the text is built above, from this file's table alone
        number = getattr(types, entry.number_type)
        table: Any = types.CPointer(types.int64)
        signature = getattr(types, entry.result_type)(table, *([number] * entry.numbers))
        compiled: Any = numba.cfunc(signature, error_model="numpy")(scope["entry"])
        machine_code = compiled._library._get_compiled_object()  # noqa: SLF001 - numba offers no public way
        symbols[name] = compiled._wrapper_name  # noqa: SLF001 - as above
        objects.append((len(code), len(code) + len(machine_code)))
        code += machine_code
    unreachable = sorted({symbol.decode() for symbol in _UNREACHABLE.findall(code)})
    facts = {
        "objects": objects,
        "symbols": symbols,
        "unreachable": unreachable,
    }
    return facts, code


def _entry_source(entry: Entry) -> str:
    """Text of the function that turns a table of addresses into arrays and calls `entry.function`."""
    lines = [f"def entry(table, {_names('x', 0, entry.numbers)}):"]
    lines.append(f"    t = carray(table, {2 * len(entry.arrays)})")
    lines += [
        f"    a{index} = carray(pointer(t[{2 * index}]), t[{2 * index + 1}], t{index})"
        for index in range(len(entry.arrays))
    ]
    return "\n".join([*lines, f"    return {entry.call}"])
