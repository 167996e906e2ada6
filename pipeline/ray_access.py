"""Who may use a Ray cluster: the token of the clusters that are started here, and what another cluster asks for."""

from __future__ import annotations

import os
import secrets
from enum import StrEnum

import grpc
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError

from ffpipe.manifests.errors import UsageError

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
#: What every Ray head answers, and answers only to the token where there is one.
_ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
#: Seconds that a head may take to answer; one that is busy does not count as absent for that.
_ASK_SECONDS = 10.0
_GIVE_TOKEN = f"set {MODE}=token, and {TOKEN} or {TOKEN_PATH} to the cluster's token"


class Access(StrEnum):
    """What a cluster's head does with a call."""

    GRANTED = "granted"
    REFUSED = "refused"
    SILENT = "silent"


def grant_token() -> bool:
    """Have the cluster that this process starts obey only those who know a token; what the user set is respected.

    The token is drawn once a process and lives in the environment of its process tree, which other users cannot
    read. Ray's own default is one token for all clusters of a user, in a file of the home folder. Returns whether
    the cluster will ask for a token; it does not where the user set RAY_AUTH_MODE to something else.
    """
    if os.environ.setdefault(MODE, "token").lower() != "token":
        return False
    if not (os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH)):
        os.environ[TOKEN] = secrets.token_hex(32)
    # Ray read the environment when it was imported.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
    return True


def ask(address: str, token: str | None = None) -> Access:
    """Call the head at `host:port`, with a token or without one."""
    metadata = [("authorization", f"Bearer {token}")] if token else None
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_ALIVE)(b"", timeout=_ASK_SECONDS, metadata=metadata)
        except grpc.RpcError as error:
            return Access.REFUSED if error.code() is grpc.StatusCode.UNAUTHENTICATED else Access.SILENT
    return Access.GRANTED


def named_head(address: str) -> str | None:
    """The `host:port` of the head that --address names, itself or by RAY_ADDRESS; None where Ray has to find it."""
    target = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    return target if "://" not in target and target.rpartition(":")[2].isdecimal() else None


def require_admission(address: str) -> None:
    """Raise UsageError where the cluster's head refuses what this process brings; Ray itself tries for 20 seconds.

    A head that does not answer is left to Ray. `address` is as given with --address.
    """
    head = named_head(address)
    if head and ask(head, _own_token(address)) is Access.REFUSED:
        raise refusal(address)


def refusal(address: str) -> UsageError:
    """The error of a cluster that wants another token."""
    brought = "the token that was given" if _own_token(address) else "a call without a token"
    return UsageError(f"--address {address}: the Ray cluster refuses {brought}; {_GIVE_TOKEN}")


def is_refusal(error: BaseException) -> bool:
    """Whether Ray failed to connect for want of the right token."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AuthenticationError) or "InvalidAuthToken" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def open_cluster_warning(address: str, head: str) -> str | None:
    """A warning where the cluster's head obeys anybody; None where it asks for a token."""
    if ask(head) is not Access.GRANTED:
        return None
    return (
        f"warning: the Ray cluster at {address} asks for no token: whoever reaches its ports runs code on it as its "
        f"user; start it with RAY_AUTH_MODE=token on every node, then {_GIVE_TOKEN}"
    )


def _own_token(address: str) -> str | None:
    """The token that Ray would send: with the mode unset only to a cluster that it finds by itself."""
    mode = os.environ.get(MODE, "token" if address == "auto" else "disabled")
    if mode.lower() != "token":
        return None
    loader = AuthenticationTokenLoader.instance()
    if not loader.has_token(ignore_auth_mode=True):
        return None
    return str(loader.get_raw_token(ignore_auth_mode=True))
