"""FOCUS 1.0 to 1.4 rows: which are hourly usage, of what, how much, at what price.

Only charges of category ``Usage`` and no class are usage: corrections restate what was used
in an invoiced period and are set aside, as are purchases, taxes, credits and the unused part of a
commitment (``CommitmentDiscountStatus`` = ``Unused``). Usage that a commitment covers is one row
with status ``Used`` and counts once, in the pricing unit, as uncovered usage does. Version 1.3
names the provider in ServiceProviderName, 1.4 no longer in ProviderName; rows of its second
dataset, Contract Commitment, are set aside. Source: FOCUS 1.0 to 1.4, columns ChargeCategory,
ChargeClass, CommitmentDiscountStatus, PricingQuantity, ServiceProviderName.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from service.domain.errors import InputError
from service.usage.focus_words import (
    account_sql,
    focus_commitment,
    focus_words,
    resource_group_sql,
)
from service.usage.level_usage import COVERED, OTHER
from service.usage.rows import (
    ADVICE_ONLY,
    ADVICE_ONLY_SQL,
    CELLS,
    HOURLY,
    PRICE_TYPE,
    QUANTITY_TYPE,
    SPAN_FAULTS,
    Check,
    RowForm,
    currency_check,
    double_cell,
    instant_cell,
    of_blocks,
    price_cell,
    quantity_checks,
    required,
    span_checks,
    text_cell,
)
from service.usage.sources import Part

REQUIRED = (
    *("SubAccountId", "RegionId", "BillingCurrency"),
    *("ChargeCategory", "ChargeClass", "ChargePeriodStart", "ChargePeriodEnd"),
    *("CommitmentDiscountId", "CommitmentDiscountStatus"),
    *("PricingQuantity", "PricingUnit", "SkuPriceId"),
)

SINCE_1_1 = (
    *("CommitmentDiscountQuantity", "CommitmentDiscountUnit", "CapacityReservationId"),
    *("CapacityReservationStatus", "ServiceSubcategory", "SkuMeter", "SkuPriceDetails"),
)
SINCE_1_2 = (
    *("InvoiceId", "BillingAccountType", "SubAccountType", "PricingCurrency"),
    *("PricingCurrencyContractedUnitPrice", "PricingCurrencyEffectiveCost"),
    "PricingCurrencyListUnitPrice",
)
SINCE_1_3 = (
    *("ServiceProviderName", "HostProviderName", "ContractApplied", "AllocatedMethodId"),
    *("AllocatedMethodDetails", "AllocatedResourceId", "AllocatedResourceName", "AllocatedTags"),
)
NAMES = ("ServiceProviderName", "ProviderName")
"""Where the provider is named: since 1.3, and until 1.3."""

UNTIL_1_3 = ("ProviderName", "PublisherName")
SINCE_1_4 = ("InvoiceDetailId", "CommitmentProgramEligibilityDetails")
BEFORE_1_0 = ("ChargeType", "ChargeSubcategory", "UsageQuantity", "Provider", "AmortizedCost")

PROVIDERS = {
    "aws": "aws",
    "amazon web services": "aws",
    "amazon web services, inc.": "aws",
    "microsoft": "azure",
    "microsoft azure": "azure",
    "azure": "azure",
    "google cloud": "gcp",
    "google cloud platform": "gcp",
    "google": "gcp",
    "gcp": "gcp",
}
"""What providers call themselves in ProviderName, in lower case."""

_BLOCK = "x_PricingBlockSize"

CATEGORIES = ("Usage", "Purchase", "Tax", "Credit", "Adjustment")


CONTRACT = "contract commitment, not usage"


def is_focus(columns: Collection[str]) -> bool:
    """Whether the columns are those of a FOCUS export of any version."""
    return "ChargePeriodStart" in columns or "ChargeCategory" in columns or is_contract(columns)


def is_contract(columns: Collection[str]) -> bool:
    """Whether the columns are those of the dataset Contract Commitment, which holds no usage."""
    return "ContractCommitmentId" in columns and "ChargeCategory" not in columns


def focus_version(part: Part) -> str:
    """``1.0`` to ``1.4`` by the columns; ``InputError`` for an earlier one or a column missing."""
    columns = set(part.columns)
    if is_contract(columns):
        return "1.3"
    found = sorted(columns.intersection(BEFORE_1_0))
    if found:
        raise InputError(
            "the export is FOCUS before 1.0, which is not read",
            file=part.file,
            column=found[0],
            remedy="Export FOCUS 1.0 to 1.4",
        )
    named = "ServiceProviderName" if columns.intersection(SINCE_1_3) else "ProviderName"
    if named not in columns and "ProviderName" not in columns:
        raise _missing(part, named, named)
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise _missing(part, missing[0], named)
    if columns.intersection(SINCE_1_3):
        gone = not columns.intersection(UNTIL_1_3)
        return "1.4" if gone or columns.intersection(SINCE_1_4) else "1.3"
    if columns.intersection(SINCE_1_2):
        return "1.2"
    return "1.1" if columns.intersection(SINCE_1_1) else "1.0"


def _missing(part: Part, column: str, named: str) -> InputError:
    return InputError(
        "the column is missing",
        file=part.file,
        column=column,
        remedy=f"Export FOCUS with all of {', '.join((named, *REQUIRED))}",
    )


def focus_form(
    part: Part, providers: Collection[str] | None, *, whole_days: bool = False
) -> RowForm:
    """How the part's rows are read; rows of providers other than ``providers`` are set aside.

    ``whole_days``: Azure's rows of exactly one day are good too, to be spread over its hours.
    """
    if is_contract(part.columns):
        return RowForm(cells=_nothing(), asides=((CONTRACT, "true"),), checks=())
    asides = [
        ("not usage", "category IN ('Purchase', 'Tax', 'Credit', 'Adjustment')"),
        ("correction", "charge_class IS NOT NULL"),
        ("unused commitment", "commitment_status = 'Unused'"),
        (ADVICE_ONLY, ADVICE_ONLY_SQL),
    ]
    if providers is not None:
        chosen = ", ".join(f"'{provider}'" for provider in sorted(providers))
        asides.insert(0, ("other provider", f"coalesce(provider, '') NOT IN ({chosen})"))
    cells = _cells(part)
    if whole_days:
        cells["spread"] = _spread_sql(part, cells)
        cells["machine"] = _machine_sql(part, cells)
    return RowForm(
        cells=cells,
        asides=tuple(asides),
        checks=_checks(part),
        telling=("not usage", "unused commitment", ADVICE_ONLY),
    )


def _nothing() -> dict[str, str]:
    """Cells that tell nothing."""
    cells = dict.fromkeys(CELLS, "CAST(NULL AS VARCHAR)")
    cells |= dict.fromkeys(("hour", "ends_at"), "CAST(NULL AS TIMESTAMP)")
    return cells | {"quantity": "CAST(0 AS DOUBLE)"}


def _cells(part: Part) -> dict[str, str]:
    words = " ".join(f"WHEN '{word}' THEN '{provider}'" for word, provider in PROVIDERS.items())
    names = [text_cell(part, column) for column in NAMES]
    provider = f"(CASE lower(coalesce({', '.join(names)})) {words} END)"
    discount = text_cell(part, "CommitmentDiscountId")
    # Azure prices some meters by the hundred hours; its own column tells the size of the block.
    listed = of_blocks(part, _BLOCK, price_cell(part, "ListUnitPrice"), PRICE_TYPE, "/")
    contracted = of_blocks(part, _BLOCK, price_cell(part, "ContractedUnitPrice"), PRICE_TYPE, "/")
    used = of_blocks(part, _BLOCK, double_cell(part, "PricingQuantity"), "DOUBLE", "*")
    account = account_sql(
        f"coalesce({text_cell(part, 'SubAccountId')}, {text_cell(part, 'BillingAccountId')})"
    )
    return {
        "category": text_cell(part, "ChargeCategory"),
        "charge_class": text_cell(part, "ChargeClass"),
        "commitment_status": text_cell(part, "CommitmentDiscountStatus"),
        "hour": instant_cell(part, "ChargePeriodStart"),
        "ends_at": instant_cell(part, "ChargePeriodEnd"),
        "provider": provider,
        "account": account,
        "region": text_cell(part, "RegionId"),
        "zone": text_cell(part, "AvailabilityZone"),
        "resource_group": f"CASE WHEN {provider} = 'azure' THEN {resource_group_sql(part)} END",
        **focus_words(part, provider),
        "native_sku": f"coalesce({text_cell(part, 'SkuPriceId')}, {text_cell(part, 'SkuId')})",
        "unit": text_cell(part, "PricingUnit"),
        "currency": text_cell(part, "BillingCurrency"),
        "quantity": f"TRY_CAST({used} AS {QUANTITY_TYPE})",
        "quantity_double": used,
        "list_usd": f"CASE WHEN {listed} >= 0 THEN {listed} END",
        # Some exports write 0 where they know no contracted price; that is no price. On covered
        # rows the column has been seen to hold the commitment's rate: only uncovered ones tell.
        "contracted_usd": f"CASE WHEN {discount} IS NULL AND {contracted} > 0 "
        f"THEN {contracted} END",
        **focus_commitment(part, account),
    }


_MACHINE = "/providers/microsoft\\.compute/virtualmachines/"


def _spread_sql(part: Part, cells: Mapping[str, str]) -> str:
    """How a row of one of Azure's days is spread over its hours; NULL for every other row."""
    start, end = cells["hour"], cells["ends_at"]
    return (
        f"CASE WHEN {cells['provider']} = 'azure' AND {start} = date_trunc('day', {start}) "
        f"AND {end} = {start} + INTERVAL 24 HOUR THEN "
        f"CASE WHEN {text_cell(part, 'CommitmentDiscountId')} IS NOT NULL THEN '{COVERED}' "
        f"ELSE '{OTHER}' END END"
    )


