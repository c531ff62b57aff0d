"""The import of contacts into real PostgreSQL: big, killed, twice at once, repeated."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.contact import MOST_REJECTED_NAMED, ImportResult, RejectedLine
from models.errors import InvalidInput
from storage.contact_import import import_csv
from storage.database import Pool
from tests.eventually import eventually

#: What can be wrong with a line of `email,time_zone,city`, and a piece of the reason that must be given.
BAD_LINES: list[tuple[bytes, str]] = [
    (b"nobody,UTC,Oslo", "has no @"),
    (b",UTC,Oslo", "is empty"),
    (b"Ann <ann@example.com>,UTC,Oslo", "angle brackets"),
    (b"a..b@example.com,UTC,Oslo", "a dot where none may be"),
    (b"ann@exam_ple.com,UTC,Oslo", "is not a domain"),
    (b"x" * 65 + b"@example.com,UTC,Oslo", "65 octets"),
    (b"zone@example.com,Europe/Olso,Oslo", "did you mean Europe/Oslo?"),
    (b"few@example.com,UTC", "2 cells and the header 3"),
    (b"many@example.com,UTC,Oslo,Norway", "4 cells and the header 3"),
    (b"USER7@Example.COM,UTC,Oslo", "stands in line 9 already"),
    (b"nul@example.com,UTC,Os\x00lo", "control character U+0000"),
    (b"control@example.com,UTC,Os\x07lo", "control character U+0007"),
    (b"long@example.com,UTC," + b"x" * 1001, "1,001 characters"),
    (b"latin1@example.com,UTC,Malm\xf6", "not UTF-8"),
    (b'open@example.com,UTC,"Oslo', "quote"),
    (b'stray@example.com,UTC,"Os"lo', "do not balance"),
]


async def everything(pool: Pool) -> tuple[int, int, int]:
    """How many contacts, lists and memberships there are."""
    row = await pool.fetchrow(
        "select (select count(*) from contacts), (select count(*) from lists), (select count(*) from list_members)"
    )
    assert row is not None
    return row[0], row[1], row[2]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def test_of_100_000_lines_the_1_000_bad_ones_are_named_and_the_others_go_in(pool: Pool, tmp_path: Path) -> None:
    chance = random.Random(7)
    lines = [b"user%d@example%d.com,%s,City %d" % (n, n % 500, b"Europe/Oslo" * (n % 2), n % 50) for n in range(99_000)]
    lines[7] = b"user7@example.com,,City 7"  # line 9 of the file
    # Behind the first 20 lines, so that the repeated address comes after its first.
    places = sorted(chance.sample(range(20, 100_000), 1000))
    bad = {place: BAD_LINES[i % len(BAD_LINES)] for i, place in enumerate(places)}
    good = iter(lines)
    path = tmp_path / "contacts.csv"
    path.write_bytes(
        b"email,time_zone,city\n" + b"".join((bad[n][0] if n in bad else next(good)) + b"\n" for n in range(100_000))
    )
    told: list[tuple[int, int, float]] = []
    began = time.monotonic()

    result = await import_csv(
        pool, path, list_name="news", on_progress=lambda done, total: told.append((done, total, time.monotonic()))
    )

    assert (result.created, result.updated) == (99_000, 0)
    assert [rejected.line for rejected in result.rejected] == [number + 2 for number in bad]
    for rejected, (_, said) in zip(result.rejected, bad.values(), strict=True):
        assert said in rejected.reason
        assert rejected.reason.isprintable()
    assert await everything(pool) == (99_000, 1, 99_000)
    assert await pool.fetchval("select count(*) from contacts where time_zone = 'Europe/Oslo'") == 49_499
    cities = await pool.fetchval("select attributes from contacts where address = 'user7@example.com'")
    assert cities == {"city": "City 7"}
    size = path.stat().st_size
    assert told[-1][:2] == (size, size)
    assert all(total == size for _, total, _ in told)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    times = [when for _, _, when in told[:-1]]  # the last call comes at the end, whenever that is
    assert len(times) - 1 <= (times[-1] - began) / 0.1, "it tells too often"


@pytest.mark.parametrize("line", [b"nobody", b"ann@example.com"], ids=["wrong", "repeated"])
async def test_of_200_000_rejected_lines_the_first_10_000_are_held_and_named(
    pool: Pool, tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "contacts.csv"
    path.write_bytes(b"email\nann@example.com\n" + (line + b"\n") * 200_000 + b"bob@example.com\n")
    gc.collect()
    most, enough = 0, asyncio.Event()

    async def look() -> None:
        nonlocal most
        while not enough.is_set():
            most = max(most, sum(isinstance(each, RejectedLine) for each in gc.get_objects()))
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    result = await import_csv(pool, path)
    enough.set()
    await looking
    assert (result.created, result.updated) == (2, 0)
    assert [one.line for one in result.rejected] == list(range(3, 3 + MOST_REJECTED_NAMED))
    assert result.rejected_total == 200_000
    assert most < 2 * MOST_REJECTED_NAMED, "beside those that are named there are those of a chunk"


async def test_of_wide_lines_few_are_held_at_a_time(pool: Pool, tmp_path: Path) -> None:
    columns = [f"c{n}" for n in range(199)]
    wide = ",".join("x" * 1000 for _ in columns)
    csv = write(
        tmp_path / "wide.csv", ",".join(["email", *columns]), *(f"user{n}@example.com,{wide}" for n in range(100))
    )
    tracemalloc.start()
    try:
        result = await import_csv(pool, csv)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.created == 100
    assert most < csv.stat().st_size / 2


async def test_wrong_and_repeated_lines_are_named_in_their_order_and_counted_together(
    pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "contacts.csv"
    path.write_bytes(b"email\nann@example.com\n" + b"nobody\nann@example.com\n" * 8_000)
    result = await import_csv(pool, path)
    assert [one.line for one in result.rejected] == list(range(3, 3 + MOST_REJECTED_NAMED))
    assert {one.reason.startswith("The address stands in line 2") for one in result.rejected[1::2]} == {True}
    assert result.rejected_total == 16_000


IMPORT_IN_A_PROCESS = """
import asyncio, sys
from storage.contact_import import import_csv
from storage.database import open_pool

