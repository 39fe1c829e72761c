"""What a live stream needs, whatever middleware brings the frames."""
