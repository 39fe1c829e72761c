#!/usr/bin/env python3
"""Frames of every kind, good and bad, sent one by one; the clock is simulated and stands still."""

import threading
import time
import unittest
from xmlrpc.client import ServerProxy

import numpy as np
import rosgraph
import rospy
import rostest
from sensor_msgs.msg import Image

from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros.conversions import to_rgb
from ros_style_transfer.stylizer import Stylizer

WIDTH, HEIGHT = 100, 70  # no multiples of 16


def scene():
    """A colourful picture: a corner of a shipped style."""
    return np.ascontiguousarray(StyleLibrary().read("pointillism")[40 : 40 + HEIGHT, 60 : 60 + WIDTH])


class Inputs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("inputs_test")
        cls.came, cls.outputs, cls.status = threading.Condition(), [], None
        cls.stamp = 0
        cls.publisher = rospy.Publisher("camera/image_raw", Image, queue_size=1)
        rospy.Subscriber("style_transfer/status", StyleStatus, cls.store_status)
        rospy.Subscriber("style_transfer/image", Image, cls.store_output)
        with cls.came:
            ready = cls.came.wait_for(
                lambda: (cls.status and cls.status.state == StyleStatus.READY and cls.publisher.get_num_connections()),
                60,
            )
        assert ready, "the node did not get ready: %s" % cls.status

    @classmethod
    def store_status(cls, message):
        with cls.came:
            cls.status = message
            cls.came.notify_all()

    @classmethod
    def store_output(cls, message):
        with cls.came:
            cls.outputs.append(message)
            cls.came.notify_all()

    def send(self, encoding, data, step, width=WIDTH, height=HEIGHT, big_endian=0):
        """Publish a frame; returns its stamp."""
        type(self).stamp += 1
        message = Image(height=height, width=width, encoding=encoding, step=step, data=data, is_bigendian=big_endian)
        message.header.stamp = rospy.Time(self.stamp)
        message.header.frame_id = "lens"
        self.publisher.publish(message)
        return message.header.stamp

    def answer(self, stamp, timeout=60):
        """The painted frame with this stamp."""
        with self.came:
            found = lambda: [m for m in self.outputs if m.header.stamp == stamp]
            self.assertTrue(self.came.wait_for(found, timeout), "frame %s was not painted: %s" % (stamp, self.status))
            return found()[0]

    def assert_refused(self, frame, *words):
        """Once ``frame`` is sent the status counts a failure and names it; no picture comes; the next frame does."""
        failed = self.status.failed
        stamp = self.send(*frame)
        with self.came:
            self.assertTrue(self.came.wait_for(lambda: self.status.failed > failed, 60), "no failure was counted")
            for word in words:
                self.assertIn(word, self.status.message)
            self.assertEqual(self.status.state, StyleStatus.ERROR)
        good = self.answer(self.send("rgb8", scene().tobytes(), 3 * WIDTH))
        self.assertEqual(good.width, WIDTH)
        self.assertFalse([m for m in self.outputs if m.header.stamp == stamp])

    def test_the_node_agrees_with_the_command_lines_painting(self):
        stylizer = Stylizer("live", "float32")  # the node's model unless told otherwise
        stylizer.set_style(StyleLibrary().read("mosaic"))
        expected = stylizer.stylize(scene())
        painted = self.answer(self.send("rgb8", scene().tobytes(), 3 * WIDTH))
        self.assertEqual(painted.header.frame_id, "lens")
        self.assertEqual((painted.width, painted.height), (WIDTH, HEIGHT))
        self.assertLessEqual(np.abs(to_rgb(painted).astype(int) - expected).max(), 1)

    def test_encodings_of_one_picture_are_painted_alike(self):
        rgb = scene()
        reference = to_rgb(self.answer(self.send("rgb8", rgb.tobytes(), 3 * WIDTH))).astype(int)
        alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
        bgr = rgb[:, :, ::-1]
        padded = np.full((HEIGHT, 3 * WIDTH + 20), 77, np.uint8)
        padded[:, : 3 * WIDTH] = bgr.reshape(HEIGHT, -1)
        for encoding, data, step in (
            ("bgr8", bgr.tobytes(), 3 * WIDTH),
            ("8UC3", bgr.tobytes(), 3 * WIDTH),
            ("rgba8", np.concatenate([rgb, alpha], 2).tobytes(), 4 * WIDTH),
            ("bgra8", np.concatenate([bgr, alpha], 2).tobytes(), 4 * WIDTH),
            ("bgr8", padded.tobytes(), 3 * WIDTH + 20),
        ):
            painted = to_rgb(self.answer(self.send(encoding, data, step))).astype(int)
            self.assertLessEqual(np.abs(painted - reference).max(), 1, encoding)

    def test_grey_bayer_and_deep_encodings_are_painted(self):
        grey = np.ascontiguousarray(scene()[:, :, 1])
        padded = np.pad(grey, ((0, 0), (0, 28)))
        reference = None
        for encoding, data, step in (
            ("mono8", grey, WIDTH),
            ("8UC1", grey, WIDTH),
            ("mono8", padded, WIDTH + 28),
            ("mono16", grey.astype("<u2") * 257, 2 * WIDTH),
        ):
            painted = to_rgb(self.answer(self.send(encoding, data.tobytes(), step))).astype(int)
            reference = painted if reference is None else reference
            self.assertLessEqual(np.abs(painted - reference).mean(), 1.5, encoding)
        for encoding, bytes_a_pixel in (("bayer_rggb8", 1), ("yuv422", 2), ("bgr16", 6)):
            data = np.random.default_rng(3).integers(0, 255, HEIGHT * WIDTH * bytes_a_pixel, np.uint8)
            self.answer(self.send(encoding, data.tobytes(), WIDTH * bytes_a_pixel))

    def test_a_depth_image_is_painted(self):
        depth = (2000 + 10 * scene()[:, :, 1].astype("<u2")).tobytes()
        painted = to_rgb(self.answer(self.send("16UC1", depth, 2 * WIDTH)))
        self.assertGreater(painted.std(), 10, "something is seen on it")

    def test_a_frame_above_the_limit_is_refused_with_its_figure(self):
        self.assert_refused(("mono8", bytes(8000 * 5000), 8000, 8000, 5000), "40.0 megapixels", "max_frame_megapixels")

    def test_an_unknown_encoding_is_named_and_the_stream_goes_on(self):
        self.assert_refused(("64FC1", bytes(8 * WIDTH * HEIGHT), 8 * WIDTH), "64FC1")
        self.assert_refused(("nonsense", bytes(WIDTH * HEIGHT), WIDTH), "nonsense")

    def test_a_truncated_frame_is_named_and_the_stream_goes_on(self):
        self.assert_refused(("bgr8", bytes(100), 3 * WIDTH), "bgr8", "100")

    def test_an_empty_frame_is_skipped_quietly(self):
        before = self.status
        self.send("bgr8", b"", 0, 0, 0)
        time.sleep(0.3)  # or the next frame would replace it unsent
        self.answer(self.send("rgb8", scene().tobytes(), 3 * WIDTH))
        with self.came:
            newer = self.came.wait_for(lambda: self.status.header.seq >= before.header.seq + 2, 60)
        self.assertTrue(newer, "the status stopped coming while simulated time stood still")
        self.assertEqual(self.status.failed, before.failed, self.status.message)

    def test_a_camera_of_8_megapixels_is_painted_at_its_size_within_the_allowed_memory(self):
        width, height = 3264, 2448
        rgb = images.resize(StyleLibrary().read("pointillism"), width, height)
        painted = to_rgb(self.answer(self.send("rgb8", rgb.tobytes(), 3 * width, width, height), 60))
        stylizer = Stylizer("live", "float32")
        stylizer.set_style(StyleLibrary().read("mosaic"))
        apart = np.float64(painted) - stylizer.stylize(rgb)
        self.assertGreater(10 * np.log10(255**2 / max(1e-9, np.mean(apart**2))), 50)
        _, _, pid = ServerProxy(rosgraph.Master("/inputs_test").lookupNode("/style_transfer")).getPid("/inputs_test")
        with open("/proc/%d/status" % pid) as file:
            peak = next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmHWM"))
        self.assertLess(peak, 1300, "megabytes that the node has taken at most")

    def test_tiny_and_flat_frames_are_painted(self):
        for width, height in ((1, 1), (16, 16), (5, 40)):
            flat = np.full((height, width, 3), 90, np.uint8)
            painted = to_rgb(self.answer(self.send("rgb8", flat.tobytes(), 3 * width, width, height)))
            self.assertEqual(painted.shape, (height, width, 3))
        self.assertTrue(images.check(painted) is None)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "inputs", Inputs)
