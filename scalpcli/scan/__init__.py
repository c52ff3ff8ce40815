"""Ranks a chain at one instant with every gate's verdict: the rows of `scan-options`."""
