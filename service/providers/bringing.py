"""Decides what is said when what a provider delivers cannot be kept on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.domain.errors import InputError


@contextmanager
def kept_in(folder: Path, *, named_by: str) -> Iterator[None]:
    """``InputError`` instead of an ``OSError`` of the file system about what is written inside.

    ``named_by`` is the setting that says where ``folder`` is. A broken connection is no matter of
    the file system and goes through as it is.
    """
    try:
        yield
    except (ConnectionError, TimeoutError):
        raise
    except OSError as error:
        if error.errno is None:
            raise
        raise InputError(
            f"what the provider delivers cannot be kept here: {error.strerror}",
            file=str(error.filename or folder),
            column=named_by,
            remedy="Give the user that Tenor runs as a folder with room that it may write "
            "(in a container: mounted without :ro).",
        ) from error
