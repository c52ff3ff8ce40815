"""scalpcli: record, replay and trade momentum scalps in options that expire today."""

__version__ = "0.1.0"
