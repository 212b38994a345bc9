"""Calls to addresses that customers name: the one way out, which leads nowhere inside.

A name is resolved once, every address that it has must be a public one, and the connection goes to what was checked, so a name that
changes in between gains nothing. The name stays in `Host` and in TLS. Redirects are never followed, time and answers are bounded.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0  # of a call, from the name's look-up to the end of the answer
ANSWER_BYTES = 64 * 1024  # of an answer that are read
URL_CHARS = 2000
MOST_ADDRESSES = 4  # of a name that are tried

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# What Python's `is_global` lets pass: assigned to protocols, or standing for an IPv4 address.
_INSIDE = [
    ipaddress.ip_network(net)
    for net in ("192.0.0.0/24", "192.88.99.0/24", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
]


class Refused(OSError):
    """The guard lets nobody go there; the message is for whoever named the address, and names none of ours."""


class Unreachable(OSError):
    """There was no whole answer in time; the message says what happened, in a few words."""


# -- Where -----------------------------------------------------------------------------------------------------------
def check_url(url: str) -> SplitResult:
    """The parts of a URL that may be called, as far as its text tells; `open_socket` asks its address. Raises Refused."""
    if len(url) > URL_CHARS or not url.isascii() or any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
        raise Refused("Write a URL of at most 2,000 characters, without spaces; letters of other alphabets encoded.")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        raise Refused("This is no URL that can be called.") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise Refused("Write a URL that begins with https:// and names a host.")
    if "@" in parts.netloc:
        raise Refused("Leave user and password out of the URL.")
    if "#" in url:
        raise Refused("Leave the fragment out of the URL.")
    if port == 0:
        raise Refused("Port 0 can't be called.")
    literal = _literal(host)
    if literal is None and ("%" in host or not all(label and len(label) <= 63 for label in host.rstrip(".").split("."))):
        raise Refused("This is no host name.")
    if literal is not None:
        _require(literal, parts.scheme, port_of(parts))
    elif not settings.OUTBOUND_ALLOWED_NETS:  # else its address decides
        _require_outside(parts.scheme, port_of(parts))
    return parts


def port_of(parts: SplitResult) -> int:
    """The port that it means."""
    return parts.port or (443 if parts.scheme == "https" else 80)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_allowed(address: Address) -> bool:
    return any(address in net for net in settings.OUTBOUND_ALLOWED_NETS)


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, or itself."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_public(address: Address) -> bool:
    if any(address in net for net in _INSIDE) or (isinstance(address, ipaddress.IPv6Address) and address.scope_id):
        return False
    # `is_global` is false for private, loopback, link-local, shared (100.64/10), documentation and reserved ones.
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback)


def _require(address: Address, scheme: str, port: int) -> None:
    address = _plain(address)
    if _is_allowed(address):
        return
    if not _is_public(address):
        raise Refused("The address is not a public one.")
    _require_outside(scheme, port)


def _require_outside(scheme: str, port: int) -> None:
    if scheme != "https":
        raise Refused("Write https: an address outside is called encrypted only.")
    if port not in settings.OUTBOUND_PORTS:
        raise Refused(f"Port {port} is not called; the ports are {', '.join(map(str, settings.OUTBOUND_PORTS))}.")


# -- The way there ---------------------------------------------------------------------------------------------------
def _resolve(host: str, port: int, seconds: float) -> list[Address]:
    """Every address of the name. Raises Unreachable. The system's look-up knows no bound, so it gets a thread of its own."""
    found: list[Any] = []

    def look_up() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if not found:
        raise Unreachable("the host's name was not resolved in time")
    if isinstance(found[0], Exception):
        raise Unreachable("the host's name is not known")
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found[0]))


def open_socket(scheme: str, host: str, port: int, seconds: float = CONNECT_SECONDS) -> socket.socket:
    """A connection to the host, checked: to none at all if any of its addresses is forbidden. Raises Refused, Unreachable."""
    until = time.monotonic() + seconds
    literal = _literal(host)
    addresses = [literal] if literal else _resolve(host, port, seconds)
    for address in addresses:
        _require(address, scheme, port)
    said = "nothing answers there"
    for address in addresses[:MOST_ADDRESSES]:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            return _dial(_plain(address), port, left)
        except TimeoutError:
            said = "the connection was not made in time"
        except OSError:
            said = "the connection was refused"
    raise Unreachable(said)


def _dial(address: Address, port: int, seconds: float) -> socket.socket:
    # By number and without another look-up, which `socket.create_connection` would make.
    dialled = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        dialled.settimeout(seconds)
        dialled.connect((str(address), port))
    except BaseException:
        dialled.close()
        raise
    return dialled


# -- A call ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Answer:
    """What was said: a status, and when to come again if it said so. The body is nobody's business."""

    status: int
    retry_after_seconds: int | None


class _Reader(io.RawIOBase):
    """What comes in, until a moment: a server that sends a byte now and then gets no more time than another."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        super().__init__()
        self._connection, self._until = connection, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._until))
        return self._connection.recv_into(buffer)


class _Bounded:
    """As much of a socket as http.client wants."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection, self._until = connection, until

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(_left(self._until))
        self._connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._connection, self._until))

    def close(self) -> None:
        self._connection.close()


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float = TOTAL_SECONDS) -> Answer:
    """POSTs the body; returns whatever was answered, a redirect as it is. Raises Refused, Unreachable."""
    parts = check_url(url)
    host, until = str(parts.hostname), time.monotonic() + seconds
    raw = open_socket(parts.scheme, host, port_of(parts), min(seconds, CONNECT_SECONDS))
    try:
        raw.settimeout(_left(until))
        if parts.scheme == "https":
            raw = ssl.create_default_context().wrap_socket(raw, server_hostname=host)
        return _asked(raw, parts, body, headers, until)
    except TimeoutError:
        raise Unreachable("no answer in time") from None
    except ssl.SSLCertVerificationError:
        raise Unreachable("its certificate is not valid for this host") from None
    except ssl.SSLError:
        raise Unreachable("TLS failed") from None
    except (OSError, http.client.HTTPException, ValueError):
        raise Unreachable("the connection broke before a whole answer") from None
    finally:
        raw.close()


def _asked(raw: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str], until: float) -> Answer:
    connection = http.client.HTTPConnection(str(parts.hostname), port_of(parts))
    connection.sock = _Bounded(raw, until)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
    response = connection.getresponse()
    with contextlib.suppress(OSError, http.client.HTTPException):  # the status is what counts
        response.read(ANSWER_BYTES)  # so that the other side is not cut off while it speaks
    wait = (response.getheader("Retry-After") or "").strip()
    return Answer(response.status, int(wait) if wait.isascii() and wait.isdecimal() and len(wait) < 7 else None)
