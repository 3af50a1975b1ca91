import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from service.domain.ids import IntentId
from service.observe.events import PurchaseCalled, PurchaseUnknown
from service.observe.log import (
    REDACTED,
    bound_ids,
    configure_logging,
    get_logger,
    log_event,
    redact_text,
    redacted,
)

AWS_SECRET = "wJalrXUtnFEMI" + "/K7MDENG/bPxRfiCY" + "EXAMPLEKEY"
AWS_KEY_ID = "AKIA" + "IOSFODNN7EXAMPLE"
API_TOKEN = "tnr_" + "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxIn0" + ".c2lnbmF0dXJl"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----"

PLANTED = [
    pytest.param(f"signed with {AWS_SECRET} today", AWS_SECRET, id="aws secret key"),
    pytest.param(f"key {AWS_KEY_ID}.", AWS_KEY_ID, id="aws access key id"),
    pytest.param(f"token {API_TOKEN} refused", API_TOKEN, id="our own token"),
    pytest.param("Authorization: Bearer abcdef0123456789", "abcdef0123456789", id="bearer"),
    pytest.param(f"got {JWT}", JWT, id="jwt"),
    pytest.param(f"read {PEM} from file", "MIIEvQIBADANBgkq", id="private key"),
    pytest.param("postgresql://tenor:hunter2hunter2@db/x", "hunter2hunter2", id="url password"),
    pytest.param("GET /x?X-Amz-Signature=0a1b2c3d4e5f", "0a1b2c3d4e5f", id="signed url"),
    pytest.param("client_secret='s3cr3t-value'", "s3cr3t-value", id="assignment"),
]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    configure_logging("DEBUG", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(("text", "secret"), PLANTED)
def test_secrets_are_recognised_by_their_shape(text: str, secret: str) -> None:
    assert secret not in redact_text(text)
    assert REDACTED in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "USW2-Fargate-vCPU-Hours:perCPU/FargateTask",
        "arn:aws:savingsplans::123456789012:savingsplan/0c6d0a3e-2f2b-4c11-9a3f-1f6e0a5b7c11",
        "cycle daily:2026-03-01T12:00:00Z finished",
        "the token was refused",
    ],
)
def test_what_is_no_secret_is_left_as_it_was(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "api_token",
        "client_token",
        "password",
        "Authorization",
        "secretAccessKey",
        "aws_secret_access_key",
        "set-cookie",
        "db.password",
        "credentials",
        "apikey",
    ],
)
def test_secrets_are_recognised_by_the_name_they_stand_under(name: str) -> None:
    assert redacted({"deep": [{name: "plain words"}]}) == {"deep": [{name: REDACTED}]}


@pytest.mark.parametrize("name", ["token_id", "intent", "tokens_used", "author", "secretary"])
def test_names_that_only_resemble_a_secret_keep_their_value(name: str) -> None:
    assert redacted({name: "plain words"}) == {name: "plain words"}


@given(st.text(alphabet="abcXYZ 0123:/=&?._-", max_size=120))
def test_a_planted_token_never_survives_whatever_surrounds_it(around: str) -> None:
    assert API_TOKEN not in redact_text(f"{around} {API_TOKEN} {around}")


@given(st.text(max_size=80))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    assert redact_text(redact_text(text)) == redact_text(text)


def test_a_line_is_one_json_object_with_an_instant_in_utc(stream: io.StringIO) -> None:
    get_logger("tenor.test").info("something.happened", count=3)
    (line,) = lines(stream)
    assert (line["event"], line["count"], line["level"]) == ("something.happened", 3, "info")
    assert line["logger"] == "tenor.test"
    moment = datetime.fromisoformat(str(line["timestamp"]))
    assert moment.utcoffset() is not None
    assert str(line["timestamp"]).endswith("Z")


def test_ids_are_on_every_line_inside_and_on_none_after(stream: io.StringIO) -> None:
    log = get_logger("tenor.test")
    with bound_ids(cycle_id="c-1", plan_id="p-1"), bound_ids(intent_id="i-1"):
        log.info("inside")
    log.info("after")
    inside, after = lines(stream)
    assert (inside["cycle_id"], inside["plan_id"], inside["intent_id"]) == ("c-1", "p-1", "i-1")
    assert "cycle_id" not in after


def test_other_libraries_lines_are_redacted_and_carry_the_ids_too(stream: io.StringIO) -> None:
    with bound_ids(cycle_id="c-1"):
        logging.getLogger("some.library").warning("calling with %s", f"Bearer {API_TOKEN}")
    (line,) = lines(stream)
    assert API_TOKEN not in stream.getvalue()
    assert line["cycle_id"] == "c-1"


@pytest.mark.parametrize(("text", "secret"), PLANTED)
def test_secrets_inside_an_exception_are_not_written(
    stream: io.StringIO, text: str, secret: str
) -> None:
    def fail() -> None:
        raise RuntimeError(text)

    try:
        fail()
    except RuntimeError:
        get_logger("tenor.test").exception("failed", extra_context={"where": text})
        logging.getLogger("some.library").exception("failed as well")
    written = stream.getvalue()
    assert "RuntimeError" in written
    assert secret not in written


def test_configuring_again_does_not_write_a_line_twice(stream: io.StringIO) -> None:
    again = io.StringIO()
    configure_logging("INFO", again)
    configure_logging("INFO", again)
    get_logger("tenor.test").info("once")
    assert len(again.getvalue().splitlines()) == 1
    assert stream.getvalue() == ""


def test_lines_under_the_level_are_not_written(stream: io.StringIO) -> None:
    quiet = io.StringIO()
    configure_logging("WARNING", quiet)
    get_logger("tenor.test").info("too quiet")
    get_logger("tenor.test").warning("loud enough")
    assert [line["event"] for line in lines(quiet)] == ["loud enough"]
    assert stream.getvalue() == ""


def test_an_unknown_level_is_an_error() -> None:
    with pytest.raises(ValueError, match="CHATTY"):
        configure_logging("CHATTY", io.StringIO())


def test_lines_for_people_are_redacted_as_well(stream: io.StringIO) -> None:
    human = io.StringIO()
    configure_logging("INFO", human, json=False)
    get_logger("tenor.test").info("signed in", detail=f"with {API_TOKEN}")
    assert "signed in" in human.getvalue()
    assert API_TOKEN not in human.getvalue()
    assert stream.getvalue() == ""


def test_events_are_logged_under_their_own_name_and_bad_news_louder(stream: io.StringIO) -> None:
    log_event(PurchaseCalled(intent=IntentId("i-1"), fence=4))
    log_event(PurchaseUnknown(intent=IntentId("i-1"), detail="timed out"))
    called, unknown = lines(stream)
    assert (called["event"], called["level"], called["fence"]) == ("purchase.called", "info", 4)
    assert (unknown["event"], unknown["level"]) == ("purchase.unknown", "error")
