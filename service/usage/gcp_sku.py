"""How Google Cloud usage is named, and what its name says: decides the SKU id and the facts in it.

Google bills a machine's vCPUs and memory apart, by SKUs that differ from region to region in
nothing but the region. Here they are one: series and resource (``N2 vCPU``, ``N2 RAM``), with what
changes the price between them (``N2 Custom vCPU``, ``N2 Spot RAM``). Everything else is the
service and the description joined by ``/``. Source: Cloud Billing Catalog, SKU descriptions
("N2 Instance Core running in Americas", "Spot Preemptible N2D AMD Instance Ram running in Iowa").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

COMPUTE_ENGINE = "Compute Engine"
VCPU_HOURS, GB_HOURS = "vCPU-Hours", "GB-Hours"

_RUNNING = re.compile(
    r"(?P<spot>(?:Spot )?Preemptible )?(?P<what>.+?) (?P<resource>Core|Cpu|Ram) running in .+\Z",
    re.IGNORECASE,
)
# Series whose machines the catalog calls otherwise.
_OLD_NAMES = {
    "Compute optimized": "C2",
    "Compute optimized Instance": "C2",
    "Memory-optimized Instance": "M1",
    "Custom Instance": "N1 Custom",
    "Custom Extended Instance": "N1 Custom Extended",
}
_PLAIN = frozenset({"Instance", "AMD", "Arm", "Predefined", "Memory-optimized", "Intel"})
_VARIANTS = ("Custom", "Extended", "Sole", "Tenancy", "Reserved", "DWS", "Flex", "Calendar", "Mode")
_SERIES = re.compile(r"[A-Z]\d+[A-Z]?\Z")
_NAMED = re.compile(
    r"(?P<series>[A-Z]\d+[A-Z]?)(?P<variant>(?: [A-Za-z]+)*) (?P<resource>vCPU|RAM)\Z"
)


@dataclass(frozen=True, slots=True)
class GcpSku:
    """What a SKU id says. ``None`` where its words do not tell.

    ``family`` is the machine series in lower case, ``resource`` ``vcpu`` or ``ram``, ``unit`` what
    one of it is counted in. ``variants`` are the words between them, such as ``custom``; ``spot``
    tells capacity that no commitment covers.
    """

    service: str | None
    family: str | None
    resource: str | None
    size_units: Decimal | None
    platform: str | None
    tenancy: str | None
    unit: str | None
    variants: frozenset[str]

    @property
    def spot(self) -> bool:
        """True for Spot and preemptible machines."""
        return "spot" in self.variants


def gcp_sku(service: str, description: str) -> str:
    """The SKU id of what Google describes so; ``service`` such as ``Compute Engine``."""
    service, description = service.strip(), " ".join(description.split())
    if service == COMPUTE_ENGINE:
        name = _machine(description)
        if name is not None:
            return name
    return "/".join(word for word in (service, description) if word)


def describe_sku(sku: str) -> GcpSku:
    """Everything that a SKU id says about what it bills."""
    named = _NAMED.match(sku)
    if named is None:
        service = "compute" if sku.startswith(f"{COMPUTE_ENGINE}/") else None
        return GcpSku(service, None, None, None, None, None, None, frozenset())
    return GcpSku(
        service="compute",
        family=named["series"].lower(),
        resource=named["resource"].lower(),
        size_units=Decimal(1),
        platform=None,
        tenancy=None,
        unit=VCPU_HOURS if named["resource"] == "vCPU" else GB_HOURS,
        variants=frozenset(named["variant"].lower().split()),
    )


def family_of(sku: str) -> str | None:
    """The machine series of a vCPU or memory SKU id, in lower case; ``None`` for others."""
    return describe_sku(sku).family


def machine_sku(series: str, resource: str) -> str:
    """The SKU id of a series' plain vCPUs or memory; ``resource`` is ``vCPU`` or ``RAM``."""
    return f"{series.upper()} {resource}"


def _machine(description: str) -> str | None:
    found = _RUNNING.match(description)
    if found is None or "premium" in description.lower():
        return None
    what = _OLD_NAMES.get(found["what"], found["what"])
    series, *words = what.split()
    if not _SERIES.match(series):
        return None
    variants = [word for word in words if word not in _PLAIN]
    if not all(word in _VARIANTS for word in variants):
        return None
    if found["spot"]:
        variants.append("Spot")
    resource = "RAM" if found["resource"].lower() == "ram" else "vCPU"
    return " ".join([series, *variants, resource])
