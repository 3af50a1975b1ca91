"""Reads billing exports into hourly usage, one day at a time: decides what was used, and when.

FOCUS 1.0 to 1.4, CUR 2.0, Google's own export and dataset folders; Parquet, CSV, gzipped CSV and,
of Google's, JSON lines; one file or a folder of mixed parts. Everything is summed in DuckDB, within
a memory limit, into one row per hour, provider, account, resource group, region, zone and SKU; raw
rows never reach Python. Nothing is handed out before
every row of every part has been judged, so an unusable export leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.usage.columns import find_table
from service.usage.cur import cur_form, cur_version, is_cur
from service.usage.dataset_export import (
    check_dataset,
    dataset_form,
    is_dataset,
    price_list_sql,
)
from service.usage.day_shapes import Shaping, UnshapedDay
from service.usage.days import NamedCommitment, ObservedPrice
from service.usage.eligibility import is_eligible
from service.usage.export_days import ExportDay, export_days
from service.usage.faults import first_fault
from service.usage.focus import focus_form, focus_version, is_focus
from service.usage.gcp_export import gcp_form, is_gcp_export
from service.usage.naming import could_be_covered, name_sku
from service.usage.one_export import Teller, refuse_two_exports
from service.usage.parts_seen import ProviderDay
from service.usage.rows import SPAN_FAULTS, STAGED_COLUMNS, RowForm
from service.usage.scratch import scratch_folder
from service.usage.sources import Part, find_files, literal, open_part, unreadable
from service.usage.whole_days import NOT_COVERABLE, set_aside_uncoverable, spread_whole_days

if TYPE_CHECKING:
    import duckdb

MEMORY_LIMIT_MB = 1_024


@dataclass(frozen=True, slots=True)
class Export:
    """A well-formed export, summed; usable only inside ``read_export``'s ``with`` block.

    ``formats`` names what was read, such as ``FOCUS 1.2``; ``set_aside`` counts rows that are no
    hourly usage by reason; ``source_rows`` counts all rows read. ``part_days`` tells which days
    each file read has usage in; ``unshaped`` which of them are not among ``days`` because they
    came whole and could not be spread over their hours.
    """

    formats: tuple[str, ...]
    parts: int
    source_rows: int
    set_aside: Mapping[str, int]
    days: tuple[ExportDay, ...]
    prices: tuple[ObservedPrice, ...]
    part_days: Mapping[Path, frozenset[ProviderDay]]
    unshaped: tuple[UnshapedDay, ...] = ()


def _unwatched(done: int, total: int) -> None:
    """Watch nothing."""


@contextmanager
def read_export(
    source: Path,
    *,
    providers: Collection[str] | None = None,
    work_dir: Path | None = None,
    memory_limit_mb: int = MEMORY_LIMIT_MB,
    unchanged: Mapping[Path, Collection[ProviderDay]] | None = None,
    restated: Collection[ProviderDay] = (),
    shaping: Shaping | None = None,
    watch: Callable[[int, int], None] = _unwatched,
) -> Iterator[Export]:
    """Read ``source``, a file or folder, completely; ``InputError`` for the first bad row.

    ``providers``: read only these (``aws``, ``azure``, ``gcp``), set other rows aside; by default
    every row must be of a known provider. Temporary files go below ``work_dir`` (by default
    the system's) and vanish at the end. ``watch(done, total)`` is told after each part.

    ``unchanged`` names files of the source that need no reading, with the days that they have
    rows in: one is read all the same when a file that did change has rows in one of its days, and
    only days of changed files are given. ``restated`` adds days that changed files used to have.

    ``shaping`` spreads Azure's rows of whole days over their hours; without it they are refused.
    """
    import duckdb  # noqa: PLC0415 - heavy; only commands that read usage pay for it

    dataset = is_dataset(source)
    paths = (check_dataset(source),) if dataset else find_files(source)
    with (
        scratch_folder(work_dir) as scratch,
        duckdb.connect(str(scratch / "ingest.duckdb")) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{int(memory_limit_mb)}MB'")
        connection.execute(f"SET temp_directory = {literal(str(scratch / 'spill'))}")
        reading = _Reading(connection, providers, source if dataset else None, shaping)
        kept = unchanged or {}
        changed = [path for path in paths if path not in kept]
        for number, path in enumerate(changed):
            reading.stage(path, number)
            watch(number + 1, len(changed))
        if kept:
            reading.complete_days(kept, restated)
        yield reading.finish(source)


def find_parts(source: Path) -> tuple[Path, ...]:
    """The files that ``read_export`` reads; ``InputError`` when there are none.

    Of a dataset folder that is the usage table and the price list that it is read with.
    """
    if is_dataset(source):
        return (find_table(source, "usage"), find_table(source, "skus"))
    return find_files(source)


class _Reading:
    """The state of one ingest: parts staged so far, in one scratch database."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        providers: Collection[str] | None,
        dataset: Path | None,
        shaping: Shaping | None,
    ) -> None:
        self._db = connection
        self._providers = providers
        self._dataset = dataset
        self._shaping = shaping
        self._parts: list[tuple[Part, RowForm]] = []
        self._formats: list[str] = []
        self._whole = True
        connection.execute(f"CREATE TABLE staged ({STAGED_COLUMNS})")

    def stage(self, path: Path, number: int) -> None:
        """Sum one part into the staged rows; raises ``InputError`` for its first bad row."""
        import duckdb  # noqa: PLC0415

        part = open_part(self._db, path)
        name, form = self._form(part)
        self._formats.append(name)
        self._parts.append((part, form))
        try:
            self._db.execute(f"INSERT INTO staged {form.staged(part, number)}")
            self._refuse_faults(part, form, number)
        except duckdb.Error as error:
            raise unreadable(path, error) from error

    def complete_days(
        self,
        unchanged: Mapping[Path, Collection[ProviderDay]],
        restated: Collection[ProviderDay],
    ) -> None:
        """Stage what unchanged files add to the days that changed; drop their other days."""
        changed = frozenset(restated).union(*self._part_days().values())
        for path, days in unchanged.items():
            if not changed.isdisjoint(days):
                self.stage(path, len(self._parts))
        self._db.execute("CREATE TABLE changed (provider VARCHAR, day DATE)")
        self._fill("changed", sorted(changed))
        self._whole = False

    def finish(self, source: Path) -> Export:
        """Everything staged, named, priced and split into days."""
        self._forgive_spans()
        self._name_skus()
        if self._shaping is not None:
            set_aside_uncoverable(self._db)
        part_days = self._part_days()
        self._refuse_two_exports(source, part_days)
        if not self._whole:
            self._db.execute(
                "DELETE FROM staged WHERE aside IS NULL AND (provider, CAST(hour AS DATE)) "
                "NOT IN (SELECT provider, day FROM changed)"
            )
        unshaped, shapes = self._spread()
        self._sum_rows()
        days = export_days(self._db, self._commitments(), shapes)
        counts = self._db.execute(
            "SELECT aside, sum(row_count) FROM staged GROUP BY aside ORDER BY aside"
        ).fetchall()
        if not days and self._whole:
            found = ", ".join(f"{count} {aside}" for aside, count in counts) or "no rows"
            raise InputError(
                f"the export holds no hourly usage ({found})",
                file=str(source),
                remedy="Export hourly usage, and check which providers are read",
            )
        return Export(
            formats=tuple(sorted(set(self._formats))),
            parts=len(self._parts),
            source_rows=sum(int(count) for _, count in counts),
            set_aside={aside: int(count) for aside, count in counts if aside is not None},
            days=days,
            prices=self._prices(),
            part_days=part_days,
            unshaped=unshaped,
        )

    def _form(self, part: Part) -> tuple[str, RowForm]:
        if self._dataset is not None:
            return "dataset", dataset_form(part)
        if is_cur(part.columns):
            return f"CUR {cur_version(part)}", cur_form(part, self._providers)
        if is_gcp_export(part.columns):
            return "Google Cloud billing", gcp_form(part, self._providers)
        if is_focus(part.columns):
            return f"FOCUS {focus_version(part)}", self._focus_form(part)
        raise InputError(
            "the columns are those of no export that Tenor reads",
            file=part.file,
            column=next(iter(part.columns)),
            remedy="Export FOCUS 1.0 to 1.4, CUR 2.0 or Google Cloud billing; or give a dataset",
        )

    def _focus_form(self, part: Part) -> RowForm:
        return focus_form(part, self._providers, whole_days=self._shaping is not None)

    def _refuse_faults(self, part: Part, form: RowForm, number: int) -> None:
        faults = self._db.execute(
            "SELECT DISTINCT fault, provider, usage_type FROM staged "
            "WHERE part = ? AND fault IS NOT NULL",
            [number],
        ).fetchall()
        # A month of a hosted zone in one row harms nothing; a day of instances in one does.
        forgiven = {
            usage_type
            for fault, provider, usage_type in faults
            if fault in SPAN_FAULTS
            and provider is not None
            and usage_type is not None
            and not could_be_covered(provider, usage_type)
        }
        if any(
            fault not in SPAN_FAULTS or usage_type not in forgiven
            for fault, _, usage_type in faults
        ):
            raise first_fault(self._db, part, form, sorted(forgiven))

    def _forgive_spans(self) -> None:
        self._db.execute(
            f"UPDATE staged SET aside = '{NOT_COVERABLE}' WHERE fault IS NOT NULL"  # noqa: S608
        )

    def _spread(self) -> tuple[tuple[UnshapedDay, ...], dict[ProviderDay, str]]:
        """Spread whole days over their hours; which could not be, and the shapes of the others."""
        if self._shaping is None:
            return (), {}
        whole = self._db.execute(
            "SELECT DISTINCT provider, CAST(hour AS DATE) FROM staged "
            "WHERE aside IS NULL AND spread IS NOT NULL"
        ).fetchall()
        unshaped = spread_whole_days(self._db, self._shaping) if whole else ()
        shapes = {(provider, day): self._shaping.digest(day) for provider, day in whole}
        return unshaped, shapes

    def _name_skus(self) -> None:
        words = self._db.execute(
            "SELECT DISTINCT provider, usage_type, coalesce(operation, '') FROM staged "
            "WHERE aside IS NULL AND usage_type IS NOT NULL"
        ).fetchall()
        self._db.execute(
            "CREATE TABLE named (provider VARCHAR, usage_type VARCHAR, operation VARCHAR, "
            "sku VARCHAR, region VARCHAR, unit VARCHAR)"
        )
        self._fill("named", [(*word, *name_sku(*word)) for word in words])

    def _fill(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert ``rows`` at once: ``executemany`` takes a millisecond for each."""
        if not rows:
            return
        import pyarrow as pa  # noqa: PLC0415 - only commands that read usage pay for it

        columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
        # A column of nothing but None would have no type that a table takes.
        columns = [one.cast(pa.string()) if one.type == pa.null() else one for one in columns]
        names = [f"column_{number}" for number in range(len(columns))]
        self._db.register("rows_to_fill", pa.table(columns, names=names))
        self._db.execute(f"INSERT INTO {table} SELECT * FROM rows_to_fill")  # noqa: S608
        self._db.unregister("rows_to_fill")

    def _sum_rows(self) -> None:
        self._db.execute(
            "CREATE TABLE summed AS SELECT hour, s.provider, account, "
            "coalesce(s.region, n.region, '') AS region, coalesce(zone, '') AS zone, "
            "coalesce(resource_group, '') AS resource_group, coalesce(n.sku, native_sku) AS sku, "
            "level, '' AS service, coalesce(max(n.unit), max(s.unit), '') AS unit, "
            "sum(quantity) AS quantity, max(list_usd) AS list_usd, "
            "max(contracted_usd) AS contracted_usd FROM staged s LEFT JOIN named n "
            "ON s.provider = n.provider AND s.usage_type = n.usage_type "
            "AND coalesce(s.operation, '') = n.operation "
            "WHERE aside IS NULL GROUP BY ALL ORDER BY s.provider, hour"
        )
        if self._dataset is not None:
            self._price_by_list(self._dataset)
        skus = self._db.execute(
            "SELECT provider, sku, CAST(max(hour) AS DATE), max(service) FROM summed GROUP BY ALL"
        ).fetchall()
        self._db.execute(
            "CREATE TABLE eligible (provider VARCHAR, sku VARCHAR, PRIMARY KEY (provider, sku))"
        )
        eligible = [
            (provider, sku)
            for provider, sku, on, service in skus
            if is_eligible(provider, sku, on, service=service)
        ]
        self._fill("eligible", eligible)

    def _price_by_list(self, dataset: Path) -> None:
        skus = open_part(self._db, find_table(dataset, "skus"))
        self._db.execute(
            "CREATE OR REPLACE TABLE summed AS SELECT s.* REPLACE (p.unit AS unit, "  # noqa: S608
            "p.service AS service, p.list_usd AS list_usd, p.contracted_usd AS contracted_usd) "
            f"FROM summed s JOIN ({price_list_sql(skus)}) p USING (provider, region, sku) "
            "ORDER BY s.provider, hour"
        )

    def _commitments(self) -> dict[ProviderDay, list[NamedCommitment]]:
        """What the days' rows name, but for reservations that cover nothing that is planned.

        A reserved database discounts none of the usage that is sized: that its inventory is not
        read hides nothing. What covers no usage at all in these files is named.
        """
        self._db.execute(
            "CREATE OR REPLACE TEMP TABLE beside AS SELECT s.commitment FROM staged s "
            "LEFT JOIN named n ON s.provider = n.provider AND s.usage_type = n.usage_type "
            "AND coalesce(s.operation, '') = n.operation "
            "LEFT JOIN eligible e ON e.provider = s.provider "
            "AND e.sku = coalesce(n.sku, native_sku) "
            "WHERE s.commitment IS NOT NULL AND s.aside IS NULL GROUP BY s.commitment "
            "HAVING NOT bool_or(e.sku IS NOT NULL) "
            "AND max(coalesce(s.commitment_category, '')) = 'usage'"
        )
        found: dict[ProviderDay, list[NamedCommitment]] = {}
        for provider, day, *named in self._db.execute(
            "SELECT seen_provider, seen_day, commitment, max(commitment_account), "
            "max(commitment_category) FROM staged WHERE commitment IS NOT NULL "
            "AND seen_provider IS NOT NULL AND seen_day IS NOT NULL "
            "AND commitment NOT IN (SELECT commitment FROM beside) "
            "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).fetchall():
            found.setdefault((provider, day), []).append(NamedCommitment(*named))
        return found

    def _part_days(self) -> dict[Path, frozenset[ProviderDay]]:
        found: dict[int, set[ProviderDay]] = {}
        for number, provider, day in self._db.execute(
            "SELECT DISTINCT part, provider, CAST(hour AS DATE) FROM staged "
            "WHERE aside IS NULL AND fault IS NULL"
        ).fetchall():
            found.setdefault(number, set()).add((provider, day))
        return {
            part.path: frozenset(found.get(number, ()))
            for number, (part, _) in enumerate(self._parts)
        }

    def _refuse_two_exports(
        self, source: Path, part_days: Mapping[Path, frozenset[ProviderDay]]
    ) -> None:
        root = source if source.is_dir() else source.parent
        tellers = (
            Teller(part.path.relative_to(root), form)
            for (part, _), form in zip(self._parts, self._formats, strict=True)
        )
        refuse_two_exports(source, zip(tellers, part_days.values(), strict=True))

    def _prices(self) -> tuple[ObservedPrice, ...]:
        rows = self._db.execute(
            "SELECT provider, region, sku, max(unit), "
            "arg_max(list_usd, hour) FILTER (list_usd IS NOT NULL), "
            "arg_max(contracted_usd, hour) FILTER (contracted_usd IS NOT NULL) "
            "FROM (SELECT provider, region, sku, hour, max(unit) AS unit, "
            "max(list_usd) AS list_usd, max(contracted_usd) AS contracted_usd "
            "FROM summed GROUP BY ALL) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return tuple(
            ObservedPrice(*row) for row in rows if row[4] is not None or row[5] is not None
        )
