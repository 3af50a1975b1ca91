"""Hourly usage from Cost Explorer, where no export is: decides what to ask, and what it costs.

AWS keeps fourteen days of hours for accounts that have opted in, and charges a cent for every
request and every page. So days that can no longer change are asked for once, each account in one
question for all of its missing days, and no more requests are made than were allowed. What comes
back is written as FOCUS rows, one file a day, that ``tenor ingest`` reads like an export's. Cost
Explorer groups by two dimensions, so zones are not known. Source: AWS Cost Management user guide,
"Enabling Cost Explorer" (hourly granularity); AWS Cost Management pricing.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from service.domain.errors import ProviderError
from service.domain.hours import HOUR, Clock, iso
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke, invoke_all
from service.providers.port import Fetched
from service.usage.aws_sku import aws_sku, region_of_usage_type

REQUEST_USD = Decimal("0.01")
_REGION = "us-east-1"
_HOURLY_DAYS = 14
_SETTLED_AFTER = timedelta(days=3)
_FRESH_AFTER = timedelta(hours=24)
_METRIC = "UsageQuantity"
_RECORDS = ("Usage", "SavingsPlanCoveredUsage")
_RESERVED = "DiscountedUsage"
_SECOND = "%Y-%m-%dT%H:%M:%SZ"
_COLUMNS = (
    *("ProviderName", "SubAccountId", "RegionId", "BillingCurrency", "ChargeCategory"),
    *("ChargeClass", "ChargePeriodStart", "ChargePeriodEnd", "CommitmentDiscountId"),
    *("CommitmentDiscountStatus", "PricingQuantity", "PricingUnit", "SkuPriceId"),
    *("x_UsageType", "x_Operation"),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """Requests made of Cost Explorer, and what AWS charges for them."""

    requests: int

    @property
    def usd(self) -> Decimal:
        """Dollars, at the price of one request and page."""
        return self.requests * REQUEST_USD


class CostExplorerUsage:
    """``ProviderExports`` for an organisation without exports. The credentials are its payer's.

    ``requests_max``: how many requests one fetch may make; each costs ``REQUEST_USD``.
    """

    def __init__(self, clients: AwsClients, *, clock: Clock, requests_max: int) -> None:
        self._clients = clients
        self._clock = clock
        self._requests_max = requests_max
        self.spent = Spent(0)

    def fetch(self, folder: Path) -> Fetched:
        """Write one file for each day of the last fourteen that is known; replace whole files.

        ``ProviderError`` when Cost Explorer does not answer, when more requests would be needed
        than are allowed, when reservations cover any of the usage, or when no account used
        anything: a series of zeros is no usage.
        """
        now = self._clock.now()
        wanted = self._wanted(folder, now)
        self.spent = Spent(0)
        by_day: dict[date, list[tuple[str, ...]]] = {day: [] for day in wanted}
        if wanted:
            first, last = min(wanted), max(wanted)
            self._refuse_reserved(first, last + timedelta(days=1))
            for account in self._accounts():
                for row in self._rows(account, first, last + timedelta(days=1)):
                    day = date.fromisoformat(row[6][:10])
                    if day in by_day:
                        by_day[day].append(row)
            if not any(by_day.values()):
                raise _failed("empty_series", f"no usage from {first} to {last} in any account")
        written = [_write(folder, day, rows) for day, rows in by_day.items() if rows]
        files = tuple(sorted(folder.glob("cost-explorer-*.csv")))
        newest = max((path.stat().st_mtime for path in written), default=None)
        at = None if newest is None else datetime.fromtimestamp(newest, UTC)
        return Fetched(files, len(written), at, self.spent.usd)

    def _wanted(self, folder: Path, now: datetime) -> list[date]:
        """Days that are known by now and were not settled when their file was written."""
        # One hour of slack, so that the oldest day is still within the window when it is asked.
        oldest = (now - timedelta(days=_HOURLY_DAYS) + HOUR).date() + timedelta(days=1)
        newest = (now - _FRESH_AFTER).date() - timedelta(days=1)
        days = [oldest + timedelta(days=n) for n in range((newest - oldest).days + 1)]
        return [
            day
            for day in days
            if not _file(folder, day).is_file() or _end_of(day) + _SETTLED_AFTER > now
        ]

    def _accounts(self) -> list[str]:
        listed = invoke_all(
            self._clients.reading("organizations"),
            "list_accounts",
            {},
            items="Accounts",
            token="NextToken",  # noqa: S106  # the name of a field
        )
        return [str(one["Id"]) for one in listed]

    def _rows(self, account: str, first: date, end: date) -> Iterator[tuple[str, ...]]:
        following: dict[str, str] = {}
        while True:
            page = self._used(account, first, end, following)
            for result in page["ResultsByTime"]:
                start = datetime.strptime(result["TimePeriod"]["Start"], _SECOND).replace(
                    tzinfo=UTC
                )
                for group in result.get("Groups", ()):
                    row = _row(account, start, group)
                    if row is not None:
                        yield row
            if not page.get("NextPageToken"):
                return
            following = {"NextPageToken": page["NextPageToken"]}

    def _refuse_reserved(self, first: date, end: date) -> None:
        """Refuse while reservations cover usage: nothing here tells whose they are.

        A member account's is in no inventory, and what it covers would be covered again.
        """
        answer = self._ask(
            {
                "TimePeriod": {"Start": str(first), "End": str(end)},
                "Granularity": "DAILY",
                "Metrics": [_METRIC],
                "Filter": {"Dimensions": {"Key": "RECORD_TYPE", "Values": [_RESERVED]}},
            }
        )
        if answer.get("NextPageToken"):
            raise _failed("incomplete", "what reservations cover was told in part only")
        for day in answer["ResultsByTime"]:
            if Decimal(day["Total"][_METRIC]["Amount"]) > 0:
                detail = (
                    f"reservations cover usage on {day['TimePeriod']['Start']}, and Cost Explorer "
                    "does not tell whose: make an export, and set TENOR_AWS_EXPORTS_S3"
                )
                raise _failed("reserved_usage", detail)

    def _used(self, account: str, first: date, end: date, following: dict[str, str]) -> Answer:
        return self._ask(
            {
                "TimePeriod": {"Start": f"{first}T00:00:00Z", "End": f"{end}T00:00:00Z"},
                "Granularity": "HOURLY",
                "Metrics": [_METRIC],
                "GroupBy": [
                    {"Type": "DIMENSION", "Key": "USAGE_TYPE"},
                    {"Type": "DIMENSION", "Key": "OPERATION"},
                ],
                "Filter": {
                    "And": [
                        {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": [account]}},
                        {"Dimensions": {"Key": "RECORD_TYPE", "Values": list(_RECORDS)}},
                    ]
                },
                **following,
            }
        )

    def _ask(self, arguments: dict[str, Any]) -> Answer:
        """One request, counted before it is made."""
        if self.spent.requests >= self._requests_max:
            raise _failed(
                "request_budget",
                f"{self.spent.requests} requests ({self.spent.usd} USD) were made, and no more "
                "are allowed",
            )
        self.spent = replace(self.spent, requests=self.spent.requests + 1)
        # One attempt: a retry would be charged for without being counted.
        client = self._clients.purchasing("ce", _REGION)
        return invoke(client, "get_cost_and_usage", arguments, needs="ResultsByTime")


def _row(account: str, start: datetime, group: Answer) -> tuple[str, ...] | None:
    usage_type, operation = group["Keys"]
    metric = group["Metrics"][_METRIC]
    quantity = Decimal(metric["Amount"])
    if quantity <= 0:
        return None
    unit = "" if metric.get("Unit") in {None, "N/A"} else metric["Unit"]
    known: Sequence[str] = (
        *("Amazon Web Services", account, region_of_usage_type(usage_type), "USD", "Usage"),
        *("", iso(start), iso(start + HOUR), "", ""),
        *(format(quantity, "f"), unit, aws_sku(usage_type, operation), usage_type, operation),
    )
    return tuple(known)


def _file(folder: Path, day: date) -> Path:
    return folder / f"cost-explorer-{day}.csv"


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def _write(folder: Path, day: date, rows: Sequence[Sequence[str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = _file(folder, day)
    aside = path.with_name(f".{path.name}.part")
    with aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)  # noqa: PTH105  # whole or not at all
    return path


def _failed(code: str, detail: str) -> ProviderError:
    return ProviderError(
        provider=PROVIDER, operation="ce.get_cost_and_usage", code=code, detail=detail
    )
