"""What this process may use of the machine: memory and processor cores, within every limit that Linux sets."""

import ctypes
import os
import re
import resource
from typing import Dict, Iterator, List, Optional, Tuple

# The files of a control group: limit, usage, and the keys of memory.stat that count file pages, which are reclaimed
# before an allocation fails.
_MEMORY_V2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))
_MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_UNLIMITED = 1 << 60  # bytes; control groups of version 1 have a number instead of "max"


def available_memory(root: str = "/") -> int:
    """Bytes that this process can still allocate: the least that the machine, a control group (a container) or a limit
    of the process (``ulimit -v``) leaves.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    return max(0, min([_free_memory(root), *_free_in_groups(root), *_free_in_address_space(root)]))


def own_memory() -> int:
    """Bytes of this process's resident set; 0 if the system does not tell."""
    return _own_pages("/", 1)


def release_memory() -> None:
    """Return freed memory to the system; glibc keeps it otherwise."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        pass  # another C library


def available_cores(root: str = "/") -> int:
    """How many processor cores this process may use at a time: its affinity, or a smaller quota of a control group.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *_quotas(root)]))


def _free_memory(root: str) -> int:
    available = _pairs(os.path.join(root, "proc/meminfo")).get("MemAvailable:")
    if available is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return available * 1024


def _free_in_groups(root: str) -> Iterator[int]:
    """What each control group of this process leaves of its memory limit."""
    for folder, version in _groups(root, "memory"):
        limit_name, usage_name, cache_names = _MEMORY_V2 if version == 2 else _MEMORY_V1
        limit, usage = (_number(os.path.join(folder, name)) for name in (limit_name, usage_name))
        if limit is not None and usage is not None and limit < _UNLIMITED:
            stat = _pairs(os.path.join(folder, "memory.stat"))
            yield limit - usage + sum(stat.get(name, 0) for name in cache_names)


def _free_in_address_space(root: str) -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit - _own_pages(root, 0)


def _own_pages(root: str, column: int) -> int:
    """Bytes that a column of ``/proc/self/statm`` tells: 0 is the address space, 1 the resident set."""
    return int((_read(os.path.join(root, "proc/self/statm")) or "0 0").split()[column]) * os.sysconf("SC_PAGE_SIZE")


def _quotas(root: str) -> Iterator[int]:
    """How many cores each control group of this process allows, rounded up."""
    for folder, version in _groups(root, "cpu"):
        if version == 2:
            fields = (_read(os.path.join(folder, "cpu.max")) or "").split()
        else:
            fields = [_read(os.path.join(folder, "cpu.cfs_%s_us" % name)) or "" for name in ("quota", "period")]
        if len(fields) == 2 and all(field.isdigit() and int(field) for field in fields):  # not "max", not -1
            yield -(-int(fields[0]) // int(fields[1]))


def _groups(root: str, controller: str) -> Iterator[Tuple[str, int]]:
    """The folders of this process's control groups up to the root: (folder, version of the interface) each."""
    for line in (_read(os.path.join(root, "proc/self/cgroup")) or "").splitlines():
        match = re.fullmatch(r"\d+:([^:]*):(.*)", line)
        if match is None:
            continue
        controllers, path = match.groups()
        mounts: List[Tuple[str, int]] = []
        if not controllers:
            mounts = [("sys/fs/cgroup", 2), ("sys/fs/cgroup/unified", 2)]
        elif controller in controllers.split(","):
            mounts = [("sys/fs/cgroup/" + name, 1) for name in (controllers, controller)]
        for mount, version in mounts:
            # Within a container the path may be the host's: then only the root exists, and it is the container's.
            parts = path.strip("/").split("/")
            for count in range(len(parts), -1, -1):
                folder = os.path.join(root, mount, *parts[:count])
                if os.path.isdir(folder):
                    yield folder, version


def _read(path: str) -> Optional[str]:
    try:
        with open(path) as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


def _number(path: str) -> Optional[int]:
    text = _read(path)
    return int(text) if text is not None and text.isdigit() else None


def _pairs(path: str) -> Dict[str, int]:
    """``{name: number}`` from the lines of a file."""
    fields = [line.split() for line in (_read(path) or "").splitlines()]
    return {field[0]: int(field[1]) for field in fields if len(field) > 1 and field[1].isdigit()}
