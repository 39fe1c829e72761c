"""A live stream without middleware: frames, requests, statistics."""