async def main():
    async with open_pool(sys.argv[1], application="to be killed") as pool:
        print("started", flush=True)
        await import_csv(pool, sys.argv[2], list_name="news")

asyncio.run(main())
"""


@contextmanager
def importing_process(url: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT_IN_A_PROCESS, url, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
    finally:
        process.kill()
        process.communicate()


GONE = "select count(*) = 0 from pg_stat_activity where application_name = 'to be killed'"


async def test_killed_while_it_copies_it_leaves_nothing(pool: Pool, database_url: str, tmp_path: Path) -> None:
    pipe = tmp_path / "endless.csv"
    os.mkfifo(pipe)
    killed = threading.Event()

    def feed() -> None:
        try:
            with pipe.open("wb") as end:
                end.write(b"email\n")
                for number in range(20_000):
                    end.write(b"user%d@example.com\n" % number)
                end.flush()
                killed.wait(30)  # the file never ends: whatever the database shows, the import is in its middle
        except BrokenPipeError:
            pass

    feeding = threading.Thread(target=feed)
    feeding.start()
    try:
        with importing_process(database_url, pipe) as process:
            await eventually(
                lambda: pool.fetchval("select sum(tuples_processed) >= 10000 from pg_stat_progress_copy"), within=20
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
    finally:
        killed.set()
        feeding.join()
    await eventually(lambda: pool.fetchval(GONE))
    assert await everything(pool) == (0, 0, 0)


async def test_killed_while_it_merges_it_leaves_nothing(pool: Pool, database_url: str, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "email,city", *(f"user{n}@example.com,new" for n in range(5000)))
    await pool.execute(
        "insert into contacts (address, address_key, attributes)"
        """ values ('user9@example.com', 'user9@example.com', '{"city": "old"}')"""
    )
    async with pool.acquire() as other, other.transaction():
        # The last but few of the keys: nearly everything has been merged when the import has to wait for it.
        await other.execute("select from contacts for update")
        with importing_process(database_url, path) as process:
            await eventually(
                lambda: pool.fetchval(
                    "select count(*) from pg_stat_activity"
                    " where application_name = 'to be killed' and wait_event_type = 'Lock'"
                ),
                within=20,
            )
            process.send_signal(signal.SIGKILL)
            process.wait()
    await eventually(lambda: pool.fetchval(GONE))
    assert await everything(pool) == (1, 0, 0)
    assert await pool.fetchval("select attributes from contacts") == {"city": "old"}


async def test_canceled_it_leaves_nothing_and_its_connection_is_good_again(pool: Pool, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "email", *(f"user{n}@example.com" for n in range(50_000)))
    reading = asyncio.Event()
    task = asyncio.create_task(import_csv(pool, path, list_name="news", on_progress=lambda *_: reading.set()))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await everything(pool) == (0, 0, 0)
    assert (await import_csv(pool, path)).created == 50_000


async def test_two_imports_of_the_same_contacts_at_once_both_end_and_nobody_is_there_twice(
    pool: Pool, tmp_path: Path
) -> None:
    names = [f"user{n:04}@example.com" for n in range(2000)]
    forth = write(tmp_path / "forth.csv", "email,first", *(f"{name},1" for name in names))
    back = write(tmp_path / "back.csv", "email,second", *(f"{name},2" for name in reversed(names)))
    await pool.execute("insert into lists (name) values ('news')")  # or the second would wait for the list already
    await pool.execute(
        "insert into contacts (address, address_key) select n, n from unnest($1::text[]) as n", names[::700]
    )

    async with pool.acquire() as other, other.transaction():
        # Both have to be merging at the same moment: they wait for a row that we hold.
        await other.execute("select from contacts where address = $1 for update", names[1400])
        imports = [asyncio.create_task(import_csv(pool, path, list_name="news")) for path in (forth, back)]
        await eventually(
            lambda: pool.fetchval(
                "select count(*) = 2 from pg_stat_activity"
                " where datname = current_database() and wait_event_type = 'Lock'"
            )
        )
    results = await asyncio.wait_for(asyncio.gather(*imports), 20)

    assert sorted((result.created, result.updated) for result in results) == [(0, 2000), (1997, 3)]
    assert await everything(pool) == (2000, 1, 2000)
    both = """select count(*) from contacts where attributes = '{"first": "1", "second": "2"}'"""
    assert await pool.fetchval(both) == 2000


async def test_two_imports_that_create_the_same_list_at_once_both_fill_it(pool: Pool, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.csv", "email", f"user{n}@example.com") for n in range(6)]
    await asyncio.gather(*(import_csv(pool, path, list_name="news") for path in paths))
    assert await everything(pool) == (6, 1, 6)


async def test_importing_again_updates(pool: Pool, tmp_path: Path) -> None:
    first = write(
        tmp_path / "1.csv",
        "email,time_zone,city,age",
        "Ann@example.com,Europe/Oslo,Oslo,30",
        "bob@example.com,UTC,Bergen,40",
        "cid@example.com,,Voss,",
    )
    second = write(
        tmp_path / "2.csv",
        "email,time_zone,city,team",
        "ann@EXAMPLE.com,,Hamar,red",
        "bob@example.com,Asia/Tokyo,,",
        "dan@example.com,,,",
    )
    assert await import_csv(pool, first, list_name="a") == ImportResult(created=3, updated=0, rejected=[])
    assert await import_csv(pool, second, list_name="b") == ImportResult(created=1, updated=2, rejected=[])
    rows = await pool.fetch(
        "select address, time_zone, attributes, array(select name from list_members join lists on lists.id = list_id"
        " where contact_id = contacts.id order by name) as lists"
        " from contacts order by address_key"
    )
    assert [tuple(row) for row in rows] == [
        ("Ann@example.com", "Europe/Oslo", {"city": "Hamar", "age": "30", "team": "red"}, ["a", "b"]),
        ("bob@example.com", "Asia/Tokyo", {"city": "Bergen", "age": "40"}, ["a", "b"]),
        ("cid@example.com", None, {"city": "Voss"}, ["a"]),
        ("dan@example.com", None, {}, ["b"]),
    ]


async def test_the_first_good_line_of_an_address_wins_and_the_others_name_it(pool: Pool, tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.csv",
        "email,time_zone,city",
        "ann@example.com,Nowhere,bad",
        "ANN@example.com,,first",
        "bob@bücher.example,,x",
        "ann@Example.com,,second",
        "Bob@xn--bcher-kva.example,,y",
        "ann@example.com,,third",
    )
    result = await import_csv(pool, path)
    assert (result.created, [one.line for one in result.rejected]) == (2, [2, 5, 6, 7])
    assert [one.reason for one in result.rejected][1:] == [
        "The address stands in line 3 already.",
        "The address stands in line 4 already.",
        "The address stands in line 3 already.",
    ]
    city = "select attributes ->> 'city' from contacts where address = 'ANN@example.com'"
    assert await pool.fetchval(city) == "first"


async def test_a_file_refused_whole_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    for path, list_name, said in (
        (write(tmp_path / "no-email.csv", "name", "ann@example.com"), "news", "no column email"),
        (tmp_path / "none.csv", "news", "There is no file"),
        (tmp_path, "news", "is a folder"),
        (write(tmp_path / "good.csv", "email", "ann@example.com"), " ", "list's name"),
    ):
        with pytest.raises(InvalidInput, match=said):
            await import_csv(pool, path, list_name=list_name)
    assert await everything(pool) == (0, 0, 0)


async def test_a_header_alone_makes_an_empty_list(pool: Pool, tmp_path: Path) -> None:
    result = await import_csv(pool, write(tmp_path / "c.csv", "email"), list_name="news")
    assert result == ImportResult(created=0, updated=0, rejected=[])
    assert await everything(pool) == (0, 1, 0)
