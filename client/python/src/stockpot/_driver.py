"""What the drivers of both clients have in common: who is asked, and how errors are told."""

from __future__ import annotations

from typing import Any

from ._operation import Call, Open
from ._settings import Path, Settings, make_settings
from .errors import DeadlineExceeded, StockpotError, Unavailable, from_rpc


class DriverBase:
    def __init__(self, settings: Settings):
        self._settings = settings

    @property
    def reconnect_timeout(self) -> float:
        return self._settings.reconnect_timeout

    def _channel_of(self, grpc_module: Any) -> Any:
        """A channel of grpc or of grpc.aio."""
        settings = self._settings
        options = list(settings.channel_options)
        if settings.credentials is None:
            return grpc_module.insecure_channel(settings.server, options)
        return grpc_module.secure_channel(settings.server, settings.credentials, options)

    def _begin(self, channel: Any, effect: Call | Open) -> Any:
        """Begins the call; a unary one of grpc is done when this returns."""
        kind = channel.unary_unary if isinstance(effect, Call) else channel.unary_stream
        call = kind(
            effect.method.path,
            request_serializer=effect.method.request.SerializeToString,
            response_deserializer=effect.method.response.FromString,
        )
        timeout = effect.timeout
        if timeout is None and isinstance(effect, Call):
            timeout = self._settings.timeout
        return call(effect.request, timeout=timeout, metadata=tuple(self._settings.metadata))

    def _error(self, failure: object) -> StockpotError:
        """Of a grpc.RpcError. Names the server where it could not be reached."""
        error = from_rpc(failure)
        if isinstance(error, Unavailable) and not error.reason:
            error.with_context(f"cannot reach the server at {self._settings.server}")
        elif isinstance(error, DeadlineExceeded) and not error.reason:
            error.with_context(f"the server at {self._settings.server} did not answer in time")
        return error


class ClientBase:
    """A connection to a server, made with the first call.

    address     HOST:PORT or unix:PATH; default: $STOCKPOT_SERVER, else the context's, else 127.0.0.1:8433
    context     the server by the name that `stockpot context` keeps; default: $STOCKPOT_CONTEXT, else the current one.
                What it says of TLS, client and token holds where neither an argument nor the environment does
    client      who asks, for the server's limits and fair sharing; default: $STOCKPOT_CLIENT
    token, token_file  says who asks, where the server has an access file; default: $STOCKPOT_TOKEN_FILE, $STOCKPOT_TOKEN.
                In plaintext it goes to this machine only, unless allow_insecure_token
    tls         with the system's certificate authorities, or those of ca_file (PEM; default: $STOCKPOT_CA_FILE)
    certificate_file, key_file  the client's own, PEM, for mutual TLS; they, and a ca_file, mean tls
    timeout     seconds, of calls that answer at once
    reconnect_timeout  seconds that watches and downloads try again for when the connection is lost

    Raises InvalidArgument.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        context: str | None = None,
        client: str | None = None,
        token: str | None = None,
        token_file: Path | None = None,
        allow_insecure_token: bool = False,
        tls: bool = False,
        ca_file: Path | None = None,
        certificate_file: Path | None = None,
        key_file: Path | None = None,
        timeout: float = 30.0,
        reconnect_timeout: float = 300.0,
    ):
        self._connect(
            make_settings(
                address,
                context=context,
                client=client,
                token=token,
                token_file=token_file,
                allow_insecure_token=allow_insecure_token,
                tls=tls,
                ca_file=ca_file,
                certificate_file=certificate_file,
                key_file=key_file,
                timeout=timeout,
                reconnect_timeout=reconnect_timeout,
            )
        )

    def _connect(self, settings: Settings) -> None:
        raise NotImplementedError


def cancel(stream: Any) -> None:
    if stream is not None:
        stream.cancel()
