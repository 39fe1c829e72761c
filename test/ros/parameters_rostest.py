#!/usr/bin/env python3
"""The node's start and end: parameters that are wrong, damaged weights, a quick shutdown."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import rospkg
import rospy
import rostest

from ros_style_transfer.msg import StyleStatus
from ros_style_transfer.srv import SetStyle


def start(*arguments):
    return subprocess.Popen(
        ["rosrun", "ros_style_transfer", "style_transfer_node", "__name:=probe", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


class Parameters(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rospy.init_node("parameters_test")

    def tearDown(self):
        if rospy.has_param("/probe"):
            rospy.delete_param("/probe")

    def test_every_wrong_parameter_is_named_with_what_is_allowed(self):
        process = start("_strength:=2", "_levels:=5,9", "_max_side:=7", "_model:=picasso", "_dtype:=int8",
                        "_style:=nope")
        output = process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 1)
        for words in ("~strength: strength must be a number from 0 to 1, not 2", "~levels: levels must be some of",
                      "~max_side: must be 0", "~model: model must be one of cascade", "~dtype: dtype must be one of",
                      "~style: unknown style 'nope'"):
            self.assertIn(words, output)
        self.assertNotIn("Traceback", output)

    def test_numbers_that_are_none_are_named(self):
        for value in (".inf", ".nan"):
            process = start("_max_side:=" + value)
            output = process.communicate(timeout=60)[0]
            self.assertEqual(process.returncode, 1)
            self.assertIn("~max_side: must be 0", output)
            self.assertNotIn("Traceback", output)

    def test_damaged_weights_are_a_state_that_refuses_quickly(self):
        share = rospkg.RosPack().get_path("ros_style_transfer")
        with tempfile.TemporaryDirectory() as folder:
            # A copy of the package whose weights have lost their end; it comes first on the path.
            shutil.copytree(os.path.join(share, "ros_style_transfer"), os.path.join(folder, "ros_style_transfer"),
                            ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copytree(os.path.join(share, "weights"), os.path.join(folder, "weights"))
            name = os.path.join(folder, "weights", "cascade.npz")
            with open(name, "rb+") as file:
                file.truncate(os.path.getsize(name) - 1000)
            process = subprocess.Popen(
                [sys.executable, os.path.join(folder, "ros_style_transfer", "nodes", "style_transfer_node"),
                 "__name:=probe"], env=dict(os.environ, PYTHONPATH=folder + ":" + os.environ["PYTHONPATH"]),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
            try:
                rospy.wait_for_service("/probe/set_style", 30)
                asked = time.monotonic()
                answer = rospy.ServiceProxy("/probe/set_style", SetStyle)("mosaic", False, 0.0)
                self.assertLess(time.monotonic() - asked, 40)
                status = rospy.wait_for_message("/probe/status", StyleStatus, 20)
            finally:
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=20)
        self.assertFalse(answer.success)
        self.assertIn("cascade.npz are damaged", answer.message)
        self.assertEqual(status.state, StyleStatus.ERROR)
        self.assertIn("cascade.npz are damaged", status.message)

    def test_a_wrong_style_or_folder_ends_the_node_with_one_sentence(self):
        for argument, words in (("_style:=nope", "unknown style 'nope'"), ("_style:=/etc/passwd", "outside"),
                                ("_style_dirs:=/no/such/folder", "/no/such/folder")):
            process = start(argument)
            output = process.communicate(timeout=60)[0]
            self.assertEqual(process.returncode, 1)
            self.assertIn(words, output)
            self.assertNotIn("Traceback", output)

    def test_it_reports_loading_at_once_then_is_ready_and_ends_quickly(self):
        states, came = [], threading.Condition()

        def store(message):
            with came:
                states.append(message.state)
                came.notify_all()

        rospy.Subscriber("/probe/status", StyleStatus, store)
        process = start("_levels:=3", "_max_side:=64")  # a number, not a string: roslaunch makes such
        with came:
            self.assertTrue(came.wait_for(lambda: states, 20), "no status came")
            self.assertEqual(states[0], StyleStatus.LOADING)
            # With nobody listening a loaded node rests.
            self.assertTrue(came.wait_for(lambda: StyleStatus.PAUSED in states, 60), states)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        output = process.communicate(timeout=20)[0]
        self.assertLess(time.monotonic() - asked, 10)
        self.assertNotIn("Traceback", output)
        self.assertEqual(process.returncode, 0)

    def test_a_shutdown_while_loading_is_quick_too(self):
        process = start()
        rospy.wait_for_message("/probe/status", StyleStatus, 20)
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        output = process.communicate(timeout=20)[0]
        self.assertLess(time.monotonic() - asked, 8)
        self.assertNotIn("Traceback", output)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "parameters", Parameters)
