"""What an agent needs in its environment to call us instead of its provider, and how a port here is doing.

Clients disagree about the base address: ElizaOS' plugins and OpenAI's libraries append `/responses` or `/messages` to
a base that holds `/v1`; Anthropic's libraries and Claude Code append `/v1/messages` themselves.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from reasoning_cli.errors import ConfigurationError
from reasoning_cli.values import Agent

if TYPE_CHECKING:
    from reasoning_cli.settings import Settings

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Variable:
    """A variable for the agent's environment."""

    name: str
    value: str


def agent_variables(agent: Agent, port: int, *, tls: bool = False) -> tuple[Variable, ...]:
    """The variables that lead `agent` to the gateway on `port`."""
    base = _base(port, tls)
    openai = Variable("OPENAI_BASE_URL", f"{base}/v1")
    match agent:
        case Agent.ELIZAOS | Agent.ELIZA:
            return openai, Variable("ANTHROPIC_BASE_URL", f"{base}/v1")
        case Agent.OPENAI | Agent.ELIZA_PY:
            return (openai,)
        case Agent.CODEX:
            return ()
        case Agent.OPENCODE:
            here = {"options": {"baseURL": f"{base}/v1"}}
            config = {"provider": {"openai": here, "anthropic": here}}
            return (Variable("OPENCODE_CONFIG_CONTENT", json.dumps(config, separators=(",", ":"))),)
        case Agent.CLAUDE_CODE | Agent.ANTHROPIC:
            return (Variable("ANTHROPIC_BASE_URL", base),)


def agent_caveat(agent: Agent, port: int, *, tls: bool = False) -> str | None:
    """What the variables cannot do for `agent`."""
    match agent:
        case Agent.ELIZAOS | Agent.ELIZA:
            return "plugin-anthropic 1.0.x ignores ANTHROPIC_BASE_URL and always calls Anthropic; 1.5.12 obeys it"
        case Agent.CODEX:
            line = f'openai_base_url = "{_base(port, tls)}/v1"'
            return f"Codex takes no address from its environment: write `{line}` at the top of ~/.codex/config.toml"
        case Agent.ELIZA_PY:
            return (
                "it works without a gateway and these lines too: `pip install 'reasoning[elizaos]'`, and"
                " reasoning_plugin() of reasoning_cli.elizaos among the plugins of its AgentRuntime"
            )
        case Agent.OPENCODE:
            return "a provider of your own in opencode.json needs its options.baseURL changed there"
    return None


def _base(port: int, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{HOST}:{port}"


def tls_caveat(certificate: Path) -> str:
    """What an agent needs beside the variables where the gateway speaks TLS."""
    return (
        f"The agent has to trust `{certificate}` (NODE_EXTRA_CA_CERTS or SSL_CERT_FILE), unless an authority it knows"
        f" signed it; where {HOST} is not a name in it, put one that is in its place"
    )


def is_gateway(url: str, port: int) -> bool:
    """Whether an upstream is the gateway's own address: its calls would come back to it for ever."""
    try:
        parts = urlsplit(url)
        host, named = parts.hostname or "", parts.port
    except ValueError:  # no address at all, or no port number
        return False
    here = host in ("localhost", "::1", "0.0.0.0", "::") or host.startswith("127.")
    return here and (named or (443 if parts.scheme == "https" else 80)) == port


def refuse_circle(url: str, port: int) -> None:
    """Raise ConfigurationError when the upstream `url` is the gateway itself."""
    if is_gateway(url, port):
        raise ConfigurationError(
            f"`{url}` is where the gateway itself is to listen; its calls would come back to it for ever",
            "name the provider's own address, such as https://api.openai.com/v1",
        )


def whose_gateway(settings: Settings, record: Mapping[str, Any]) -> str | None:
    """Whose gateway it is that tells `record`, where it works with another account and log than these settings: a port
    is shared by all of them. None when it is ours, or too old to say."""
    sandbox, profile = record.get("sandbox"), record.get("profile")
    if sandbox is None or (sandbox, profile) == (settings.outside is not None, settings.paths.profile):
        return None
    of_profile = f" of profile {profile}" if profile != settings.paths.profile and profile is not None else ""
    if profile is None and settings.paths.profile is not None:
        of_profile = " of no profile"
    if sandbox:
        return f"the sandbox's gateway{of_profile}, which reaches no real model and no provider unless one is set there"
    return f"a real gateway{of_profile}, which calls real models and providers"


def why_not_free(port: int) -> str | None:
    """Why nothing can be opened on `port` of this machine; None when it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A server that has just gone leaves closed connections behind; they do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "taken by another program"
            return os.strerror(error.errno or errno.EIO).lower()
    return None
