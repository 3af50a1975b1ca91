"""What leaves for other tools, as FOCUS tables; and the hours behind a proposal."""

from __future__ import annotations

import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from service.api.context import Allowed, AppContext, Context
from service.api.exporting import Format, format_of, written
from service.api.listing import READ_ONE_PROBLEMS, READ_PROBLEMS, Identifier, Until
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import STORABLE, Answer, DecimalText, Instant
from service.domain.errors import InvariantError, RefusedError, TenorError
from service.domain.hours import HOUR, floor_hour
from service.domain.ids import ProposalId
from service.domain.purchases import Proposal
from service.domain.usage import Dataset
from service.store import holdings, proposals
from service.store.engine import reading

HOURS_DEFAULT = 24 * 7
HOURS_MAX = 24 * 31
PICTURE_HOURS = 24 * 28
PICTURE_KEPT_SECONDS = 600.0
_PLACES = Decimal("0.000001")


class HourlyPicture(Answer):
    """Hours of the usage that a proposal's offering could cover, in on-demand dollars.

    Lists hold one amount for each hour from ``start`` on; those of the typical week are means by
    hour of the week from Monday 00:00 UTC, null where no such hour was seen.
    """

    start: Instant
    hours: int
    usage_usd_per_hour: list[DecimalText] = Field(description="all of that usage")
    owned_usd_per_hour: list[DecimalText] = Field(description="what owned commitments cover of it")
    proposed_usd_per_hour: list[DecimalText] = Field(
        description="what the proposal would cover beside them"
    )
    capacity_usd_per_hour: DecimalText = Field(
        description="what the proposal covers in an hour in which all of it is used"
    )
    unused_ratio: DecimalText = Field(description="share of the proposal not used in these hours")
    week_usage_usd_per_hour: list[DecimalText | None]
    week_owned_usd_per_hour: list[DecimalText | None]
    week_proposed_usd_per_hour: list[DecimalText | None]


def read_picture(context: Context, caller: Allowed, proposal_id: Identifier) -> HourlyPicture:
    """The last four weeks, hour by hour, and the typical week: usage against capacity.

    Of all accounts that could use it, so not for who is limited to some.
    """
    with reading(context.engine) as connection:
        found = proposals.find(connection, ProposalId(proposal_id))
    if found is None or not caller.sees(found.line.account):
        raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
    return picture_of(context, found)


def picture_of(context: AppContext, proposal: Proposal) -> HourlyPicture:
    """The picture of ``proposal``; a 409 problem where there is no usage to draw it from."""
    return context.kept.value(
        ("picture", id(context.engine), proposal.proposal),
        proposal.version,
        seconds=PICTURE_KEPT_SECONDS,
        make=lambda: _drawn(context, proposal),
    )


def _drawn(context: AppContext, proposal: Proposal) -> HourlyPicture:
    from service.report.picture import picture, typical_week  # noqa: PLC0415 - scipy-sized

    line = proposal.line
    dataset = _dataset(context, line.provider, hours=PICTURE_HOURS, end=None)
    for name, _ in line.contents:
        if name not in dataset.offerings:
            raise ProblemError(Kind.CONFLICT, f"{name} is not sold any more.")
    seen = picture(dataset, line)

    def week(hourly: NDArray[np.float64]) -> list[Decimal | None]:
        return [
            None if np.isnan(one) else _amount(float(one))
            for one in typical_week(hourly, seen.hours)
        ]

    return HourlyPicture(
        start=seen.hours.start,
        hours=seen.hours.count,
        usage_usd_per_hour=[_amount(float(one)) for one in seen.usage],
        owned_usd_per_hour=[_amount(float(one)) for one in seen.owned],
        proposed_usd_per_hour=[_amount(float(one)) for one in seen.proposed],
        capacity_usd_per_hour=_amount(seen.capacity_usd_per_hour),
        unused_ratio=_amount(seen.unused_ratio),
        week_usage_usd_per_hour=week(seen.usage),
        week_owned_usd_per_hour=week(seen.owned),
        week_proposed_usd_per_hour=week(seen.proposed),
    )


def _amount(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_PLACES)


def _dataset(context: AppContext, provider: str, *, hours: int, end: datetime | None) -> Dataset:
    if context.usage is None:
        raise ProblemError(Kind.CONFLICT, "No usage is kept here.")
    try:
        return context.usage.dataset(provider, hours=hours, end=end)
    except InvariantError:
        raise
    except RefusedError as error:
        raise ProblemError(Kind.CONFLICT, f"The usage cannot be billed: {error.detail}.") from error
    except TenorError as error:
        raise ProblemError(
            Kind.NOT_READY, "The usage cannot be billed.", reasons={"usage": str(error)}
        ) from error


