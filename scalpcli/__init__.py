"""scalpcli: record, replay and trade momentum scalps in options that expire today.

The parts of the engine can be imported from here. They are loaded when they are first named, so that the
command line starts without NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from scalpcli.core.executor import AutoExecutor
    from scalpcli.core.exits import ScalpExitManager
    from scalpcli.core.signals import ScalpSignal, ScalpSignalGenerator
    from scalpcli.core.technical import TechnicalScalper
    from scalpcli.core.velocity_tracker import PriceVelocity, PriceVelocityTracker, SpikeSignal
    from scalpcli.core.volume_analyzer import SweepSignal, VolumeAnalyzer
    from scalpcli.model.params import ScalpConfig

__version__ = "0.1.0"

__all__ = [
    "AutoExecutor",
    "PriceVelocity",
    "PriceVelocityTracker",
    "ScalpConfig",
    "ScalpExitManager",
    "ScalpSignal",
    "ScalpSignalGenerator",
    "SpikeSignal",
    "SweepSignal",
    "TechnicalScalper",
    "VolumeAnalyzer",
    "__version__",
]

_HOMES: Final = {
    "AutoExecutor": "scalpcli.core.executor",
    "PriceVelocity": "scalpcli.core.velocity_tracker",
    "PriceVelocityTracker": "scalpcli.core.velocity_tracker",
    "ScalpConfig": "scalpcli.model.params",
    "ScalpExitManager": "scalpcli.core.exits",
    "ScalpSignal": "scalpcli.core.signals",
    "ScalpSignalGenerator": "scalpcli.core.signals",
    "SpikeSignal": "scalpcli.core.velocity_tracker",
    "SweepSignal": "scalpcli.core.volume_analyzer",
    "TechnicalScalper": "scalpcli.core.technical",
    "VolumeAnalyzer": "scalpcli.core.volume_analyzer",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The part of that name, loaded when it is first asked for."""
        if name not in _HOMES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
