"""What the sandbox Azure sells: decides on-demand prices, plan rates and reservation prices.

A machine's price is its vCPUs times the series' vCPU-hour, with a Windows licence on top where it
has one. Reservations and savings plans discount the machine, never the licence. A reservation's
price is for the whole term, in whole cents, as Azure's price list states it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from hashlib import sha256
from uuid import NAMESPACE_URL, uuid5

from service.domain.hours import TERM_HOURS
from service.domain.usage import Sku, SkuKey
from service.sandbox.azure.tables import Tables, shipped_tables

PROVIDER = "azure"
TERMS = (12, 36)
COMMITMENT_STEP = Decimal("0.001")
_RATE_STEP = Decimal("0.000001")
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Machine:
    """One size in one region. ``meter`` is how bills write it, ``product`` how price lists do."""

    region: str
    location: str
    arm_name: str
    series: str
    group: str
    vcpus: int
    meter: str
    machine_usd: Decimal
    licence_usd: Decimal

    def product(self, *, windows: bool) -> str:
        """The product name of the machine's meter, ending in Windows where that is included."""
        return f"Virtual Machines {self.series} Series{' Windows' if windows else ''}"

    def meter_id(self, *, windows: bool) -> str:
        """The meter's id, as bills and price lists have it."""
        return str(uuid5(NAMESPACE_URL, f"{self.region}/{self.arm_name}/{windows}"))


@dataclass(slots=True)
class AzureCatalog:
    """Prices of one world. Only ``factors`` change: by ``region/size``, what prices rose by."""

    machines: Mapping[tuple[str, str], Machine]
    tables: Tables
    skus: Mapping[SkuKey, Sku]
    factors: dict[str, Decimal] = field(default_factory=dict)

    def machine(self, region: str, arm_name: str) -> Machine | None:
        """The size in the region, if it exists there."""
        return self.machines.get((region, arm_name))

    def is_sold(self, machine: Machine, months: int, on: date) -> bool:
        """Whether a reservation of the machine for that term can be bought on that day."""
        ends = self.tables["no_longer_sold"].get(machine.series, {}).get(months // 12)
        return months in TERMS and (ends is None or on < ends)

    def reservation_usd(self, machine: Machine, months: int) -> Decimal:
        """The price of one reserved machine for the whole term, in whole cents."""
        discount = self._discount("reservation", machine, months)
        hourly = machine.machine_usd * (1 - discount) * self._factor(machine)
        return (hourly * TERM_HOURS[months]).quantize(_CENT)

    def plan_rate_usd(self, machine: Machine, months: int, *, windows: bool) -> Decimal:
        """What an hour of the machine takes of a savings plan's commitment."""
        discount = self._discount("savings_plan", machine, months)
        rate = machine.machine_usd * (1 - discount) * self._factor(machine)
        return (rate + (machine.licence_usd if windows else 0)).quantize(_RATE_STEP)

    def plan_rates_usd(self, months: int) -> Mapping[str, Decimal]:
        """Every rate of a savings plan, by ``region/sku``."""
        return {
            f"{key.region}/{key.sku}": self.plan_rate_usd(
                self.machines[key.region, size], months, windows=bool(licence)
            )
            for key in self.skus
            for size, _, licence in [key.sku.partition(" ")]
        }

    def raise_price(self, region: str, arm_name: str, factor: Decimal) -> None:
        """From now on reservations and plans of the size cost ``factor`` times as much."""
        key = f"{region}/{arm_name}"
        self.factors[key] = self.factors.get(key, Decimal(1)) * factor

    def _factor(self, machine: Machine) -> Decimal:
        return self.factors.get(f"{machine.region}/{machine.arm_name}", Decimal(1))

    def _discount(self, kind: str, machine: Machine, months: int) -> Decimal:
        share = Decimal(self.tables["discounts"][kind][months // 12])
        depth = Decimal(self.tables["series"][machine.series]["depth"])
        return share * depth * _tilt(f"{kind}/{machine.series}/{machine.region}")


def shipped_catalog() -> AzureCatalog:
    """The catalogue of ``catalog.yaml``."""
    tables = shipped_tables()
    machines = {(one.region, one.arm_name): one for one in _machines(tables)}
    skus: dict[SkuKey, Sku] = {}
    for machine in machines.values():
        for windows in (False, True) if machine.licence_usd else (False,):
            sku = _sku(machine, windows=windows)
            skus[sku.key] = sku
    return AzureCatalog(machines, tables, skus)


def _machines(tables: Tables) -> Iterator[Machine]:
    for region, place in tables["regions"].items():
        for series, row in tables["series"].items():
            has_windows = series in tables["windows_series"]
            for vcpus in tables["vcpus"]:
                name = row["size"].format(vcpus=vcpus)
                yield Machine(
                    region=region,
                    location=place["location"],
                    arm_name=name,
                    series=series,
                    group=row["group"],
                    vcpus=vcpus,
                    meter=name.removeprefix("Standard_").replace("_", " "),
                    machine_usd=vcpus * Decimal(row["vcpu_usd"]) * Decimal(place["level"]),
                    licence_usd=vcpus * Decimal(tables["windows_usd"])
                    if has_windows
                    else Decimal(0),
                )


def _sku(machine: Machine, *, windows: bool) -> Sku:
    price = machine.machine_usd + (machine.licence_usd if windows else 0)
    name = f"{machine.arm_name} windows" if windows else machine.arm_name
    return Sku(
        key=SkuKey(PROVIDER, machine.region, name),
        service="vm",
        family=machine.group,
        size_units=Decimal(machine.vcpus),
        platform="windows" if windows else "linux",
        tenancy="shared",
        unit="Hrs",
        on_demand_usd=price,
        list_usd=price,
    )


def _tilt(name: str) -> Decimal:
    """A factor near 1 that differs a little from name to name, as real discounts do."""
    digit = int.from_bytes(sha256(name.encode()).digest()[:2], "big") % 41
    return Decimal(980 + digit) / 1000
