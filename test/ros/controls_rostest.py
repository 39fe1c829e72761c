#!/usr/bin/env python3
"""Everything that may be said about how to paint, by parameters and by the service, on frames sent one by one."""

import concurrent.futures
import os
import subprocess
import threading
import time
import unittest

import cv2
import numpy as np
import rospy
import rostest
from diagnostic_msgs.msg import KeyValue
from sensor_msgs.msg import Image

from ros_style_transfer.controls import CONTROLS, Controls
from ros_style_transfer.media import images
from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.ros.conversions import to_message, to_rgb
from ros_style_transfer.srv import ListStyles, SetStyle
from ros_style_transfer.stylizer import Stylizer

WIDTH, HEIGHT = 128, 96
FEATHERED = 10  # pixels from a mask's edge: beyond them nothing of its softness is left
LIBRARY = StyleLibrary([os.path.join(os.path.dirname(os.path.abspath(__file__)), "masks")])
# A colourful picture, and one of a single hue.
SCENE = np.ascontiguousarray(LIBRARY.read("pointillism")[40 : 40 + HEIGHT, 60 : 60 + WIDTH])
RED = np.ascontiguousarray(SCENE * np.array([0.9, 0.2, 0.15]) + [25, 5, 5]).astype(np.uint8)


class Node:
    """A node seen from outside: frames go in one by one, painted ones and its status come out."""

    def __init__(self, name):
        self._name, self._came, self._painted, self._stamp = name, threading.Condition(), {}, 0
        self.status = None
        self._publisher = rospy.Publisher(name + "_camera", Image, queue_size=1)
        rospy.Subscriber(name + "/status", StyleStatus, self._store_status)
        rospy.Subscriber(name + "/image", Image, self._store_painted)
        rospy.wait_for_service(name + "/set_style", 60)
        self._set_style = rospy.ServiceProxy(name + "/set_style", SetStyle)
        self.list_styles = rospy.ServiceProxy(name + "/list_styles", ListStyles)

    def _store_status(self, message):
        with self._came:
            self.status = message
            self._came.notify_all()

    def _store_painted(self, message):
        with self._came:
            self._painted[message.header.stamp] = to_rgb(message)
            self._came.notify_all()

    def wait_until_ready(self):
        with self._came:
            ready = self._came.wait_for(
                lambda: (
                    self.status and self.status.state == StyleStatus.READY and self._publisher.get_num_connections()
                ),
                90,
            )
            assert ready, "the node did not get ready: %s" % self.status

    def ask(self, controls=None, **request):
        """~set_style's answer."""
        pairs = [KeyValue(*pair) for pair in (controls or {}).items()]
        return self._set_style(controls=pairs, **request)

    def send(self, rgb):
        """Publish a frame; its stamp."""
        self._stamp += 1
        message = to_message(rgb, rospy.Header(stamp=rospy.Time(self._stamp)))
        self._publisher.publish(message)
        return message.header.stamp

    def paint(self, rgb=SCENE):
        """What becomes of a frame that is sent now."""
        stamp = self.send(rgb)
        with self._came:
            assert self._came.wait_for(lambda: stamp in self._painted, 30), "not painted: %s" % self.status
            return self._painted[stamp]

    def status_with(self, **wanted):
        """A status whose fields are so."""
        fits = lambda: all(getattr(self.status, name) == value for name, value in wanted.items())
        with self._came:
            assert self._came.wait_for(fits, 60), "%s\nis not %s" % (self.status, wanted)
            return self.status

    def next_status(self):
        with self._came:
            seen = self.status
            assert self._came.wait_for(lambda: self.status is not seen, 60), "no status came"
            return self.status


def distance(one, other):
    return np.abs(one.astype(float) - other).mean()


def mean_colour(rgb):
    return rgb.reshape(-1, 3).mean(0)


