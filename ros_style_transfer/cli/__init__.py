"""The command line, ``python -m ros_style_transfer``."""
