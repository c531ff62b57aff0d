"""`DIR/stack.json`: where the stack of `sendgate up` is, for every other command.

It is there from the moment everything answers until the stack is stopped. After a `kill -9` of `up` it stays, and so
do the processes it names, until the next `up`.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InvalidInput, Unreachable

DATA_VARIABLE = "SENDGATE_DATA"
DEFAULT_DATA = Path(".sendgate")
FILE_NAME = "stack.json"


class Stack(BaseModel):
    """The addresses of a running stack. Fields are only ever added: a newer file stays readable."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: Path = Field(description="The folder everything is kept in, absolute.")
    pid: int = Field(description="The process of `sendgate up`.")
    database_url: str = Field(description="With its password: this is why the file has mode 0600.")
    temporal_address: str = Field(description="host:port of Temporal's frontend.")
    temporal_namespace: str = "default"
    ui_url: str | None = Field(None, description="Temporal's UI; null with --no-ui or a Temporal that is not ours.")
    smtp_host: str
    smtp_port: int
    api_url: str | None = Field(None, description="The REST API; its documentation is at /docs.")
    api_key: str | None = Field(None, description="An administrator's key of the API.")
    mailbox: Path | None = Field(None, description="The catcher's Maildir; null when the next hop is not ours.")
    pids: dict[str, int] = Field(default_factory=dict, description="Part → process, of the parts that `up` started.")


def data_directory(data: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder of the stack, absolute: `data` (the option `--data`), else SENDGATE_DATA, else ./.sendgate."""
    environment = os.environ if environment is None else environment
    return (data or Path(environment.get(DATA_VARIABLE) or DEFAULT_DATA)).expanduser().absolute()


def read_stack(data: Path | None = None, environment: Mapping[str, str] | None = None) -> Stack | None:
    """Return the stack that a command should talk to, or None: then the environment's settings decide.

    A folder that was named, by `data` or SENDGATE_DATA, must hold a running stack: going on to whatever the
    environment says could act on another system than the one that was meant. Raises Unreachable then, and
    InvalidInput when the file is not readable.
    """
    environment = os.environ if environment is None else environment
    named = data is not None or bool(environment.get(DATA_VARIABLE))
    directory = data_directory(data, environment)
    path = directory / FILE_NAME
    try:
        return Stack.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        if named:
            start = f"sendgate up --data {shlex.quote(str(directory))}"
            raise Unreachable(f"No stack runs in {directory}; start it with `{start}`.") from None
        return None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", field="data") from error
    except ValidationError as error:
        raise InvalidInput(
            f"{path} is not a stack file; start the stack again with `sendgate up`.", field="data"
        ) from (error)


def write_stack(stack: Stack) -> None:
    """Put the file in place at once (mode 0600): a reader sees the old one, or the new one whole."""
    write_privately(stack.data / FILE_NAME, stack.model_dump_json(indent=2) + "\n")


def remove_stack(data: Path) -> None:
    """Say that no stack runs in this folder."""
    (data / FILE_NAME).unlink(missing_ok=True)


def write_privately(path: Path, text: str) -> None:
    """Write a file that only its owner may read, by rename. A crash in the middle leaves the old one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
