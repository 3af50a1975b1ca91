"""``ce``: what the bill says of plans, and what AWS would recommend. Protocol json.

Figures come from the world's own bills, a day after each day is over, as text; ``End`` is not
part of a period.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from service.domain.commitments import Kind, Payment
from service.sandbox.wire.call import Handler

_INVALID = "ValidationException"
_FRESH_AFTER = timedelta(hours=24)
_DAYS_MAX = 400
_LOOKBACK_DAYS = {"SEVEN_DAYS": 7, "THIRTY_DAYS": 30, "SIXTY_DAYS": 60}
_PAYMENTS = {
    "NO_UPFRONT": Payment.NO_UPFRONT,
    "PARTIAL_UPFRONT": Payment.PARTIAL_UPFRONT,
    "ALL_UPFRONT": Payment.ALL_UPFRONT,
}
_KINDS = {"COMPUTE_SP": Kind.AWS_COMPUTE_SP, "EC2_INSTANCE_SP": Kind.AWS_EC2_INSTANCE_SP}
_MONTH_HOURS = 730
OPERATIONS: Mapping[str, Handler] = {}
