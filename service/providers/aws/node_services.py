"""The five services that sell reserved nodes: what each calls the same things.

RDS, ElastiCache, MemoryDB and OpenSearch take a name of the buyer's own, which they keep unique in
an account and region; Redshift takes none. Each tells the id of a reservation's offering in its
inventory, so ours is ``KIND/REGION/THEIRS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from service.domain.commitments import Kind, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.ids import OfferingId
from service.domain.money import CommitUsdPerHour
from service.providers.aws.clients import PROVIDER, Answer
from service.providers.aws.words import payment_of, require_usd, term_months
from service.usage.aws_nodes import node_usage, spelt_out
from service.usage.aws_sku import aws_sku, describe_sku, region_code

_HOUR_SECONDS = 3_600
_PARTS = 3


@dataclass(frozen=True, slots=True)
class NodeService:
    """One service's words.

    ``own_name`` is empty where it takes none, ``bought`` where its answer is flat; ``ending`` is
    what its classes carry and usage types do not.
    """

    kind: Kind
    name: str
    client: str
    list_offers: str
    offers: str
    offer_id: str
    list_nodes: str
    nodes: str
    identity: str
    own_name: str
    node_class: str
    count: str
    payment: str
    buy: str
    bought: str
    taken: tuple[str, ...]
    token: str
    page: str
    tags: bool
    ending: str = ""


SERVICES: tuple[NodeService, ...] = (
    NodeService(
        kind=Kind.AWS_RDS_RI,
        name="rds",
        client="rds",
        list_offers="describe_reserved_db_instances_offerings",
        offers="ReservedDBInstancesOfferings",
        offer_id="ReservedDBInstancesOfferingId",
        list_nodes="describe_reserved_db_instances",
        nodes="ReservedDBInstances",
        identity="ReservedDBInstanceArn",
        own_name="ReservedDBInstanceId",
        node_class="DBInstanceClass",
        count="DBInstanceCount",
        payment="OfferingType",
        buy="purchase_reserved_db_instances_offering",
        bought="ReservedDBInstance",
        taken=("ReservedDBInstanceAlreadyExists", "ReservedDBInstanceAlreadyExistsFault"),
        token="Marker",  # noqa: S106  # the name of a field
        page="MaxRecords",
        tags=True,
    ),
    NodeService(
        kind=Kind.AWS_ELASTICACHE_RI,
        name="elasticache",
        client="elasticache",
        list_offers="describe_reserved_cache_nodes_offerings",
        offers="ReservedCacheNodesOfferings",
        offer_id="ReservedCacheNodesOfferingId",
        list_nodes="describe_reserved_cache_nodes",
        nodes="ReservedCacheNodes",
        identity="ReservationARN",
        own_name="ReservedCacheNodeId",
        node_class="CacheNodeType",
        count="CacheNodeCount",
        payment="OfferingType",
        buy="purchase_reserved_cache_nodes_offering",
        bought="ReservedCacheNode",
        taken=("ReservedCacheNodeAlreadyExists", "ReservedCacheNodeAlreadyExistsFault"),
        token="Marker",  # noqa: S106
        page="MaxRecords",
        tags=True,
    ),
    NodeService(
        kind=Kind.AWS_MEMORYDB_RI,
        name="memorydb",
        client="memorydb",
        list_offers="describe_reserved_nodes_offerings",
        offers="ReservedNodesOfferings",
        offer_id="ReservedNodesOfferingId",
        list_nodes="describe_reserved_nodes",
        nodes="ReservedNodes",
        identity="ARN",
        own_name="ReservationId",
        node_class="NodeType",
        count="NodeCount",
        payment="OfferingType",
        buy="purchase_reserved_nodes_offering",
        bought="ReservedNode",
        taken=("ReservedNodeAlreadyExistsFault", "ReservedNodeAlreadyExists"),
        token="NextToken",  # noqa: S106
        page="MaxResults",
        tags=True,
    ),
    NodeService(
        kind=Kind.AWS_OPENSEARCH_RI,
        name="opensearch",
        client="opensearch",
        list_offers="describe_reserved_instance_offerings",
        offers="ReservedInstanceOfferings",
        offer_id="ReservedInstanceOfferingId",
        list_nodes="describe_reserved_instances",
        nodes="ReservedInstances",
        identity="ReservedInstanceId",
        own_name="ReservationName",
        node_class="InstanceType",
        count="InstanceCount",
        payment="PaymentOption",
        buy="purchase_reserved_instance_offering",
        bought="",
        taken=("ResourceAlreadyExistsException",),
        token="NextToken",  # noqa: S106
        page="MaxResults",
        tags=False,
        ending=".search",
    ),
    NodeService(
        kind=Kind.AWS_REDSHIFT_RI,
        name="redshift",
        client="redshift",
        list_offers="describe_reserved_node_offerings",
        offers="ReservedNodeOfferings",
        offer_id="ReservedNodeOfferingId",
        list_nodes="describe_reserved_nodes",
        nodes="ReservedNodes",
        identity="ReservedNodeId",
        own_name="",
        node_class="NodeType",
        count="NodeCount",
        payment="OfferingType",
        buy="purchase_reserved_node_offering",
        bought="ReservedNode",
        taken=(),
        token="Marker",  # noqa: S106
        page="MaxRecords",
        tags=False,
    ),
)
BY_KIND = {service.kind: service for service in SERVICES}
NAMED_KINDS = frozenset(service.kind for service in SERVICES if service.own_name)
NODE_KINDS = frozenset(BY_KIND)


@dataclass(frozen=True, slots=True)
class NodeTerms:
    """What a reservation of nodes is: AWS's class spelt out, engine and deployment in our words.

    ``platform`` is the engine as SKUs name it, ``None`` where the service has one only or the
    listing does not tell; ``multi_az`` is for databases.
    """

    service: NodeService
    region: str
    provider_offering: str
    node_class: str
    platform: str | None
    multi_az: bool
    term_months: int
    payment: Payment
    upfront_usd: Decimal
    amortised_usd_per_hour: CommitUsdPerHour

    @property
    def offering(self) -> OfferingId:
        """Our id of the offering."""
        return offering_id(self.service.kind, self.region, self.provider_offering)

    @classmethod
    def of_listed(cls, service: NodeService, listed: Answer, region: str) -> NodeTerms:
        """The terms of an offering or a reservation as its service lists it."""
        description = listed.get("ProductDescription")
        payment = str(listed[service.payment]).replace("_", " ").title()
        return cls(
            service=service,
            region=region,
            provider_offering=listed[service.offer_id],
            node_class=spelt_out(listed[service.node_class].removesuffix(service.ending)),
            platform=None if description is None else _platform(description),
            multi_az=bool(listed.get("MultiAZ", False)),
            term_months=term_months(listed["Duration"]),
            payment=payment_of(payment),
            upfront_usd=Decimal(str(listed["FixedPrice"])),
            amortised_usd_per_hour=_amortised_usd_per_hour(listed),
        )

    def covers(self, sku: str) -> bool:
        """The SKU is exactly what one of these nodes is billed as."""
        facts = describe_sku(sku)
        deployment = "Multi-AZUsage" if self.multi_az else "InstanceUsage"
        return (
            (facts.service, facts.instance_type) == (self.service.name, self.node_class)
            and facts.region == self.region
            and (self.platform is None or facts.platform == self.platform)
            and (self.service.name != "rds" or facts.bare_type.partition(":")[0] == deployment)
        )


def plain_sku(terms: NodeTerms) -> str:
    """The SKU of one such node's hour; ``ProviderError`` for an engine that we cannot name."""
    try:
        usage_type, _, operation = node_usage(
            terms.service.name, terms.node_class, terms.platform, multi_az=terms.multi_az
        ).partition("/")
    except KeyError as error:
        raise ProviderError(
            provider=PROVIDER,
            operation=f"{terms.service.client}.{terms.service.list_nodes}",
            code="unknown_word",
            detail=f"engine {terms.platform!r}",
        ) from error
    return aws_sku(f"{region_code(terms.region)}-{usage_type}", operation)


