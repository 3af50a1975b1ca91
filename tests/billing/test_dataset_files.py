"""Reading dataset folders: what is read, what is refused, and what is said then.

``docs/bad_input.md`` holds the table that ``bad_input_table`` makes of the cases below; run this
file as a module to write it anew.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from service.domain.commitments import CommitmentState, Kind
from service.domain.errors import InputError
from service.domain.ids import AccountId, OfferingId
from service.domain.usage import SkuKey
from service.usage.dataset import load_dataset
from tests.billing.dataset_files import (
    TABLES,
    with_cell,
    with_row,
    without_column,
    without_row,
    write,
    write_parquet,
)

BAD_INPUT = Path(__file__).parents[2] / "docs" / "bad_input.md"
BEGIN, END = "<!-- datasets: begin -->", "<!-- datasets: end -->"


class Case(NamedTuple):
    what: str
    tables: Mapping[str, str]


def no_table(name: str) -> dict[str, str]:
    return {table: text for table, text in TABLES.items() if table != name}


def stated(word: str) -> dict[str, str]:
    """The tables with a column that says what each commitment is stated in."""
    head, first, *others = TABLES["holdings"].splitlines()
    rows = [f"{head},stated", f"{first},{word}", *(f"{other}," for other in others)]
    return {**TABLES, "holdings": "\n".join(rows) + "\n"}


HOUR2 = "2026-03-01T02:00:00Z"
CASES = (
    Case("A table is missing", no_table("holdings")),
    Case("A column is missing", without_column("usage", "account")),
    Case("A column is missing", without_column("offers", "rate_usd")),
    Case("A quantity is not a number", with_cell("usage", 2, "quantity", "two")),
    Case("A quantity is negative", with_cell("usage", 2, "quantity", "-1")),
    Case("A quantity is NaN", with_cell("usage", 2, "quantity", "NaN")),
    Case("A quantity is infinite", with_cell("usage", 2, "quantity", "inf")),
    Case("A quantity is empty", with_cell("usage", 2, "quantity", "")),
    Case("A quantity is more than anybody uses", with_cell("usage", 2, "quantity", "1e20")),
    Case("A quantity is written as in a program", with_cell("usage", 2, "quantity", "1_000")),
    Case("Usage in the calendar's last year",
         {**TABLES, "usage": TABLES["usage"].replace("2026-", "9999-")}),
    Case("An instant is naive", with_cell("usage", 1, "hour", "2026-03-01T00:00:00")),
    Case("An instant is off the hour", with_cell("usage", 1, "hour", "2026-03-01T00:30:00Z")),
    Case("An instant is not in UTC", with_cell("usage", 1, "hour", "2026-03-01T02:00:00+02:00")),
    Case("An instant is no instant", with_cell("usage", 1, "hour", "yesterday")),
    Case("The provider is not known", with_cell("usage", 1, "provider", "oracle")),
    Case("Tags are not a JSON object", with_cell("usage", 1, "tags", "team=web")),
    Case("A SKU is not in the price list", with_cell("usage", 3, "sku", "m6.large")),
    Case(
        "A usage row stands twice",
        with_row("usage", *["2026-03-01T01:00:00Z", "aws", "111", "us-east-1", "us-east-1a",
                            "m5.large", "9", "i-2", ""]),
    ),
    Case(
        "An hour is missing",
        with_row("usage", *["2026-03-01T04:00:00Z", "aws", "111", "us-east-1", "us-east-1a",
                            "m5.large", "1", "i-1", ""]),
    ),
    Case("A row is cut short", {**TABLES, "usage": TABLES["usage"] + HOUR2 + ",aws\n"}),
    Case("There is no usage", {**TABLES, "usage": TABLES["usage"].split("\n")[0] + "\n"}),
    Case("A price stands twice", with_row("skus", *TABLES["skus"].splitlines()[1].split(","))),
    Case("A price is negative", with_cell("skus", 1, "on_demand_usd", "-0.1")),
    Case("A price is beyond reckoning", with_cell("skus", 1, "on_demand_usd", "1e5000")),
    Case("A price has foreign digits",
         with_cell("skus", 1, "on_demand_usd", "\N{ARABIC-INDIC DIGIT THREE}")),
    Case("A price is finer than money", with_cell("skus", 1, "on_demand_usd", "1e-41")),
    Case("A size is 0", with_cell("skus", 1, "size_units", "0")),
    Case("An offer stands twice", with_row("offers", *["plan", "aws", "aws_compute_sp", "12",
         "no_upfront", "", "", "", "", "", "", "m5.large", "0.06", "0", "0.001", "0.001"])),
    Case("Rows of one offer differ", with_cell("offers", 2, "payment", "all_upfront")),
    Case("The kind is not known", with_cell("offers", 1, "kind", "aws_spot_block")),
    Case("The kind is another provider's", with_cell("offers", 1, "provider", "gcp")),
    Case("The term is not sold", with_cell("offers", 1, "term_months", "24")),
    Case("Capacity of two SKUs", with_row("offers", *["ri", "aws", "aws_ri_regional", "36",
         "all_upfront", "us-east-1", "m5", "linux", "shared", "", "true", "m5.xlarge", "0.1",
         "1314", "1", "1"])),
    Case("Flexibility is neither true nor false", with_cell("offers", 3, "size_flexible", "yes")),
    Case("A holding's offer is not known", with_cell("holdings", 1, "offer", "gone")),
    Case("A commitment stands twice", with_row("holdings", *["sp-1", "plan", "111", "shared", "",
         "5", "2026-06-01T00:00:00Z", "2027-06-01T00:00:00Z", "active"])),
    Case("A commitment's state is not known", with_cell("holdings", 1, "state", "live")),
    Case("A commitment ends before it starts",
         with_cell("holdings", 1, "end", "2025-01-01T00:00:00Z")),
    Case("A commitment starts off the hour",
         with_cell("holdings", 1, "start", "2026-01-01T00:00:01Z")),
    Case("A scope names an empty account", with_cell("holdings", 2, "scope", "111,,222")),
    Case("A scope names a group that is not Azure's", with_cell("holdings", 2, "scope", "111/web")),
    Case("A commitment's quantity is not a number", with_cell("holdings", 2, "quantity", "one")),
    Case("What a commitment is stated in is not known", stated("gross")),
    Case("Only Google stated commitments on demand", stated("on_demand_equivalent")),
)  # fmt: skip


def refusal(folder: Path, tables: Mapping[str, str]) -> InputError:
    with pytest.raises(InputError) as caught:
        load_dataset(write(folder, tables))
    return caught.value


def bad_input_table(folder: Path) -> str:
    """The cases and the line that each prints, as a Markdown table."""
    lines = ["| What is wrong | What is printed |", "|---|---|"]
    for index, case in enumerate(CASES):
        place = folder / str(index) / "dataset"
        try:
            load_dataset(write(place, case.tables))
        except InputError as error:
            said = f"tenor: {error}".replace(str(place), "DIR").replace("|", "\\|")
            lines.append(f"| {case.what} | `{said}` |")
    return "\n".join(lines)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_refuses_and_names_the_file_and_the_remedy(case: Case, tmp_path: Path) -> None:
    error = refusal(tmp_path, case.tables)
    assert error.exit_code == 2
    assert error.remedy
    assert str(error).count("\n") == 0
    spoiled = [name for name in TABLES if case.tables.get(name) != TABLES[name]]
    assert error.file == (f"{spoiled[0]}.csv" if spoiled[0] in case.tables else str(tmp_path))


@pytest.mark.parametrize(
    ("tables", "file", "row", "column"),
    [
        (with_cell("usage", 2, "quantity", "-1"), "usage.csv", 2, "quantity"),
        (with_cell("usage", 4, "hour", "2026-03-01T01:00:00"), "usage.csv", 4, "hour"),
        (with_cell("usage", 3, "sku", "m6.large"), "usage.csv", 3, "sku"),
        (with_cell("skus", 2, "on_demand_usd", "a"), "skus.csv", 2, "on_demand_usd"),
        (with_cell("offers", 3, "kind", "x"), "offers.csv", 3, "kind"),
        (with_cell("holdings", 2, "state", "x"), "holdings.csv", 2, "state"),
        (without_column("holdings", "zone"), "holdings.csv", None, "zone"),
        ({**TABLES, "usage": TABLES["usage"] + HOUR2 + ",aws\n"}, "usage.csv", 6, None),
    ],
)
def test_the_error_points_at_the_cell(
    tables: Mapping[str, str], file: str, row: int | None, column: str | None, tmp_path: Path
) -> None:
    error = refusal(tmp_path, tables)
    assert (error.file, error.row, error.column) == (file, row, column)


def test_the_table_of_bad_input_in_the_docs_is_what_is_printed(tmp_path: Path) -> None:
    written = BAD_INPUT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()
    assert written == bad_input_table(tmp_path)


@pytest.mark.parametrize(
    "form",
    [
        write,
        write_parquet,
        lambda folder: write(folder, zipped=True),
    ],
    ids=["csv", "parquet", "csv.gz"],
)
def test_all_three_forms_are_read_alike(form: Callable[[Path], Path], tmp_path: Path) -> None:
    dataset = load_dataset(form(tmp_path))
    usage = dataset.usage
    assert usage.hours.count == 2
    # Two resources of one line add up as decimals do: 0.1 + 0.2 is 0.3; no row is nothing used.
    assert usage.quantity.tolist() == [[2.1, 1.0], [0.3, 0.0]]
    assert [line.account for line in usage.lines] == ["111", "222"]
    price = dataset.skus[SkuKey("aws", "us-east-1", "m5.large")]
    assert (price.on_demand_usd, price.list_usd) == (Decimal("0.096"), Decimal("0.1"))
    plan = dataset.offerings[OfferingId("plan")]
    assert plan.kind is Kind.AWS_COMPUTE_SP
    assert plan.region is None
    assert plan.rates_usd == {"m5.large": Decimal("0.07"), "m5.xlarge": Decimal("0.15")}
    assert dataset.offerings[OfferingId("ri")].size_flexible
    first, second = dataset.commitments
    assert (first.scope, first.state) == (None, CommitmentState.ACTIVE)
    assert second.scope == frozenset({AccountId("111"), AccountId("222")})


def test_columns_that_are_not_known_are_no_error(tmp_path: Path) -> None:
    lines = TABLES["skus"].splitlines()
    more = "\n".join(f"{line},{'note' if index == 0 else 'x'}" for index, line in enumerate(lines))
    assert len(load_dataset(write(tmp_path, {**TABLES, "skus": more})).skus) == 2


@pytest.mark.parametrize(
    ("word", "term", "quantity"),
    [("on_demand_equivalent", "36", "54"), ("on_demand_equivalent", "12", "72"),
     ("discounted", "36", "100"), ("", "36", "100"), (None, "36", "100")],
)  # fmt: skip
def test_dollars_at_on_demand_prices_are_read_as_the_discounted_ones(
    word: str | None, term: str, quantity: str, tmp_path: Path
) -> None:
    """Cloud Billing, "Spend-based CUD program improvements": $100 at 46 % is now $54."""
    cud = f"flex,gcp,gcp_flexible_cud,{term},no_upfront,,,,,,,core,0.54,0,0.01,0.01\n"
    row = "old,flex,p,shared,,100,2026-01-20T08:00:00Z,2029-01-20T08:00:00Z,active"
    tail = ("", "") if word is None else (",stated", f",{word}")
    dataset = load_dataset(
        write(
            tmp_path,
            {
                **TABLES,
                "offers": TABLES["offers"] + cud,
                "holdings": f"{TABLES['holdings'].splitlines()[0]}{tail[0]}\n{row}{tail[1]}\n",
            },
        )
    )
    (old,) = dataset.commitments
    assert old.quantity == Decimal(quantity)


def test_what_begins_when_google_states_discounted_dollars_is_not_converted(
    tmp_path: Path,
) -> None:
    offers = TABLES["offers"].replace("aws,aws_compute_sp", "gcp,gcp_flexible_cud")
    tables = {**stated("on_demand_equivalent"), "offers": offers}
    late = tables["holdings"].replace("shared,,0.1,2026-01-01", "shared,,0.1,2026-01-21")
    assert load_dataset(write(tmp_path / "before", tables)).commitments[0].quantity == Decimal(
        "0.072"
    )
    error = refusal(tmp_path / "since", {**tables, "holdings": late})
    assert (error.file, error.row, error.column) == ("holdings.csv", 1, "stated")


def test_the_order_of_rows_and_of_hours_is_free(tmp_path: Path) -> None:
    head, *rows = TABLES["usage"].splitlines()
    backwards = "\n".join([head, *reversed(rows)]) + "\n"
    one = load_dataset(write(tmp_path / "one"))
    two = load_dataset(write(tmp_path / "two", {**TABLES, "usage": backwards}))
    assert one.usage.lines == two.usage.lines
    assert one.usage.quantity.tolist() == two.usage.quantity.tolist()


def test_a_table_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    write_parquet(tmp_path)
    with pytest.raises(InputError, match="2 times"):
        load_dataset(tmp_path)


def test_naive_instants_in_parquet_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    path = write_parquet(tmp_path) / "usage.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "hour", table["hour"].cast(pa.timestamp("us"))), path)
    with pytest.raises(InputError, match="naive"):
        load_dataset(tmp_path)


def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    (tmp_path / "skus.parquet").write_text("not parquet")
    with pytest.raises(InputError, match=r"cannot be read: .*[^.]\. Write it again"):
        load_dataset(tmp_path)


def test_a_folder_that_is_not_there_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        load_dataset(tmp_path / "typo")


def test_a_line_without_a_row_in_an_hour_of_others_is_zero_and_no_gap(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, without_row("usage", 4)))
    assert dataset.usage.quantity.tolist() == [[2.1, 1.0], [0.1, 0.0]]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        text = BAD_INPUT.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        table = bad_input_table(Path(scratch))
        BAD_INPUT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
        sys.stderr.write(f"{BAD_INPUT} written\n")
