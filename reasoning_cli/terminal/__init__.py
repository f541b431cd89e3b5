"""How anything looks and is asked in a terminal: listings, tables, progress, questions, colours.

Called by commands and by `app` alone: what does something does not show it.
"""
