"""What Cost Explorer says of the whole organisation's plans, whichever account owns them.

``DescribeSavingsPlans`` lists one account's plans; Cost Explorer, asked by the payer, sums those
of every account of the organisation.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from service.domain.errors import ProviderError
from service.providers.aws.clients import AwsClients, invoke

_REGION = "us-east-1"  # where Cost Explorer answers
_NO_PLANS = "DataUnavailableException"


def committed_usd(clients: AwsClients, day: date) -> Decimal:
    """Savings Plans commitment of every account on ``day`` (UTC), in dollars over its hours.

    Zero where Cost Explorer knows of no plan on that day. ``ProviderError`` when it cannot tell.
    """
    arguments = {
        "TimePeriod": {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()},
        "Granularity": "DAILY",
    }
    client = clients.reading("ce", _REGION)
    try:
        answer = invoke(client, "get_savings_plans_utilization", arguments, needs="Total")
    except ProviderError as error:
        if error.code == _NO_PLANS:
            return Decimal(0)
        raise
    return Decimal(answer["Total"]["Utilization"]["TotalCommitment"])
