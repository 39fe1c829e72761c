"""The ROS layer: thin wiring over the core.  Nothing outside this folder imports rospy."""
