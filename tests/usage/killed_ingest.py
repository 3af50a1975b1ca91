"""An ingest that kills itself at the n-th point it passes: ``URL FOLDER EXPORT N``.

With N = 0 it lives and prints the points that it passed, one a line.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from service.store.engine import open_engine
from service.store.usage_days import UsageDays
from service.usage.ingest import read_export

NOW = datetime(2026, 9, 10, tzinfo=UTC)


def main(url: str, folder: str, export: str, stop_at: int) -> None:
    """Ingest ``export`` and die at point ``stop_at``."""
    passed: list[str] = []

    def reach(point: str) -> None:
        passed.append(point)
        if len(passed) == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with read_export(Path(export)) as read:
        UsageDays(open_engine(url), Path(folder), reach=reach).replace(read.days, now=NOW)
    sys.stdout.write("\n".join(passed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
