"""The content of a whole database: told apart from what it was, and put back. One database serves a table of cases."""

from __future__ import annotations

from storage.database import Pool

_TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"
_COLUMNS = (
    "select string_agg(quote_ident(column_name), ', ') from information_schema.columns"
    " where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'"
)


class KeptDatabase:
    """A copy of every table in a schema of its own, and a checksum of each."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._columns: dict[str, str] = {}
        self._sums: dict[str, str | None] = {}

    async def keep(self) -> None:
        """Keep what is in the tables now."""
        tables = [row["tablename"] for row in await self._pool.fetch(_TABLES)]
        assert {"messages", "recipients", "contacts", "commands", "receipts"} <= set(tables)
        await self._pool.execute("drop schema if exists kept cascade; create schema kept")
        for table in tables:
            await self._pool.execute(f'create table kept."{table}" as table public."{table}"')
            self._columns[table] = await self._pool.fetchval(_COLUMNS, table)
        self._sums = await self._checksums()

    async def changed(self) -> set[str]:
        """Return the tables in which anything differs from what was kept."""
        now = await self._checksums()
        return {table for table, checksum in now.items() if checksum != self._sums[table]}

    async def put_back(self) -> None:
        """Make every table what it was; triggers, keys and the ban on deleting do not hold meanwhile."""
        changed = await self.changed()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            for table in changed:
                columns = self._columns[table]
                await connection.execute(
                    f'delete from public."{table}"; insert into public."{table}" ({columns}) overriding system value'
                    f' select {columns} from kept."{table}"'
                )

    async def _checksums(self) -> dict[str, str | None]:
        query = " union all ".join(
            f"select '{table}' as name, md5(string_agg(t::text, ';' order by t::text)) as sum from public.\"{table}\" t"
            for table in self._columns
        )
        return {row["name"]: row["sum"] for row in await self._pool.fetch(query)}
