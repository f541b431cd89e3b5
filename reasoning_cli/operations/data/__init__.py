"""The training log from the outside: import, look, label, export, redact, archive, and forget.

Called by `data` on the command line, and by the domains that train and evaluate on what is exported.
"""
