"""`python -m tests.simulation.world`: run schedules, or tell one."""

from __future__ import annotations

import sys

from tests.simulation.world.many import main

sys.exit(main(sys.argv[1:]))
