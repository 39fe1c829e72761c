"""What this machine can do, each figure beside what it is to be compared with, in one process."""
