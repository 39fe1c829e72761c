#!/usr/bin/env python3
"""A bag that rosbag recorded from image_publisher, and small ones of every kind, painted by stylize_bag."""

import collections
import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

import cv2
import numpy as np
import PIL.Image
import rosbag
import rospy
import rostest
from genpy import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String
from topics import Topic

from ros_style_transfer.controls import controls_from
from ros_style_transfer.media import images, video
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.ros import bags
from ros_style_transfer.ros.conversions import to_rgb
from ros_style_transfer.ros_common import stylize_bag
from ros_style_transfer.stylizer import Stylizer

CAMERA, PAINTED = "/camera/image_raw", "/style_transfer/camera/image_raw"
COMMAND = ("rosrun", "ros_style_transfer", "stylize_bag")
NO_ROSCORE = dict(os.environ, ROS_MASTER_URI="http://localhost:1")
# stylize_bag whose ninth picture takes a minute, so that a signal always comes in the middle of one.
STALLED = """
import time
from ros_style_transfer.ros import bags
from ros_style_transfer.ros_common import stylize_bag
paint, frames = stylize_bag.BagTopicStylizer.paint, []
def stall(self, raw):
    frames.append(raw)
    if len(frames) == 9:
        print("stalled", flush=True)
        time.sleep(60)
    return paint(self, raw)
stylize_bag.BagTopicStylizer.paint = stall
bags.main()
"""
RECORDED = ("--topic", CAMERA, "--style", "mosaic", "--max-side", "96", "--passes", "3", "--precision", "float32")
Entry = collections.namedtuple("Entry", "topic type data md5sum stamp header")


def entries(path):
    """All messages of a bag with their connections' headers, in the bag's order."""
    with rosbag.Bag(path) as bag:
        return [
            Entry(topic, raw[0], raw[1], raw[2], stamp, tuple(header.items()))
            for topic, raw, stamp, header in bag.read_messages(raw=True, return_connection_header=True)
        ]


def by_topic(path, *topics):
    return [entry for entry in entries(path) if entry.topic in topics]


def message(entry):
    kind = {"sensor_msgs/Image": Image, "sensor_msgs/CompressedImage": CompressedImage}[entry.type]
    return kind().deserialize(entry.data)


def compression(path):
    with rosbag.Bag(path) as bag:
        return bag.get_compression_info().compression


def scene(number, width=48, height=40):
    """The frame of this number: a window that moves over a colourful picture, RGB uint8 ``[height, width, 3]``."""
    return np.ascontiguousarray(StyleLibrary().read("pointillism")[40 : 40 + height, 3 * number : 3 * number + width])


def frame(number, header, **changes):
    rgb = scene(number)
    fields = dict(height=rgb.shape[0], width=rgb.shape[1], encoding="rgb8", step=3 * rgb.shape[1], data=rgb.tobytes())
    return Image(header=header, **dict(fields, **changes))


