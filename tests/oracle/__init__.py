"""An independent recomputation of the definitions, for tests; shares no code with the engine."""
