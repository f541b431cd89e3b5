"""What several nouns need: the session of a run, options described once, plans asked about, views of the same things.

Called by every command; calls none.
"""
