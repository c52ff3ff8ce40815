"""What `import scalpcli` offers, and what it costs."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import scalpcli

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "by_hand.py"
PARTS = [
    "AutoExecutor", "PriceVelocity", "PriceVelocityTracker", "ScalpConfig", "ScalpExitManager", "ScalpSignal",
    "ScalpSignalGenerator", "SpikeSignal", "SweepSignal", "TechnicalScalper", "VolumeAnalyzer",
]  # fmt: skip


def test_every_part_of_the_original_design_can_be_imported():
    """The names stand in `__all__`, beside the version."""
    names = sorted(scalpcli.__all__)

    assert names == sorted([*PARTS, "__version__"])


@pytest.mark.parametrize("name", PARTS)
def test_a_name_is_the_class_itself(name):
    """Imported from the package or from its own module, it is the same class."""
    found = getattr(scalpcli, name)

    home = importlib.import_module(found.__module__)
    assert inspect.isclass(found)
    assert getattr(home, name) is found
    assert name in dir(scalpcli)


def test_an_unknown_name_is_an_attribute_error():
    """As for any other module, so that `hasattr` and typing errors show."""
    with pytest.raises(AttributeError, match="module 'scalpcli' has no attribute 'PriceVelocityTraker'"):
        scalpcli.PriceVelocityTraker  # noqa: B018 - reading it is the test


def test_importing_the_package_loads_nothing_heavy():
    """Parts are loaded when they are first named: `scalpcli --help` imports the package too."""
    words = "import scalpcli, sys; print(sorted(m for m in sys.modules if m.split('.')[0] in ('numpy', 'scalpcli')))"

    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)

    assert done.stdout == "['scalpcli']\n"


def test_the_example_says_what_it_said():
    """Feeding the parts by hand gives these numbers, each of which can be checked against the prices it feeds."""
    done = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        "825 s: 400.25 USD, +0.0125 % in 5 s, unknown in 30 s",
        "850 s: 401.60 USD, +0.1996 % in 5 s, +0.3498 % in 30 s",
        "860 s: 403.20 USD, +0.1988 % in 5 s, +0.7245 % in 30 s",
        "spike: +0.8000 % in 30 s, +0.02667 % a second",
        "TSLA261120C00405000: 2.400 times its usual volume",
        "sweep: buy 140 contracts from 1.55 to 1.60",
        "847 s: breakout call at 401.12, +0.2374 % on 2.33 times the usual volume",
        "855 s: momentum_burst call at 402.40, +0.5372 % on 3.67 times the usual volume",
        "VWAP 400.5714, bands 399.6979 to 401.4448",
        "session 400.00 to 403.20",
        "support [400.0], resistance [400.585]",
    ]
