"""Exports that cannot be kept on this machine are an error of the settings, not a crash."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from service.domain.errors import InputError
from service.operate.ingesting import ingest
from service.settings import Settings
from service.wiring import Parts, opened


class Delivering:
    """A cloud's exports: writes one file, or fails as it is told to."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error = error

    def fetch(self, folder: Path) -> Any:  # noqa: ANN401 - never gets as far as an answer
        if self.error is not None:
            raise self.error
        folder.mkdir(parents=True, exist_ok=True)
        pytest.fail("the folder can be made")


def ingested(parts: Parts, exports: Delivering) -> str:
    cloud = replace(parts.cloud, exports=exports)
    return ingest(replace(parts, cloud=cloud, clouds=(cloud,)))


def test_a_folder_that_cannot_be_written_is_named_with_its_setting_and_the_remedy(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    blocked = tmp_path / "exports"
    blocked.write_text("a file stands where the folder should be")
    settings = Settings(
        database_url=str(sqlite_engine.url),
        data_dir=tmp_path,
        exports=blocked,
        aws_source="environment",
    )
    read_only = OSError(errno.EROFS, "Read-only file system", "/exports/aws")
    with opened(settings) as parts:
        for exports, file in ((Delivering(), str(blocked)), (Delivering(read_only), "/exports")):
            with pytest.raises(InputError, match=r"column TENOR_EXPORTS: .*cannot be kept") as told:
                ingested(parts, exports)
            assert str(told.value).startswith(file)
            assert "mounted without :ro" in str(told.value)
        with pytest.raises(ConnectionResetError):
            ingested(parts, Delivering(ConnectionResetError(errno.ECONNRESET, "reset")))
