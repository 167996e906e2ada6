from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import ray_access
from ffpipe.pipeline.ray_access import (
    MODE,
    TOKEN,
    TOKEN_PATH,
    Access,
    ask,
    grant_token,
    is_refusal,
    open_cluster_warning,
    require_admission,
)

SECRET = "s" * 64


class Head(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers as the head of a cluster does, with or without a token."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        brought = dict(details.invocation_metadata).get("authorization")

        def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
            if self.token and brought != f"Bearer {self.token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture(params=[None, SECRET], ids=["open", "guarded"])
def head(request: pytest.FixtureRequest) -> Iterator[tuple[str, str | None]]:
    """Address of a head, and the token that it asks for."""
    server = grpc.server(ThreadPoolExecutor(1), handlers=[Head(request.param)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", request.param
    server.stop(None)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No access set, and Ray's own configuration, which the session's cluster needs, left alone."""
    for name in (MODE, TOKEN, TOKEN_PATH, "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)

    class Fake:
        """In the place of Ray's loader: reads the environment each time."""

        @staticmethod
        def instance() -> type[Fake]:
            return Fake

        @staticmethod
        def reset_cache() -> None:
            """Nothing is kept."""

        @staticmethod
        def has_token(ignore_auth_mode: bool) -> bool:
            return ignore_auth_mode and TOKEN in os.environ

        @staticmethod
        def get_raw_token(ignore_auth_mode: bool) -> str:
            return os.environ[TOKEN]

        @staticmethod
        def initialize(_: str) -> None:
            """Nothing is kept."""

    monkeypatch.setattr(ray_access, "AuthenticationTokenLoader", Fake)
    monkeypatch.setattr(ray_access, "Config", Fake)


def test_a_head_is_known_by_what_it_answers(head: tuple[str, str | None]) -> None:
    address, token = head
    assert ask(address) is (Access.REFUSED if token else Access.GRANTED)
    assert ask(address, "wrong") is (Access.REFUSED if token else Access.GRANTED)
    assert ask(address, SECRET) is Access.GRANTED
    warning = open_cluster_warning("auto", address)
    assert warning is None if token else "asks for no token" in (warning or "")


def test_nobody_at_the_address_is_no_refusal() -> None:
    assert ask("127.0.0.1:1") is Access.SILENT
    assert open_cluster_warning("auto", "127.0.0.1:1") is None
    require_admission("127.0.0.1:1")


def test_a_refusal_is_one_line_that_says_what_to_set(
    head: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, token = head
    if token is None:
        require_admission(address)
        return
    with pytest.raises(UsageError, match=r"refuses a call without a token; set RAY_AUTH_MODE=token, and"):
        require_admission(address)
    monkeypatch.setenv(TOKEN, SECRET)
    with pytest.raises(UsageError, match="without a token"):
        require_admission(address)  # Ray sends none to a named cluster unless the mode says so
    monkeypatch.setenv("RAY_ADDRESS", address)
    require_admission("auto")
    monkeypatch.setenv(MODE, "token")
    require_admission(address)
    monkeypatch.setenv(TOKEN, "another")
    with pytest.raises(UsageError, match="refuses the token that was given"):
        require_admission(address)


def test_a_fresh_token_unless_the_user_has_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert grant_token()
    first = os.environ[TOKEN]
    assert (os.environ[MODE], len(bytes.fromhex(first))) == ("token", 32)
    assert grant_token()
    assert os.environ[TOKEN] == first, "one process, one token"
    monkeypatch.delenv(TOKEN)
    assert grant_token()
    assert os.environ[TOKEN] != first
    monkeypatch.delenv(TOKEN)
    monkeypatch.setenv(TOKEN_PATH, str(tmp_path / "token"))
    assert grant_token()
    assert TOKEN not in os.environ


def test_who_turns_the_token_off_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODE, "disabled")
    assert not grant_token()
    assert TOKEN not in os.environ


def test_a_refusal_is_found_below_what_ray_raises() -> None:
    deep = ConnectionError("failed")
    deep.__cause__ = RuntimeError("RPC error: InvalidAuthToken: missing")
    assert is_refusal(deep)
    assert not is_refusal(ConnectionError("no route"))
