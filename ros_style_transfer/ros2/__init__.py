"""The front for ROS 2: the only code that knows rclpy."""
