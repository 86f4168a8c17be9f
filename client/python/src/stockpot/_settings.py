"""Where the server is and who asks: arguments, else the environment, else a context, as the `stockpot` program has it."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from ._contexts import Context, find_context
from .errors import InvalidArgument

DEFAULT_SERVER = "127.0.0.1:8433"
# A job with a thousand ingredients and a hundred report sets, each measured, stays below this.
MAX_MESSAGE_BYTES = 64 << 20
_LOCAL = re.compile(r"unix:|localhost:|127\.\d+\.\d+\.\d+:|\[::1\]:")
# What gRPC looks for by itself is not where Debian has it.
_SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Settings:
    """Of one client. Immutable."""

    server: str
    client: str
    token: str
    credentials: grpc.ChannelCredentials | None  # None: plaintext
    timeout: float  # seconds, of calls that answer at once
    reconnect_timeout: float  # seconds that an outage may last before watches and downloads give up
    traceparent: str = ""  # W3C Trace Context: the trace that the calls are a part of

    @property
    def metadata(self) -> Sequence[tuple[str, str]]:
        """What goes with every call."""
        client = [("stockpot-client", self.client)] if self.client else []
        token = [("authorization", f"Bearer {self.token}")] if self.token else []
        return client + token + ([("traceparent", self.traceparent)] if self.traceparent else [])

    @property
    def channel_options(self) -> Sequence[tuple[str, int]]:
        return [
            # http_proxy is for the web: a server on this host or network is not reached through it.
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # gRPC's own default grows to two minutes; the client paces its attempts itself.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 2_000),
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ]


def make_settings(
    address: str | None,
    *,
    context: str | None,
    client: str | None,
    token: str | None,
    token_file: Path | None,
    allow_insecure_token: bool,
    tls: bool,
    ca_file: Path | None,
    certificate_file: Path | None,
    key_file: Path | None,
    timeout: float,
    reconnect_timeout: float,
) -> Settings:
    """Raises InvalidArgument, never with what is in a file; see ClientBase for what the arguments mean."""
    if address and context:
        raise InvalidArgument("address and context both name a server: give one of them")
    server = address or ("" if context else os.environ.get("STOCKPOT_SERVER", ""))
    # A context is for its own server: where something else names one, no token of the context goes there.
    kept = Context() if server else find_context(context)
    server = server or kept.server or DEFAULT_SERVER
    name = os.environ.get("STOCKPOT_CLIENT") or kept.client if client is None else client
    if not re.fullmatch(r"[A-Za-z0-9._@-]{0,63}", name):
        raise InvalidArgument("client or $STOCKPOT_CLIENT: expected up to 63 of A-Z, a-z, 0-9 and . _ @ -")
    secret = _token(token, token_file, kept.token_file)
    ca = os.environ.get("STOCKPOT_CA_FILE") or kept.ca_file if ca_file is None else os.fspath(ca_file)
    pair = [os.fspath(certificate_file or ""), os.fspath(key_file or "")]
    credentials = _credentials(tls or kept.tls, ca, *(pair if any(pair) else [kept.certificate_file, kept.key_file]))
    if secret and credentials is None and not _LOCAL.match(server) and not allow_insecure_token:
        raise InvalidArgument(
            "a token would go over the network for anybody to read: give tls or ca_file, or allow_insecure_token=True"
        )
    return Settings(server, name, secret, credentials, timeout, reconnect_timeout, _traceparent())


def _traceparent() -> str:
    """What is one is for the server to say; what could not stand in metadata is not sent."""
    given = os.environ.get("TRACEPARENT", "")
    return given if re.fullmatch(r"[0-9a-f-]{1,256}", given) else ""


def _token(token: str | None, token_file: Path | None, of_context: str) -> str:
    file = token_file or ""
    if not file and token is None:
        file = os.environ.get("STOCKPOT_TOKEN_FILE", "")
        token = os.environ.get("STOCKPOT_TOKEN", "")
        file = file or ("" if token else of_context)
    if file:
        token = _read(os.fspath(file)).decode("utf-8", "replace")
    token = (token or "").strip()
    if not re.fullmatch(r"[\x21-\x7e]{0,4096}", token):
        raise InvalidArgument("the token (token, token_file, $STOCKPOT_TOKEN) must be one line of printable characters")
    return token


def _credentials(tls: bool, ca: str, certificate: str, key: str) -> grpc.ChannelCredentials | None:
    if not (tls or ca or certificate or key):
        return None
    if bool(certificate) != bool(key):
        raise InvalidArgument("certificate_file and key_file go together")
    if not ca and os.path.exists(_SYSTEM_AUTHORITIES):
        ca = _SYSTEM_AUTHORITIES
    return grpc.ssl_channel_credentials(*[_read(file) if file else None for file in (ca, key, certificate)])


def _read(file: str) -> bytes:
    try:
        return pathlib.Path(file).read_bytes()
    except OSError as error:
        raise InvalidArgument(f"{file}: cannot be read: {error.strerror}") from error
