"""Every setting of Sendgate, once: name, meaning, unit and default. Read from the environment at the edges only.

The variable of a setting is its name in capitals behind `SENDGATE_`. Temporal's address, namespace and keys are
not here: the connection follows Temporal's own variables and profile file (`TEMPORAL_ADDRESS` and so on).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from models.contact import check_time_zone, shown
from models.durations import parse_duration
from models.errors import InvalidInput

PREFIX = "SENDGATE_"

#: Read by the command line alone, so no setting of a server.
COMMAND_LINE_VARIABLES = frozenset({"SENDGATE_URL", "SENDGATE_API_KEY", "SENDGATE_DATA"})
#: Kubernetes injects these into every pod of a namespace that has a service called "sendgate".
_INJECTED_BY_KUBERNETES = re.compile(r"SENDGATE_(SERVICE_|PORT).*")

_PUBLIC_URL = re.compile(r"https?://[^\s/?#@\\<>\"']+(/[^\s?#<>\"']*)?")

LOOPBACK = "127.0.0.1,::1"

Duration = Annotated[
    timedelta, BeforeValidator(lambda value: parse_duration(value) if isinstance(value, str) else value)
]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """All settings. Durations are written `30s`, `15m`, `12h` or ISO 8601."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: SecretStr | None = Field(
        None, description="PostgreSQL, as postgresql://user:password@host:port/database. `sendgate up` starts its own."
    )
    smtp_host: str | None = Field(None, description="The next hop. `sendgate up` starts a mail catcher of its own.")
    smtp_port: Port = Field(25, description="TCP port of the next hop.")
    smtp_username: str | None = Field(None, description="User name for SMTP AUTH; none: no AUTH.")
    smtp_password: SecretStr | None = Field(None, description="Password for SMTP AUTH.")
    smtp_tls: Literal["none", "starttls", "tls"] = Field(
        "none", description="none: plain text; starttls: TLS after STARTTLS, required; tls: TLS from the first byte."
    )
    smtp_connections: Annotated[int, Field(ge=1, le=1000)] = Field(
        16, description="Most connections that one worker keeps to the next hop."
    )
    smtp_emails_per_connection: Annotated[int, Field(ge=0)] = Field(
        0, description="Emails after which a connection is closed and another opened; 0: never, while it works."
    )
    smtp_timeout: Duration = Field(
        timedelta(seconds=60), description="Longest wait for one reply of the next hop (RFC 5321 section 4.5.3.2)."
    )
    lanes: Annotated[int, Field(ge=1, le=64)] = Field(
        4, description="Most delivery activities that run side by side for one message."
    )
    lease: Duration = Field(
        timedelta(seconds=30),
        description="How long a claim holds without being renewed. What a dead worker held is listed as in doubt then.",
    )
    max_late: Duration = Field(
        timedelta(hours=12),
        description="A message that begins later than this after its instant begins paused by the system.",
    )
    pause_without_server_after: Duration = Field(
        timedelta(minutes=30),
        description="A message is paused by the system when the next hop held no conversation for so long.",
    )
    pause_at_failure_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="A message is paused by the system when this share of its first 500 emails, or of later ones looked"
        " at together, bounced or failed. 1: only if all did.",
    )
    emails_per_second: Annotated[float, Field(ge=0.001, le=1_000_000)] | None = Field(
        None, description="Rate limit of all messages together, over all workers; give every worker the same."
    )
    default_time_zone: str = Field(
        "UTC", description="Zone of contacts without a valid one, unless the send says another (IANA name)."
    )
    http_host: str = Field(
        "127.0.0.1",
        description="Address that the API, and a worker's metrics, listen on. The API needs an API key to exist where"
        " others reach it.",
    )
    http_port: Port = Field(8080, description="TCP port of the API.")
    metrics_port: Port | None = Field(
        None, description="TCP port at which a worker shows its metrics to Prometheus; none: nowhere."
    )
    trusted_proxies: str = Field(
        LOOPBACK,
        description="Proxies that are believed who asks and whether by https (`X-Forwarded-For`, `X-Forwarded-Proto`):"
        " addresses or networks, separated by commas.",
    )
    admin_key: SecretStr | None = Field(
        None, description="The first administrator's API key; what is done with it is done by `admin`."
    )
    public_url: str | None = Field(
        None,
        description="Where recipients reach the API, as https://mail.example.org: unsubscribe links begin with it.",
    )
    secret_key: SecretStr | None = Field(
        None, description="Signs unsubscribe links; another one makes all links void that were sent."
    )
    largest_import: Annotated[int, Field(ge=1)] = Field(
        1_073_741_824, description="Bytes of the largest CSV that the API takes."
    )
    temporal_ui_url: str | None = Field(
        None,
        description="Temporal's UI at its namespace, as http://127.0.0.1:8233/namespaces/default: the web UI links each"
        " workflow there.",
    )
    temporal_cli: str | None = Field(None, description="The `temporal` binary that `sendgate up` starts.")


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environment` (the process's own by default).

    An unknown SENDGATE_ variable is an error that names it: a misspelt setting must never be a silent default.
    Raises InvalidInput with one sentence.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, str] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name in COMMAND_LINE_VARIABLES or _INJECTED_BY_KUBERNETES.fullmatch(name):
            continue
        field = name.removeprefix(PREFIX).lower()
        if field not in Settings.model_fields or name != name.upper():
            raise InvalidInput(f"{name} is not a setting of Sendgate; see docs/settings.md for the names.")
        if value != "":
            values[field] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        variable = PREFIX + str(first["loc"][0]).upper() if first["loc"] else "a setting"
        raise InvalidInput(f"{variable}: {first['msg'].removeprefix('Value error, ')}.") from None
    try:
        check_time_zone(settings.default_time_zone)
    except InvalidInput as error:
        raise InvalidInput(f"{PREFIX}DEFAULT_TIME_ZONE: {error.message}") from None
    if settings.public_url is not None and not (
        settings.public_url.isascii() and _PUBLIC_URL.fullmatch(settings.public_url)
    ):
        raise InvalidInput(f"{PREFIX}PUBLIC_URL is the beginning of a URL, such as https://mail.example.org.")
    if settings.temporal_ui_url is not None and not _PUBLIC_URL.fullmatch(settings.temporal_ui_url):
        raise InvalidInput(f"{PREFIX}TEMPORAL_UI_URL is a URL, such as http://127.0.0.1:8233/namespaces/default.")
    for proxy in settings.trusted_proxies.split(","):
        try:
            ipaddress.ip_network(proxy.strip())  # an address is a network of one
        except ValueError:
            raise InvalidInput(
                f"{PREFIX}TRUSTED_PROXIES: {shown(proxy.strip())} is no address or network, such as 10.1.2.3 or"
                " 10.0.0.0/8."
            ) from None
    for name in ("smtp_timeout", "lease", "max_late", "pause_without_server_after"):
        if getattr(settings, name) <= timedelta(0):
            raise InvalidInput(f"{PREFIX}{name.upper()} must be longer than 0.")
    return settings
