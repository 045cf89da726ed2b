"""What a user gets wrong of addresses, proxies and certificates, with a real tap process."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tap_lev.config.settings import DEFAULT_API_URL, OTHER_API_URL
from tests.hostile.servers import serving
from tests.support.inprocess import catalog_of, config_of
from tests.support.process import UNLIMITED, run_tap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lev_sandbox import SandboxServer
    from tests.support.process import Run

KEY = "lev_sk_test_0123456789"
PASSWORD = "pass%2Fword-of-a-proxy"
LEV = "https://lev.example/api/external/v2"
"""An address that nothing answers at; behind a proxy nobody asks for it."""
STREAMS = catalog_of("contacts", "companies")
EMPTY = {
    "request_id": "6f0c",
    "data": [],
    "pagination": {"total": 0, "has_more": False, "next_cursor": None},
}
NOT_FOUND = {
    "a page": b"<html>Not found</html>",
    "nothing": b"",
    "JSON of a gateway": b'{"message": "no Route matched with those values"}',
    "JSON of a framework": b'{"detail": "Not Found"}',
    "JSON with an error": b'{"status": 404, "error": "Not Found", "path": "/me"}',
    "Lev's form": b'{"request_id": "1", "error": {"type": "not_found", "message": "No route"}}',
}
"""What comes with a 404."""
COMMANDS: list[list[str]] = [[], ["--check"], ["--plan"]]


def program(before: str) -> tuple[str, str]:
    """A tap in whose process something is another way from the start."""
    return "-c", f"{before}\nimport runpy\nrunpy.run_module('tap_lev', run_name='__main__')"


def without_name(code: int) -> tuple[str, str]:
    """A tap for which no name is resolved."""
    return program(
        "import socket\n"
        "def fails(*_, **__):\n"
        f"    raise socket.gaierror({code}, 'The name server says')\n"
        "socket.getaddrinfo = fails"
    )


def answer(status: int, body: bytes = b"", **headers: str) -> Iterator[bytes]:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    yield (
        f"HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    ).encode() + body


def success() -> Iterator[bytes]:
    return answer(200, json.dumps(EMPTY).encode())


def run(url: str, **given: Any) -> Run:  # noqa: ANN401
    config = {"api_url": url, "api_key": KEY, "max_parallel_streams": 1, **UNLIMITED}
    return run_tap(config | given.pop("config", {}), catalog=STREAMS, timeout=30, **given)


def tries(ran: Run) -> int:
    return sum("Trying again" in text for text in ran.log("WARNING"))


def last(ran: Run) -> str:
    assert "Traceback" not in ran.stderr
    assert PASSWORD not in ran.stderr
    return ran.log("ERROR")[-1]


# -- The address of Lev


@pytest.mark.parametrize("args", COMMANDS, ids=str)
@pytest.mark.parametrize(
    ("url", "known"),
    [
        (DEFAULT_API_URL, f"Lev's other known address is {OTHER_API_URL}."),
        (OTHER_API_URL, f"Lev's other known address is {DEFAULT_API_URL}."),
        (LEV, f"Lev's known addresses are {DEFAULT_API_URL} and {OTHER_API_URL}."),
    ],
)
def test_a_host_that_there_is_not_asks_for_the_address(
    url: str, known: str, args: list[str]
) -> None:
    ran = run(url, program=without_name(socket.EAI_NONAME), args=args)
    assert ran.exit_code == 2
    assert last(ran).endswith(f"Is api_url right? It is {url}. {known}")
    assert "Failed to resolve 'lev.example'" in last(ran) or url != LEV
    assert tries(ran) == 1


def test_a_name_server_that_does_not_answer_is_no_wrong_setting() -> None:
    ran = run(LEV, program=without_name(socket.EAI_AGAIN))
    assert ran.exit_code == 1
    assert "Is api_url right?" in last(ran)
    assert tries(ran) == 2, "one for /me, and one for the first list"


@pytest.mark.parametrize("args", COMMANDS, ids=str)
@pytest.mark.parametrize("body", NOT_FOUND.values(), ids=NOT_FOUND)
def test_a_404_to_everything_asks_for_the_address(body: bytes, args: list[str]) -> None:
    with serving(lambda _: answer(404, body)) as server:
        ran = run(f"{server.url}/v1", args=args)
    assert ran.exit_code == 2
    assert last(ran).endswith(
        f"Every request of this run was answered with 404. Is api_url right? It is {server.url}/v1."
        f" Lev's known addresses are {DEFAULT_API_URL} and {OTHER_API_URL}."
    )
    assert len(server.requests) <= 4


@pytest.mark.parametrize("path", ["", "/api/external", "/api/external/v2/build"])
def test_a_wrong_path_asks_for_the_address(lev: SandboxServer, path: str) -> None:
    url = lev.url.replace("/api/external/v2", path)
    ran = run(url, config={"api_key": lev.key})
    assert ran.exit_code == 2
    assert f"Is api_url right? It is {url}. " in last(ran)


def test_a_port_without_tls_asks_for_the_address(lev: SandboxServer) -> None:
    ran = run(lev.url.replace("http:", "https:"))
    assert ran.exit_code == 1
    assert "Is api_url right?" in last(ran)
    assert tries(ran) == 2, "one for /me, and one for the first list"


@pytest.mark.parametrize("form", ["A", "html"])
@pytest.mark.parametrize("me", [200, 404])
def test_a_404_of_one_list_does_not_ask_for_the_address(
    lev: SandboxServer, form: str, me: int
) -> None:
    lev.sandbox.fault("status", status=404, form=form, route="/contacts", times=None)
    if me == 404:
        lev.sandbox.fault("status", status=404, route="/me", times=None)
    config = config_of(lev, max_retries=1, max_parallel_streams=1)
    ran = run_tap(config, catalog=STREAMS)
    assert ran.exit_code == 1
    assert "api_url" not in ran.stderr
    assert ran.records("companies")
    (told,) = [text for text in ran.log("ERROR") if "contacts is not complete" in text]
    assert "with 404" in told


def test_a_row_that_is_gone_does_not_ask_for_the_address(lev: SandboxServer) -> None:
    lev.sandbox.fault("status", status=404, route="/me", times=None)
    ran = run_tap(config_of(lev), args=["--refresh", "contacts=4711"])
    assert ran.exit_code == 1
    assert "api_url" not in ran.stderr


# -- Proxies


REFUSALS = {"407": b"HTTP/1.1 407 Who are you\r\n\r\n", "403": b"HTTP/1.1 403 No\r\n\r\n"} | {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("args", COMMANDS, ids=str)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_proxy_that_refuses_is_named_by_its_variable(refusal: bytes, args: list[str]) -> None:
    with serving(lambda _: iter([refusal])) as proxy:
        address = f"http://somebody:{PASSWORD}@127.0.0.1:{proxy.port}"
        ran = run(LEV, env={"HTTPS_PROXY": address, "TAP_LEV_LOGLEVEL": "DEBUG"}, args=args)
    assert ran.exit_code == 2
    assert last(ran).startswith("The proxy that HTTPS_PROXY names lets no request through to Lev")
    assert len(proxy.requests) == 2


@pytest.mark.parametrize(
    ("variables", "blamed"),
    [
        (["HTTPS_PROXY"], "HTTPS_PROXY"),
        (["https_proxy"], "https_proxy"),
        (["ALL_PROXY"], "ALL_PROXY"),
        (["all_proxy"], "all_proxy"),
        (["ALL_PROXY", "HTTPS_PROXY"], "HTTPS_PROXY"),
        (["HTTPS_PROXY", "ALL_PROXY"], "HTTPS_PROXY"),
        (["all_proxy", "HTTPS_PROXY"], "HTTPS_PROXY"),
        (["HTTPS_PROXY", "https_proxy"], "https_proxy"),
        (["Https_Proxy"], "Https_Proxy"),
    ],
    ids=str,
)
def test_a_proxy_that_is_not_there_is_named_by_its_variable(
    variables: list[str], blamed: str
) -> None:
    env = {
        name: f"http://somebody:{PASSWORD}@127.0.0.1:{1 + i}" for i, name in enumerate(variables)
    }
    ran = run(LEV, env=env)
    assert ran.exit_code == 2
    assert last(ran).startswith(f"The proxy that {blamed} names lets no request through to Lev")
    assert "Connection refused" in last(ran)
    assert tries(ran) == 1


@pytest.mark.parametrize(
    ("code", "exit_code"), [(socket.EAI_NONAME, 2), (socket.EAI_AGAIN, 1)], ids=str
)
def test_a_proxy_whose_name_is_not_found_is_named_by_its_variable(
    code: int, exit_code: int
) -> None:
    env = {"HTTPS_PROXY": f"http://somebody:{PASSWORD}@proxy.example:3128"}
    ran = run(LEV, env=env, program=without_name(code))
    assert ran.exit_code == exit_code
    assert last(ran).startswith("The proxy that HTTPS_PROXY names lets no request through to Lev")
    assert "Failed to resolve 'proxy.example'" in last(ran)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_does_not_reach_lev_asks_for_the_address(status: int) -> None:
    with serving(lambda _: iter([f"HTTP/1.1 {status} Unknown host\r\n\r\n".encode()])) as proxy:
        ran = run(LEV, env={"HTTPS_PROXY": proxy.url})
    assert ran.exit_code == 1
    assert last(ran).startswith("The proxy that HTTPS_PROXY names lets no request through to Lev")
    assert f"Is api_url right? It is {LEV}." in last(ran)
    assert len(proxy.requests) == 4, "two for /me, and two for the first list"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "socks", "SOCKS5"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
def test_a_socks_proxy_without_its_package_is_a_sentence(scheme: str, variable: str) -> None:
    env = {variable: f"{scheme}://somebody:{PASSWORD}@127.0.0.1:1080"}
    ran = run(LEV, env=env, program=program("import sys; sys.modules['socks'] = None"))
    assert ran.exit_code == 2
    assert last(ran).startswith(
        f"The environment variable {variable} names a SOCKS proxy, for which Python needs the "
        "package PySocks: "
    )
    assert tries(ran) == 0


def test_a_proxy_that_another_host_takes_is_none(lev: SandboxServer) -> None:
    env = {"HTTPS_PROXY": "//", "ALL_PROXY": "socks5://127.0.0.1:1", "REQUESTS_CA_BUNDLE": "/no"}
    ran = run_tap(config_of(lev), catalog=STREAMS, env=env)
    assert ran.exit_code == 0, "a loopback address takes neither"
    ran = run(LEV, env={"HTTPS_PROXY": "//", "NO_PROXY": "lev.example"}, program=without_name(-2))
    assert "Is api_url right?" in last(ran)


# -- Certificates


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("text", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
def test_authorities_that_are_none_are_named_by_their_variable(
    tmp_path: Path, variable: str, text: str | None
) -> None:
    file = tmp_path / "authorities.pem"
    if text is not None:
        file.write_text(text)
    ran = run(LEV, env={variable: str(file)})
    assert ran.exit_code == 2
    assert f"{str(file)!r}, which the environment variable {variable} names" in last(ran)
    assert tries(ran) == 0


# -- Answers that come later


@pytest.mark.parametrize("body", [b"", b"<html></html>", NOT_FOUND["Lev's form"]], ids=str)
@pytest.mark.parametrize("status", [102, 103, 408, 425])
def test_a_status_that_asks_to_come_back_is_asked_again(status: int, body: bytes) -> None:
    seen: list[str] = []

    def answers(request: str) -> Iterator[bytes]:
        is_first = request.startswith("GET /contacts") and request not in seen
        seen.append(request)
        return answer(status, body) if is_first else success()

    with serving(answers) as server:
        ran = run(server.url)
    assert ran.exit_code == 0, ran.stderr
    assert [r.split("?")[0].split(" ")[1] for r in server.requests].count("/contacts") == 2
    assert tries(ran) == 1
    assert (f"The answer ends with {status}." in ran.stderr) == (status < 200)


def test_what_announces_an_answer_is_not_the_answer() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    with serving(lambda _: iter([b"HTTP/1.1 102 P\r\n\r\n", early, early, *success()])) as server:
        ran = run(server.url)
    assert ran.exit_code == 0, ran.stderr
    assert len(server.requests) == 3, "/me and two lists"
    assert tries(ran) == 0


# -- Waits


def test_a_message_s_own_wait_is_obeyed(lev: SandboxServer) -> None:
    message = "Limit of 30 requests per 60 seconds reached, retry after 1"
    lev.sandbox.fault("status", status=429, form="B", route="/contacts", message=message)
    ran = run_tap(config_of(lev), catalog=STREAMS)
    assert ran.exit_code == 0, ran.stderr
    (told,) = [text for text in ran.log("WARNING") if message in text]
    assert "wait for 1.0 s (try 1 of 2)" in told


@pytest.mark.parametrize("after", ["86400", "Fri, 01 Jan 2100 00:00:00 GMT"])
@pytest.mark.parametrize("form", ["A", "html"])
def test_a_wait_that_is_too_long_ends_the_run(lev: SandboxServer, after: str, form: str) -> None:
    headers = {"Retry-After": after}
    lev.sandbox.fault(
        "status", status=429, form=form, headers=headers, route="/companies", times=None
    )
    config = config_of(lev, max_retries=8, max_parallel_streams=1)
    ran = run_tap(config, catalog=STREAMS)
    assert ran.exit_code == 1
    asked = [entry.path for entry in lev.sandbox.requests]
    assert asked == ["/me", "/companies"], "what the account may not do waits for nothing"
    told = [text for text in ran.log("ERROR") if "is not complete" in text]
    assert len(told) == 2
    assert all(" s, and a run waits 900 s at most: run it again after that" in t for t in told)
    assert tries(ran) == 0


@pytest.mark.parametrize("form", ["A", "html"])
def test_a_stream_whose_wait_is_too_long_fails_alone(lev: SandboxServer, form: str) -> None:
    headers = {"Retry-After": "86400"}
    lev.sandbox.fault(
        "status", status=503, form=form, headers=headers, route="/companies", times=None
    )
    config = config_of(lev, max_retries=8, max_parallel_streams=1)
    ran = run_tap(config, catalog=STREAMS)
    assert ran.exit_code == 1
    assert ran.records("contacts")
    (told,) = [text for text in ran.log("ERROR") if "is not complete" in text]
    assert "It asks to wait 86400 s, and a run waits 900 s at most" in told
    assert [entry.path for entry in lev.sandbox.requests].count("/companies") == 1
