"""Where the server is, who asks, and TLS: from arguments, else the environment, as the `stockpot` program has it."""

from __future__ import annotations

import hashlib
import pathlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import stockpot
from stockpot import errors
from stockpot._settings import DEFAULT_SERVER
from support import Server, Sweep, make_certificate, programs

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_environment_says_where(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stockpot.Client()._driver._settings.server == DEFAULT_SERVER
    monkeypatch.setenv("STOCKPOT_SERVER", server.address)
    monkeypatch.setenv("STOCKPOT_CLIENT", "me")
    monkeypatch.setenv("STOCKPOT_TOKEN", "secret\n")
    monkeypatch.setenv("TRACEPARENT", TRACE)
    with stockpot.Client() as client:
        assert client.capabilities().server_version
        assert list(client._driver._settings.metadata) == [
            ("stockpot-client", "me"),
            ("authorization", "Bearer secret"),
            ("traceparent", TRACE),
        ]


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "00-é", "0" * 257])
def test_what_is_no_traceparent_is_not_sent(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", text)
    assert "traceparent" not in dict(stockpot.Client()._driver._settings.metadata)


@pytest.mark.parametrize(
    "address, arguments, words",
    [
        (None, {"client": "a b"}, "client or"),
        (None, {"token": "a\nb"}, "one line of printable"),
        (None, {"token_file": "/no/file"}, "/no/file: cannot be read"),
        ("example.com:8433", {"token": "t"}, "for anybody to read"),
        ("127.0.0.1.example.com:1", {"token": "t"}, "for anybody to read"),
        (None, {"ca_file": "/no/file"}, "/no/file: cannot be read"),
        (None, {"certificate_file": "/no/file"}, "go together"),
    ],
)
def test_settings_that_make_no_sense(address: str | None, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=words):
        stockpot.Client(address, **arguments)


@dataclass
class Guarded:
    """A server with TLS that knows a token of team-a, a viewer's, and the certificate of ci."""

    server: Server
    authority: pathlib.Path
    ci: tuple[pathlib.Path, pathlib.Path]
    sweep: Sweep


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = make_certificate(folder, "server")
    ci = make_certificate(folder, "ci")
    tokens = {name: hashlib.sha256(name.encode()).hexdigest() for name in ["token-a", "token-v"]}
    access = folder / "access"
    access.write_text(
        f"team-a submitter sha256:{tokens['token-a']}\nteam-a viewer sha256:{tokens['token-v']}\nci submitter certificate:ci\n"
    )
    access.chmod(0o600)
    flags = [f"--tls_certificate_file={certificate}", f"--tls_key_file={key}", f"--access_file={access}"]
    server = Server(folder, *flags, f"--tls_client_ca_file={ci[0]}", "--tls_client_certificate_optional")
    yield Guarded(server, certificate, ci, Sweep(folder / "sweep"))
    server.stop()


def test_a_token_over_tls(guarded: Guarded, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = guarded.server.address
    with stockpot.Client(address, ca_file=guarded.authority, token="token-a") as client:
        job = client.submit(**guarded.sweep.arguments())
        assert job.result(60).chosen.kind == "greedy" and job.message.client == "team-a"
        assert len(job.download(tmp_path / "soup")) == len(job.artifacts)
    (tmp_path / "token").write_text("token-v\n")
    monkeypatch.setenv("STOCKPOT_CA_FILE", str(guarded.authority))
    monkeypatch.setenv("STOCKPOT_TOKEN_FILE", str(tmp_path / "token"))
    with stockpot.Client(address) as viewer:
        assert [each.name for each in viewer.jobs()] == [job.name]
        with pytest.raises(errors.PermissionDenied) as denied:
            viewer.submit(**guarded.sweep.arguments())
        assert denied.value.reason == "ACCESS_DENIED"


def write_contexts(folder: pathlib.Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    (folder / "stockpot").mkdir(exist_ok=True)
    (folder / "stockpot" / "contexts.yaml").write_text(text)


def test_contexts(guarded: Guarded, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stockpot").mkdir()
    (tmp_path / "stockpot" / "token").write_text("token-a\n")
    certificate, key = guarded.ci
    lab = f'server: "{guarded.server.address}", ca_file: {guarded.authority}'
    text = (
        f"current: lab\ncontexts:\n  lab: {{{lab}, token_file: token}}\n"
        f"  ci: {{{lab}, certificate_file: {certificate}, key_file: {key}}}\n  here: {{server: '127.0.0.1:1', client: me}}\n"
    )
    write_contexts(tmp_path, text, monkeypatch)

    def client_of(**arguments: Any) -> str:
        with stockpot.Client(**arguments) as client:
            return client.submit(**guarded.sweep.arguments(), validate_only=True).message.client

    assert client_of() == "team-a"  # the current one, with the token that lies beside the file
    assert client_of(context="ci") == "ci"
    monkeypatch.setenv("STOCKPOT_CONTEXT", "ci")
    assert client_of() == "ci" and client_of(context="lab") == "team-a"
    # Arguments and the environment beat it; a server that they name gets nothing of it.
    monkeypatch.setenv("STOCKPOT_TOKEN", "wrong")
    with pytest.raises(errors.Unauthenticated):
        client_of(context="lab")
    assert client_of(context="lab", token="token-a") == "team-a"
    monkeypatch.delenv("STOCKPOT_TOKEN")
    monkeypatch.setenv("STOCKPOT_SERVER", "example.com:1")
    settings = stockpot.Client()._driver._settings
    assert (settings.server, settings.token, settings.credentials) == ("example.com:1", "", None)
    assert client_of(context="lab") == "team-a"
    settings = stockpot.Client(context="here")._driver._settings
    assert (settings.server, settings.client, settings.credentials) == ("127.0.0.1:1", "me", None)
    with pytest.raises(errors.InvalidArgument, match="both name a server"):
        stockpot.Client("a:1", context="lab")
    # One file for both clients.
    told = subprocess.run([programs() / "stockpot", "context", "list"], capture_output=True, text=True, check=True)
    assert all(name in told.stdout for name in ["lab", "ci", "here"])


@pytest.mark.parametrize(
    "text, words",
    [
        ("contexts: {lab: {server: 'a:1'}}", "no context 'other'; there are lab"),
        ("", "no context 'other': make it"),
        ("- 1", "expected `current`"),
        ("contexts: [1]", "expected current: NAME"),
        ("contexts: {other: 1}", "contexts.other: expected the fields"),
        ("contexts: {other: {client: me}}", "contexts.other: has no server"),
        ("contexts: {other: {server: 'a:1', token: t}}", "contexts.other.token: a secret"),
        ("contexts: {other: {server: 'a:1', tls: 'no'}}", "contexts.other.tls: expected true or false"),
        ("contexts: {other: {server: 1}}", "contexts.other.server: expected a string"),
        ("contexts: {other: {address: 'a:1'}}", "contexts.other.address: expected one of server"),
        ("contexts: {other: {", "line 1, column"),
        ("#" * (1 << 20) + "#", "above 1 MiB"),
    ],
)
def test_contexts_that_make_no_sense(
    text: str, words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_contexts(tmp_path, text, monkeypatch)
    with pytest.raises(errors.InvalidArgument, match=re.escape(words)):
        stockpot.Client(context="other")


def test_mutual_tls(guarded: Guarded) -> None:
    certificate, key = guarded.ci
    arguments: dict[str, Any] = {"certificate_file": certificate, "key_file": key, "ca_file": guarded.authority}
    with stockpot.Client(guarded.server.address, **arguments) as client:
        assert client.submit(**guarded.sweep.arguments()).wait(60).message.client == "ci"


@pytest.mark.parametrize(
    "arguments, reason",
    [({}, "CREDENTIALS_MISSING"), ({"token": "wrong"}, "CREDENTIALS_INVALID")],
)
def test_who_is_not_known(guarded: Guarded, arguments: dict[str, Any], reason: str) -> None:
    with stockpot.Client(guarded.server.address, ca_file=guarded.authority, **arguments) as client:
        with pytest.raises(errors.Unauthenticated) as caught:
            client.capabilities()
        assert caught.value.reason == reason


def test_a_server_that_is_not_trusted(guarded: Guarded) -> None:
    for arguments in [{"tls": True}, {"ca_file": guarded.ci[0]}, {}]:
        with stockpot.Client(guarded.server.address, timeout=5, **arguments) as stranger:
            with pytest.raises((errors.Unavailable, errors.DeadlineExceeded)):
                stranger.capabilities()
