"""Models and their revisions, and weights on their way in.

Called by the routes and by the passing of time.
"""
