"""What Together documents of its API, and how far its answers are so: for `doctor --live`.

Called by the client alone, when it is asked to read everything.
"""
