#!/usr/bin/env python3
"""A camera's stream through the node, seen by a program that subscribes and calls services."""

import os
import time
import unittest

import numpy as np
import rosgraph
import rospy
import rostest
from PIL import Image as Picture
from sensor_msgs.msg import Image
from topics import Topic, wait_until

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros.conversions import to_rgb
from ros_style_transfer.srv import ListStyles, SetStyle

NODE = "/style_transfer"


def colours(rgb):
    """The mean colour and the colours' spread: six numbers that a style changes."""
    flat = rgb.reshape(-1, 3).astype(np.float64)
    return np.concatenate([flat.mean(0), flat.std(0)])


def node_listens():
    """Whether the master knows of a subscription of the node to the camera."""
    subscribers = dict(rosgraph.Master("/stream_test").getSystemState()[1])
    return NODE in subscribers.get("/camera/image_raw", [])


class Stream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("stream_test")
        for name in ("set_style", "list_styles"):
            rospy.wait_for_service("%s/%s" % (NODE, name), 30)
        cls.set_style = rospy.ServiceProxy(NODE + "/set_style", SetStyle)
        cls.list_styles = rospy.ServiceProxy(NODE + "/list_styles", ListStyles)
        media = rospy.get_param("~media")
        cls.style = np.asarray(Picture.open(os.path.join(media, "starry_night.jpg")).convert("RGB"))

    def test_painted_frames_keep_header_and_shape_and_take_the_styles_colours(self):
        self.assertTrue(self.set_style(style="starry_night", set_strength=True, strength=1.0).success)
        with Topic("camera/image_raw", Image) as camera, Topic(NODE + "/image", Image) as output:
            painted = output.wait()
            pairs = []
            for _ in range(3):
                painted = output.wait()
                self.assertEqual(painted.header.frame_id, "test_camera")
                # Subscribed separately, so the very frame is looked up by its stamp.
                match = [m for m in list(camera.messages) if m.header.stamp == painted.header.stamp]
                if match:
                    pairs.append((to_rgb(match[0]), to_rgb(painted)))
        self.assertTrue(pairs, "no painted frame carries the stamp of a camera frame")
        for frame, rgb in pairs:
            self.assertEqual(frame.shape, (576, 768, 3))
            self.assertEqual(rgb.shape, (192, 256, 3), "max_side scales and keeps the proportions")
            before = np.linalg.norm(colours(frame) - colours(self.style))
            after = np.linalg.norm(colours(rgb) - colours(self.style))
            self.assertLess(after, 0.5 * before, "the colours did not move to the style's")
            self.assertGreater(np.mean(np.abs(rgb.astype(float) - frame[::3, ::3])), 10)

    def test_the_style_changes_while_streaming(self):
        self.assertTrue(self.set_style(style="woodcut", set_strength=True, strength=1.0).success)
        with Topic(NODE + "/image", Image) as output, Topic(NODE + "/status", StyleStatus) as status:
            for _ in range(2):
                woodcut = to_rgb(output.wait())
            answer = self.set_style(style="sunset_impasto")
            self.assertTrue(answer.success, answer.message)
            self.assertEqual((answer.style, answer.strength), ("sunset_impasto", 1.0), "strength is kept")
            for _ in range(2):
                sunset = to_rgb(output.wait())
            self.assertEqual(status.wait().style, "sunset_impasto")
        self.assertGreater(np.linalg.norm(colours(woodcut) - colours(sunset)), 40)

    def test_strength_alone_changes_the_picture(self):
        with Topic(NODE + "/image", Image) as output, Topic("camera/image_raw", Image) as camera:
            self.assertTrue(self.set_style(style="flow_night", set_strength=True, strength=1.0).success)
            for _ in range(2):
                full = to_rgb(output.wait())
            # Five levels blend one after the other, so little strength is less little than it seems.
            answer = self.set_style(set_strength=True, strength=0.05)
            self.assertTrue(answer.success, answer.message)
            self.assertAlmostEqual(answer.strength, 0.05, places=6)
            for _ in range(2):
                light = to_rgb(output.wait())
            frame = to_rgb(camera.wait(lambda message: message.width > 0))
        distance = lambda rgb: np.linalg.norm(colours(rgb) - colours(frame))
        self.assertLess(distance(light), 0.6 * distance(full), "less strength keeps more of the frame")

    def test_wrong_requests_are_refused_and_the_stream_goes_on(self):
        before = self.set_style(style="mosaic", set_strength=True, strength=1.0)
        self.assertTrue(before.success)
        with Topic(NODE + "/image", Image) as output:
            output.wait()
            for request, word in (
                (dict(style="no_such_style"), "flow_night"),  # the message lists what is known
                (dict(style="broken"), "cannot read"),
                (dict(style="/etc/passwd"), "outside"),
                (dict(style="../../../../etc/passwd"), "outside"),
                (dict(style="mosaic", set_strength=True, strength=1.5), "0 to 1"),
                (dict(style="mosaic", set_strength=True, strength=float("nan")), "0 to 1"),
                (dict(style="mosaic", strength=0.5), "set_strength"),
            ):
                answer = self.set_style(**request)
                self.assertFalse(answer.success, request)
                self.assertIn(word, answer.message)
                self.assertEqual((answer.style, answer.strength), ("mosaic", 1.0))
            output.wait()

    def test_styles_are_listed_by_name(self):
        answer = self.list_styles()
        self.assertIn("starry_night", answer.names)
        self.assertIn("flow_night", answer.names)
        self.assertEqual(list(answer.names), sorted(answer.names))
        self.assertTrue(all(os.path.isfile(path) for path in answer.paths))

    def test_it_subscribes_only_while_someone_listens(self):
        self.assertTrue(wait_until(lambda: not node_listens()), "subscribed with no listener")
        with Topic(NODE + "/status", StyleStatus) as status:
            resting = status.wait(lambda message: message.state == StyleStatus.PAUSED)
            self.assertIn("nothing subscribes to /style_transfer/image", resting.message)
            with Topic(NODE + "/image", Image) as first:
                first.wait()
                self.assertTrue(node_listens())
                status.wait(lambda message: message.state == StyleStatus.READY)
                with Topic(NODE + "/image", Image) as second:
                    second.wait()
                first.wait()  # the second client's leaving takes nothing from the first
            self.assertTrue(wait_until(lambda: not node_listens()), "still subscribed after the last one left")
            status.wait(lambda message: message.state == StyleStatus.PAUSED)

    def test_frames_keep_coming_while_styles_are_switched(self):
        failed = rospy.wait_for_message(NODE + "/status", StyleStatus, 60).failed
        with Topic(NODE + "/image", Image) as output:
            output.wait()
            for n in range(12):
                answer = self.set_style(style=("mosaic", "ink_wash", "starry_night")[n % 3], fade=0.3 * (n % 2))
                self.assertTrue(answer.success, answer.message)
                output.wait(timeout=60)  # a style's first sight costs a moment, never the stream
            painted = list(output.messages)
        self.assertGreater(len(painted), 12)
        stamps = [message.header.stamp for message in painted]
        self.assertEqual(stamps, sorted(set(stamps)), "a frame came twice, or an older one after a newer one")
        gaps = [(after - before).to_sec() for before, after in zip(stamps, stamps[1:])]
        self.assertLess(max(gaps), 6, gaps)
        self.assertEqual(rospy.wait_for_message(NODE + "/status", StyleStatus, 60).failed, failed)

    def test_the_status_tells_rates_and_drops(self):
        with Topic(NODE + "/image", Image) as output, Topic(NODE + "/status", StyleStatus) as status:
            output.wait()
            time.sleep(3)
            message = status.wait(lambda message: message.state == StyleStatus.READY)
        self.assertGreater(message.input_rate, 3)
        self.assertGreater(message.output_rate, 1)
        self.assertLess(0, message.latency)
        self.assertLess(message.latency, 4)
        self.assertEqual(message.failed, 0, message.message)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "stream", Stream)
