"""Pictures, videos and styles as files and arrays: NumPy, OpenCV and Pillow."""
