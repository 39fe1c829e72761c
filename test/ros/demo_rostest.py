#!/usr/bin/env python3
"""The demo without a display paints by itself and says how it goes."""
import unittest

import rospy
import rostest

from ros_style_transfer.msg import StyleStatus


class Demo(unittest.TestCase):
    def test_it_streams_by_itself(self):
        rospy.init_node("demo_test")
        for _ in range(60):
            status = rospy.wait_for_message("/style_transfer/status", StyleStatus, 30)
            if status.output_rate > 0:
                break
        self.assertEqual(status.state, StyleStatus.READY)
        self.assertEqual(status.style, "starry_night")
        self.assertGreater(status.output_rate, 0)
        self.assertEqual(status.failed, 0)


if __name__ == "__main__":
    rostest.rosrun("ros_style_transfer", "demo", Demo)
