"""The shell: asyncio around files, sockets and the database. Thin; it decides nothing."""