Wanted = Annotated[
    Format | None, Query(alias="format", description="instead of what `Accept` says")
]
BillFormat = Annotated[
    Literal["csv", "parquet"] | None,
    Query(alias="format", description="instead of what `Accept` says"),
]


def export_commitments(
    request: Request, context: Context, caller: Allowed, wanted: Wanted = None
) -> Response:
    """Every commitment as a FOCUS ContractCommitment record, as its provider listed it last."""
    from service.report.contracts import COLUMNS, inventory_records  # noqa: PLC0415 - numpy

    form = format_of(wanted, request.headers.get("accept", ""), tuple(Format))
    now = context.clock.now()
    with reading(context.engine) as connection:
        items = [
            item for item in holdings.inventory(connection) if caller.sees(item.commitment.account)
        ]
    body = written(inventory_records(items, as_of=now), COLUMNS, form)
    return _file(body, form, "contract-commitments")


def export_bills(
    *,
    request: Request,
    context: Context,
    _caller: Allowed,
    provider: Annotated[str | None, Query(max_length=20, pattern=STORABLE)] = None,
    end: Until = None,
    hours: Annotated[int, Query(ge=1, le=HOURS_MAX, description="before `end`")] = HOURS_DEFAULT,
    wanted: BillFormat = None,
) -> Response:
    """Eligible usage as FOCUS cost and usage rows: covered, on demand, commitment not used.

    The newest hours unless `end` is given; one provider at a time, `provider` where there are
    several.
    """
    from service.billing.bill import bill  # noqa: PLC0415 - numpy
    from service.billing.focus_file import write_focus  # noqa: PLC0415 - pyarrow

    among = (Format.CSV, Format.PARQUET)
    named = None if wanted is None else Format(wanted)
    form = format_of(named, request.headers.get("accept", ""), among)
    stop = None if end is None else floor_hour(end)
    dataset = _dataset(context, _provider(context, provider), hours=hours, end=stop)
    with tempfile.TemporaryDirectory(prefix="tenor-export-") as folder:
        path = Path(folder) / f"bill.{form.value}"
        write_focus(dataset, bill(dataset), path)
        body = path.read_bytes()
    last = dataset.usage.hours.start + dataset.usage.hours.count * HOUR
    return _file(body, form, f"focus-{last:%Y-%m-%dT%H}")


def _provider(context: AppContext, wanted: str | None) -> str:
    known = () if context.usage is None else context.usage.providers
    if wanted is None and len(known) > 1:
        raise ProblemError(Kind.INVALID, f"Name one provider of {', '.join(known)}.")
    if not known or wanted not in {None, *known}:
        raise ProblemError(Kind.CONFLICT, f"No usage of {wanted or 'anybody'} is known.")
    return wanted or known[0]


def _file(body: bytes, form: Format, name: str) -> Response:
    return Response(
        body,
        media_type=form.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{form.value}"',
            "Cache-Control": "no-store",
            "Vary": "Accept",
        },
    )


def _answers(*forms: Format, example: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {}
    for form in forms:
        media = form.media_type.partition(";")[0]
        shape: dict[str, Any] = {"type": "string"}
        if form is Format.PARQUET:
            shape = {"type": "string", "contentMediaType": media}
        if form is Format.JSON:
            shape = {"type": "object", "required": ["items"], "examples": [{"items": []}]}
        content[media] = {"schema": shape}
        if form is Format.CSV:
            content[media]["example"] = example
    return {
        200: {"description": "The table", "content": content},
        **READ_PROBLEMS,
        **documented(Kind.CONFLICT),
    }


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter()
    add = routes.add_api_route
    add(
        "/v1/proposals/{proposal_id}/picture",
        read_picture,
        tags=["sign-off"],
        responses={**READ_ONE_PROBLEMS, **documented(Kind.CONFLICT)},
    )
    contracts = "BillingCurrency,ContractCommitmentCategory\r\nUSD,Spend\r\n"
    rows = "BilledCost,ChargePeriodStart\r\n1.250000000,2026-03-02T06:00:00Z\r\n"
    for path, handler, forms, example in (
        ("/v1/exports/commitments", export_commitments, tuple(Format), contracts),
        ("/v1/exports/bills", export_bills, (Format.CSV, Format.PARQUET), rows),
    ):
        add(
            path,
            handler,
            tags=["estate"],
            response_class=Response,
            response_model=None,
            responses=_answers(*forms, example=example),
        )
    return routes
