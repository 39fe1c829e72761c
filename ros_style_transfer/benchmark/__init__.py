"""Benchmarks of this machine: each figure with the limit that it should be compared to, measured in the same run."""
