"""One loop that looks at what runs and stops what is idle, over budget or out of hours; one process at a time.

Called by `costs guard` and by a gateway that was asked to guard.
"""
