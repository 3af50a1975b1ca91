"""An alteration that waits for a person, in the small world that the API is asked about."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.commitments import Kind
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.purchase.written_alterations import ask
from service.store import holdings
from service.store.engine import writing
from tests.api.world import LIFETIME, World, a_line, listed

NUMBERS = count(1)


def add_alteration(world: World, *, usd_per_hour: Decimal | None = None) -> IntentId:
    """A commitment, and its return that waits for a person."""
    number = next(NUMBERS)
    now = world.clock.now()
    identity, commitment = IntentId(f"a-{number}"), CommitmentId(f"ri-{number:08d}")
    order = AlterationOrder(
        intent=identity,
        token=ClientToken(f"client-token-{identity}"),
        alteration=AlterationKind.RETURN,
        account=a_line().account,
        kind=Kind.AWS_COMPUTE_SP,
        sources=(commitment,),
        targets=(),
        most_to_pay_usd=Decimal(0),
    )
    with writing(world.engine) as connection:
        holdings.keep(connection, "aws", listed(None, commitment, now), now=now)
        asked = ask(
            connection,
            order,
            provider="aws",
            run="undo",
            reason="the usage that it was bought for is gone",
            expires_at=now + LIFETIME,
            now=now,
            quoted_usd_per_hour=usd_per_hour,
        )
    assert asked is not None
    return identity
