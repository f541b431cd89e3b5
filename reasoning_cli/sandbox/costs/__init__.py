"""The meter and the bill made from it, kept apart from any client's sums.

Called by the routes and by the admin paths.
"""
