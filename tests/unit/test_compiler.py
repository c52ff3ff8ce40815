"""The compiled kernel: kept, reused without its compiler, and never trusted when damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scalpcli.runtime import compiler

LOAD = """
import sys
from scalpcli.runtime.compiler import load_kernel
said = []
load_kernel(said.append)
print(len(said), "numba" in sys.modules)
"""


def load_in_new_process(cache: Path) -> tuple[bool, bool]:
    """Whether a fresh process had to compile, and whether it imported the compiler."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        env={"SCALPCLI_CACHE_DIR": str(cache), "PATH": "", "HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    said, imported = done.stdout.split()
    return said != "0", imported == "True"


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder after the first process."""
    cache = tmp_path_factory.mktemp("cache")
    assert load_in_new_process(cache) == (True, True)
    return cache


def test_a_second_process_loads_without_the_compiler(warm):
    """Importing numba costs 0.4 s and 40 MB, which only the first process on a machine pays."""
    assert load_in_new_process(warm) == (False, False)


def test_a_damaged_cache_is_compiled_anew(warm):
    """Machine code that is not what was written is never run."""
    (path,) = (warm / "kernels").glob("*.kernel")
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))

    compiled, _ = load_in_new_process(warm)

    assert compiled
    assert path.read_bytes() == good


def test_only_helpers_of_the_compilers_run_time_are_left_open(warm):
    """The kernel neither raises nor allocates: what it cannot reach are numba's and NRT's helpers alone."""
    (path,) = (warm / "kernels").glob("*.kernel")

    facts, _ = compiler._read(path)

    assert set(facts["symbols"]) == set(compiler.ENTRIES)
    assert all(name.startswith(("NRT_", "numba_")) for name in facts["unreachable"])


def test_the_digest_follows_every_source(monkeypatch, tmp_path):
    """A changed helper in any kernel file names another cache file."""
    before = compiler.kernel_digest()
    copy = tmp_path / "vwap.py"
    copy.write_bytes(Path(compiler.vwap.__file__).read_bytes() + b"# changed\n")

    monkeypatch.setattr(compiler.vwap, "__file__", str(copy))

    assert compiler.kernel_digest() != before
