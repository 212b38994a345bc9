"""Clients of buckets that customers name: every connection goes through the guard of `taskexport.outbound`, every call has an end."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool, AWSHTTPSConnection, AWSHTTPSConnectionPool
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError, SSLError
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import HTTPError

from exports.models import Destination
from exports.services.deliveries import sealing
from exports.services.deliveries.outbox import Undelivered
from taskexport import outbound

CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 20, 2  # what fails is tried again later anyhow
CALL_SECONDS = 300.0  # of one call, such as a part of a file
ANSWER_BYTES = 4 * 1024 * 1024  # of one call
_WORDS = {
    "NoSuchBucket": "there is no such bucket",
    "404": "there is no such bucket",
    "InvalidAccessKeyId": "the store does not know the access key id",
    "SignatureDoesNotMatch": "the secret access key is not the right one",
    "AccessDenied": "the key may not write there",
    "403": "the key may not write there",
    "AllAccessDisabled": "the bucket is closed",
    "AuthorizationHeaderMalformed": "the region is not the bucket's",
    "PermanentRedirect": "the region or the endpoint is not the bucket's",
    "301": "the region or the endpoint is not the bucket's",
    "RequestTimeTooSkewed": "the clocks of the store and of this service differ",
    "SlowDown": "the store asks to slow down",
}


# -- Connections -----------------------------------------------------------------------------------------------------
class _Call(threading.local):
    """What the call that this thread makes may still take."""

    until = 0.0
    bytes = 0


_call = _Call()


def _look(received: int = 0) -> None:
    _call.bytes -= received
    if time.monotonic() > _call.until or _call.bytes < 0:
        raise TimeoutError("the call took too long, or answered too much")


class _Socket(socket.socket):
    """Ends with its call, however slowly the other side speaks."""

    def recv_into(self, *arguments: Any) -> int:
        _look()
        received = super().recv_into(*arguments)
        _look(received)
        return received

    def sendall(self, *arguments: Any) -> None:
        _look()
        super().sendall(*arguments)


class _SSLSocket(ssl.SSLSocket):
    """The same, encrypted."""

    def recv_into(self, *arguments: Any) -> int:
        _look()
        received = super().recv_into(*arguments)
        _look(received)
        return received

    def sendall(self, *arguments: Any) -> None:
        _look()
        super().sendall(*arguments)


def _open(scheme: str, connection: Any) -> socket.socket:
    opened = outbound.open_socket(scheme, connection.host, connection.port, CONNECT_SECONDS)
    timed = _Socket(opened.family, opened.type, opened.proto, fileno=opened.detach())
    timed.settimeout(READ_SECONDS)
    return timed


class _HTTP(AWSHTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _open("http", self)


class _HTTPS(AWSHTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _open("https", self)


class _HTTPPool(AWSHTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(AWSHTTPSConnectionPool):
    ConnectionCls = _HTTPS


class _Session(URLLib3Session):
    """Calls of one client; without proxies, which would look names up themselves."""

    def __init__(self, call_seconds: float) -> None:
        super().__init__(timeout=(CONNECT_SECONDS, READ_SECONDS))
        self._pool_classes_by_scheme.update(http=_HTTPPool, https=_HTTPSPool)
        self._call_seconds = call_seconds

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.sslsocket_class = _SSLSocket
        return context

    def before_send(self, request: Any, **_: Any) -> Any:
        """Answers in place of the library's own session."""
        _call.until, _call.bytes = time.monotonic() + self._call_seconds, ANSWER_BYTES
        return self.send(request)


# -- Clients ---------------------------------------------------------------------------------------------------------
def client(destination: Destination, call_seconds: float = CALL_SECONDS) -> Any:
    """An S3 client of the destination's own. Raises Undelivered where its secret can't be read."""
    try:
        secret = sealing.unseal(destination.sealed_secret)
    except sealing.Unreadable:
        raise Undelivered("its secret can't be read: ENCRYPTION_KEY or SECRET_KEY has changed", is_endpoint=False) from None
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if destination.endpoint else "auto"},
        retries={"mode": "standard", "total_max_attempts": TRIES},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        ignore_configured_endpoint_urls=True,  # this machine's environment says nothing about somebody else's store
    )
    # A session of its own: the default one is not made for threads, and might know this machine's own role.
    session = boto3.session.Session(aws_access_key_id=destination.access_key_id, aws_secret_access_key=secret, region_name=destination.region)
    made = session.client("s3", endpoint_url=destination.endpoint or None, config=config)
    made.meta.events.register_first("before-send.s3", _Session(call_seconds).before_send)
    return made


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """What a store says, in our words; its own hold keys and hosts. Raises Undelivered."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        words = _WORDS.get(code) or f"the store refused: {code if code.isalnum() and len(code) < 60 else status}"
        raise Undelivered(words, status_code=status) from None
    except (BotoCoreError, Boto3Error, HTTPError, OSError) as error:
        raise Undelivered(_said(error)) from None


def _said(error: BaseException) -> str:
    """What the guard said, where it is behind this error; else the error's kind."""
    seen: list[Any] = []
    waiting: list[Any] = [error]
    while waiting and len(seen) < 20:
        one = waiting.pop()
        if isinstance(one, outbound.Refused | outbound.Unreachable):
            return str(one)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__, *one.args, getattr(one, "kwargs", {}).get("error")]
    if any(isinstance(one, ssl.SSLError | SSLError) for one in seen):
        return "TLS failed: its certificate may not be valid for this host"
    if any(isinstance(one, TimeoutError) for one in seen):
        return "no answer in time"
    return f"the store did not answer: {type(error).__name__}"
