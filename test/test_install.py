"""The package installed by catkin: everything is found from the install space alone."""

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PARTS = (
    "package.xml",
    "plugin.xml",
    "CMakeLists.txt",
    "pyproject.toml",
    "setup.py",
    "action",
    "cfg",
    "msg",
    "srv",
    "launch",
    "weights",
    "test",
    "ros_style_transfer",
)

pytestmark = pytest.mark.skipif(shutil.which("catkin_make") is None, reason="catkin is not installed")

# Runs against the installed package: waits for the node, changes its style, says where the code lies.
PROBE = """
import rospy, ros_style_transfer.models.weights as weights
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import SetStyle
rospy.init_node("probe")
rospy.wait_for_service("/painter/set_style", 30)
answer = rospy.ServiceProxy("/painter/set_style", SetStyle)(style="woodcut", set_strength=True, strength=0.5)
status = rospy.wait_for_message("/painter/status", StyleStatus, 30)
print("|".join([str(answer.success), status.state, status.style, weights.__file__, weights.folder()]))
"""


def clean_environment(port):
    """The environment without any workspace, with a ROS master of its own."""
    variables = {
        key: value
        for key, value in os.environ.items()
        if key not in ("CMAKE_PREFIX_PATH", "ROS_PACKAGE_PATH", "PYTHONPATH", "CATKIN_TEST_RESULTS_DIR")
    }
    # An installed node starts with `env python3`: the environment that has TensorFlow comes first.
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    return dict(variables, PATH=path, ROS_MASTER_URI="http://localhost:%d" % port)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """The package, built in a workspace of its own, installed, and the workspace gone."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "ws" / "src" / "ros_style_transfer"
    source.mkdir(parents=True)
    for part in PARTS:
        (source / part).symlink_to(os.path.join(ROOT, part))
    noetic = "/opt/ros/noetic/setup.bash"
    command = "%s catkin_make install -DPYTHON_EXECUTABLE=%s -DCATKIN_ENABLE_TESTING=OFF -DCMAKE_INSTALL_PREFIX=%s" % (
        "source %s &&" % noetic if os.path.exists(noetic) else "",
        sys.executable,
        folder / "prefix",
    )
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=str(folder / "ws"),
        env=clean_environment(1),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    shutil.rmtree(str(folder / "ws"))
    return folder / "prefix"


def test_it_launches_from_the_install_space(prefix):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = clean_environment(port)
    ready = "source %s/setup.bash && " % prefix
    launch = subprocess.Popen(
        ["bash", "-c", ready + "exec roslaunch -p %d ros_style_transfer stylize.launch name:=painter" % port],
        cwd=str(prefix),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        probe = subprocess.run(
            ["bash", "-c", ready + 'exec "$0" -c "$1"', sys.executable, PROBE],
            cwd=str(prefix),
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        launch.send_signal(signal.SIGINT)
        output = launch.communicate(timeout=30)[0]
    assert probe.returncode == 0, output
    success, state, style, module, weights = probe.stdout.strip().splitlines()[-1].split("|")
    assert (success, style) == ("True", "woodcut"), output
    assert state in ("ready", "paused"), output
    assert module.startswith(str(prefix / "lib")), "the code did not come from the install space"
    assert weights == str(prefix / "share" / "ros_style_transfer" / "weights")


def test_the_command_line_works_from_the_install_space(prefix):
    done = subprocess.run(
        ["bash", "-c", "source %s/setup.bash && exec %s -m ros_style_transfer styles" % (prefix, sys.executable)],
        cwd=str(prefix),
        env=clean_environment(1),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0
    assert "flow_night" in done.stdout and str(prefix / "lib") in done.stdout


def test_the_bag_program_works_from_the_install_space(prefix):
    done = subprocess.run(
        ["bash", "-c", "source %s/setup.bash && exec rosrun ros_style_transfer stylize_bag --help" % prefix],
        cwd=str(prefix),
        env=clean_environment(1),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0
    assert "--topic" in done.stdout
