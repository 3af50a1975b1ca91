"""The words in which five services sell reserved nodes; what they do is the same (``nodes``)."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.commitments import Kind


@dataclass(frozen=True, slots=True)
class NodeWire:
    """One service's words. An empty word is a member that the service does not have."""

    kind: Kind
    offers: str
    offer_item: str
    offer_id: str
    nodes: str
    node_item: str
    node_id: str
    identity: str
    node_class: str
    count: str
    payment: str
    token: str
    page: str
    bought: str
    no_offer: tuple[str, int]
    no_node: tuple[str, int]
    taken: tuple[str, int]
    class_ending: str = ""
    asked_node_id: str = ""
    asked_offer_id: str = ""
    currency: bool = True
    usage_price: bool = True
    description: bool = False
    tags: bool = True


RDS = NodeWire(
    kind=Kind.AWS_RDS_RI,
    offers="ReservedDBInstancesOfferings",
    offer_item="ReservedDBInstancesOffering",
    offer_id="ReservedDBInstancesOfferingId",
    nodes="ReservedDBInstances",
    node_item="ReservedDBInstance",
    node_id="ReservedDBInstanceId",
    identity="ReservedDBInstanceArn",
    node_class="DBInstanceClass",
    count="DBInstanceCount",
    payment="OfferingType",
    token="Marker",  # noqa: S106  # the name of a field
    page="MaxRecords",
    bought="ReservedDBInstance",
    no_offer=("ReservedDBInstancesOfferingNotFound", 404),
    no_node=("ReservedDBInstanceNotFound", 404),
    taken=("ReservedDBInstanceAlreadyExists", 404),
    description=True,
)
ELASTICACHE = NodeWire(
    kind=Kind.AWS_ELASTICACHE_RI,
    offers="ReservedCacheNodesOfferings",
    offer_item="ReservedCacheNodesOffering",
    offer_id="ReservedCacheNodesOfferingId",
    nodes="ReservedCacheNodes",
    node_item="ReservedCacheNode",
    node_id="ReservedCacheNodeId",
    identity="ReservationARN",
    node_class="CacheNodeType",
    count="CacheNodeCount",
    payment="OfferingType",
    token="Marker",  # noqa: S106
    page="MaxRecords",
    bought="ReservedCacheNode",
    no_offer=("ReservedCacheNodesOfferingNotFound", 404),
    no_node=("ReservedCacheNodeNotFound", 404),
    taken=("ReservedCacheNodeAlreadyExists", 404),
    currency=False,
    description=True,
)
REDSHIFT = NodeWire(
    kind=Kind.AWS_REDSHIFT_RI,
    offers="ReservedNodeOfferings",
    offer_item="ReservedNodeOffering",
    offer_id="ReservedNodeOfferingId",
    nodes="ReservedNodes",
    node_item="ReservedNode",
    node_id="",
    identity="ReservedNodeId",
    node_class="NodeType",
    count="NodeCount",
    payment="OfferingType",
    token="Marker",  # noqa: S106
    page="MaxRecords",
    bought="ReservedNode",
    no_offer=("ReservedNodeOfferingNotFound", 404),
    no_node=("ReservedNodeNotFound", 404),
    taken=("ReservedNodeAlreadyExists", 404),
    tags=False,
)
OPENSEARCH = NodeWire(
    kind=Kind.AWS_OPENSEARCH_RI,
    offers="ReservedInstanceOfferings",
    offer_item="",
    offer_id="ReservedInstanceOfferingId",
    nodes="ReservedInstances",
    node_item="",
    node_id="ReservationName",
    identity="ReservedInstanceId",
    node_class="InstanceType",
    count="InstanceCount",
    payment="PaymentOption",
    token="NextToken",  # noqa: S106
    page="maxResults",
    bought="",
    no_offer=("ResourceNotFoundException", 409),
    no_node=("ResourceNotFoundException", 409),
    taken=("ResourceAlreadyExistsException", 409),
    class_ending=".search",
    asked_node_id="reservationId",
    asked_offer_id="offeringId",
    tags=False,
)
MEMORYDB = NodeWire(
    kind=Kind.AWS_MEMORYDB_RI,
    offers="ReservedNodesOfferings",
    offer_item="",
    offer_id="ReservedNodesOfferingId",
    nodes="ReservedNodes",
    node_item="",
    node_id="ReservationId",
    identity="ARN",
    node_class="NodeType",
    count="NodeCount",
    payment="OfferingType",
    token="NextToken",  # noqa: S106
    page="MaxResults",
    bought="ReservedNode",
    no_offer=("ReservedNodesOfferingNotFoundFault", 404),
    no_node=("ReservedNodeNotFoundFault", 404),
    taken=("ReservedNodeAlreadyExistsFault", 400),
    currency=False,
    usage_price=False,
)
