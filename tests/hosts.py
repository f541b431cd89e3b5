"""Several hosts on this machine: network namespaces on one bridge, each with an address and a name of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


def why_none() -> str | None:
    """Why none can be made here."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    for name in ("ip", "unshare"):
        if shutil.which(name) is None:
            return f"there is no `{name}` here"
    probe = f"probe-{os.urandom(3).hex()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "network namespaces are not allowed here"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return None


@dataclass(frozen=True)
class Host:
    """One of them."""

    name: str
    address: str

    def shell(self, script: str, environ: Mapping[str, str], folder: str) -> subprocess.Popen[str]:
        """A shell on that host, its output to be read."""
        named = f'echo {self.name} > /proc/sys/kernel/hostname; exec bash -euc "$1"'
        command = ["ip", "netns", "exec", self.name, "unshare", "--uts", "bash", "-c", named, "bash", script]
        return subprocess.Popen(
            command, cwd=folder, env=dict(environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def cut_off_from(self, address: str) -> None:
        """Nothing from here gets there any more, and nobody says so."""
        _run("ip", "netns", "exec", self.name, "ip", "route", "add", "blackhole", f"{address}/32")

    def join_again(self, address: str) -> None:
        _run("ip", "netns", "exec", self.name, "ip", "route", "del", "blackhole", f"{address}/32")

    def end(self) -> None:
        """Kill all that runs there."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout
        for pid in found.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def hosts(count: int) -> Iterator[tuple[Sequence[str], Sequence[Host]]]:
    """Two addresses of this machine on the bridge, and so many hosts."""
    tag, third = os.urandom(2).hex(), os.urandom(1)[0]
    bridge, net = f"rb{tag}", f"198.18.{third}"
    ours = [f"{net}.1", f"{net}.2"]
    made = [Host(f"host{number}-{tag}", f"{net}.{10 + number}") for number in range(1, count + 1)]
    try:
        _run("ip", "link", "add", bridge, "type", "bridge")
        for address in ours:
            _run("ip", "addr", "add", f"{address}/24", "dev", bridge)
        _run("ip", "link", "set", bridge, "up")
        for number, host in enumerate(made, start=1):
            here, there = f"rv{tag}{number}", f"rw{tag}{number}"
            _run("ip", "netns", "add", host.name)
            _run("ip", "link", "add", here, "type", "veth", "peer", "name", there)
            _run("ip", "link", "set", there, "netns", host.name)
            _run("ip", "link", "set", here, "master", bridge, "up")
            inside = ("ip", "netns", "exec", host.name, "ip")
            _run(*inside, "addr", "add", f"{host.address}/24", "dev", there)
            for device in ("lo", there):
                _run(*inside, "link", "set", device, "up")
        yield ours, made
    finally:
        for host in made:
            host.end()
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)
