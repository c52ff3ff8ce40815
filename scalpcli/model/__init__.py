"""Plain values: rows, instruments, sessions, conditions, parameters, orders, decisions, fees."""
