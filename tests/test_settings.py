from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.cli import main
from service.domain.errors import InputError
from service.settings import Settings, read_settings, sourced


def test_defaults_observe_and_stay_on_this_machine() -> None:
    settings = read_settings({})
    assert settings.policy_file == Path("policies/default.yaml")
    assert settings.listen_host == "127.0.0.1"
    assert settings.open_reads is False


def test_reads_the_environment_and_lets_options_win() -> None:
    settings = read_settings({"TENOR_LAG_HOURS": "24", "PATH": "/bin"}, lag_hours=30, seed=None)
    assert settings.lag_hours == 30
    assert settings.seed == 0


def test_a_misspelt_variable_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(InputError, match="Did you mean TENOR_LAG_HOURS"):
        read_settings({"TENOR_LAGHOURS": "24"})


def test_an_unusable_value_names_the_variable_and_the_value() -> None:
    with pytest.raises(InputError, match=r"TENOR_LAG_HOURS.*'-1'"):
        read_settings({"TENOR_LAG_HOURS": "-1"})


def test_settings_cannot_be_changed_once_built() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(Settings(), "lag_hours", 1)  # noqa: B010 - the types forbid it as well


def test_a_file_sets_what_the_environment_does_not(tmp_path: Path) -> None:
    file = tmp_path / "tenor.yaml"
    file.write_text("lag_hours: 24\nseed: 3\n")
    found = sourced({"TENOR_CONFIG_FILE": str(file), "TENOR_SEED": "4"})
    assert (found.settings.lag_hours, found.settings.seed) == (24, 4)
    assert found.sources == {"lag_hours": f"{file}, line 1", "seed": "the environment"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nlaghours: 24\n", r"line 2|row 2.*lag_hours"),
        ("lag_hours: -1\n", "line 1"),
        ("lag_hours: 1\nlag_hours: 2\n", "given twice"),
        ("- a\n", "mapping"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "tenor.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=said):
        read_settings({"TENOR_CONFIG_FILE": str(file)})


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_settings({"TENOR_CONFIG_FILE": "nowhere.yaml"})


def test_config_check_shows_each_value_and_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENOR_DATABASE_URL", "postgresql+psycopg://u:hidden@db/tenor")
    assert main(["config", "check", "--json"]) == 0
    told = capsys.readouterr().out
    rows = {row["setting"]: row for row in json.loads(told)["settings"]}
    assert rows["database_url"]["source"] == "the environment"
    assert rows["seed"] == {"setting": "seed", "value": "0", "source": "default"}
    assert "hidden" not in told


def test_config_check_refuses_an_offer_that_is_named_for_two_terms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {
        "PROJECT": "acme",
        "BILLING_ACCOUNT": "01AB23-45CD67-89EF01",
        "CREDENTIALS_FILE": "key.json",
        "FLEXIBLE_PAST_OFFERS_12": "services/compute.googleapis.com/standardOffers/old",
    }
    for name, value in named.items():
        monkeypatch.setenv(f"TENOR_GCP_{name}", value)
    assert main(["config", "check", "--json"]) == 0
    assert "standardOffers/old" in capsys.readouterr().out
    monkeypatch.setenv("TENOR_GCP_FLEXIBLE_OFFER_36", named["FLEXIBLE_PAST_OFFERS_12"])
    assert main(["config", "check", "--json"]) == 2
    assert "two terms" in capsys.readouterr().err


SIGNING_IN = {
    "OIDC_ISSUER": "https://id.example.com/",
    "OIDC_CLIENT_ID": "tenor",
    "PUBLIC_URL": "https://tenor.example.com",
    "ALLOWED_HOSTS": "localhost,tenor.example.com",
}


@pytest.mark.parametrize(
    "given",
    [
        {"LOG_LEVEL": "debug"},
        {"TRACES_URL": "http://collector:4318/v1/traces"},
        {"PUBLIC_URL": "http://[::1]:8321"},
        {"TRUSTED_PROXIES": "10.0.0.0/24", **SIGNING_IN, "OIDC_ROLES": "buyers=approver"},
    ],
)
def test_config_check_accepts_what_can_run(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"TENOR_{name}", value)
    assert main(["config", "check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"LOG_LEVEL": "LOUD"}, "'DEBUG', 'INFO'"),
        ({"TRACES_URL": "collector:4318"}, "must begin with http"),
        ({"TRUSTED_PROXIES": "*"}, "neither an address nor a network"),
        ({"PUBLIC_URL": "tenor.example.com"}, "https address"),
        ({"PUBLIC_URL": "https://tenor.example.com"}, "Add tenor.example.com to it"),
        ({**SIGNING_IN, "OIDC_ISSUER": "http://id.example.com"}, "TENOR_OIDC_ISSUER"),
        ({"OIDC_ROLES": "buyers=king"}, "'buyers=king' is not value=role"),
        ({"SESSION_KEY_FILE": "nowhere"}, "TENOR_SESSION_KEY_FILE"),
        ({"DATABASE_URL": "mysql://x"}, "mysql is not supported"),
        ({"AWS_ROLE_ARN": "foo"}, "0 sources of credentials"),
        ({"AWS_PROFILE": "nobody-made-this"}, "nobody-made-this"),
        ({"AZURE_TENANT_ID": "t"}, "TENOR_AZURE_SUBSCRIPTION_ID"),
        ({"GCP_BILLING_ACCOUNT": "01AB23-45CD67-89EF01"}, "set up by half"),
    ],
)
def test_config_check_refuses_what_could_not_run(
    given: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"TENOR_{name}", value)
    assert main(["config", "check"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("webhook: https://a.example.com/in, secret_env: NO_SUCH_KEY", "NO_SUCH_KEY"),
        ('webhook: "https://a.example.com/${NO_SUCH_PATH}", secret_env: HOOK_KEY', "NO_SUCH_PATH"),
        ("url: slak://unguessable/", "the url of somebody"),
        ('url: "json://${NO_SUCH_HOST}"', "NO_SUCH_HOST"),
    ],
)
def test_config_check_refuses_a_receiver_that_nothing_could_be_sent_to(
    target: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "alerts.yaml"
    monkeypatch.setenv("HOOK_KEY", "a trial key")
    monkeypatch.setenv("TENOR_ALERTS_FILE", str(file))
    sound = "webhook: https://a.example.com/in, secret_env: HOOK_KEY"
    for one, status in ((sound, 0), (target, 2)):
        file.write_text(f"version: 1\ntargets:\n  - {{name: somebody, {one}}}\n")
        assert main(["config", "check"]) == status
    told = capsys.readouterr().err
    assert said in told
    assert "unguessable" not in told
