"""What keeps the sources fit for every machine they are meant for."""

import ast
import os
import shutil
import subprocess
import sys

import pytest
from conftest import SLOW

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
SOURCES = [
    os.path.join(folder, file)
    for folder, _, files in os.walk(os.path.join(ROOT, "ros_style_transfer"))
    for file in files
    if file.endswith(".py") or os.path.basename(folder) == "nodes"
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: os.path.relpath(path, ROOT))
def test_a_jetsons_python_3_8_can_read_it(path):
    with open(path) as file:
        ast.parse(file.read(), feature_version=(3, 8))


@pytest.mark.slow
def test_nothing_at_run_time_needs_more_than_python_3_8():
    vermin = os.path.join(os.path.dirname(sys.executable), "vermin")
    if not os.path.exists(vermin):
        pytest.skip("vermin is not installed beside this Python")
    runtime = [path for path in SOURCES if os.sep + "training" + os.sep not in path]
    # `statistics` is a variable of ours, not Python's module.
    done = subprocess.run(
        [vermin, "--no-tips", "--violations", "--target=3.8-", "--exclude", "statistics.covariance", *runtime],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_ruff_is_content():
    ruff = os.path.join(os.path.dirname(sys.executable), "ruff")
    if not os.path.exists(ruff):
        pytest.skip("ruff is not installed beside this Python")
    done = subprocess.run([ruff, "check", ROOT], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("catkin_lint") is None, reason="catkin_lint is not installed")
def test_catkin_lint_is_content():
    done = subprocess.run(
        ["catkin_lint", "--strict", "--pkg", "ros_style_transfer", "--package-path", ROOT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert "checked 1 packages and found 0 problems" in done.stdout, done.stdout


def test_every_file_of_slow_tests_exists():
    assert SLOW <= {name[: -len(".py")] for name in os.listdir(os.path.join(ROOT, "test")) if name.endswith(".py")}
