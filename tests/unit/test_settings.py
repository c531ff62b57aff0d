"""Settings are read once, at the edges; a wrong one stops the start with one sentence that names it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from models.errors import InvalidInput
from settings import COMMAND_LINE_VARIABLES, Settings, read_settings


def refusal(environment: Mapping[str, str]) -> str:
    with pytest.raises(InvalidInput) as refused:
        read_settings(environment)
    return refused.value.message


def test_without_variables_every_setting_has_its_default() -> None:
    assert read_settings({"PATH": "/bin", "TEMPORAL_ADDRESS": "localhost:7233"}) == Settings()


def test_variables_become_settings() -> None:
    settings = read_settings(
        {
            "SENDGATE_DATABASE_URL": "postgresql://u:p@h/d",
            "SENDGATE_SMTP_HOST": "mail.example.org",
            "SENDGATE_SMTP_PORT": "587",
            "SENDGATE_SMTP_TLS": "starttls",
            "SENDGATE_LANES": "8",
        }
    )
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:p@h/d"
    assert (settings.smtp_host, settings.smtp_port, settings.smtp_tls) == ("mail.example.org", 587, "starttls")
    assert settings.lanes == 8


@pytest.mark.parametrize(
    "name", ["SENDGATE_LANE", "SENDGATE_SMTPHOST", "SENDGATE_", "SENDGATE_lanes", "SENDGATE_Lanes"]
)
def test_an_unknown_variable_is_named(name: str) -> None:
    assert refusal({name: "1"}).startswith(f"{name} is not a setting of Sendgate;")


def test_an_unknown_variable_is_named_even_when_it_is_empty() -> None:
    assert "SENDGATE_LANE " in refusal({"SENDGATE_LANE": ""})


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert read_settings({"SENDGATE_SMTP_HOST": "", "SENDGATE_LANES": ""}) == Settings()


@pytest.mark.parametrize("name", sorted(COMMAND_LINE_VARIABLES))
def test_the_command_lines_own_variables_are_no_settings_and_no_mistake(name: str) -> None:
    assert read_settings({name: "anything"}) == Settings()


@pytest.mark.parametrize("wrong", ["*", "proxy.example.org", "10.1.2.3/8", "10.1.2.3,", "10.0.0.0/8 10.1.0.0/16"])
def test_a_proxy_is_an_address_or_a_network(wrong: str) -> None:
    """Whatever is none would be trusted by no one's address, and nobody would be told."""
    assert refusal({"SENDGATE_TRUSTED_PROXIES": wrong}).startswith("SENDGATE_TRUSTED_PROXIES: ")


def test_proxies_are_addresses_and_networks() -> None:
    given = "10.1.2.3, 172.16.0.0/12,fd00::/8"
    assert read_settings({"SENDGATE_TRUSTED_PROXIES": given}).trusted_proxies == given


def test_what_kubernetes_injects_is_ignored() -> None:
    injected = {
        "SENDGATE_SERVICE_HOST": "10.0.0.1",
        "SENDGATE_SERVICE_PORT": "80",
        "SENDGATE_SERVICE_PORT_HTTP": "80",
        "SENDGATE_PORT": "tcp://10.0.0.1:80",
        "SENDGATE_PORT_80_TCP": "tcp://10.0.0.1:80",
        "SENDGATE_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings(injected) == Settings()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("5", timedelta(seconds=5)),
        ("30s", timedelta(seconds=30)),
        ("500ms", timedelta(milliseconds=500)),
        ("1.5m", timedelta(seconds=90)),
        ("12 h", timedelta(hours=12)),
        ("1d", timedelta(days=1)),
        ("PT15M", timedelta(minutes=15)),
        ("P1DT2H", timedelta(hours=26)),
    ],
)
def test_durations_are_read_as_people_write_them(written: str, meant: timedelta) -> None:
    assert read_settings({"SENDGATE_LEASE": written}).lease == meant


@pytest.mark.parametrize("name", ["SENDGATE_SMTP_TIMEOUT", "SENDGATE_LEASE", "SENDGATE_MAX_LATE"])
@pytest.mark.parametrize("written", ["0", "0s", "PT0S"])
def test_a_duration_of_nothing_is_refused(name: str, written: str) -> None:
    assert refusal({name: written}) == f"{name} must be longer than 0."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENDGATE_SMTP_PORT", "smtp"),
        ("SENDGATE_SMTP_PORT", "0"),
        ("SENDGATE_SMTP_PORT", "65536"),
        ("SENDGATE_SMTP_TLS", "ssl"),
        ("SENDGATE_SMTP_CONNECTIONS", "0"),
        ("SENDGATE_LANES", "1.5"),
        ("SENDGATE_LANES", "65"),
        ("SENDGATE_LEASE", "soon"),
        ("SENDGATE_LEASE", "-3s"),
        ("SENDGATE_LEASE", "P1M"),
        ("SENDGATE_LEASE", "PT"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_begins_with_the_variable(name: str, value: str) -> None:
    sentence = refusal({name: value})
    assert sentence.startswith(f"{name}: ")
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_of_several_wrong_values_one_is_told() -> None:
    assert "\n" not in refusal({"SENDGATE_LANES": "no", "SENDGATE_SMTP_PORT": "no"})


def test_secrets_are_not_shown() -> None:
    settings = read_settings(
        {"SENDGATE_DATABASE_URL": "postgresql://u:hunter2@h/d", "SENDGATE_SMTP_PASSWORD": "hunter2"}
    )
    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
