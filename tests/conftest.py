"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of recorded market data and reference values; tests that need it skip where it is missing."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("SCALPCLI_SHARED", root.parent / "shared"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"no reference data: set SCALPCLI_SHARED (looked in {folder})")
    return folder
