"""The OpenAPI document is true: schemathesis tries every call as it is described, and finds nothing that is not so."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from client.api import access
from tests.api.api import ADMIN_KEY, Api
from tests.api.served import served

#: What a schema cannot say is refused all the same: an address without a domain, a list that there is not.
_CHECKS_THAT_DO_NOT_APPLY = "positive_data_acceptance"


_CONFIGURATION = """
[parameters]
"path.message_id" = "DRAFT"
"path.contact_id" = 1
"query.wait" = 0

# The stream of a message that is not final does not end.
[[operations]]
include-name = "GET /v1/batchmessages/{message_id}/progress/stream"
[operations.parameters]
"path.message_id" = "SENT"
"""
#: What outside programs rely on; more may be there, and none of these may go.
PROMISED = """
POST GET /v1/batchmessages
GET PATCH DELETE /v1/batchmessages/{message_id}
POST /v1/batchmessages/{message_id}/plan
PUT /v1/batchmessages/{message_id}/send
PUT /v1/batchmessages/{message_id}/pause
PUT /v1/batchmessages/{message_id}/resume
PUT /v1/batchmessages/{message_id}/cancel
PUT /v1/batchmessages/{message_id}/unschedule
GET /v1/batchmessages/{message_id}/resume-preview
POST /v1/batchmessages/{message_id}/copy
PUT /v1/batchmessages/{message_id}/sendtest
GET /v1/batchmessages/{message_id}/audience-preview
GET /v1/batchmessages/{message_id}/rendered/{contact_id}
GET /v1/batchmessages/{message_id}/progress
GET /v1/batchmessages/{message_id}/progress/stream
GET /v1/batchmessages/{message_id}/recipients
POST /v1/batchmessages/{message_id}/in-doubt
GET /v1/batchmessages/{message_id}/history
POST /v1/contacts/import
POST GET /v1/contacts
GET PATCH DELETE /v1/contacts/{contact_id}
GET /v1/lists
GET PUT /v1/lists/{name}
PUT DELETE /v1/lists/{name}/contacts/{contact_id}
GET POST /v1/suppressions
DELETE /v1/suppressions/{suppression_id}
GET PUT DELETE /v1/hold
GET POST /unsubscribe/{token}
GET /healthz
GET /readyz
"""


def test_every_call_that_was_promised_is_there(api: Api) -> None:
    paths = api.app.openapi()["paths"]
    for line in PROMISED.split("\n"):
        *methods, path = line.split() or [""]
        assert {method.lower() for method in methods} <= set(paths.get(path, ())), line


def test_every_answer_has_a_schema_and_an_example_that_fits_it(api: Api) -> None:
    document = api.app.openapi()
    answers = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            for status, answer in operation["responses"].items():
                if status == "204":
                    assert "content" not in answer
                    continue
                for kind, content in answer["content"].items():
                    answers += 1
                    assert content["schema"], (method, path, status, kind)
                    validator = Draft202012Validator({**content["schema"], "components": document["components"]})
                    validator.validate(content["example"])
    assert answers > 300


async def test_schemathesis_finds_nothing(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MOST_FAILURES", 1_000_000)  # it tries a wrong key at every call
    await api.harness.add_contacts(3)
    await api.harness.prepare_server()
    draft, sent = await api.harness.draft(), await api.harness.draft()
    await api.harness.pool.execute("update messages set status = 'sent' where id = $1", sent)
    # Otherwise most calls would be about messages that there are not.
    (tmp_path / "schemathesis.toml").write_text(
        _CONFIGURATION.replace("DRAFT", draft).replace("SENT", sent), encoding="utf-8"
    )
    async with served(api) as client:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{client.base_url}/openapi.json"),
            *("--header", f"Authorization: Bearer {ADMIN_KEY}", "--phases", "examples,coverage,fuzzing"),
            *("--exclude-checks", _CHECKS_THAT_DO_NOT_APPLY, "--max-examples", "4", "--seed", "1", "--no-shrink"),
            *("--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", "--no-color"),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