def _machine_sql(part: Part, cells: Mapping[str, str]) -> str:
    """The one machine whose hours a whole day's row counts; NULL for every other row.

    A scale set is many machines in one row: its hours prove nothing of any of them. Instances of
    one with flexible orchestration are machines with a path of their own.
    """
    resource = text_cell(part, "ResourceId")
    return (
        f"CASE WHEN {cells['spread']} IS NOT NULL "
        f"AND regexp_matches(coalesce({resource}, ''), '{_MACHINE}', 'i') "
        f"AND lower({cells['unit']}) IN ('hour', 'hours', '1 hour') THEN lower({resource}) END"
    )


def _checks(part: Part) -> tuple[Check, ...]:
    named = next(name for name in NAMES if name in part.columns)
    return (_CATEGORY, replace(_PROVIDER, column=named), *_CHECKS)


_CATEGORY = Check(
    "category",
    f"category IS NULL OR category NOT IN {CATEGORIES}",
    "ChargeCategory",
    "{value} is not a charge category",
    f"Use one of {', '.join(CATEGORIES)}",
)
_PROVIDER = Check(
    "provider",
    "provider IS NULL",
    "ProviderName",
    "{value} is not a provider that Tenor reads",
    "Name the providers to read with --provider aws (or azure, gcp); other rows are set aside",
)
_AZURE_DAY = Check(
    "azure_day",
    "provider = 'azure' AND spread IS NULL AND hour + INTERVAL 24 HOUR <= ends_at",
    "ChargePeriodEnd",
    "the charge spans {hours} hours (daily data or coarser), to {value}",
    f"{HOURLY}. Azure exports days: docs/connect/azure.md says what TENOR_AZURE_DAILY_ROWS=shape "
    "makes of them",
)


def _but_whole_days(check: Check) -> Check:
    """The same fault, but not of rows that are spread over their day."""
    if check.code not in SPAN_FAULTS:
        return check
    return replace(check, condition=f"spread IS NULL AND ({check.condition})")


_CHECKS = (
    _AZURE_DAY,
    *map(_but_whole_days, span_checks("ChargePeriodStart", "ChargePeriodEnd")),
    currency_check("BillingCurrency"),
    *quantity_checks("PricingQuantity"),
    required("SubAccountId", "account", "account"),
    required("SkuPriceId", "coalesce(usage_type, native_sku)", "sku"),
)
