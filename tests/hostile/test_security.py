"""The key reaches Lev's host over https, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import re
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from typing_extensions import override

from tap_lev.api.transport import Transport
from tests.hostile.certificates import Authority
from tests.hostile.counts import count
from tests.hostile.servers import serving
from tests.support.inprocess import catalog_of
from tests.support.process import UNLIMITED, Run, run_tap

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from lev_sandbox import SandboxServer
    from tests.torture.forkserver import ForkLauncher

ROOT = Path(__file__).parents[2]
KEY = "aToken0'1\"2\\3/4+5=6%789Z"
"""A key of letters that every way to write a text writes differently."""
CONTACTS = catalog_of("contacts")
DEBUG = {"TAP_LEV_LOGLEVEL": "DEBUG"}


def forms(secret: str) -> set[str]:
    """How a secret may stand in an output."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    alone = base64.b64encode(secret.encode()).decode()
    return {
        secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        basic[12:-4],
        alone[:-4],
    }


def kept(run: Run, secret: str = KEY) -> None:
    """Make sure that a secret stands in no output, in no form."""
    for output in (run.stderr.lower(), "".join(run.lines).lower()):
        for form in forms(secret):
            assert form.lower() not in output


# -- A server that shows a certificate


class Https(http.server.ThreadingHTTPServer):
    """Answers every read with an empty list, over TLS.

    Attributes:
        requests: The requests that came, with their headers.
    """

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    @override
    def handle_error(self, *_: Any) -> None:
        """Say nothing: most clients are to refuse the certificate."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    server: Https

    def do_GET(self) -> None:
        self.server.requests.append(f"{self.requestline}\n{self.headers}")
        body = b'{"data": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def https(context: ssl.SSLContext) -> Iterator[Https]:
    with Https(context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def read(server: Https, host: str = "127.0.0.1", **env: str) -> Run:
    config = {"api_url": f"https://{host}:{server.server_port}", "api_key": KEY, **UNLIMITED}
    return run_tap(config, catalog=CONTACTS, env={**DEBUG, **env}, timeout=20)


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"PYTHONHTTPSVERIFY": "0"},
        {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
        {"SSL_NO_VERIFY": "1", "GIT_SSL_NO_VERIFY": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
        {"TAP_LEV_VERIFY": "false", "TAP_LEV_SSL_VERIFY": "false", "REQUESTS_VERIFY": "0"},
    ],
    ids=["as it is", "PYTHONHTTPSVERIFY", "empty", "others", "settings that there are not"],
)
def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority, env: dict[str, str]
) -> None:
    count("servers and proxies that are not what they say")
    with https(authority.context("127.0.0.1")) as server:
        run = read(server, **env)
    assert server.requests == []
    assert run.exit_code == 1
    kept(run)
    sentence = run.log("ERROR")[-1]
    assert sentence.startswith(
        "Lev is not who it says it is, or its certificate is of an authority"
    )
    assert "CERTIFICATE_VERIFY_FAILED" in sentence
    assert "REQUESTS_CA_BUNDLE" in sentence
    assert "Trying again" not in run.stderr


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_that_the_environment_names_is_trusted(
    authority: Authority, variable: str
) -> None:
    with https(authority.context("127.0.0.1")) as server:
        run = read(server, **{variable: str(authority.file)})
    assert run.exit_code == 0, run.stderr
    assert f"Authorization: Bearer {KEY}\n" in server.requests[0]
    kept(run)


@pytest.mark.parametrize(
    ("host", "expired"), [("other.example", False), ("127.0.0.1", True)], ids=["other", "expired"]
)
def test_a_trusted_authority_is_no_reason_to_trust_any_certificate(
    authority: Authority, host: str, *, expired: bool
) -> None:
    count("servers and proxies that are not what they say")
    with https(authority.context(host, expired=expired)) as server:
        run = read(server, REQUESTS_CA_BUNDLE=str(authority.file))
    assert server.requests == []
    assert run.exit_code == 1
    assert "Lev is not who it says it is" in run.log("ERROR")[-1]


def test_certificates_that_are_not_there_are_a_sentence() -> None:
    config = {"api_url": "https://127.0.0.1:1", "api_key": KEY, "max_retries": 0, **UNLIMITED}
    run = run_tap(config, catalog=CONTACTS, env={"REQUESTS_CA_BUNDLE": "/not/there.pem"})
    assert run.exit_code == 2
    (sentence,) = run.log("ERROR")
    assert sentence == (
        "There is no '/not/there.pem', which the environment variable REQUESTS_CA_BUNDLE names "
        "for the certificates to trust. Correct the variable, or unset it."
    )


def test_certificates_that_are_none_are_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "none.pem"
    file.write_text("This is no certificate.\n")
    config = {"api_url": "https://127.0.0.1:1", "api_key": KEY, "max_retries": 0, **UNLIMITED}
    run = run_tap(config, catalog=CONTACTS, env={"REQUESTS_CA_BUNDLE": str(file)})
    assert run.exit_code == 2
    (sentence,) = run.log("ERROR")
    assert sentence.startswith(
        f"{str(file)!r}, which the environment variable REQUESTS_CA_BUNDLE names for the "
        "certificates to trust, cannot be used: "
    )


@pytest.mark.parametrize("value", ["", "0", "False", "no"])
def test_certificates_are_always_verified(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("CURL_CA_BUNDLE", "")
    monkeypatch.setenv("PYTHONHTTPSVERIFY", value)
    assert Transport("https://api.lev.com", 1, 1).verify is True


# -- Proxies


def test_a_request_that_is_not_encrypted_takes_no_proxy(account: SandboxServer) -> None:
    count("servers and proxies that are not what they say")
    with serving(lambda _: iter([b"HTTP/1.1 500 No\r\n\r\n"])) as proxy:
        names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
        config = {"api_url": account.url, "api_key": account.key, "max_retries": 0, **UNLIMITED}
        run = run_tap(config, catalog=CONTACTS, env=dict.fromkeys(names, proxy.url))
    assert proxy.requests == []
    assert run.exit_code == 0, run.stderr
    assert len(run.records("contacts")) == account.sandbox.count("contacts")


def test_a_proxy_that_refuses_learns_the_host_only() -> None:
    count("servers and proxies that are not what they say")
    with serving(lambda _: iter([b"HTTP/1.1 407 Who are you\r\n\r\n"])) as proxy:
        address = f"http://somebody:pass%2Fword123@127.0.0.1:{proxy.port}"
        config = {"api_url": "https://lev.example", "api_key": KEY, "max_retries": 1, **UNLIMITED}
        run = run_tap(config, catalog=CONTACTS, env={**DEBUG, "HTTPS_PROXY": address})
    assert run.exit_code == 2
    assert len(proxy.requests) == 2
    for request in proxy.requests:
        assert request.startswith("CONNECT lev.example:443 HTTP/1.")
        assert "aToken" not in request
        assert "X-Origin-App" not in request
        assert "Bearer" not in request
    kept(run)
    kept(run, "pass/word123")
    assert "pass%2Fword123" not in run.stderr
    assert "Traceback" not in run.stderr
    (sentence,) = run.log("ERROR")[-1:]
    assert sentence.startswith("The proxy that HTTPS_PROXY names lets no request through to Lev")
    assert "407 Who are you" in sentence


@pytest.mark.parametrize(
    "address",
    [
        "http://somebody:passwordpassword@[::bad",
        "socks5://u:passwordpassword@h:1",
        f"http://u:passwordpassword@{'a' * 70}.example:1",
        "//",
        "http://u:passwordpassword@h:99999",
        "http://u:passwordpassword#1@h:1",
        "http://u:1/passwordpassword@h:1",
        "ftp://u:passwordpassword@h:1",
        "http://:1",
        " ",
    ],
)
def test_a_proxy_that_is_none_is_a_sentence(forks: ForkLauncher, address: str) -> None:
    config = {"api_url": "https://lev.example", "api_key": KEY, "max_retries": 0, **UNLIMITED}
    run = forks.run(config, catalog=CONTACTS, env={**DEBUG, "HTTPS_PROXY": address})
    assert run.exit_code == 2
    assert "Traceback" not in run.stderr
    (sentence,) = run.log("ERROR")
    assert sentence.startswith("The environment variable HTTPS_PROXY ")
    assert "Trying again" not in run.stderr
    assert "passwordpassword" not in run.stderr
    kept(run)


class Tunnel:
    """A proxy that lets one connection through after another, and keeps what it sees."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = [self._listener]
        self._threads: list[threading.Thread] = []
        self.port = self._listener.getsockname()[1]
        self.seen = b""
        self._start(self._run)

    def _start(self, work: Callable[..., None], *args: Any) -> None:  # noqa: ANN401
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self.seen += client.recv(65536)
                client.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open.append(server)
                self._start(self._pass, client, server)
                self._start(self._pass, server, client)

    def _pass(self, source: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.seen += data
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End everything."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in self._open:
            each.close()


def test_through_a_proxy_the_key_is_encrypted(authority: Authority) -> None:
    with https(authority.context("lev.example")) as server:
        tunnel = Tunnel(server.server_port)
        run = read(
            server,
            host="lev.example",
            HTTPS_PROXY=f"http://127.0.0.1:{tunnel.port}",
            REQUESTS_CA_BUNDLE=str(authority.file),
        )
        tunnel.close()
    assert run.exit_code == 0, run.stderr
    assert f"Authorization: Bearer {KEY}\n" in server.requests[0]
    assert tunnel.seen.startswith(f"CONNECT lev.example:{server.server_port} HTTP/1.".encode())
    assert b"aToken" not in tunnel.seen
    assert b"Bearer" not in tunnel.seen


# -- What is said when something goes wrong

ECHOES = {
    "as it is": KEY,
    "percent-encoded": quote(KEY, safe=""),
    "repr": repr(KEY),
    "JSON": json.dumps(KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "Basic": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "in a URL": f"https://user:{quote(KEY, safe='')}@lev.example/",
}
BLOTS = ("[api_key]", "[user and password]")
LOG_CONFIG = """
version: 1
disable_existing_loggers: false
formatters:
  structured: {"()": "singer_sdk.logging.StructuredFormatter"}
handlers:
  all: {class: logging.StreamHandler, formatter: structured, stream: "ext://sys.stderr"}
  shown: {class: logging.StreamHandler, formatter: structured, stream: "ext://sys.stderr"}
root: {level: DEBUG, handlers: [all]}
loggers:
  tap-lev: {handlers: [shown]}
  singer_sdk.metrics: {handlers: [shown]}
"""


STATUSES = {"contacts": 403, "companies": 500, "placements": 302, "pipelines": 200, "deals": 404}
"""What the lists answer. Those of 500, 302 and 200 are requested twice, as /me is. Where a single
row may be the reason (500), three more look for a way around it."""


@pytest.fixture
def structured(tmp_path: Path) -> dict[str, str]:
    """An environment in which the log is JSON, by handlers of several loggers."""
    file = tmp_path / "log.yaml"
    file.write_text(LOG_CONFIG)
    return {"SINGER_SDK_LOG_CONFIG": str(file)}


@pytest.mark.parametrize("refused", [False, True], ids=["whatever the status", "401"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_key_that_lev_sends_back_is_not_told(
    forks: ForkLauncher, structured: dict[str, str], echo: str, *, refused: bool
) -> None:
    count("ways to have the key told")
    body = json.dumps({"error": {"type": echo, "message": f"No {echo} here", "details": echo}})

    def answer(request: str) -> Iterator[bytes]:
        stream = request.partition(" /")[2].partition("?")[0].partition(" ")[0]
        status = 401 if refused else STATUSES.get(stream, 500)
        yield (
            f"HTTP/1.1 {status} {echo}\r\nLocation: {echo}\r\nContent-Type: {echo}\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    with serving(answer) as server:
        config = {
            "api_url": server.url,
            "api_key": KEY,
            "max_retries": 1,
            "forbidden_streams": "skip",
            **UNLIMITED,
        }
        catalog = catalog_of(*STATUSES)
        run = forks.run(config, catalog=catalog, env={**DEBUG, **structured})
    assert run.exit_code == (3 if refused else 1)
    assert all(f"Bearer {KEY}" in request for request in server.requests)
    assert len(server.requests) == (1 if refused else 10 + 3)
    told = sum(word in line for line in run.stderr.splitlines() for word in BLOTS)
    assert told >= (1 if refused else 5)
    kept(run)


@pytest.mark.parametrize(
    ("config", "given"),
    [
        ({"page_size": "KEY"}, {}),
        ({"origin_app": "a KEY"}, {}),
        ({"api_url": "https://KEY@lev.example"}, {}),
        ({"api_url": "https://lev.example/?key=KEY"}, {}),
        ({"start_date": "KEY"}, {}),
        ({"KEY": 1}, {}),
        ({}, {"state": {"bookmarks": {"KEY": {}}}}),
        ({}, {"catalog": {"streams": [{"tap_stream_id": "KEY", "schema": {}}]}}),
        ({"stream_maps": {"contacts": {"x": "KEY"}}}, {}),
        ({"refresh": {"KEY": [1]}}, {}),
        ({}, {"args": ["--refresh", "KEY"]}),
        ({}, {"args": ["--about"]}),
        ({}, {"args": ["--about", "--format=json"]}),
        ({}, {"args": ["--discover"]}),
        ({}, {"args": ["--test"]}),
        ({}, {"args": ["--check"]}),
        ({}, {"args": ["--plan", "--format=json"]}),
        ({}, {}),
    ],
    ids=str,
)
def test_whatever_fails_the_key_is_not_told(
    forks: ForkLauncher, config: dict[str, Any], given: dict[str, Any]
) -> None:
    count("ways to have the key told")

    def filled(value: Any) -> Any:  # noqa: ANN401 - JSON
        return json.loads(json.dumps(value).replace("KEY", json.dumps(KEY)[1:-1]))

    base = {"api_url": "http://127.0.0.1:1", "api_key": KEY, "max_retries": 0, **UNLIMITED}
    run = forks.run({**base, **filled(config)}, **filled(given), env=DEBUG)
    assert "Traceback" not in run.stderr
    kept(run)


def test_a_key_in_a_wrong_setting_is_not_told_either(forks: ForkLauncher) -> None:
    other = "lev_sk_" + "9fJ2kQ8xZ7bV"
    config = {"api_key": KEY, "origin_app": f"a {other}"}
    run = forks.run(config, env=DEBUG)
    assert run.exit_code == 2
    assert "must be one word of printable ASCII, not 'a [api_key]'" in run.stderr
    kept(run, other)


# -- What is in the repository

PLACEHOLDERS = {"lev_sk_sandbox_", "lev_sk_test_0123456789"}
SECRETS = {
    "key of Lev": re.compile(r"lev_sk_[\w-]{8,}"),
    "private key": re.compile("-----BEGIN [A-Z ]*" + "PRIVATE KEY-----"),
    "JWT": re.compile(r"eyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"),
    "key of a cloud": re.compile(
        r"\b(AKIA[A-Z0-9]{16}|ghp_\w{36}|github_pat_\w{22}|xox[bp]-\w{10})"
    ),
}


MADE = re.compile(
    r"\.venv.*|\.meltano|\.cache|\..*_cache|\.hypothesis|__pycache__|build|dist|output"
)
"""Directories that are made by running, which nobody publishes."""


def tracked() -> list[Path]:
    """Find what is published: what git tracks, or in an unpacked archive everything there is."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        names = subprocess.run(command, check=True, capture_output=True).stdout.decode()
        return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not any(map(MADE.fullmatch, path.relative_to(ROOT).parts))
    ]


def secrets(text: str) -> list[str]:
    """Find what looks like a secret and is no placeholder."""
    return [
        f"{kind}: {found[0][:12]}..."
        for kind, pattern in SECRETS.items()
        for found in pattern.finditer(text)
        if found[0] not in PLACEHOLDERS
    ]


def test_no_tracked_file_holds_a_secret() -> None:
    found = {file.name: secrets(file.read_bytes().decode(errors="replace")) for file in tracked()}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "text",
    [
        "lev_sk_" + "9fJ2kQ8xZ7bV",
        "lev_sk_" + "live_9fJ2kQ8xZ7bV",
        "lev_sk_" + "test_9fJ2kQ8xZ7bV4410",
        "-----BEGIN EC " + "PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        ".".join(["eyJ" + "a" * 20, "eyJ" + "b" * 20, "c" * 20]),
    ],
)
def test_a_secret_would_be_found(text: str) -> None:
    assert len(secrets(f"key = '{text}'\n")) == 1


def test_no_tracked_file_is_a_package_or_a_program() -> None:
    odd = {".whl", ".gz", ".zip", ".exe", ".so", ".pyc", ".pem", ".key", ".p12", ".sqlite"}
    assert [file.name for file in tracked() if file.suffix in odd] == []


def test_nothing_can_turn_the_verification_off() -> None:
    for file in sorted((ROOT / "tap_lev").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"verify\s*=\s*False|CERT_NONE|check_hostname|disable_warnings", text)
