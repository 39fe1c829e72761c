#!/usr/bin/env python3
"""The demo without a display paints by itself and says how it goes."""

import queue
import unittest

import rospy
import rostest

from ros_style_transfer.msg import StyleStatus


class Demo(unittest.TestCase):
    def test_it_streams_by_itself(self):
        rospy.init_node("demo_test")
        came = queue.Queue()
        rospy.Subscriber("/style_transfer/status", StyleStatus, came.put)
        status = came.get(timeout=30)
        while status.output_rate == 0:  # the launch file's time limit ends this if nothing ever comes
            status = came.get(timeout=30)
        self.assertEqual(status.state, StyleStatus.READY)
        self.assertEqual(status.style, "starry_night")
        self.assertGreater(status.output_rate, 0)
        self.assertEqual(status.failed, 0)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "demo", Demo)
