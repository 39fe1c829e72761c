"""Temporary folders that do not outlive their process for long: if it was killed, the next one removes them."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from typing import Dict, Iterator

PREFIX = "ros_style_transfer_"
_LOCK = ".lock"  # a file in each folder, locked as long as its process lives
_MIN_AGE = 60.0  # seconds; a younger folder may not be locked yet

_locks: Dict[str, int] = {}  # file descriptors by folder


def make(purpose: str) -> str:
    """A new folder; pass it to `remove` when it is not needed any more."""
    sweep()
    folder = tempfile.mkdtemp(prefix="%s%s_" % (PREFIX, purpose))
    _locks[folder] = _lock(folder)
    return folder


def remove(folder: str) -> None:
    """Remove a folder that `make` has made.  May be called repeatedly."""
    shutil.rmtree(folder, ignore_errors=True)
    descriptor = _locks.pop(folder, None)
    if descriptor is not None:
        os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(purpose: str) -> Iterator[str]:
    """A folder for a ``with`` statement."""
    folder = make(purpose)
    try:
        yield folder
    finally:
        remove(folder)


def sweep() -> None:
    """Remove this user's folders whose processes were killed."""
    root = tempfile.gettempdir()
    for name in os.listdir(root):
        if not name.startswith(PREFIX):
            continue
        folder = os.path.join(root, name)
        try:
            status = os.lstat(folder)
            if status.st_uid == os.getuid() and time.time() - status.st_mtime > _MIN_AGE:
                os.close(_lock(folder))
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its process lives, or another one has just removed it


def _lock(folder: str) -> int:
    """Lock ``folder``; the file descriptor.  Raises `OSError` if it is locked."""
    descriptor = os.open(os.path.join(folder, _LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
