"""Workers on a real Ray: a cluster of two nodes on this machine, whose workers, nodes and drivers are killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import REPOSITORY, draw_scene

from ros_style_transfer import cluster
from ros_style_transfer.cli import main as cli
from ros_style_transfer.errors import ClusterError
from ros_style_transfer.media import images, video

pytestmark = pytest.mark.slow
OPTIONS = ("--style", "mosaic", "--model", "lite", "--precision", "float32")
COUNT = 24
TIMEOUT = 300
COMMAND = ("-m", "ros_style_transfer", "stylize")
BAG_COMMAND = (os.path.join(REPOSITORY, "ros_style_transfer", "nodes", "stylize_bag"),)


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes, each with room for one worker."""
    pytest.importorskip("ray", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    paths = [REPOSITORY, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ.update(PYTHONPATH=os.pathsep.join(paths), RAY_USAGE_STATS_ENABLED="0")
    each = dict(num_cpus=1, object_store_memory=cluster.OBJECT_STORE)
    quick = dict(health_check_initial_delay_ms=0, health_check_period_ms=500, health_check_failure_threshold=4)
    head = dict(each, include_dashboard=False, _system_config=quick)
    found = Cluster(initialize_head=True, connect=False, head_node_args=head)
    found.second = found.add_node(**each)
    yield found
    found.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with pictures, in ``in``, and a short video."""
    folder = tmp_path_factory.mktemp("cluster")
    for number in range(COUNT):
        images.write(str(folder / "in" / ("%02d.png" % number)), draw_scene(96, 80, number))
    scene = draw_scene(160, 80, 1)
    with video.Writer(str(folder / "clip.avi"), 10) as writer:
        for number in range(20):
            writer.write(np.ascontiguousarray(scene[:, 2 * number : 2 * number + 96]))
    return folder


@pytest.fixture(scope="module")
def sequential(folder):
    """``{name: bytes}`` of the pictures as the sequential command stylizes them."""
    cli.main(["stylize", str(folder / "in"), *OPTIONS, "-o", str(folder / "sequential")])
    return read(folder / "sequential")


def read(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def start(*arguments, command=COMMAND):
    """The command as a process."""
    return subprocess.Popen(
        [sys.executable, *command, *map(str, arguments)],
        cwd="/",  # Ray adds the driver's folder to the workers' paths
        env=dict(os.environ, PYTHONPATH=os.pathsep.join([REPOSITORY, os.environ.get("PYTHONPATH", "")])),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """What the process has written to stderr, when it has ended."""
    return process.communicate(timeout=TIMEOUT)[1]


def wait_for(condition, process):
    """What ``condition`` returns, once that is true."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        assert process.poll() is None, finish(process)
        time.sleep(0.01)
    raise AssertionError("it never came true")


def working(nodes):
    """The processes of the cluster's workers that do a unit at this moment."""
    found = []
    raylets = {
        node.all_processes["raylet"][0].process.pid for node in nodes.list_all_nodes() if "raylet" in node.all_processes
    }
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as file:
                is_working = file.read().startswith(b"ray::Worker.work")
            with open("/proc/%s/stat" % pid) as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has ended
        if is_working and parent in raylets:
            found.append(int(pid))
    return found


def test_a_killed_driver_is_continued_and_one_bad_file_stops_nothing(nodes, folder, sequential):
    contents, out = folder / "with_bad", folder / "continued"
    contents.mkdir()
    for path in (folder / "in").iterdir():
        (contents / path.name).symlink_to(path)
    (contents / "broken.jpg").write_text("no picture")
    arguments = (contents, *OPTIONS, "-o", out, "--ray", nodes.address)
    first = start(*arguments)
    wait_for(lambda: len(list(out.glob("*.png"))) >= 3, first)
    first.kill()
    finish(first)
    done = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 3 <= len(done) < COUNT

    second = start(*arguments)
    errors = finish(second)
    assert second.returncode == 1
    assert "of %d are done already" % (COUNT + 1) in errors
    assert "1 of" in errors and "failed, see above: %s" % (out / "broken.png") in errors
    assert "workers=2" in errors
    assert read(out) == sequential
    again = [path for path, written in done.items() if path.stat().st_mtime_ns != written]
    assert len(again) <= 2, "only what the kill interrupted is done again"

    changed = start(*arguments, "--strength", "0.5")
    assert "was made with another --strength" in finish(changed)
    assert changed.returncode == 1


def test_a_killed_worker_and_a_lost_machine_cost_no_result(nodes, folder, sequential):
    out = folder / "lost"
    process = start(folder / "in", *OPTIONS, "-o", out, "--ray", nodes.address)
    wait_for(lambda: list(out.glob("*.png")), process)
    killed = wait_for(lambda: working(nodes), process)[0]
    os.kill(killed, signal.SIGKILL)
    nodes.remove_node(nodes.second)
    errors = finish(process)
    nodes.second = nodes.add_node(num_cpus=1, object_store_memory=cluster.OBJECT_STORE)
    assert process.returncode == 0, errors
    assert read(out) == sequential


def test_what_a_machine_lacks_is_said(folder, monkeypatch):
    files, token = [(str(folder / "clip.avi"), (folder / "clip.avi").stat().st_size)], folder / "token"
    token.touch()
    assert cluster._look(cluster.__version__, files, str(token)) == ""
    assert "has ros_style_transfer %s" % cluster.__version__ in cluster._look("0.0.1", files, str(token))
    assert "does not see the same %s" % files[0][0] in cluster._look(
        cluster.__version__, [(files[0][0], 1)], str(token)
    )
    token.unlink()
    assert "mount" in cluster._look(cluster.__version__, files, str(token))


def test_a_machine_without_the_package_is_named(nodes, folder):
    poor = nodes.add_node(num_cpus=1, object_store_memory=cluster.OBJECT_STORE, env_vars={"PYTHONPATH": ""})
    try:
        process = start(folder / "in", *OPTIONS, "-o", folder / "never", "--ray", nodes.address)
        errors = finish(process)
    finally:
        nodes.remove_node(poor)
    assert process.returncode == 1
    assert "lacks the Python package ros_style_transfer" in errors


def test_a_cluster_without_room_is_refused(nodes, folder):
    process = start(folder / "in", *OPTIONS, "-o", folder / "never", "--ray", nodes.address, "--gpus-per-worker", "1")
    assert "no machine has room for a worker with 1 CPUs and 1 GPUs" in finish(process)
    assert process.returncode == 1


def test_a_video_is_divided_on_a_ray_of_its_own(folder, sequential):
    pytest.importorskip("ray", reason="Ray is not installed")
    cli.main(["stylize", str(folder / "clip.avi"), *OPTIONS, "-o", str(folder / "whole.avi")])
    process = start(folder / "clip.avi", *OPTIONS, "-o", folder / "divided.avi", "--workers", "2", "--segment", "0.5")
    errors = finish(process)
    assert process.returncode == 0, errors
    assert "20/20" in errors
    assert (folder / "divided.avi").read_bytes() == (folder / "whole.avi").read_bytes()
    assert not (folder / "divided.avi.parts").exists()


def write_bag(path):
    """A bag with two cameras, one of whose frames cannot be read, and a topic of words, over two seconds."""
    import genpy
    import rosbag
    from sensor_msgs.msg import Image
    from std_msgs.msg import String

    scene = draw_scene(160, 48, 2)
    with rosbag.Bag(path, "w") as bag:
        for number in range(20):
            stamp = genpy.Time(100 + number // 10, number % 10 * 10**8)
            bag.write("/words", String(str(number)), stamp)
            for start, topic in enumerate(("/front", "/rear")):
                rgb = np.ascontiguousarray(scene[:, 3 * number + 30 * start :][:, :64])
                frame = Image(height=48, width=64, step=3 * 64, encoding="rgb8", data=rgb.tobytes())
                if (number, topic) == (7, "/rear"):
                    frame.encoding = "unknown"
                bag.write(topic, frame, stamp)


def test_a_bag_in_four_segments_is_that_of_the_sequential_command(nodes, folder):
    pytest.importorskip("rosbag", reason="ROS is not installed")
    from ros_style_transfer.ros import bags
    from ros_style_transfer.ros_common import stylize_bag

    write_bag(str(folder / "in.bag"))
    arguments = [str(folder / "in.bag"), *OPTIONS, "--topic", "/front", "--topic", "/rear"]
    args = stylize_bag.parser().parse_args([*arguments, "-o", str(folder / "whole.bag")])
    stylize_bag.stylize_bags(args, bags.open_bag)
    process = start(
        *arguments, "-o", folder / "divided.bag", "--ray", nodes.address, "--segment", "0.5", command=BAG_COMMAND
    )
    errors = finish(process)
    assert process.returncode == 0, errors
    assert "40/40" in errors and "39 frames painted, 1 that could not be painted" in errors
    assert (folder / "divided.bag").read_bytes() == (folder / "whole.bag").read_bytes()
    assert not list(folder.glob("divided.bag.*"))


def test_renders_are_those_of_the_sequential_command(nodes, folder):
    contents = folder / "one"
    images.write(str(contents / "00.png"), draw_scene(48, 32))
    options = ("--style", "mosaic", "--iterations", "2", "--scales", "1", "--precision", "float32")
    cli.main(["render", str(contents), *options, "-o", str(folder / "rendered")])
    process = start(
        contents, *options, "-o", folder / "rendered_there", "--ray", nodes.address, command=(*COMMAND[:2], "render")
    )
    errors = finish(process)
    assert process.returncode == 0, errors
    assert list(read(folder / "rendered")) == ["00.png"]
    assert read(folder / "rendered_there") == read(folder / "rendered")


def test_a_missing_ray_is_one_sentence(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install 'ros_style_transfer\[ray\]'"):
        cluster.Cluster(1, None, cluster.Resources())
    with pytest.raises(SystemExit) as error:
        cli.main(["stylize", str(folder / "in"), *OPTIONS, "-o", str(folder / "never"), "--workers", "2"])
    assert error.value.code == 1
    assert "need Ray" in capsys.readouterr().err


@pytest.mark.parametrize(
    "node, places",
    [({"CPU": 5, "memory": 9e9}, 2), ({"CPU": 8, "GPU": 1, "memory": 9e9}, 4), ({"CPU": 8, "memory": 5e9}, 2), ({}, 0)],
)
def test_places_follow_the_scarcest_resource(node, places):
    gpus = 0.25 if "GPU" in node else 0.0
    assert cluster.Resources(cpus=2, gpus=gpus, memory=2e9).places(node) == places
