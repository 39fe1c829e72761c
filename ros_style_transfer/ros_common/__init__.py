"""What the nodes of ROS 1 and ROS 2 share.  Imports neither rospy nor rclpy."""
