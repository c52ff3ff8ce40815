"""Reads journals and tapes only; never drives the engine."""
