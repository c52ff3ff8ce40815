"""The compiled kernel: kept, reused without its compiler, and never trusted when damaged."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scalpcli
from scalpcli.core.market_state import InterpretedKernel
from scalpcli.runtime import compiler

SOURCE = Path(scalpcli.__file__).resolve().parents[1]
LOAD = """
import sys
from scalpcli.runtime.compiler import load_kernel
said = []
load_kernel(said.append)
print(len(said), "numba" in sys.modules)
"""


def run(code: str, cache: Path) -> subprocess.Popen[str]:
    """A fresh process with a cache folder of its own and nothing else of ours."""
    environ = {"SCALPCLI_CACHE_DIR": str(cache), "PATH": "", "HOME": str(cache), "PYTHONPATH": str(SOURCE)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def load_in_new_process(cache: Path) -> tuple[bool, bool]:
    """Whether a fresh process had to compile, and whether it imported the compiler."""
    process = run(LOAD, cache)
    out, err = process.communicate()
    assert process.returncode == 0, err
    said, imported = out.split()
    return said != "0", imported == "True"


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder after the first process."""
    cache = tmp_path_factory.mktemp("cache")
    assert load_in_new_process(cache) == (True, True)
    return cache


@pytest.fixture(scope="module")
def good(warm):
    """The kernel that the first process stored."""
    (path,) = (warm / "kernels").glob("*.kernel")
    return path


@pytest.fixture
def compilations(monkeypatch, good, tmp_path):
    """How often this process compiles into `tmp_path / "cache"`; what it would compile is stored already."""
    stored = compiler._read(good)
    made: list[str] = []

    def compile_kernel():
        made.append("compiled")
        return stored

    monkeypatch.setattr(compiler, "compile_kernel", compile_kernel)
    monkeypatch.setenv("SCALPCLI_CACHE_DIR", str(tmp_path / "cache"))
    return made


def kernels(cache: Path) -> list[Path]:
    """Everything in a cache folder's kernels."""
    return sorted((cache / "kernels").iterdir())


def test_a_second_process_loads_without_the_compiler(warm):
    """Importing numba costs 0.4 s and 40 MB, which only the first process on a machine pays."""
    assert load_in_new_process(warm) == (False, False)


def test_what_is_stored_is_one_file_named_by_its_digest(warm, good):
    """No temporary file stays, and only its owner may put code there."""
    assert kernels(warm) == [good]
    assert good.name == f"{compiler.kernel_digest()}.kernel"
    assert good.parent.stat().st_mode & 0o077 == 0


def flipped(data: bytes, at: int) -> bytes:
    """The data with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGES = {
    "last byte of the code": lambda data: flipped(data, len(data) - 1),
    "a byte of the facts": lambda data: flipped(data, 100),
    "the digest": lambda data: flipped(data, 0),
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda _data: b"",
    "no text": lambda _data: b"\xff\xfe\n\x00",
    "JSON, but no kernel": lambda _data: b"[]\n",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_cache_is_compiled_anew(compilations, good, tmp_path, damage):
    """Machine code that is not what was written is never run, and is replaced by what was."""
    folder = tmp_path / "cache" / "kernels"
    folder.mkdir(parents=True)
    (folder / good.name).write_bytes(damage(good.read_bytes()))
    said = []

    compiler.load_kernel(said.append)

    assert compilations == ["compiled"]
    assert said == ["compiling the engine, once per version and machine (under 20 s)"]
    assert kernels(tmp_path / "cache") == [folder / good.name]
    assert (folder / good.name).read_bytes() == good.read_bytes()


def test_a_sound_cache_is_used_without_a_word(compilations, good, tmp_path):
    """The second command of the day says nothing about compiling."""
    folder = tmp_path / "cache" / "kernels"
    folder.mkdir(parents=True)
    (folder / good.name).write_bytes(good.read_bytes())
    said = []

    compiler.load_kernel(said.append)

    assert compilations == said == []


def test_a_cache_that_cannot_be_written_costs_only_time(compilations, monkeypatch, tmp_path):
    """A folder below a file can be neither made nor read, by nobody."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SCALPCLI_CACHE_DIR", str(tmp_path / "file" / "cache"))

    first, second = compiler.load_kernel(), compiler.load_kernel()

    assert compilations == ["compiled", "compiled"]
    assert first is not second
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_a_name_that_is_taken_leaves_no_temporary_file(compilations, good, tmp_path):
    """The rename fails when a folder has the kernel's name; what was written is taken away again."""
    taken = tmp_path / "cache" / "kernels" / good.name
    taken.mkdir(parents=True)
    (taken / "something").write_text("")

    compiler.load_kernel()

    assert compilations == ["compiled"]
    assert kernels(tmp_path / "cache") == [taken]


