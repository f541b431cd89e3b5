"""On which file system a file is, as far as this machine tells: a database and a network do not go together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")  # of Linux; elsewhere nothing is told

# Where files are another machine's: its locks and shared memory are not ours.
_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "gpfs",
        "orangefs",
        "ncpfs",
        "davfs",
        "virtiofs",
    }
)
_NETWORK_FUSE = frozenset(
    {"sshfs", "s3fs", "rclone", "glusterfs", "gcsfuse", "davfs2", "ceph-fuse", "smbnetfs", "goofys", "blobfuse2"}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """Where a file system is, and of which kind (`ext4`, `nfs4`, `fuse.sshfs`)."""

    place: Path
    kind: str

    @property
    def is_network(self) -> bool:
        family, _, program = self.kind.partition(".")
        return self.kind in _NETWORK or (family == "fuse" and program in _NETWORK_FUSE)


def mount_of(path: Path, mounts: Path | None = None) -> Mount | None:
    """The file system that `path` is on, or will be when it is made; None where the system does not tell."""
    try:
        lines = (mounts or MOUNTS).read_text(encoding="utf-8", errors="replace").splitlines()
        where = path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself, as Python 3.11 says it
        return None
    found: Mount | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        place = Path(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), fields[4]))
        # Of several at one place the last lies on top.
        if where.is_relative_to(place) and (found is None or len(place.parts) >= len(found.place.parts)):
            found = Mount(place, kind)
    return found