def encoded(number, ending):
    """The frame of this number as a picture's bytes; a camera held upright would have turned a JPEG by EXIF."""
    if ending == ".png":
        return cv2.imencode(ending, scene(number)[:, :, ::-1])[1].tobytes()
    buffer, exif = io.BytesIO(), PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(scene(number)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


class BagTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("bag_test")
        cls.folder = tempfile.mkdtemp(prefix="bag-test-")
        cls.recorded, cls.painted = cls.path("recorded.bag"), cls.path("painted.bag")
        cls.record()
        cls.first = cls.run_it(cls.recorded, cls.painted, *RECORDED)
        cls.small = cls.path("small.bag")
        cls.write_small()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def record(cls):
        """Record the camera, and a topic that two nodes publish, one of them latched: 20 messages of each topic."""
        latched = rospy.Publisher("/words", String, queue_size=1, latch=True)
        latched.publish("once")
        other = subprocess.Popen(
            ["rostopic", "pub", "-r", "10", "/words", "std_msgs/String", "again and again"], stdout=subprocess.DEVNULL
        )
        topics = (CAMERA, "/camera/camera_info", "/words")
        try:
            with Topic("/words", String) as words, Topic(CAMERA, Image) as camera:
                words.wait(lambda message: message.data != "once", seen=0, timeout=60)
                camera.wait(seen=0, timeout=60)
            subprocess.run(
                ["rosbag", "record", "--lz4", "--limit", "20", "-O", cls.recorded, *topics],
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )
        finally:
            other.send_signal(signal.SIGINT)
            other.wait()

    @classmethod
    def write_small(cls):
        """Raw and compressed frames, good and bad, in a bag of bz2."""
        with rosbag.Bag(cls.small, "w", compression="bz2") as bag:
            for number in range(6):
                header, stamp = Header(number + 70, Time(50 + number, 1), "lens"), Time(100 + number, 5)
                raw = {
                    2: frame(2, header, data=b"short"),
                    3: frame(3, header, encoding="nv99"),
                    4: Image(header=header),
                    5: frame(5, header, data=b"shorter"),
                }.get(number)
                bag.write("/cam/image_raw", raw or frame(number, header), stamp)
                bag.write("/cam/jpeg", CompressedImage(header, "jpeg", encoded(number, ".jpg")), stamp)
                png = encoded(number, ".png")[: number * 20 or None]
                bag.write("/cam/png", CompressedImage(header, "bgr8; png compressed ", png), stamp)
                bag.write("/cam/camera_info", CameraInfo(header=header), stamp)

    @classmethod
    def run_it(cls, source, output, *arguments):
        """The finished program, without a roscore."""
        done = subprocess.run(
            [*COMMAND, source, "-o", output, *arguments],
            env=NO_ROSCORE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def call(self, *arguments):
        """``(exit code, stderr)`` of the program in this process."""
        said, code = io.StringIO(), 0
        handler = signal.getsignal(signal.SIGTERM)
        with mock.patch.object(sys, "argv", ["stylize_bag", *arguments]), contextlib.redirect_stderr(said):
            try:
                bags.main()
            except SystemExit as end:
                code = end.code
            finally:
                signal.signal(signal.SIGTERM, handler)
        return code, said.getvalue()

    def assert_refused(self, arguments, *words):
        """Exit code 1, one line with ``words``, and no file more than before."""
        before = sorted(os.listdir(self.folder))
        code, said = self.call(*arguments)
        self.assertEqual(code, 1, said)
        self.assertEqual(len(said.splitlines()), 1, said)
        for word in words:
            self.assertIn(word, said)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def assert_painted(self, original, painted, stylizer, side=0):
        """``painted`` is what the stylizer makes of ``original``, under its header."""
        self.assertEqual(painted.stamp, original.stamp)
        before, after = message(original), message(painted)
        self.assertEqual(after.header, before.header)
        self.assertEqual(after.encoding, "rgb8")
        expected = stylizer.stylize(
            images.limit_longest_side(to_rgb(before), side), controls_from({"passes": 3 if side else None})
        )
        self.assertEqual(to_rgb(after).shape, expected.shape)
        self.assertLessEqual(np.abs(to_rgb(after).astype(int) - expected).max(), 1)

    def stylizer(self):
        stylizer = Stylizer("live", "float32")
        stylizer.set_style(StyleLibrary().read("mosaic"))
        return stylizer

    def test_a_recording_gets_its_painted_frames_and_loses_nothing(self):
        before, after = entries(self.recorded), entries(self.painted)
        self.assertEqual(len({entry.header for entry in before if entry.topic == "/words"}), 2, "two publishers")
        self.assertTrue(any(("latching", b"1") in entry.header for entry in before))
        for topic in {entry.topic for entry in before}:
            self.assertEqual(
                [entry for entry in after if entry.topic == topic], [entry for entry in before if entry.topic == topic]
            )
        self.assertEqual([entry.stamp for entry in after], sorted(entry.stamp for entry in after))
        self.assertEqual(compression(self.painted), "lz4")
        originals, painted = by_topic(self.recorded, CAMERA), by_topic(self.painted, PAINTED)
        good = [entry for entry in originals if message(entry).width]
        self.assertGreater(len(good), 10)
        self.assertEqual(len(painted), len(good))
        stylizer = self.stylizer()
        for original, entry in list(zip(good, painted))[::8]:
            self.assert_painted(original, entry, stylizer, 96)
            self.assertEqual(dict(entry.header), dict(original.header, topic=PAINTED.encode()))
        self.assertEqual(message(painted[0]).header.frame_id, "test_camera")
        self.assertIn("%d frames painted" % len(good), self.first)
        self.assertEqual([name for name in os.listdir(self.folder) if "partial" in name], [])

    def test_frames_of_every_kind_are_painted_and_bad_ones_are_copied(self):
        output = self.path("kinds.bag")
        said = self.run_it(
            self.small,
            output,
            "--style",
            "mosaic",
            "--prefix",
            "art/",
            "--topic",
            "/cam/image_raw",
            "--topic",
            "/cam/jpeg",
            "--topic",
            "/cam/png",
            "--precision",
            "float32",
        )
        self.assertEqual([e for e in entries(output) if not e.topic.startswith("art/")], entries(self.small))
        self.assertEqual(compression(output), "bz2")
        raw, jpeg, png = (by_topic(output, "art/cam/" + kind) for kind in ("image_raw", "jpeg", "png"))
        self.assertEqual([message(e).header.seq for e in raw], [70, 71])
        self.assertEqual([message(e).header.seq for e in jpeg], list(range(70, 76)))
        self.assertEqual([message(e).header.seq for e in png], [70], "its other frames are cut off")
        stylizer = self.stylizer()
        for original, painted in zip(by_topic(self.small, "/cam/image_raw"), raw):
            self.assert_painted(original, painted, stylizer)
        for sources, painted, kind, begin, error in (
            ("/cam/jpeg", jpeg, "jpeg", b"\xff\xd8", 12),
            ("/cam/png", png, "png", b"\x89PNG", 1),
        ):
            original, answer = message(by_topic(self.small, sources)[0]), message(painted[0])
            self.assertEqual(answer.header, original.header)
            self.assertEqual(answer.format, "rgb8; %s compressed bgr8" % kind)
            self.assertTrue(answer.data.startswith(begin))
            self.assertEqual(to_rgb(answer).shape, scene(0).shape)
            difference = to_rgb(answer).astype(int) - stylizer.stylize(to_rgb(original))
            self.assertLessEqual(np.abs(difference).mean(), error)
        for words, times in (
            ("got 5\n", 1),
            ("got 7", 0),
            ("'nv99'", 1),
            ("it has no pixels", 1),
            ("cannot read the compressed image", 3),
            ("9 frames painted, 9 that could not be painted and 6 other messages", 1),
        ):
            self.assertEqual(said.count(words), times, said)

    def test_painted_frames_can_take_the_originals_place(self):
        output = self.path("replaced.bag")
        code, said = self.call(
            self.small, "-o", output, "--replace", "--topic", "/cam/image_raw", "--precision", "float32"
        )
        self.assertEqual(code, 0, said)
        before, after = entries(self.small), entries(output)
        self.assertEqual([(e.topic, e.stamp, e.header) for e in after], [(e.topic, e.stamp, e.header) for e in before])
        changed = [n for n, (a, b) in enumerate(zip(before, after)) if a.data != b.data]
        self.assertEqual([message(before[n]).header.seq for n in changed], [70, 71])
        self.assertEqual({after[n].topic for n in changed}, {"/cam/image_raw"})
        stylizer = Stylizer("live", "float32")
        stylizer.set_style(StyleLibrary().read("flow_night"))  # the node's
        for n in changed:
            self.assert_painted(before[n], after[n], stylizer)

    def interrupt(self, output, number):
        """Send the signal while the ninth frame of the recording is painted; exit code, output, seconds to the end."""
        process = subprocess.Popen(
            [sys.executable, "-c", STALLED, self.recorded, "-o", output, *RECORDED],
            env=NO_ROSCORE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        for line in process.stdout:
            said.append(line)
            if "stalled" in line:
                break
        self.assertIsNone(process.poll(), "".join(said))
        self.assertGreater(os.path.getsize(output + stylize_bag.PARTIAL), os.path.getsize(self.painted) // 4)
        process.send_signal(number)
        asked = time.monotonic()
        said.append(process.communicate(timeout=50)[0])
        seconds = time.monotonic() - asked
        self.assertTrue(os.path.exists(output + stylize_bag.PARTIAL))
        self.assertFalse(os.path.exists(output))
        return process.returncode, "".join(said), seconds

    def test_a_killed_run_goes_on_to_the_same_bag(self):
        output = self.path("killed.bag")
        code, _, _ = self.interrupt(output, signal.SIGKILL)
        self.assertEqual(code, -signal.SIGKILL)
        self.assert_refused(
            [self.recorded, "-o", output, *RECORDED, "--strength", "0.5"],
            output + ".partial was started with another strength;",
            "remove it",
        )
        self.assert_refused([self.small, "-o", output, "--topic", "/cam/image_raw"], "another ", "input", "topic")
        said = self.run_it(self.recorded, output, *RECORDED)
        self.assertIn("continuing after the ", said)
        self.assertEqual(entries(output), entries(self.painted))
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("killed.bag.")], [])
        subprocess.run(["rosbag", "check", output], check=True, stdout=subprocess.DEVNULL)

    def test_an_interrupted_run_ends_at_once_and_goes_on(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            output = self.path("interrupted_%d.bag" % number)
            code, said, seconds = self.interrupt(output, number)
            self.assertEqual(code, 130)
            self.assertLess(seconds, 20, "it waited for the picture, which takes a minute")
            self.assertIn("stopped; the same command continues with %s.partial" % output, said)
            self.assertNotIn("Traceback", said)
        code, said = self.call(self.recorded, "-o", output, *RECORDED)
        self.assertEqual(code, 0, said)
        self.assertEqual(entries(output), entries(self.painted))

    def test_wherever_a_bag_was_cut_off_its_whole_chunks_stay(self):
        path = self.path("cut.bag")
        originals = entries(self.small)
        for kind in ("none", "bz2"):
            output = bags.Output(path, kind)
            ends = []
            with mock.patch.object(bags, "CHUNK_SIZE", 9000):
                for entry in originals:
                    self.add(output, entry)
                    ends.append(os.path.getsize(path))
            output.close()
            with open(path, "rb") as file:
                whole = file.read()
            counts = []
            for length in [*range(0, len(whole), 997), *ends, *(end - 30 for end in ends), len(whole) - 1, len(whole)]:
                with open(path, "wb") as file:
                    file.write(whole[:length])
                # Killed a second time, soon after it went on.
                again = bags.Output(path, kind)
                counts.append((length, again.get_message_count()))
                for entry in originals[again.get_message_count() :][:3]:
                    self.add(again, entry)
                again._file.flush()
                again = bags.Output(path, kind)
                for entry in originals[again.get_message_count() :]:
                    self.add(again, entry)
                again.close()
                self.assertEqual(entries(path), originals, "cut at %d of %d" % (length, len(whole)))
                os.remove(path)
            counts = [count for _, count in sorted(counts)]
            self.assertEqual(counts, sorted(counts))
            self.assertGreater(counts[-1], len(originals) // 2)

    def add(self, output, entry):
        kind = {CameraInfo._type: CameraInfo, **bags._IMAGES}[entry.type]
        raw = entry.type, entry.data, entry.md5sum, kind
        output.add(stylize_bag.Message(entry.topic, raw, entry.stamp.to_nsec(), dict(entry.header)))
        output.end_message()

    def test_smoothing_goes_on_as_if_nothing_had_happened(self):
        smooth = "--smoothing", "0.8", "--precision", "float32", "--topic", "/cam/jpeg"
        both = "--topic", "/cam/png"
        whole, output, jpeg = self.path("smooth.bag"), self.path("smooth_cut.bag"), "/style_transfer/cam/jpeg"
        code, said = self.call(self.small, "-o", whole, *smooth, *both)
        self.assertEqual(code, 0, said)
        with mock.patch.object(bags, "CHUNK_SIZE", 2000):
            with mock.patch.object(bags.Output, "close", side_effect=OSError(28, "No space left on device")):
                code, said = self.call(self.small, "-o", output, *smooth)
            self.assertEqual(code, 1)
            self.assertIn("No space left on device; the same command continues once that is solved", said)
            code, said = self.call(self.small, "-o", output, *smooth)
        self.assertEqual(code, 0, said)
        self.assertIn("smoothing needs their frames painted again", said)
        # The other camera's frames are not in it, either.
        self.assertEqual(len(by_topic(output, jpeg)), 6)
        self.assertEqual(by_topic(output, jpeg), by_topic(whole, jpeg))

    def test_a_definition_that_cannot_be_resolved_is_copied(self):
        """Of an unrelated topic; rosbag cannot read its messages, but a raw copy needs no definition."""
        source, output = self.path("unresolved.bag"), self.path("unresolved_painted.bag")
        with rosbag.Bag(source, "w") as bag:
            bag.write("/cam/image_raw", frame(0, Header(70, Time(50, 1), "lens")), Time(100, 5))
            unknown = ("some_msgs/Missing", b"\1\2\3", "0123456789abcdef0123456789abcdef", String)
            header = dict(
                topic=b"/odd",
                type=unknown[0].encode(),
                md5sum=unknown[2].encode(),
                message_definition=b"gone_msgs/Gone x",
            )
            with contextlib.redirect_stderr(io.StringIO()):
                bag.write("/odd", unknown, Time(100, 6), raw=True, connection_header=header)
        code, said = self.call(source, "-o", output, "--topic", "/cam/image_raw", "--precision", "float32")
        self.assertEqual(code, 0, said)
        self.assertIn("1 frames painted, 0 that could not be painted and 1 other messages copied", said)
        self.assertEqual(
            [e.topic for e in entries(output)], ["/cam/image_raw", PAINTED.replace("camera", "cam"), "/odd"]
        )
        self.assertEqual(by_topic(output, "/odd")[0].data, b"\1\2\3")

    def test_a_topic_becomes_a_video_in_one_step(self):
        output = self.path("film.mp4")
        code, said = self.call(
            self.small, "-o", output, "--topic", "/cam/jpeg", "--style", "mosaic", "--precision", "float32"
        )
        self.assertEqual(code, 0, said)
        self.assertIn("6 frames at 1 frames per second", said)
        stylizer = self.stylizer()
        with video.Reader(output) as reader:
            shown = list(reader)
            self.assertEqual((len(shown), reader.fps), (6, 1))
        for original, rgb in zip(by_topic(self.small, "/cam/jpeg"), shown):
            expected = stylizer.stylize(to_rgb(message(original)))
            self.assertLess(np.abs(rgb.astype(int) - expected).mean(), 20)
        self.assert_refused([self.small, "-o", output, "--topic", "/cam/jpeg"], "exists already")
        new = self.path("new.mp4")
        self.assert_refused([self.small, "-o", new, "--topic", "/cam/jpeg", "--replace"], "--replace is for bags")
        self.assert_refused(
            [self.small, "-o", new, "--topic", "/cam/jpeg", "--topic", "/cam/png"], "one --topic, not 2"
        )

    def test_what_exists_is_not_overwritten(self):
        with open(self.painted, "rb") as file:
            before = file.read()
        self.assert_refused([self.recorded, "-o", self.painted, *RECORDED], self.painted + " exists already")
        self.assert_refused([self.recorded, "-o", self.recorded, *RECORDED], "would overwrite an input")
        with open(self.painted, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_what_auto_has_chosen_holds_for_the_runs_that_continue(self):
        partial = self.path("chosen.bag.partial")
        try:
            with stylize_bag.RunRecord(partial, {"precision": "auto"}) as record:
                self.assertEqual(record.chosen, {})
                record.choose(precision="bfloat16")
                open(partial, "wb").close()
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
        with stylize_bag.RunRecord(partial, {"precision": "auto"}) as record:
            self.assertEqual(record.chosen, {"precision": "bfloat16"})
            os.remove(partial)
        self.assertFalse(os.path.exists(partial + ".json"))

    def test_wrong_command_lines_are_refused_in_a_sentence(self):
        new, topic = ["-o", self.path("new.bag")], ["--topic", "/cam/image_raw"]
        for arguments, words in (
            ([*new, "--topic", "/nowhere"], ["no topic /nowhere", "/cam/image_raw (sensor_msgs/Image), /cam/jpeg"]),
            ([*new, "--topic", "/cam/camera_info"], ["/cam/camera_info", "sensor_msgs/CameraInfo", "/cam/jpeg"]),
            (new, ["--topic", "--help"]),
            ([*new, *topic, "--prefix", ""], ["/cam/image_raw is in", "--prefix"]),
            ([*new, *topic, "--prefix", "/p", "--replace"], ["--replace", "--prefix"]),
            ([*new, *topic, "--style", "nope"], ["unknown style 'nope'"]),
            ([*new, *topic, "--strength", "2"], ["strength", "0 to 1"]),
            ([*new, *topic, "--max-side", "7"], ["--max-side must be 0", "7"]),
            ([*new, *topic, "--max-memory", "-5"], ["--max-memory must be", "-5"]),
            ([*new, *topic, "--seed", "1"], ["--seed", "random"]),
            ([*new, *topic, "--feather", "1"], ["--feather", "--mask"]),
            ([*new, *topic, "--model", "picasso"], ["live, lite, cascade", "picasso"]),
            (["-o", "/proc/none/new.bag", *topic], ["/proc"]),
        ):
            self.assert_refused([self.small, *arguments], *words)

    def test_what_is_no_readable_bag_is_refused_in_a_sentence(self):
        unindexed, encrypted, empty = self.path("unindexed.bag"), self.path("encrypted.bag"), self.path("empty.bag")
        with open(self.small, "rb") as file:
            whole = file.read()
        with open(unindexed, "wb") as file:
            file.write(whole[: len(whole) // 2])
        with open(encrypted, "wb") as file:
            file.write(whole.replace(b"op=\3", b"op=\3\x20\0\0\0encryptor=rosbag/AesCbcEncryptor", 1))
        open(empty, "wb").close()
        for source, words in (
            (self.path("none.bag"), "No such file"),
            (self.folder, "a bag of ROS 2"),
            (empty, "not a bag"),
            (__file__, "not a bag"),
            (sys.executable, "not a bag"),
            (unindexed, "rosbag reindex " + unindexed),
            (encrypted, "is encrypted"),
        ):
            self.assert_refused([source, "-o", self.path("new.bag"), "--topic", "/cam/image_raw"], source, words)
        damaged = self.path("damaged.bag")
        with open(damaged, "wb") as file:
            middle = whole.index(b"BZh") + 200
            file.write(whole[:middle] + b"damage" + whole[middle + 6 :])
        code, said = self.call(damaged, "-o", self.path("new.bag"), "--topic", "/cam/jpeg")
        self.assertEqual(code, 1)
        self.assertIn("the bag %s is damaged: " % damaged, said)
        self.assertNotIn("Traceback", said)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "bag", BagTest)
