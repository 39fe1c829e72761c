"""``stylize_bag`` with bags of ROS 2, mcap and sqlite3: what is copied, what is painted, and what survives a kill."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from graph import ROOT, picture

rosbags = pytest.importorskip("rosbags", reason="rosbags is not installed")

from rosbags.highlevel import AnyReader  # noqa: E402
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402

from ros_style_transfer.ros_common import ros2_bags, stylize_bag  # noqa: E402
from ros_style_transfer.ros_common.conversions import compress, to_rgb  # noqa: E402

TYPES = get_typestore(Stores.ROS2_JAZZY)
OPTIONS = ("--topic", "/camera/image", "--model", "lite", "--precision", "float32", "--style", "mosaic")
FRAMES = 6


def record(path, storage):
    """A bag with raw and compressed frames, one of them broken, and texts."""
    t = TYPES.types
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        raw = writer.add_connection("/camera/image", "sensor_msgs/msg/Image", typestore=TYPES)
        jpeg = writer.add_connection("/camera/jpeg", "sensor_msgs/msg/CompressedImage", typestore=TYPES)
        text = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=TYPES)
        for number in range(FRAMES):
            stamp = 10**18 + number * 10**8
            header = t["std_msgs/msg/Header"](t["builtin_interfaces/msg/Time"](10**9, number * 10**8), "lens")
            rgb = picture(48, 32, number)
            data = rgb.ravel() if number != 2 else rgb.ravel()[:7]
            image = t["sensor_msgs/msg/Image"](header, 32, 48, "rgb8", 0, 144, data)
            writer.write(raw, stamp, TYPES.serialize_cdr(image, image.__msgtype__))
            name, data = compress(rgb)
            image = t["sensor_msgs/msg/CompressedImage"](header, name, np.frombuffer(data, np.uint8))
            writer.write(jpeg, stamp + 1, TYPES.serialize_cdr(image, image.__msgtype__))
            said = t["std_msgs/msg/String"]("frame %d" % number)
            writer.write(text, stamp + 2, TYPES.serialize_cdr(said, said.__msgtype__))


def messages(path):
    """All messages of a bag as ``(topic, stamp, data)``."""
    with AnyReader([Path(path)]) as reader:
        return [(connection.topic, stamp, bytes(data)) for connection, stamp, data in reader.messages()]


def run(*arguments):
    """The program in this process; its exit code."""
    try:
        stylize_bag.main([str(argument) for argument in arguments], ros2_bags.open_ros2_bag)
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module", params=["mcap", "sqlite3"])
def bag(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "in"
    record(path, request.param)
    return path


@pytest.fixture(scope="module")
def painted(bag):
    path = bag.parent / "out"
    assert run(bag, "-o", path, *OPTIONS, "--topic", "/camera/jpeg") == 0
    return path


def test_everything_is_copied_and_frames_are_painted_under_their_headers(bag, painted):
    after = messages(painted)
    new = ("/style_transfer/camera/image", "/style_transfer/camera/jpeg")
    assert [message for message in after if message[0] not in new] == messages(bag)
    extensions = lambda folder: sorted(os.path.splitext(name)[1] for name in os.listdir(folder))
    assert extensions(painted) == extensions(bag)
    with AnyReader([painted]) as reader:
        found = {topic: [] for topic in (*new, "/camera/image", "/camera/jpeg")}
        for connection, stamp, data in reader.messages():
            if connection.topic in found:
                found[connection.topic].append((stamp, reader.deserialize(data, connection.msgtype)))
    assert [len(found[topic]) for topic in new] == [FRAMES - 1, FRAMES]  # one raw frame is broken
    originals = {stamp: image for stamp, image in found["/camera/image"]}
    for stamp, image in found[new[0]]:
        assert image.header == originals[stamp].header
        assert np.abs(to_rgb(image).astype(float) - to_rgb(originals[stamp])).mean() > 10
    assert to_rgb(found[new[1]][0][1]).shape == (32, 48, 3)


def test_a_run_that_was_killed_goes_on_to_the_same_bag(bag, painted, monkeypatch):
    whole, output = bag.parent / "whole", bag.parent / "killed"
    monkeypatch.setattr(ros2_bags, "PART_SIZE", 10000)
    assert run(bag, "-o", whole, *OPTIONS) == 0
    assert len(list(whole.glob("whole_*"))) > 2  # split into several files
    add, count = ros2_bags.Ros2Output.add, []

    def fail(self, message):
        count.append(message)
        if len(count) == 12:
            raise OSError(28, "No space left on device")
        add(self, message)

    with monkeypatch.context() as patch:
        patch.setattr(ros2_bags.Ros2Output, "add", fail)
        assert run(bag, "-o", output, *OPTIONS) == 1
    partial = Path(str(output) + stylize_bag.PARTIAL)
    assert list(partial.glob("*.open")) and list(partial.glob("part_*")) and not output.exists()
    assert run(bag, "-o", output, *OPTIONS) == 0
    assert messages(output) == messages(whole)
    assert not partial.exists()


def test_replace_and_video(bag):
    replaced, clip = bag.parent / "replaced", bag.parent / "clip.mp4"
    assert run(bag, "-o", replaced, *OPTIONS, "--replace") == 0
    before, after = messages(bag), messages(replaced)
    assert [message[:2] for message in after] == [message[:2] for message in before]
    changed = [a[0] for a, b in zip(after, before) if a != b]
    assert changed == ["/camera/image"] * (FRAMES - 1)
    assert run(bag, "-o", clip, "--topic", "/camera/jpeg", "--model", "lite") == 0
    assert clip.stat().st_size > 1000


def test_a_single_file_is_a_bag_too(bag):
    (file,) = [path for path in bag.iterdir() if path.suffix != ".yaml"]
    copy = bag.parent / ("alone" + file.suffix)
    shutil.copyfile(file, copy)
    output = bag.parent / "of_a_file"
    assert run(copy, "-o", output, *OPTIONS) == 0
    assert len(messages(output)) == len(messages(bag)) + FRAMES - 1


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["missing.mcap", "-o", "out"], "cannot read the bag missing.mcap"),
        (["bad.mcap", "-o", "out"], "bad.mcap is not a bag of ROS 2"),
        (["bad.bag", "-o", "out"], "bags of ROS 1 need rosbag"),
    ],
)
def test_what_is_no_bag_is_refused_in_one_line(arguments, expected, tmp_path):
    for name in ("bad.mcap", "bad.bag"):
        (tmp_path / name).write_text("nonsense")
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, "ros_style_transfer", "nodes", "stylize_bag"), *arguments, *OPTIONS],
        cwd=str(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and expected in done.stderr
    assert sorted(os.listdir(str(tmp_path))) == ["bad.bag", "bad.mcap"]
