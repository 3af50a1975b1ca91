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
