#!/usr/bin/env python3
"""Raw and compressed images in and out, camera_info, several cameras, and styles and masks that come as topics."""

import glob
import os
import subprocess
import tempfile
import threading
import time
import unittest

import cv2
import numpy as np
import rosbag
import rospy
import rostest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from topics import Topic, wait_until

from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros.conversions import to_message, to_rgb
from ros_style_transfer.srv import SetStyle
from ros_style_transfer.stylizer import Stylizer

LIBRARY = StyleLibrary()
SCENE = np.ascontiguousarray(LIBRARY.read("pointillism")[40:136, 60:188])
OTHER = np.ascontiguousarray(LIBRARY.read("cubism")[40:136, 60:188])


def header(seconds, frame_id="lens"):
    return Header(stamp=rospy.Time.from_sec(seconds), frame_id=frame_id)


def compressed(rgb, ending, seconds, *options):
    return CompressedImage(header(seconds), ending[1:], cv2.imencode(ending, rgb[:, :, ::-1], options)[1].tobytes())


class Cameras(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("cameras_test")
        cls.stylizer = Stylizer("live", "float32")
        cls.stylizer.set_style(LIBRARY.read("mosaic"))
        for name in ("plain", "packed", "several"):
            with Topic(name + "/status", StyleStatus) as status:
                status.wait(lambda s: s.state in (StyleStatus.READY, StyleStatus.PAUSED), seen=0, timeout=90)

    def assert_alike(self, painted, expected, levels=3):
        """The node paints on another thread of another process: sums are rounded otherwise."""
        self.assertEqual(painted.shape, expected.shape)
        self.assertLess(np.abs(painted.astype(float) - expected).mean(), levels)

    # --- transports -----------------------------------------------------------------------------

    def test_compressed_frames_come_with_the_raw_ones_stamps_and_pictures(self):
        with Topic("plain/image", Image) as raw, Topic("plain/image/compressed", CompressedImage) as packed:
            message = packed.wait(seen=0)
            pair = raw.wait(lambda m: m.header.stamp == message.header.stamp, seen=0)
        self.assertEqual(message.format, "rgb8; jpeg compressed bgr8")
        self.assertEqual(message.header.frame_id, "test_camera")
        unpacked = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        self.assert_alike(unpacked, to_rgb(pair), 12)

    def test_a_listener_of_compressed_frames_alone_makes_the_node_work_and_rest(self):
        with Topic("plain/status", StyleStatus) as status:
            status.wait(lambda s: s.state == StyleStatus.PAUSED)
            with Topic("plain/image/compressed", CompressedImage) as packed:
                packed.wait()
                status.wait(lambda s: s.state == StyleStatus.READY)
            status.wait(lambda s: s.state == StyleStatus.PAUSED)

    def test_the_cpp_republisher_and_image_saver_understand_the_painted_topic(self):
        again = subprocess.Popen(
            ["rosrun", "image_transport", "republish", "raw", "in:=/plain/image", "raw", "out:=/republished"]
        )
        with tempfile.TemporaryDirectory() as folder:
            saver = subprocess.Popen(
                [
                    "rosrun",
                    "image_view",
                    "image_saver",
                    "image:=/plain/image",
                    "_filename_format:=" + os.path.join(folder, "%04d.%s"),
                ]
            )
            try:
                with Topic("republished", Image) as topic:
                    message = topic.wait()
                self.assertEqual((message.encoding, max(message.width, message.height)), ("rgb8", 128))
                saved = lambda: [
                    image
                    for path in glob.glob(os.path.join(folder, "*.jpg"))
                    for image in [cv2.imread(path)]
                    if image is not None
                ]
                self.assertTrue(wait_until(saved))
                self.assertEqual(max(saved()[0].shape), 128)
            finally:
                again.terminate()
                saver.terminate()
                again.wait(60)
                saver.wait(60)

    def test_rosbag_records_compressed_frames_that_can_be_read_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "painted.bag")
            subprocess.run(
                ["rosbag", "record", "-O", path, "-l", "2", "/plain/image/compressed"], timeout=60, check=True
            )
            with rosbag.Bag(path) as bag:
                recorded = [message for _, message, _ in bag.read_messages()]
        self.assertEqual(len(recorded), 2)
        for message in recorded:
            self.assertEqual(max(cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR).shape), 128)

    def test_compressed_input_of_any_kind_is_painted_and_damaged_input_named(self):
        publisher = rospy.Publisher("packed_camera/image/compressed", CompressedImage, queue_size=1)
        small = images.limit_longest_side(SCENE, 64)
        with Topic("packed/image/compressed", CompressedImage) as packed, Topic("packed/status", StyleStatus) as status:
            self.assertTrue(wait_until(lambda: publisher.get_num_connections() and packed.connected()))
            grey = np.repeat(cv2.cvtColor(SCENE, cv2.COLOR_RGB2GRAY)[:, :, None], 3, 2)
            for message, expected, levels in (
                (compressed(SCENE, ".png", 1), small, 3),
                (compressed(SCENE, ".jpg", 2, cv2.IMWRITE_JPEG_QUALITY, 100), small, 8),
                (
                    CompressedImage(
                        header(3), "mono8; png compressed", cv2.imencode(".png", grey[:, :, 0])[1].tobytes()
                    ),
                    images.limit_longest_side(grey, 64),
                    3,
                ),
            ):
                publisher.publish(message)
                painted = packed.wait(lambda m, s=message.header.stamp: m.header.stamp == s, seen=0)
                self.assertEqual(painted.format, "rgb8; png compressed bgr8")
                self.assert_alike(to_rgb(painted), self.stylizer.stylize(expected), levels)
            for number, data in enumerate((b"", b"no picture", compressed(SCENE, ".png", 1).data[:300])):
                failed = status.wait().failed
                publisher.publish(CompressedImage(header(10 + number), "png", data))
                self.assertIn(
                    "cannot read the compressed image (format 'png', %d bytes)" % len(data),
                    status.wait(lambda s, f=failed: s.failed == f + 1).message,
                )
            publisher.publish(compressed(SCENE, ".png", 20))
            packed.wait(lambda m: m.header.stamp.secs == 20, seen=0)

    # --- camera_info ----------------------------------------------------------------------------

    def test_the_cameras_info_is_republished_with_the_painted_frames_size(self):
        with Topic("plain/image", Image) as painted, Topic("plain/camera_info", CameraInfo) as infos, Topic(
            "camera/camera_info", CameraInfo
        ) as originals:
            original = originals.wait(seen=0)
            info = infos.wait(seen=0)
            frame = painted.wait(lambda m: m.header.stamp == info.header.stamp, seen=0)
        self.assertEqual((info.width, info.height), (frame.width, frame.height))
        self.assertEqual(info.header.frame_id, "test_camera")
        self.assertLess(frame.width, original.width)

    def test_focal_lengths_centres_and_the_region_shrink_with_the_picture(self):
        publisher = rospy.Publisher("packed_camera/image/compressed", CompressedImage, queue_size=1)
        infos = rospy.Publisher("packed_camera/camera_info", CameraInfo, queue_size=1, latch=True)
        infos.publish(
            CameraInfo(
                header=header(0),
                width=128,
                height=96,
                distortion_model="plumb_bob",
                D=[0.1, 0.2, 0.0, 0.0, 0.5],
                K=[100, 0, 64, 0, 90, 48, 0, 0, 1],
                R=[1, 0, 0, 0, 1, 0, 0, 0, 1],
                P=[100, 0, 64, -10, 0, 90, 48, 4, 0, 0, 1, 0],
                roi=RegionOfInterest(x_offset=20, y_offset=10, width=60, height=40),
            )
        )
        with Topic("packed/image", Image) as painted, Topic("packed/camera_info", CameraInfo) as out:
            self.assertTrue(wait_until(lambda: publisher.get_num_connections() and infos.get_num_connections()))
            deadline = time.monotonic() + 20
            stamp = 100
            while not out.messages and time.monotonic() < deadline:  # the info may come after the first frame
                stamp += 1
                publisher.publish(compressed(SCENE, ".png", stamp))
                painted.wait(seen=0)
                time.sleep(0.2)
            info = out.wait(seen=0)
        self.assertEqual((info.width, info.height), (64, 48))
        np.testing.assert_allclose(info.K, [50, 0, 32, 0, 45, 24, 0, 0, 1])
        np.testing.assert_allclose(info.P, [50, 0, 32, -5, 0, 45, 24, 2, 0, 0, 1, 0])
        self.assertEqual((info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height), (10, 5, 30, 20))
        self.assertEqual((list(info.D), info.distortion_model), ([0.1, 0.2, 0.0, 0.0, 0.5], "plumb_bob"))

    # --- several cameras ------------------------------------------------------------------------

    def ask(self, **request):
        answer = rospy.ServiceProxy("several/set_style", SetStyle)(**request)
        self.assertTrue(answer.success, answer.message)
        return answer

    def test_a_fast_camera_leaves_a_slow_one_its_turns(self):
        front = rospy.Publisher("front/image", Image, queue_size=1)
        rear = rospy.Publisher("rear/image", Image, queue_size=1)
        self.ask(style="mosaic", mask="none")
        stop = threading.Event()

        def flood():
            number = 1000
            while not stop.wait(0.01):
                number += 1
                front.publish(to_message(SCENE, header(number, "front")))

        with Topic("several/front/image", Image) as fronts, Topic("several/rear/image", Image) as rears:
            self.assertTrue(wait_until(lambda: front.get_num_connections() and rear.get_num_connections()))
            thread = threading.Thread(target=flood)
            thread.start()
            try:
                fronts.wait()
                for number in range(1, 6):
                    rear.publish(to_message(OTHER, header(number, "rear")))
                    message = rears.wait(lambda m, n=number: m.header.stamp.secs == n, seen=0, timeout=10)
            finally:
                stop.set()
                thread.join()
            newest = fronts.messages[-1]
        self.assertEqual((newest.header.frame_id, message.header.frame_id), ("front", "rear"))
        self.assert_alike(to_rgb(newest), self.stylizer.stylize(SCENE))
        self.assert_alike(to_rgb(message), self.stylizer.stylize(OTHER))

    def test_only_the_camera_that_somebody_listens_to_is_subscribed_to(self):
        front = rospy.Publisher("front/image", Image, queue_size=1)
        rear = rospy.Publisher("rear/image", Image, queue_size=1)
        with Topic("several/rear/image", Image):
            self.assertTrue(wait_until(lambda: rear.get_num_connections() == 1 and front.get_num_connections() == 0))

    def test_stamps_that_are_zero_or_go_backwards_are_kept_and_painted(self):
        rear = rospy.Publisher("rear/image", Image, queue_size=1)
        self.ask(style="mosaic", mask="none")
        with Topic("several/rear/image", Image) as painted:
            self.assertTrue(wait_until(rear.get_num_connections))
            for seconds in (500.25, 0, 300, 0, 500.25):
                count = len(painted.messages)
                rear.publish(to_message(SCENE, header(seconds)))
                self.assertEqual(painted.wait(seen=count).header.stamp, rospy.Time.from_sec(seconds))

    # --- masks and styles as topics ---------------------------------------------------------------

    def test_masks_come_beside_the_frames_and_may_stop_and_come_again(self):
        front = rospy.Publisher("front/image", Image, queue_size=1)
        masks = rospy.Publisher("front/mask", Image, queue_size=1)
        left = np.zeros(SCENE.shape[:2], np.uint8)
        left[:, :64] = 255
        mask_of = lambda stamp: Image(header(stamp), 96, 128, "mono8", 0, 128, left.tobytes())
        self.ask(style="mosaic", mask="topic")
        with Topic("several/front/image", Image) as painted, Topic("several/status", StyleStatus) as status:
            self.assertTrue(wait_until(lambda: front.get_num_connections() and masks.get_num_connections()))
            masks.publish(mask_of(2000.1))
            front.publish(to_message(SCENE, header(2000.0)))
            masked = to_rgb(painted.wait(lambda m: m.header.stamp.secs == 2000, seen=0))
            np.testing.assert_array_equal(masked[:, 76:], SCENE[:, 76:])
            self.assertGreater(np.abs(masked[:, :52].astype(float) - SCENE[:, :52]).mean(), 10)
            # A mask that lies further off than the tolerance is another frame's.
            masks.publish(mask_of(2010.3))
            front.publish(to_message(SCENE, header(2010.0)))
            time.sleep(0.5)
            self.assertEqual(painted.messages[-1].header.stamp.secs, 2000)
            time.sleep(0.8)  # a second without a pair
            front.publish(to_message(SCENE, header(2020.0)))
            whole = to_rgb(painted.wait(lambda m: m.header.stamp.secs == 2020, seen=0))
            self.assert_alike(whole, self.stylizer.stylize(SCENE))
            self.assertIn(
                "no mask matched the frames of /front/image", status.wait(lambda s: "mask" in s.message).message
            )
            # The clip begins anew: stamps go backwards, and masks come again.
            for stamp in range(5, 15):
                front.publish(to_message(SCENE, header(stamp)))
                masks.publish(mask_of(stamp))
                time.sleep(0.2)
            self.assertTrue(wait_until(lambda: painted.messages[-1].header.stamp.secs == 14))
            np.testing.assert_array_equal(to_rgb(painted.messages[-1])[:, 76:], SCENE[:, 76:])
        self.ask(mask="none")

    def test_a_second_cameras_picture_is_the_style_and_may_change(self):
        front = rospy.Publisher("front/image", Image, queue_size=1)
        second = rospy.Publisher("second_camera", Image, queue_size=1, latch=True)
        second.publish(to_message(LIBRARY.read("woodcut"), header(1)))
        self.ask(style="topic", mask="none")
        stylizer = Stylizer("live", "float32")
        with Topic("several/front/image", Image) as painted:
            self.assertTrue(wait_until(front.get_num_connections))
            for number, name in enumerate(("woodcut", "cubism"), 1):
                second.publish(to_message(LIBRARY.read(name), header(number)))
                stylizer.set_style(images.limit_longest_side(LIBRARY.read(name), 2048))
                expected = stylizer.stylize(SCENE).astype(float)
                near = lambda m, e=expected: np.abs(to_rgb(m) - e).mean() < 3
                for stamp in range(3000 * number, 3000 * number + 100):
                    front.publish(to_message(SCENE, header(stamp)))
                    if near(painted.wait(lambda m, s=stamp: m.header.stamp.secs == s, seen=0)):
                        break
                    time.sleep(0.1)
                self.assertTrue(near(painted.messages[-1]), "%s did not become the style" % name)
        self.ask(style="mosaic")

    def test_a_style_topic_that_is_silent_is_refused_and_named(self):
        answer = rospy.ServiceProxy("packed/set_style", SetStyle)(style="topic")
        self.assertFalse(answer.success)
        self.assertIn("no frame on /packed/style_image/compressed for 5 s (it is not published; ", answer.message)
        self.assertEqual(answer.style, "mosaic")
        raw = rospy.Publisher("packed/style_image", Image, queue_size=1)
        answer = rospy.ServiceProxy("packed/set_style", SetStyle)(style="topic")
        self.assertIn("only /packed/style_image is published; use image_transport:=raw", answer.message)
        raw.unregister()


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "cameras", Cameras)
