"""Settles a purchase on a person's word, once the provider has been asked what it knows of it."""

from __future__ import annotations

from service.domain.errors import ProviderError, RefusedError
from service.domain.ids import CommitmentId, IntentId
from service.domain.purchases import Evidence, Intent, IntentState
from service.purchase.by_hand import settle_purchase
from service.store import intents
from service.store.engine import reading, writing
from service.wiring import Parts


def settle(
    parts: Parts, intent: IntentId, *, bought: CommitmentId | None, by: str, reason: str
) -> None:
    """See ``settle_purchase``; of one that was never listed the provider is asked by name first.

    Raises ``RefusedError`` when it cannot be settled so, or cannot be asked now.
    """
    with reading(parts.engine) as connection:
        found = intents.find(connection, intent)
    answer = None
    if found is not None and found.state is IntentState.BOUGHT and bought is None:
        answer = _asked(parts.about(found.line.provider), found)
    with writing(parts.engine) as connection:
        settle_purchase(
            connection,
            intent,
            bought=bought,
            by=by,
            reason=reason,
            now=parts.clock.now(),
            answer=answer,
        )


def _asked(parts: Parts, found: Intent) -> Evidence | None:
    """What the provider says of ``found`` when asked for it by name; ``None``: it cannot be."""
    if parts.cloud.finder is None:
        return None
    try:
        return parts.cloud.finder.look_up(found.order)
    except ProviderError as error:
        raise RefusedError(
            rule="provider_silent",
            detail=f"the provider does not say what it knows of intent {found.order.intent}, and "
            f"confirmed it once: {error}",
        ) from error
