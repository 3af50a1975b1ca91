"""How Tenor logs: one JSON object a line on standard error, with ids bound and secrets removed.

Redaction decides twice, by the name a value stands under and by the shape of the text itself,
because a secret also arrives inside exception messages, URLs and other libraries' log lines. It
is the last step before rendering, so that nothing is added after it.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from service.observe.events import Event, to_payload

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:token|secret|password|passwd|pwd|authorization|cookie|credentials?|"
    r"api_?key|access_?key|private_?key|secret_?key|signing_?key|session|signature|passphrase)s?$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_SECRET_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\btnr_[A-Za-z0-9_\-]{16,}"), REDACTED),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]*"), REDACTED),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        REDACTED,
    ),
    (re.compile(r"(\w://[^\s:/@]+):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (
        re.compile(
            r"(?i)\b((?:x-amz-)?(?:security-token|signature|credential|sig|token|secret|password|"
            r"passwd|api_?key|access_?key|secret_?access_?key|aws_secret_access_key|client_secret))"
            r"(['\"]?\s*[=:]\s*['\"]?)(?!\[redacted\])[^\s'\"&,;}]{6,}"
        ),
        rf"\1\2{REDACTED}",
    ),
)
# A secret key of AWS is forty base64 characters. Digests in hexadecimal and paths are as long now
# and then, so the text must also mix capitals, small letters and digits.
_FORTY = re.compile(r"(?<![A-Za-z0-9/+=_\-.])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_\-.])")


def _forty(match: re.Match[str]) -> str:
    found = match.group()
    mixed = re.search(r"[A-Z]", found) and re.search(r"[a-z]", found) and re.search(r"\d", found)
    return REDACTED if mixed else found


def redact_text(text: str) -> str:
    """``text`` with everything shaped like a secret replaced by ``[redacted]``."""
    for shape, replacement in _SECRET_SHAPES:
        text = shape.sub(replacement, text)
    return _FORTY.sub(_forty, text)


def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(_CAMEL.sub("_", name)) is not None


def redacted(value: object, name: str = "") -> object:
    """``value`` without secrets, whatever it is nested in; ``name`` is what it stands under."""
    if name and _is_secret_name(name) and value is not None:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {str(key): redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(repr(value) if isinstance(value, bytes) else str(value))


def redact(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Remove secrets from everything that is about to be written: the structlog processor."""
    internal = {"_record", "_from_structlog"}
    return {
        key: value if key in internal else redacted(value, key) for key, value in event_dict.items()
    }


# These tell every request at DEBUG or INFO, with its URL. That is a protocol trace, not our log,
# and a receiver's URL holds its secret in the path, where no shape gives it away.
_CHATTY = (
    "apprise",
    "apscheduler.executors",
    "azure",
    "botocore",
    "google",
    "httpcore2",
    "httpx2",
    "msal",
    "urllib3",
)


def _quotes_no_url(record: logging.LogRecord) -> bool:
    """False for a line of apprise that quotes a receiver's URL: it does where it cannot read it."""
    said = record.getMessage()
    return "URL" not in said and "://" not in said


class _TenorHandler(logging.StreamHandler[TextIO]):
    """Our own handler, a type of its own so that configuring again finds and replaces it."""


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def configure_logging(
    level: str = "INFO", stream: TextIO | None = None, *, json: bool = True
) -> None:
    """Send every log line of this process, ours and the libraries', to ``stream``.

    ``level`` is a name of the standard library; ``stream`` is standard error unless given.
    ``json=False`` writes lines for people instead. Calling it again replaces what it set up
    before and nothing else. Raises ``ValueError`` for an unknown level.
    """
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    handler = _TenorHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    for old in [known for known in root.handlers if isinstance(known, _TenorHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    logging.getLogger("apprise").addFilter(_quotes_no_url)
    # A ring that comes while the one before still works is skipped: that is meant, and frequent.
    logging.getLogger("apscheduler.scheduler").setLevel(max(logging.ERROR, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry ``name`` and whatever ids are bound."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


@contextmanager
def bound_ids(
    *, cycle_id: str | None = None, plan_id: str | None = None, intent_id: str | None = None
) -> Iterator[None]:
    """Put these ids on every line logged inside, in this thread or task; others are kept."""
    ids = {"cycle_id": cycle_id, "plan_id": plan_id, "intent_id": intent_id}
    with bound_contextvars(**{name: value for name, value in ids.items() if value is not None}):
        yield


_WARNINGS = frozenset(
    {
        "usage.refused",
        "policy.refused",
        "policy.halted",
        "purchase.refused",
        "proposal.refused",
        "autopilot.demoted",
        "halt.set",
        "lease.lost",
        "reconcile.drift",
    }
)
_ERRORS = frozenset({"cycle.failed", "purchase.unknown"})


def log_event(event: Event) -> None:
    """Log an event under its own name. Call it after the transaction that wrote it committed."""
    log_fact(event.name, to_payload(event))


def log_fact(name: str, payload: Mapping[str, object], **more: object) -> None:
    """Log an event by its name and fields, with the ids in it under their usual names."""
    level = logging.INFO
    if name in _WARNINGS:
        level = logging.WARNING
    if name in _ERRORS:
        level = logging.ERROR
    ids = {f"{word}_id": payload[word] for word in ("cycle", "plan", "intent") if payload.get(word)}
    get_logger("tenor.events").log(level, name, **{**payload, **ids, **more})