def chroma(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[:, :, 1:].astype(float)


class ControlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("controls_test")
        cls.node, cls.configured = Node("changed"), Node("configured")
        cls.stylizer = Stylizer("cascade", "float32")
        cls.node.wait_until_ready()
        cls.configured.wait_until_ready()

    def setUp(self):
        """Every test starts from one style alone; that empty values reset everything is a test by itself."""
        answer = self.node.ask(dict.fromkeys(CONTROLS, ""), style="mosaic", mask="none")
        self.assertTrue(answer.success, answer.message)
        self.node.status_with(controls="", style="mosaic", strength=1.0)

    def expected(self, styles, weights=None, mask=None, rgb=SCENE, **controls):
        """What the same request paints without ROS."""
        self.stylizer.set_styles([LIBRARY.read(style) for style in styles], weights)
        return self.stylizer.stylize(rgb, Controls(**controls), mask and LIBRARY.read_mask(mask))

    def assert_alike(self, painted, expected):
        self.assertEqual(painted.shape, expected.shape)
        self.assertLessEqual(np.abs(painted.astype(int) - expected).max(), 1)

    def assert_asked(self, controls=None, **request):
        answer = self.node.ask(controls, **request)
        self.assertTrue(answer.success, answer.message)
        return answer

    # --- parameters ----------------------------------------------------------------------------

    def test_parameters_as_roslaunch_gives_them_paint_and_are_told(self):
        controls = dict(
            strength=0.8,
            level_strength={3: 0.5},
            levels=(3, 2),
            passes=2,
            method="adain",
            keep_colours="luminance",
            style_scale=0.5,
            feather=2.0,
        )
        status = self.configured.status_with(style="mosaic,woodcut", model="cascade")
        self.assertEqual(list(status.weights), [3, 1])
        self.assertAlmostEqual(status.strength, 0.8, places=6)
        self.assertEqual(
            status.controls,
            "strength 0.8, level_strength 3:0.5, levels 3,2, passes 2, method adain, "
            "keep_colours luminance, style_scale 0.5, feather 2",
        )
        shrunk = images.limit_longest_side(SCENE, 96)
        styles = ["mosaic", "woodcut"], [3, 1]
        self.assert_alike(self.configured.paint(), self.expected(*styles, "left", shrunk, **controls))
        self.assertTrue(self.configured.ask(mask="none").success)  # within a mask styles are not mixed
        self.assert_alike(self.configured.paint(), self.expected(*styles, None, shrunk, **controls))

    # --- controls by the service -----------------------------------------------------------------

    def test_each_control_changes_the_next_frame_as_the_command_line_would(self):
        plain = self.node.paint()
        self.assert_alike(plain, self.expected(["mosaic"]))
        for texts, controls in (
            ({"method": "whiten"}, {"method": "whiten"}),
            ({"levels": "3,2", "level_strength": "3:0.5"}, {"levels": (3, 2), "level_strength": {3: 0.5}}),
            ({"passes": "2", "style_scale": "0.5"}, {"passes": 2, "style_scale": 0.5}),
            ({"style_crop": "0.5", "strength": "0.7"}, {"style_crop": 0.5, "strength": 0.7}),
            ({"swap": "0.8", "swap_stride": "2", "swap_level": "4"}, {"swap": 0.8, "swap_stride": 2, "swap_level": 4}),
            ({"keep_colours": "coral"}, {"keep_colours": "coral"}),
            ({"saturation": "0.2"}, {"saturation": 0.2}),
        ):
            self.assert_asked(dict(dict.fromkeys(CONTROLS, ""), **texts))
            painted = self.node.paint()
            self.assert_alike(painted, self.expected(["mosaic"], **controls))
            self.assertGreater(distance(painted, plain), 3, texts)

    def test_keeping_the_luminance_alone_keeps_the_scenes_colours(self):
        foreign = np.abs(chroma(self.node.paint()) - chroma(SCENE)).mean()
        self.assert_asked({"keep_colours": "luminance"})
        painted = self.node.paint()
        self.assertLess(np.abs(chroma(painted) - chroma(SCENE)).mean(), 0.25 * foreign)
        self.assertGreater(distance(painted, SCENE), 5, "the lightness is painted all the same")

    def test_an_empty_value_resets_a_control_and_the_others_stay(self):
        self.assert_asked({"levels": "3", "passes": "2"}, set_strength=True, strength=0.5)
        self.node.status_with(controls="strength 0.5, levels 3, passes 2")
        answer = self.assert_asked({"passes": ""})
        self.assertEqual(answer.strength, 0.5)
        self.assertEqual(answer.message, "style mosaic, strength 0.5, levels 3")
        self.node.status_with(controls="strength 0.5, levels 3")
        self.assert_alike(self.node.paint(), self.expected(["mosaic"], levels=(3,), strength=0.5))

    def test_what_is_wrong_is_refused_in_one_sentence_and_changes_nothing(self):
        self.assert_asked({"levels": "4,3"}, style="woodcut")
        before, failed = self.node.paint(), self.node.status.failed
        for word, controls, request in (
            ("unknown control 'colour'; known: strength", {"colour": "red"}, {}),
            ("unknown control ''", {"": ""}, {}),
            ("passes must be a whole number, not 'many'", {"passes": "many"}, {}),
            ("passes must be a whole number from 1 to 16, not 0", {"passes": "0"}, {}),
            ("swap must be a number from 0 to 1, not nan", {"swap": "nan"}, {}),
            ("levels must be some of 5,4,3,2,1", {"levels": "6"}, {}),
            ("levels must be numbers joined by commas", {"levels": "all"}, {}),
            ("level_strength must be LEVEL:STRENGTH", {"level_strength": "0.5"}, {}),
            ("method must be one of", {"method": "oil"}, {}),
            ("swap works at level 5", {"swap": "0.5"}, {}),  # beside the levels 4,3
            ("needs the method wct", {"swap": "0.5", "swap_level": "4", "method": "adain"}, {}),
            ("a mask has no effect with method whiten", {"method": "whiten"}, {"mask": "left"}),
            ("strength must be a number from 0 to 1", {"strength": "2"}, {}),
            ("keep_colours must be one of", {"keep_colours": "some"}, {"style": "chalk"}),  # a right half is not done
            ("give either style or styles", {}, {"style": "chalk", "styles": ["mosaic"]}),
            ("unknown style 'nope'", {}, {"styles": ["mosaic", "nope"]}),
            ("3 weights for 2 styles; give one each", {}, {"styles": ["mosaic", "chalk"], "weights": [1, 2, 3]}),
            ("2 weights for 0 styles; give one each", {}, {"weights": [1, 2]}),
            ("weights must not be negative", {}, {"styles": ["mosaic", "chalk"], "weights": [1, -1]}),
            ("nor all 0", {}, {"styles": ["mosaic", "chalk"], "weights": [0, 0]}),
            ("weights must not be", {}, {"style": "mosaic", "weights": [float("nan")]}),
            ("fade must be a number from 0 to 3600, not -1", {}, {"style": "mosaic", "fade": -1}),
            ("fade must be a number", {}, {"style": "mosaic", "fade": float("nan")}),
            ("unknown mask 'nope'", {}, {"mask": "nope"}),
            ("is outside", {}, {"mask": "/etc/passwd"}),
            ("must be black and white, grey, or have a palette", {}, {"mask": "chalk"}),
            ("the label 2, but there are 1 styles", {}, {"mask": "thirds"}),
        ):
            answer = self.node.ask(controls, **request)
            self.assertFalse(answer.success, word)
            self.assertIn(word, answer.message)
            self.assertNotIn("\n", answer.message)
            self.assertEqual((answer.style, answer.strength), ("woodcut", 1.0), word)
        status = self.node.next_status()
        self.assertEqual((status.style, status.controls, status.failed), ("woodcut", "levels 4,3", failed))
        np.testing.assert_array_equal(self.node.paint(), before)

    # --- styles ----------------------------------------------------------------------------------

    def test_several_styles_are_mixed_by_their_weights(self):
        self.assert_asked(styles=["mosaic", "woodcut"], weights=[3, 1])
        self.assertEqual(list(self.node.status_with(style="mosaic,woodcut").weights), [3, 1])
        self.assertEqual(self.node.list_styles().style, "mosaic,woodcut")
        self.assert_alike(self.node.paint(), self.expected(["mosaic", "woodcut"], [3, 1]))
        self.assert_asked(styles=["mosaic", "woodcut"])
        self.assertEqual(list(self.node.next_status().weights), [], "weights that are not given are equal")
        self.assert_alike(self.node.paint(), self.expected(["mosaic", "woodcut"]))

    def test_the_same_style_again_paints_the_same(self):
        before = self.node.paint()
        for fade in (0, 0.2, 5):
            self.assert_asked(style="mosaic", fade=fade)
            self.assert_alike(self.node.paint(), before)

    def test_random_is_a_known_styles_name(self):
        answer = self.assert_asked(style="random")
        self.assertIn(answer.style, self.node.list_styles().names)
        self.assert_alike(self.node.paint(), self.expected([answer.style]))

    def test_the_camera_itself_becomes_the_style(self):
        far = np.linalg.norm(mean_colour(self.node.paint()) - mean_colour(RED))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(self.node.ask, style="camera")
            time.sleep(0.5)
            self.assertFalse(answer.done(), "it waits for a frame")
            first = self.node.paint(RED)
            self.assertTrue(answer.result(60).success)
        self.assertEqual(answer.result().style, "camera")
        self.node.status_with(style="camera")
        near = lambda rgb: np.linalg.norm(mean_colour(rgb) - mean_colour(RED))
        self.assertLess(near(first), 0.3 * far)
        # The frame after it is painted in the style of that one frame, not in its own.
        self.assertLess(near(self.node.paint(SCENE)), 0.3 * far)

    def test_the_camera_is_mixed_with_a_style(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            answer = pool.submit(self.node.ask, styles=["camera", "woodcut"], weights=[2, 1])
            time.sleep(0.5)
            painted = self.node.paint(RED)
            self.assertEqual(answer.result(60).style, "camera,woodcut")
        self.stylizer.set_styles([RED, LIBRARY.read("woodcut")], [2, 1])
        self.assert_alike(painted, self.stylizer.stylize(RED))

    def test_a_fade_goes_from_the_old_style_to_the_new_without_a_jump(self):
        shares = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 21))  # dense at both ends, where the way is steep
        way = [self.expected(["mosaic", "woodcut"], [1 - share, share]) for share in shares]
        left = np.array([distance(rgb, way[-1]) for rgb in way])
        self.assertTrue(np.all(np.diff(left) < 0.5), left)
        started = time.monotonic()
        self.node.paint()
        fade, frames = max(2.0, 10 * (time.monotonic() - started)), []  # a slow machine's frames come farther apart
        asked = time.monotonic()
        self.assert_asked(style="woodcut", fade=fade)
        answered = time.monotonic()
        while time.monotonic() < answered + fade:
            sent = time.monotonic()
            painted = self.node.paint()
            frames.append((distance(painted, way[-1]), (sent - answered) / fade, (time.monotonic() - asked) / fade))
        self.assertGreater(len(frames), 3)
        for found, earliest, latest in frames:
            # How far it has come lies between what the times before and after it allow.
            most, least = np.interp([max(0, earliest), min(1, latest)], shares, left)
            self.assertLessEqual(found, most + 1)
            self.assertGreaterEqual(found, least - 1)
        self.assertGreater(frames[0][0], frames[-1][0])
        for (before, *_), (after, *_) in zip(frames, frames[1:]):
            self.assertLessEqual(after, before + 0.5)
        self.assert_alike(self.node.paint(), way[-1])

    def test_smoothing_does_not_hold_a_new_style_back(self):
        self.assert_asked({"smoothing": "0.9"})
        for _ in range(3):
            self.node.paint()
        self.assert_asked(style="woodcut")
        self.assert_alike(self.node.paint(), self.expected(["woodcut"]))

    # --- masks -----------------------------------------------------------------------------------

    def test_a_mask_leaves_its_label_0_untouched(self):
        plain = self.node.paint()
        self.assert_asked(mask="left")
        painted = self.node.paint()
        edge = WIDTH // 2
        np.testing.assert_array_equal(painted[:, edge + FEATHERED :], SCENE[:, edge + FEATHERED :])
        self.assertGreater(distance(painted[:, : edge - FEATHERED], SCENE[:, : edge - FEATHERED]), 10)
        self.assert_alike(painted, self.expected(["mosaic"], mask="left"))
        self.assert_asked(mask="none")
        np.testing.assert_array_equal(self.node.paint(), plain)

    def test_a_mask_gives_each_style_its_region(self):
        answer = self.assert_asked({"feather": "0"}, styles=["mosaic", "woodcut"], mask="thirds")
        self.assertIn("masked", answer.message)
        painted = self.node.paint()
        self.assert_alike(painted, self.expected(["mosaic", "woodcut"], mask="thirds", feather=0.0))
        np.testing.assert_array_equal(painted[:, 40:88], SCENE[:, 40:88])
        answer = self.node.ask(style="chalk")
        self.assertFalse(answer.success, "one style is too few for this mask")
        self.assertIn("the label 2", answer.message)

    def test_a_mask_that_does_not_fit_the_frames_is_refused_and_later_ones_are_painted_whole(self):
        failed, narrow = self.node.status.failed, np.ascontiguousarray(SCENE[:, :40])
        self.node.paint(narrow)
        answer = self.node.ask(mask="left")
        self.assertFalse(answer.success)
        self.assertIn("the mask does not fit the frames of /changed_camera", answer.message)
        self.assertIn("their proportions must agree", answer.message)
        self.node.paint()
        self.assert_asked(mask="left")
        self.assert_alike(self.node.paint(narrow), self.expected(["mosaic"], rgb=narrow))
        status = self.node.next_status()
        self.assertIn("their proportions must agree", status.message)
        self.assertEqual(status.failed, failed)
        self.assert_alike(self.node.paint(), self.expected(["mosaic"], mask="left"))

    # --- at the same time ------------------------------------------------------------------------

    def test_requests_at_the_same_time_are_done_in_turn(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(self.node.ask, style="camera")  # waits for a frame
            time.sleep(0.5)
            second = pool.submit(self.node.ask, {"passes": "2"}, style="woodcut")
            time.sleep(0.5)
            self.assertFalse(first.done() or second.done())
            self.node.paint()
            self.assertEqual((first.result(60).success, first.result().style), (True, "camera"))
            self.assertEqual((second.result(60).success, second.result().style), (True, "woodcut"))
        self.node.status_with(style="woodcut", controls="passes 2")
        self.assert_alike(self.node.paint(), self.expected(["woodcut"], passes=2))

    def test_many_callers_each_get_their_own_answer(self):
        names = ["mosaic", "woodcut", "chalk"] * 3
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            proxies = [rospy.ServiceProxy("changed/set_style", SetStyle) for _ in names]
            answers = list(pool.map(lambda proxy, name: proxy(style=name), proxies, names))
        self.assertEqual([(answer.success, answer.style) for answer in answers], [(True, name) for name in names])
        self.assert_alike(self.node.paint(), self.expected([self.node.next_status().style]))

    # --- from a shell ----------------------------------------------------------------------------

    def test_the_service_can_be_called_from_a_shell(self):
        done = subprocess.run(
            [
                "rosservice",
                "call",
                "/changed/set_style",
                "{styles: [mosaic, woodcut], weights: [0.7, 0.3], controls: [{key: keep_colours, value: luminance}, "
                "{key: passes, value: '2'}]}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.assertIn("success: True", done.stdout)
        self.node.status_with(controls="passes 2, keep_colours luminance")

    def test_the_status_line_tells_styles_and_controls(self):
        self.assert_asked({"passes": "2"}, styles=["mosaic", "woodcut"], weights=[3, 1])
        line = subprocess.Popen(
            ["rosrun", "ros_style_transfer", "status_line", "status:=/changed/status"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            said = line.stdout.readline()
        finally:
            line.terminate()
            line.communicate()
        self.assertIn("cascade: mosaic 3, woodcut 1 (passes 2)", said)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "controls", ControlsTest)