def offering_id(kind: Kind, region: str, theirs: str) -> OfferingId:
    """Our id of an offering that a service sells in one region."""
    return OfferingId(f"{kind}/{region}/{theirs}")


def split_offering(offering: OfferingId, kind: Kind) -> tuple[str, str]:
    """Region and the service's own id; ``InputError`` when it names no offering of ``kind``."""
    parts = offering.split("/")
    if len(parts) != _PARTS or parts[0] != kind.value:
        raise InputError(
            f"{offering} does not name an offering of {kind}",
            file="the order",
            remedy="Use an offering id from the offers table.",
        )
    return parts[1], parts[2]


def _platform(description: str) -> str:
    """``oracle-se2(li)`` as SKUs name it: ``oracle-se2-li``."""
    return description.strip().lower().replace("(", "-").replace(")", "")


def _amortised_usd_per_hour(listed: Answer) -> CommitUsdPerHour:
    require_usd(listed.get("CurrencyCode"), "a reservation of nodes")
    hourly = sum(
        (
            Decimal(str(charge["RecurringChargeAmount"]))
            for charge in listed.get("RecurringCharges", ())
        ),
        Decimal(0),
    )
    hours = Decimal(listed["Duration"]) / _HOUR_SECONDS
    return CommitUsdPerHour(hourly + Decimal(str(listed["FixedPrice"])) / hours)
