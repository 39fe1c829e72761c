"""Memory and cores within the limits of machine, container and process: trees of files stand for Linux's."""

import os
import resource
import sys

import pytest

from ros_style_transfer import resources

GB = 10**9


@pytest.fixture
def system(tmp_path):
    """``system({path: text})`` adds files; the machine has 8 GB of free memory."""

    def add(files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return str(tmp_path)

    add(
        {"proc/meminfo": "MemTotal: 16000000 kB\nMemAvailable: 7812500 kB\n", "proc/self/statm": "1000 100 1 1 0 1 0\n"}
    )
    return add


def test_free_memory_is_the_machines(system):
    assert resources.available_memory(system({})) == 8 * GB


def test_a_container_with_cgroup_2_leaves_what_it_has_not_used(system):
    root = system(
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "2000000000\n",
            "sys/fs/cgroup/memory.current": "1500000000\n",
            "sys/fs/cgroup/memory.stat": "anon 1\nfile 400000000\ninactive_file 300000000\nactive_file 100000000\n",
        }
    )
    assert resources.available_memory(root) == 0.9 * GB, "pages of files are given back"


def test_the_tightest_of_nested_groups_counts(system):
    files = {"proc/self/cgroup": "0::/user.slice/app.scope\n"}
    for path, limit in (("", "max"), ("/user.slice", "1000000000"), ("/user.slice/app.scope", "3000000000")):
        files["sys/fs/cgroup%s/memory.max" % path] = limit
        files["sys/fs/cgroup%s/memory.current" % path] = "250000000"
    assert resources.available_memory(system(files)) == 0.75 * GB


@pytest.mark.parametrize("path", ["/docker/0123", "/"])
def test_a_container_with_cgroup_1_need_not_see_its_own_path(system, path):
    root = system(
        {
            "proc/self/cgroup": "5:cpu,cpuacct:%s\n4:memory:%s\n0::/\n" % (path, path),
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000\n",
            "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100000000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        }
    )
    assert resources.available_memory(root) == 0.7 * GB
    assert resources.available_cores(root) == 1


def test_groups_without_a_limit_limit_nothing(system):
    root = system(
        {
            "proc/self/cgroup": "4:memory:/\n3:cpu:/\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "9000000000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    assert resources.available_memory(root) == 8 * GB
    assert resources.available_cores(root) == len(os.sched_getaffinity(0))


def test_a_group_over_its_limit_leaves_nothing(system):
    root = system(
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "1000\n",
            "sys/fs/cgroup/memory.current": "5000\n",
        }
    )
    assert resources.available_memory(root) == 0


@pytest.mark.parametrize("text, cores", [("max 100000", None), ("100000 100000", 1), ("110000 100000", 2), ("", None)])
def test_the_quota_of_cgroup_2_counts_whole_cores(system, monkeypatch, text, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    root = system({"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/cpu.max": text})
    assert resources.available_cores(root) == (cores or 4)


def test_the_limit_of_the_address_space_counts(system, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (3 * GB, 3 * GB))
    used = 1000 * os.sysconf("SC_PAGE_SIZE")
    assert resources.available_memory(system({})) == 3 * GB - used


def test_without_any_file_it_is_half_of_the_machine(tmp_path):
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    assert resources.available_memory(str(tmp_path)) == half
    assert resources.available_cores(str(tmp_path)) == len(os.sched_getaffinity(0))


def test_ulimit_and_taskset_of_a_real_process(run):
    done = run(
        "-c",
        "import os, resource\n"
        "from ros_style_transfer import resources\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))\n"
        "print(resources.available_memory(), resources.available_cores(), resources.own_memory())\n",
    )
    assert done.returncode == 0, done.stderr
    free, cores, own = map(int, done.stdout.split())
    assert 5e8 < free < 1e9 and cores == 1 and 5e6 < own < 5e8, sys.platform