def test_without_a_home_nothing_is_kept(compilations, monkeypatch):
    """A container may run as a user that nobody registered."""

    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("SCALPCLI_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    compiler.load_kernel()

    assert compiler.cache_folder() is None
    assert compilations == ["compiled"]


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"SCALPCLI_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/scalpcli"),
        ({"HOME": "/c"}, "/c/.cache/scalpcli"),
    ],
)
def test_the_cache_lies_where_users_expect_it(monkeypatch, environ, folder):
    """Our own variable, then the desktop's, then the home."""
    for name in ("SCALPCLI_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert compiler.cache_folder() == Path(folder)


WRITE_MANY = """
from pathlib import Path
from scalpcli.runtime import compiler
stored = compiler._read(Path(good))
for _ in range(40):
    compiler._write(Path(path), *stored)
    # Nobody ever meets a kernel that is half written by the other.
    assert compiler._read(Path(path)) is not None
"""


def test_processes_that_compile_at_once_do_not_break_each_other(good, tmp_path):
    """Each writes a file of its own and renames it; whoever is last wins, and readers see a whole one."""
    path = tmp_path / "kernels" / "one.kernel"
    code = f"good, path = {str(good)!r}, {str(path)!r}\n{WRITE_MANY}"

    both = [run(code, tmp_path) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]

    assert [process.returncode for process in both] == [0, 0], errors
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == good.read_bytes()


def test_only_helpers_of_the_compilers_run_time_are_left_open(good):
    """The kernel neither raises nor allocates: what it cannot reach are numba's and NRT's helpers alone."""
    facts, code = compiler._read(good)

    assert set(facts["symbols"]) == set(compiler.ENTRIES)
    assert facts["objects"][-1][1] == len(code)
    assert facts["unreachable"]
    assert [name for name in facts["unreachable"] if not name.startswith(("NRT_", "numba_"))] == []


@pytest.mark.parametrize("module", compiler.NAMING_MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_digest_follows_every_source(monkeypatch, tmp_path, module):
    """A changed helper or constant in any file names another cache file."""
    before = compiler.kernel_digest()
    copy = tmp_path / "changed.py"
    copy.write_bytes(Path(module.__file__).read_bytes() + b"# changed\n")

    monkeypatch.setattr(module, "__file__", str(copy))

    assert compiler.kernel_digest() != before


@pytest.mark.parametrize("package", ["numba", "llvmlite", "numpy"])
def test_the_digest_follows_the_compilers_version(monkeypatch, package):
    """A newer compiler makes other code."""
    before = compiler.kernel_digest()
    version = compiler.importlib.metadata.version

    monkeypatch.setattr(compiler.importlib.metadata, "version", lambda name: "99" if name == package else version(name))

    assert compiler.kernel_digest() != before


def test_the_digest_follows_the_processor(monkeypatch):
    """A home folder may be shared by machines of different kinds."""
    before = compiler.kernel_digest()

    monkeypatch.setattr(compiler.llvm, "get_host_cpu_name", lambda: "i486")

    assert compiler.kernel_digest() != before


@pytest.mark.parametrize("module", compiler.KERNEL_MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_whatever_the_kernel_imports_of_ours_is_in_the_digest(module):
    """A function or a constant of another file would go stale in the cache, and sizes of arrays with it."""
    named = {each.__name__ for each in compiler.NAMING_MODULES}

    statements = ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
    imported = {str(each.module) for each in statements if isinstance(each, ast.ImportFrom)}

    assert {name for name in imported if name.startswith("scalpcli")} - named == set()


def test_the_chain_is_priced_alike_compiled_and_interpreted(warm, monkeypatch):
    """Law 2 for the second entry; the first is held against its source by replays."""
    monkeypatch.setenv("SCALPCLI_CACHE_DIR", str(warm))
    rng = np.random.default_rng(5)
    strike = np.repeat(np.arange(380.0, 420.0, 2.5), 2)
    is_call = np.tile(np.array([1, 0], np.int8), len(strike) // 2)
    worth = np.maximum(0.0, np.where(is_call == 1, 401.3 - strike, strike - 401.3))
    bid = np.round(worth + rng.uniform(0.05, 3.0, len(strike)), 2)
    ask = bid + 0.05
    results = []

    for kernel in (compiler.load_kernel(), InterpretedKernel()):
        outputs = [np.zeros(len(strike)) for _ in range(6)]
        forward = kernel.chain_greeks(bid, ask, strike, is_call, 0.0007, 401.3, 0.04, 3, *outputs)
        results.append([np.float64(forward).tobytes(), *(each.tobytes() for each in outputs)])

    assert results[0] == results[1]
    assert len(set(results[0])) > 4
