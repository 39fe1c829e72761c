"""bootstrap.sh where it cannot or may not do its work: one clear sentence each."""
import os
import subprocess

import pytest

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bootstrap.sh")


@pytest.fixture
def run(tmp_path):
    """Runs bootstrap.sh on a system described by ``release``, with ``commands`` standing in for the real ones."""

    def run(*arguments, release="ID=debian\nVERSION_ID=12\n", commands=()):
        (tmp_path / "os-release").write_text(release)
        for name, script in dict(commands).items():
            (tmp_path / name).write_text("#!/bin/sh\n%s\n" % script)
            (tmp_path / name).chmod(0o755)
        environment = dict(os.environ, OS_RELEASE=str(tmp_path / "os-release"),
                           PATH="%s:%s" % (tmp_path, os.environ["PATH"]))
        return subprocess.run([SCRIPT, *arguments], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)

    return run


def test_without_a_command_it_tells_how_it_is_used(run):
    done = run()
    assert done.returncode == 2
    for command in ("install", "demo", "test"):
        assert command in done.stdout


def test_an_unsupported_system_gets_one_sentence(run):
    done = run("install", release='ID=fedora\nVERSION_ID=40\nPRETTY_NAME="Fedora Linux 40"\n')
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1
    assert "unsupported system Fedora Linux 40" in done.stdout and "Debian 12" in done.stdout


@pytest.mark.skipif(os.path.exists("/opt/ros/noetic"), reason="this machine has ROS in /opt/ros/noetic")
def test_ubuntu_without_noetic_gets_one_sentence(run):
    done = run("install", release="ID=ubuntu\nVERSION_ID=20.04\n")
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1 and "/opt/ros/noetic" in done.stdout


def test_without_root_it_prints_the_line_to_run(run):
    done = run("install", commands={"id": "echo 1000", "dpkg-query": "exit 1", "apt-get": "echo apt-get was called"})
    assert done.returncode == 1
    assert "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends" in done.stdout
    for package in ("ros-image-publisher", "g++", "make", "python3-venv"):
        assert " %s " % package in done.stdout
    assert "apt-get was called" not in done.stdout


@pytest.mark.parametrize("arguments, words", [(("--tensorflow",), "a version such as 2.13.1, not ''"),
                                              (("--tensorflow", "new"), "not 'new'"), (("--tf", "2"), "--tf")])
def test_an_option_of_test_that_is_wrong_gets_one_sentence(run, arguments, words):
    done = run("test", *arguments)
    assert done.returncode == 1
    assert len(done.stdout.strip().splitlines()) == 1 and words in done.stdout
