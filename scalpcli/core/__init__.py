"""The engine: pure functions and state over rows; no I/O, no clock, no randomness, no logging."""
