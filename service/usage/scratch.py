"""Working space for one ingest: alone, and gone afterwards even when its owner was killed.

The owner holds a lock on a file inside; the operating system drops it when the process dies, and
whoever comes next clears what is no longer held.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "tenor-ingest-"
_LOCK = "owner.lock"


@contextmanager
def scratch_folder(parent: Path | None) -> Iterator[Path]:
    """A new empty folder below ``parent`` (the system's temporary folder by default)."""
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        with (folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_abandoned(parent: Path) -> None:
    for lock_file in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock_file.open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock_file.parent, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            # In use, or its owner has just cleared it away itself.
            continue
