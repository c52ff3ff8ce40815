"""Drives the engine: tape, journal, runner, simulated broker, kernel compilation, the wall clock."""
