"""PostgreSQL as a child process: what is refused, and what a run that was cut short leaves."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from client.local import postgres as module
from client.local.postgres import CannotRun, PostgresCluster, temporary_directory

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    path = temporary_directory("sendgate-postgres-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def no_initdb(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Programs of which initdb makes a folder and then fails."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "initdb").write_text('#!/bin/sh\nmkdir "${1#--pgdata=}"\necho "initdb: error: no space" >&2\nexit 1\n')
    (programs / "initdb").chmod(0o755)
    monkeypatch.setattr(module, "binaries", lambda: programs)


@pytest.mark.usefixtures("no_initdb")
def test_an_initdb_that_fails_leaves_no_cluster_and_is_a_sentence(folder: Path) -> None:
    cluster = PostgresCluster(folder / "cluster")
    with pytest.raises(CannotRun, match=r"^PostgreSQL's initdb failed: no space\.$"):
        cluster.create()
    assert list(cluster.directory.iterdir()) == []


@pytest.mark.usefixtures("no_initdb")
def test_what_a_killed_initdb_left_is_removed(folder: Path) -> None:
    left = folder / "cluster" / "new.abc" / "data"
    left.mkdir(parents=True)
    with pytest.raises(CannotRun):
        PostgresCluster(folder / "cluster").create()
    assert not left.exists()


@as_root
def test_a_folder_that_postgresqls_user_cannot_enter_is_refused_and_its_mode_kept(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(CannotRun, match=rf"who cannot enter {closed}/cluster; run as a user that is not root"):
        PostgresCluster(closed / "cluster").create()
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_cluster_keeps_its_user(folder: Path) -> None:
    (folder / "data").mkdir()
    os.chown(folder / "data", 12345, 12345)
    assert PostgresCluster(folder).user == {"user": 12345, "group": 12345, "extra_groups": []}


@as_root
def test_a_cluster_of_root_is_refused(folder: Path) -> None:
    (folder / "data").mkdir()
    with pytest.raises(CannotRun, match="belongs to root"):
        PostgresCluster(folder).create()


def test_the_password_is_for_the_owner_alone(postgres: PostgresCluster) -> None:
    password = postgres.directory / "password"
    assert password.stat().st_mode & 0o777 == 0o600
    assert password.read_text() in postgres.url()


async def test_nobody_gets_in_without_the_password(postgres: PostgresCluster) -> None:
    address = postgres.url().replace(postgres.url().split(":")[2].split("@")[0], "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(address)
