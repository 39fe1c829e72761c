"""Ends the node if the ROS master was replaced: rospy does not register again, so the node could not be found."""

import threading
from typing import Any, Callable, Mapping

import rosgraph
import rospy

PERIOD = 5.0  # seconds between checks


def watch_master(stop: threading.Event, parameters: Callable[[], Mapping[str, Any]]) -> None:
    """Watch the master in a thread of its own, which nothing waits for: a master that does not answer blocks it.

    Args:
        stop: ends the thread.
        parameters: the private parameters with which a restarted node is to begin.  roslaunch sets them only once.
    """
    threading.Thread(target=_watch, args=(stop, parameters), name="master_watch", daemon=True).start()


def _watch(stop: threading.Event, parameters: Callable[[], Mapping[str, Any]]) -> None:
    first = None
    while not stop.is_set():
        try:
            pid = rosgraph.Master(rospy.get_name()).getPid()
            if first is None:
                first = pid
            elif pid != first:
                for name, value in parameters().items():
                    rospy.set_param("~" + name, value)
                rospy.logerr(
                    "the ROS master was restarted and does not know this node: ending; roslaunch restarts it "
                    "with respawn:=true"
                )
                rospy.signal_shutdown("the ROS master was restarted")
                return
        except Exception as error:  # whatever the network does, the next check may succeed
            rospy.logwarn_throttle(60, "the ROS master at %s does not answer: %s" % (rosgraph.get_master_uri(), error))
        stop.wait(PERIOD)
