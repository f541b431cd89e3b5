"""A request parsed, its path found, its body checked; and what is answered: errors, lists page by page.

The ground of the stand-in: every folder of it may call this, it calls none.
"""
