"""What is typed about the store itself: `info` says what it is, `copy` brings it into another engine.

Called by the root command alone.
"""
