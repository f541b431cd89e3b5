"""Which deployment of ours is meant by a name, and which of Together's it is.

Called by what counts the money and by what deploys, replaces and stops; below both.
"""
