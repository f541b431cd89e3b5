"""`reasoning data`: import, look at, label, export, clear and copy what the training log holds.

Called by `app` when it is typed; the guard clears by the retention of `cleanup`.
"""
