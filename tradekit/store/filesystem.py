"""What kind of file system a path lies on: WAL and kernel locks are only as good as it is."""

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "fuse.ceph", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
        "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs",
        "virtiofs",
    }
)  # fmt: skip


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """The type of the file system that holds `path`, as the kernel names it; '' where the host does not say."""
    wanted = os.path.realpath(path)
    found, best = "", -1
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()[:1]
        if len(fields) < 5 or not kind:
            continue
        place = _unescaped(fields[4])
        inside = wanted == place or wanted.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= best:  # a later mount on the same place covers the earlier one
            found, best = kind[0], len(place)
    return found


def is_network(path: Path, mounts: Path = MOUNTS) -> bool:
    """Does the path lie on a disk that other hosts may write to?"""
    return file_system(path, mounts) in NETWORK


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
