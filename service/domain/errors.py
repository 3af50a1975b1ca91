"""Every error that Tenor raises on purpose, as one tree.

::

    TenorError                exit 1
    ├── InputError            exit 2  bad data or usage: names file, row, column and remedy
    │   └── PolicyError       exit 2  a policy file that cannot be read strictly
    ├── RefusedError          exit 3  a guardrail said no
    ├── UnknownOutcomeError   exit 4  a purchase whose outcome is not known
    ├── ProviderError         exit 1  a provider's answer that is neither a yes nor a no
    ├── LeaseLostError        exit 1  this process is no longer the executor
    └── InvariantError        exit 1  Tenor's own state contradicts itself: stop, do not guess

Errors carry fields, not only a sentence. Expected refusals inside the pipeline are values
(``domain.purchases.Verdict``, ``Outcome``), never exceptions.
"""

from __future__ import annotations


class TenorError(Exception):
    """Base of all deliberate errors. ``exit_code`` is the command's exit status."""

    exit_code = 1


class InputError(TenorError):
    """Input that cannot be used as it stands. Nothing has been written.

    ``row`` is the 1-based data row (the header is not counted); ``None`` when the whole file
    or no single row is at fault. ``remedy`` is an imperative sentence for the reader.
    """

    exit_code = 2
    row_word = "row"
    column_word = "column"

    def __init__(
        self,
        problem: str,
        *,
        file: str,
        remedy: str,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.row = row
        self.column = column
        self.remedy = remedy
        where = file
        if row is not None:
            where += f", {self.row_word} {row}"
        if column is not None:
            where += f", {self.column_word} {column}"
        super().__init__(f"{where}: {problem}. {remedy}")


class PolicyError(InputError):
    """A policy file that is malformed; ``row`` is the YAML file's line, ``column`` the key."""

    row_word = "line"
    column_word = "key"


class RefusedError(TenorError):
    """A guardrail refused. ``rule`` is its name, ``detail`` both numbers in words."""

    exit_code = 3

    def __init__(self, *, rule: str, detail: str) -> None:
        self.rule = rule
        self.detail = detail
        super().__init__(f"refused by {rule}: {detail}")


class UnknownOutcomeError(TenorError):
    """A purchase call whose effect is not known; only inventory evidence settles it."""

    exit_code = 4

    def __init__(self, *, intent: str, detail: str) -> None:
        self.intent = intent
        self.detail = detail
        super().__init__(
            f"the outcome of intent {intent} is unknown: {detail}. Nothing more is bought in "
            "its scope until reconciliation settles it."
        )


class ProviderError(TenorError):
    """A provider failed to answer a read, or answered outside its own contract."""

    def __init__(self, *, provider: str, operation: str, code: str, detail: str) -> None:
        self.provider = provider
        self.operation = operation
        self.code = code
        self.detail = detail
        super().__init__(f"{provider} {operation} failed with {code}: {detail}")


class LeaseLostError(TenorError):
    """The executor's lease went to another process, or its fencing number is stale."""

    def __init__(self, *, holder: str, fence: int) -> None:
        self.holder = holder
        self.fence = fence
        super().__init__(f"{holder} no longer holds the lease (fence {fence})")


class InvariantError(TenorError):
    """State that must never occur. Raised before writing or after reading it."""
