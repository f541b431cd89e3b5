"""`reasoning config`: show settings with their source, change them, edit the file, set the key.

Called by `app` when it is typed.
"""
