#!/usr/bin/env python3
"""The node's start and end: parameters that are wrong, damaged weights, no camera, a quick shutdown."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import rosgraph
import rospkg
import rospy
import rostest
from sensor_msgs.msg import Image

from ros_style_transfer.media.style_library import StyleLibrary
from ros_style_transfer.models.registry import MODELS
from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import SetStyle

LEVELS = ",".join(map(str, MODELS["live"].levels))
DOC = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "doc")
MASKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "masks")


def start(*arguments, command=("rosrun", "ros_style_transfer", "style_transfer_node"), **options):
    """A node /probe with these parameters alone: the master keeps those of the one before."""
    if rospy.has_param("/probe"):
        rospy.delete_param("/probe")
    return subprocess.Popen(
        [*command, "__name:=probe", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        **options,
    )


def end(process):
    """Interrupt a node; what it wrote."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=60)[0]


def start_impatient(seconds, *arguments):
    """A node whose requests wait so long where the real one's wait a minute."""
    code = (
        "from ros_style_transfer.ros import node; from ros_style_transfer.streaming import session; "
        "session.REQUEST_TIMEOUT = %g; node.main()" % seconds
    )
    return start(*arguments, command=(sys.executable, "-c", code))


def start_and_wait(*arguments):
    """A node that has read its parameters."""
    process = start(*arguments)
    rospy.wait_for_message("/probe/status", StyleStatus, 60)
    return process


def first_status(*arguments):
    """What a node says of itself before it has loaded anything."""
    process = start(*arguments)
    try:
        return rospy.wait_for_message("/probe/status", StyleStatus, 60)
    finally:
        end(process)


class ParametersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("parameters_test")

    def assert_refused(self, arguments, *words):
        """The node ends with code 1 and says each of ``words``, once, in one line."""
        process = start(*arguments)
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertNotIn("Traceback", output)
        fatal = [line for line in output.splitlines() if "FATAL" in line]
        self.assertEqual(len(fatal), 1, output)
        for part in words:
            self.assertEqual(fatal[0].count(part), 1, "%r in %s" % (part, fatal[0]))

    def test_every_wrong_parameter_is_named_with_what_is_allowed(self):
        """test/test_parameters.py has the others."""
        self.assert_refused(
            (
                "_model:=picasso",
                "_strength:=2",
                "_max_side:=7",
                "_precision:=int4",
                "_style:=nope",
                "_mask:=nowhere",
                "_weights_dir:=/no/such",
            ),
            "~model: model must be one of live, lite, cascade, not 'picasso'",
            "~strength: strength must be a number from 0 to 1, not 2",
            "~max_side: must be 0",
            "~precision: precision must be one of",
            "~style: unknown style 'nope'; known: chalk, ",
            "~mask: unknown mask 'nowhere'",
            "~weights_dir: cannot read /no/such/manifest.json",
        )

    def test_a_mask_that_does_not_go_with_the_rest_is_named(self):
        for arguments, words in (
            (("_style_dirs:=" + MASKS, "_mask:=thirds"), "the mask holds the label 2, but there are 1 styles"),
            (("_style_dirs:=" + MASKS, "_mask:=left", "_method:=whiten"), "a mask has no effect with method whiten"),
        ):
            self.assert_refused(arguments, words)

    def test_old_names_of_parameters_are_taken_with_a_warning(self):
        output = end(start_and_wait("_dtype:=float16", "_precision:=auto", "_keep_colors:=coral"))
        self.assertEqual(output.count("~dtype is deprecated; use ~precision"), 1, output)
        self.assertNotIn("keep_colors", output)

    def test_a_random_style_is_one_of_the_known(self):
        self.assertIn(first_status("_style:=random").style, StyleLibrary().paths())

    def test_damaged_weights_are_a_state_that_refuses_quickly(self):
        share = rospkg.RosPack().get_path("ros_style_transfer")
        with tempfile.TemporaryDirectory() as folder:
            # A copy of the package whose weights have lost their end; it comes first on the path.
            shutil.copytree(
                os.path.join(share, "ros_style_transfer"),
                os.path.join(folder, "ros_style_transfer"),
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            shutil.copytree(os.path.join(share, "weights"), os.path.join(folder, "weights"))
            name = os.path.join(folder, "weights", "live.npz")
            with open(name, "rb+") as file:
                file.truncate(os.path.getsize(name) - 1000)
            node = os.path.join(folder, "ros_style_transfer", "nodes", "style_transfer_node")
            process = start(
                command=(sys.executable, node), env=dict(os.environ, PYTHONPATH=folder + ":" + os.environ["PYTHONPATH"])
            )
            try:
                rospy.wait_for_service("/probe/set_style", 60)
                asked = time.monotonic()
                answer = rospy.ServiceProxy("/probe/set_style", SetStyle)(style="mosaic")
                self.assertLess(time.monotonic() - asked, 40)
                status = rospy.wait_for_message("/probe/status", StyleStatus, 60)
            finally:
                end(process)
        self.assertFalse(answer.success)
        self.assertIn("live.npz are damaged", answer.message)
        self.assertEqual(status.state, StyleStatus.ERROR)
        self.assertIn("live.npz are damaged", status.message)

    def test_a_request_that_gave_up_while_loading_does_not_silence_the_later_ones(self):
        share = rospkg.RosPack().get_path("ros_style_transfer")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(share, "weights", "manifest.json"), folder)
            open(os.path.join(folder, "live.npz"), "wb").close()
            process = start_impatient(0.05, "_weights_dir:=" + folder)
            try:
                rospy.wait_for_service("/probe/set_style", 60)
                set_style = rospy.ServiceProxy("/probe/set_style", SetStyle)
                early = set_style(style="mosaic").message
                deadline = time.monotonic() + 60
                while "live.npz are damaged" not in set_style(style="mosaic").message:
                    self.assertLess(time.monotonic(), deadline, "nobody answers")
            finally:
                end(process)
        self.assertEqual(early, "the style was not set within 0.05 s (state: loading)")

    def test_a_worker_that_cannot_go_on_ends_the_node(self):
        """So that roslaunch can respawn it: it would look alive, and paint nothing."""
        process = start(
            "_model:=lite",
            "_precision:=float32",
            command=(
                sys.executable,
                "-c",
                (
                    "from ros_style_transfer.ros import node; from ros_style_transfer.streaming.worker import Worker; "
                    "Worker._work = lambda self, stylizer: 1 / 0; node.main()"
                ),
            ),
        )
        output = process.communicate(timeout=120)[0]
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("the worker failed: ZeroDivisionError", output)
        self.assertIn("the worker ended: ZeroDivisionError", output)

    def test_it_reports_loading_at_once_then_is_ready_and_ends_quickly(self):
        states, came = [], threading.Condition()

        def store(message):
            with came:
                states.append(message.state)
                came.notify_all()

        rospy.Subscriber("/probe/status", StyleStatus, store)
        # A number, not a string: roslaunch makes such.  Patches this large fit no little picture to warm up with.
        process = start("_levels:=2", "_max_side:=64", "_swap:=0.5", "_swap_level:=2", "_swap_patch:=9")
        with came:
            self.assertTrue(came.wait_for(lambda: states, 60), "no status came")
            self.assertEqual(states[0], StyleStatus.LOADING)
            # With nobody listening a loaded node rests.
            self.assertTrue(came.wait_for(lambda: StyleStatus.PAUSED in states, 60), states)
        asked = time.monotonic()
        output = end(process)
        self.assertLess(time.monotonic() - asked, 10)
        self.assertNotIn("Traceback", output)
        self.assertEqual(process.returncode, 0)

    def wait_until_deaf(self):
        """Until the node no longer listens to the camera."""
        deadline = time.monotonic() + 60
        while "/probe" in dict(rosgraph.Master("/parameters_test").getSystemState()[1]).get("/lens", []):
            self.assertLess(time.monotonic(), deadline, "it went on listening to the camera")
            time.sleep(0.1)

    def test_the_camera_becomes_the_style_though_nobody_listens(self):
        process = start("image:=/lens")
        timer = None
        try:
            deadline = time.monotonic() + 60
            while rospy.wait_for_message("/probe/status", StyleStatus, 60).state != StyleStatus.PAUSED:
                self.assertLess(time.monotonic(), deadline, "it did not get ready")
            set_style = rospy.ServiceProxy("/probe/set_style", SetStyle)
            asked = time.monotonic()
            blind = set_style(style="camera")
            waited = time.monotonic() - asked
            self.wait_until_deaf()
            lens = rospy.Publisher("/lens", Image, queue_size=1)
            frame = Image(height=40, width=50, encoding="rgb8", step=150, data=bytes(range(250)) * 24)
            timer = rospy.Timer(rospy.Duration(0.1), lambda event: lens.publish(frame))
            time.sleep(1)
            late = rospy.wait_for_message("/probe/status", StyleStatus, 60)
            seeing = set_style(style="camera")
            self.wait_until_deaf()
        finally:
            if timer is not None:
                timer.shutdown()
            end(process)
        self.assertFalse(blind.success)
        self.assertIn("no frame on /lens for 5 s", blind.message)
        self.assertLess(waited, 20, "it waited for a camera that shows nothing")
        self.assertEqual((blind.style, late.style), ("flow_night", "flow_night"), "what was refused came true")
        self.assertTrue(seeing.success, seeing.message)
        self.assertEqual(seeing.style, "camera")

    def test_a_shutdown_while_loading_is_quick_too(self):
        process = start()
        rospy.wait_for_message("/probe/status", StyleStatus, 60)
        asked = time.monotonic()
        output = end(process)
        self.assertLess(time.monotonic() - asked, 10)
        self.assertNotIn("Traceback", output)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "parameters", ParametersTest)
