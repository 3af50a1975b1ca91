"""Statements that were compiled for one test's database serve all others of its kind."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine


class _Compiled(dict[tuple[Any, ...], Any]):
    """A cache of compiled statements whose keys name the kind of database, not one engine's."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:  # noqa: ANN401 - SQLAlchemy's own
        return super().get(_of_kind(key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:  # noqa: ANN401
        super().__setitem__(_of_kind(key), compiled)


def _of_kind(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *rest = key
    return (dialect.name, *rest)


_COMPILED = _Compiled()


def compiling_once(engine: Engine) -> Engine:
    """``engine``, which looks a statement up among those of all tests before it compiles it."""
    engine.update_execution_options(compiled_cache=_COMPILED)
    return engine
