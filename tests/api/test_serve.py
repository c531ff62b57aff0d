"""`sendgate serve` as a process, and where it refuses to listen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from client.local.ports import free_port
from client.serve import is_loopback, listening_on, open_app
from models.api_keys import Role
from models.errors import InvalidInput, Unreachable
from tests.api.api import ADMIN_KEY
from tests.api.test_messages import MESSAGES
from tests.eventually import eventually
from tests.harness import ROOT, Harness


@asynccontextmanager
async def serve(harness: Harness, log: Path, **changes: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """`sendgate serve` on a free port, and its address once it is ready; what is left of it is killed at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SENDGATE_", "TEMPORAL_"))}
    environment = inherited | {
        "SENDGATE_DATABASE_URL": harness.database_url,
        "SENDGATE_ADMIN_KEY": ADMIN_KEY,
        "SENDGATE_HTTP_PORT": str(free_port()),
        "TEMPORAL_ADDRESS": harness.client.service_client.config.target_host,
    }
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "client", "serve", "--json"),
            cwd=ROOT,
            env=environment | changes,
            stdout=file,
            stderr=file,
        )
    try:

        def address() -> str | None:
            assert process.returncode is None, log.read_text()
            said = log.read_text()
            return str(json.loads(said)["url"]) if said.rstrip().endswith("}") else None

        found = await eventually(address, within=30)
        assert found is not None
        yield process, found
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_it_serves_and_a_sigterm_ends_streams_and_then_the_process(harness: Harness, tmp_path: Path) -> None:
    await harness.add_contacts(1)
    draft = await harness.draft()
    async with serve(harness, tmp_path / "log") as (process, url):
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            assert (await client.get("/readyz")).status_code == 200
            assert "server" not in (await client.get("/v1/hold")).headers
            async with client.stream("GET", f"{MESSAGES}/{draft}/progress/stream") as stream:
                lines = stream.aiter_lines()
                assert await anext(lines) == "event: progress"
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(5):
                    assert "event: end" not in [line async for line in lines]
        async with asyncio.timeout(5):
            assert await process.wait() == 0


async def test_where_others_reach_it_it_needs_a_key(harness: Harness) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "mail.example.org"):
        settings = harness.settings(http_host=host)
        with pytest.raises(InvalidInput, match="no API key"):
            async with open_app(settings, asyncio.Event()):
                pass
        short = settings.model_copy(update={"admin_key": SecretStr("short")})
        with pytest.raises(InvalidInput, match="shorter than 16"):
            async with open_app(short, asyncio.Event()):
                pass
        async with open_app(settings.model_copy(update={"admin_key": SecretStr(ADMIN_KEY)}), asyncio.Event()):
            pass
    made = await harness.use_cases.create_key("anna", Role.VIEWER)
    async with open_app(harness.settings(http_host="0.0.0.0"), asyncio.Event()):
        pass
    await harness.use_cases.revoke_key(made.id)
    with pytest.raises(InvalidInput, match="no API key"):
        async with open_app(harness.settings(http_host="0.0.0.0"), asyncio.Event()):
            pass


def test_only_this_machine_reaches_a_loopback_address() -> None:
    assert [host for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost") if not is_loopback(host)] == []
    assert [host for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "") if is_loopback(host)] == []


def test_a_port_or_address_that_cannot_be_had_is_a_sentence() -> None:
    with listening_on("127.0.0.1", 0) as listener:
        listener.listen()
        with (
            pytest.raises(InvalidInput, match="cannot listen on 127"),
            listening_on("127.0.0.1", listener.getsockname()[1]),
        ):
            pass
    with pytest.raises(InvalidInput, match="SENDGATE_HTTP_HOST"), listening_on("no such host", 80):
        pass


async def test_without_a_database_it_does_not_start(harness: Harness) -> None:
    with pytest.raises(InvalidInput, match="SENDGATE_DATABASE_URL"):
        async with open_app(harness.settings(database_url=None), asyncio.Event()):
            pass
    away = SecretStr(f"postgresql://sendgate:x@127.0.0.1:{free_port()}/sendgate")
    with pytest.raises(Unreachable):
        async with open_app(harness.settings(database_url=away), asyncio.Event()):
            pass
