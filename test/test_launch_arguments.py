"""Misspelt arguments of launch files are found: roslaunch itself ignores them."""

import os
import subprocess
import sys

import pytest
from conftest import REPOSITORY

from ros_style_transfer.ros_common.launch_arguments import declared_arguments, unknown_arguments

STYLIZE, DEMO = (os.path.join(REPOSITORY, "launch", name) for name in ("stylize.launch", "demo.launch"))
ROSLAUNCH = ["/usr/bin/python3", "/usr/bin/roslaunch", "ros_style_transfer"]


@pytest.mark.parametrize(
    "files, arguments, problem",
    [
        ([STYLIZE], ["strenght:=0.5"], "stylize.launch has no argument strenght; did you mean strength:=0.5?"),
        ([DEMO, STYLIZE], ["rvis:=false"], "demo.launch has no argument rvis; did you mean rviz:=false?"),
        ([STYLIZE], ["xyzzy:=1"], "stylize.launch has no argument xyzzy; `roslaunch --ros-args FILE` lists all"),
    ],
)
def test_a_misspelt_argument_is_named_with_the_nearest(files, arguments, problem):
    assert unknown_arguments([*ROSLAUNCH, os.path.basename(files[0]), *arguments], files) == [problem]


@pytest.mark.parametrize(
    "command",
    [
        ["demo.launch", "strength:=0.5", "panel:=true", "video:=a.avi", "__log:=x", "_p:=1"],
        ["demo.launch"],
        ["my_robot.launch", "strenght:=0.5"],  # somebody else's launch file includes ours
        ["demo.launch", "my_robot.launch", "arm:=left"],
        ["test.test", "strenght:=0.5"],
    ],
)
def test_what_may_be_right_is_accepted(command):
    assert unknown_arguments([*ROSLAUNCH, *command], [DEMO, STYLIZE]) == []


def test_every_argument_is_found():
    assert {"image", "strength", "skip_still", "respawn"} <= set(declared_arguments(STYLIZE))


@pytest.mark.slow
def test_the_program_looks_at_the_command_that_started_it():
    program = os.path.join(REPOSITORY, "ros_style_transfer", "nodes", "check_arguments")
    code = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, %r, %r]))" % (program, STYLIZE)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", code, "stylize.launch", *arguments],
            env=dict(os.environ, PYTHONPATH=REPOSITORY),
            capture_output=True,
            text=True,
            timeout=60,
        )

    wrong, right = run("mask:=none", "styel:=mosaic"), run("style:=mosaic")
    assert wrong.returncode == 1 and "did you mean style:=mosaic?" in wrong.stderr
    assert right.returncode == 0 and right.stdout == "style:=mosaic\n"
