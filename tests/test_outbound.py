"""The way out leads nowhere inside: texts of URLs, names that resolve to private addresses, names that change, redirects, servers that hang."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exports.models import Destination
from exports.services.deliveries import copies, sealing
from taskexport import outbound
from tests import delivering

PUBLIC = "93.184.216.34"
INSIDE = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.127.255.254",
    "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254",
    "fec0::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001::7f00:1",
)  # fmt: skip


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What the far resolver answers: by name, one list of addresses for each look-up, the last one for ever."""
    known: dict[str, list[list[str]]] = {}

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        answers = known[host].pop(0) if len(known[host]) > 1 else known[host][0]
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answers]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where connections are made to; none is."""
    made: list[Any] = []

    def connect(_: Any, address: Any) -> Any:
        made.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return made


@pytest.fixture
def receiver(settings: Any) -> Iterator[delivering.Receiver]:
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    with delivering.receiving() as server:
        yield server


def refused(url: str) -> str:
    with pytest.raises(outbound.Refused) as error:
        outbound.post(url, b"", {})
    return str(error.value)


# -- Where to --------------------------------------------------------------------------------------------------------
def test_the_text_of_a_url_is_looked_at_first(connected: list[Any], names: dict[str, Any]) -> None:
    names["example.com"] = [[PUBLIC]]
    for url in (
        "", "example.com", "//example.com", "ftp://example.com", "file:///etc/passwd", "gopher://example.com", "http://example.com", "https://",
        "https://user@example.com", "https://user:secret@example.com", "https://example.com#part", "https://exa mple.com", "https://example.com:0",
        "https://example.com:65536", "https://example.com:x", "https://[::1", "https://bücher.example", "https://example.com\\@127.0.0.1",
        "https://example.com/\r\nX: y", "https://a..b", "https://" + "a" * 2000,
    ):  # fmt: skip
        assert refused(url), url
    for port in (22, 25, 80, 3306, 5432, 6379, 9200):
        assert "ports are 443, 8443, 9000" in refused(f"https://example.com:{port}")
    assert connected == []
    with pytest.raises(outbound.Unreachable):
        outbound.post("https://example.com:8443/path?query", b"", {})
    assert connected == [(PUBLIC, 8443)]


def test_no_address_inside_is_reached_by_number_or_by_name(connected: list[Any], names: dict[str, Any]) -> None:
    for address in INSIDE:
        literal = f"[{address}]" if ":" in address else address
        assert refused(f"https://{literal}/") == "The address is not a public one."
        names["inside.example.com"] = [[address]]
        assert refused("https://inside.example.com/") == "The address is not a public one.", address
        names["both.example.com"] = [[PUBLIC, address]]  # one is enough
        assert refused("https://both.example.com/"), address
    for odd in ("2130706433", "0x7f000001", "0177.0.0.1", "127.1"):  # what a resolver takes for 127.0.0.1
        names[odd] = [["127.0.0.1"]]
        assert refused(f"https://{odd}/"), odd
    assert connected == []


def test_the_connection_goes_to_what_was_checked_whatever_the_name_becomes(connected: list[Any], names: dict[str, Any]) -> None:
    names["rebinding.example.com"] = [[PUBLIC], ["169.254.169.254"]]
    with pytest.raises(outbound.Unreachable):
        outbound.post("https://rebinding.example.com/", b"", {})
    assert connected == [(PUBLIC, 443)]
    assert refused("https://rebinding.example.com/") == "The address is not a public one."
    assert connected == [(PUBLIC, 443)]


def test_an_unknown_or_slow_name_is_unreachable(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(outbound.Unreachable, match="not known"):
        outbound.open_socket("https", "nowhere.example.com", 443)
    hanging = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hanging.wait(5))
    started = time.monotonic()
    with pytest.raises(outbound.Unreachable, match="in time"):
        outbound.open_socket("https", "slow.example.com", 443, 0.2)
    hanging.set()
    assert time.monotonic() - started < 2


def test_allowed_networks_are_reached_and_no_others(names: dict[str, Any], connected: list[Any], settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETS = [ipaddress.ip_network("10.1.2.0/24"), ipaddress.ip_network("fd00:1::/64")]
    names |= {"near.example.com": [["10.1.2.3"]], "mapped.example.com": [["::ffff:10.1.2.4"]], "six.example.com": [["fd00:1::5"]]}
    for url in ("http://near.example.com:8080/", "http://mapped.example.com/", "https://six.example.com:81/"):
        with pytest.raises(outbound.Unreachable):
            outbound.post(url, b"", {})
    assert connected == [("10.1.2.3", 8080), ("10.1.2.4", 80), ("fd00:1::5", 81)]
    names |= {"next.example.com": [["10.1.3.3"]], "public.example.com": [[PUBLIC]]}
    assert refused("https://next.example.com/")
    assert "https" in refused("http://public.example.com/")
    assert "Port 81" in refused("https://public.example.com:81/")
    assert len(connected) == 3


# -- A call ----------------------------------------------------------------------------------------------------------
def test_a_call_keeps_its_host_and_says_what_was_answered(receiver: delivering.Receiver, names: dict[str, Any]) -> None:
    names["hooks.example.com"] = [["127.0.0.1"]]
    port = receiver.server_address[1]
    answer = outbound.post(f"http://hooks.example.com:{port}/a/b?c=d", b"body", {"X-Mine": "1"})
    ((path, headers, body),) = receiver.calls
    assert (answer.status, path, body, headers["Host"], headers["X-Mine"]) == (200, "/a/b?c=d", b"body", f"hooks.example.com:{port}", "1")
    receiver.status, receiver.headers = 503, {"Retry-After": "120"}
    assert outbound.post(receiver.url, b"", {}) == outbound.Answer(503, 120)


def test_a_redirect_is_an_answer_and_never_followed(receiver: delivering.Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": "http://169.254.169.254/latest/meta-data/"}
    assert outbound.post(receiver.url, b"", {}).status == 302
    assert len(receiver.calls) == 1


def test_a_server_that_hangs_or_drips_gets_no_more_than_its_time(receiver: delivering.Receiver) -> None:
    receiver.hangs = 5
    started = time.monotonic()
    with pytest.raises(outbound.Unreachable, match="no answer in time"):
        outbound.post(receiver.url, b"", {}, 0.3)
    receiver.hangs, receiver.drips = 0, 100  # a status at once, and then five seconds of bytes
    assert outbound.post(receiver.url, b"", {}, 0.3).status == 200
    assert time.monotonic() - started < 3


def test_a_server_that_drips_its_headers_gets_no_more_than_its_time(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    for _ in range(100):
                        connection.sendall(b"H")
                        time.sleep(0.05)
                except OSError:
                    pass

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        started = time.monotonic()
        with pytest.raises(outbound.Unreachable):
            outbound.post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"", {}, 0.3)
        assert time.monotonic() - started < 2
        thread.join(6)


def test_a_certificate_must_be_the_hosts_whatever_the_address(
    names: dict[str, Any], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    names |= {"hooks.example.com": [["127.0.0.1"]], "other.example.com": [["127.0.0.1"]]}
    path = delivering.certificate(tmp_path, "hooks.example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    asked: list[str] = []
    context.sni_callback = lambda _, host, __: asked.append(host)
    with delivering.receiving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        with pytest.raises(outbound.Unreachable, match="certificate"):  # nobody trusts it yet
            outbound.post(f"https://hooks.example.com:{port}/", b"", {})
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert outbound.post(f"https://hooks.example.com:{port}/", b"body", {}).status == 200
        for other in (f"https://other.example.com:{port}/", f"https://127.0.0.1:{port}/"):
            with pytest.raises(outbound.Unreachable, match="certificate"):
                outbound.post(other, b"", {})
        assert [(headers["Host"], body) for _, headers, body in server.calls] == [(f"hooks.example.com:{port}", b"body")]
    assert asked[:2] == ["hooks.example.com"] * 2


def test_a_store_is_reached_by_tls_through_the_same_guard(
    names: dict[str, Any], settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTBOUND_ALLOWED_NETS = delivering.LOOPBACK
    names |= {"store.example.com": [["127.0.0.1"]], "other.example.com": [["127.0.0.1"]], "inside.example.com": [["10.0.0.1"]]}
    path = delivering.certificate(tmp_path, "store.example.com")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    monkeypatch.setattr("botocore.httpsession.where", lambda: str(path))
    with delivering.receiving() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        destination = Destination(endpoint=f"https://store.example.com:{port}", bucket="bucket", access_key_id="a", sealed_secret=sealing.seal("b"))
        assert copies.test(destination) == ""
        assert [headers["Host"] for _, headers, _ in server.calls] == [f"store.example.com:{port}"] * 2
        destination.endpoint = f"https://other.example.com:{port}"
        assert "certificate" in copies.test(destination)
        destination.endpoint = f"https://inside.example.com:{port}"
        assert copies.test(destination) == "The address is not a public one."
        assert len(server.calls) == 2
