"""`reasoning gateway`: run it, ask what it would do, and show what it did.

Called by `app` when it is typed; `doctor`, `setup` and `status` ask here how a running one does.
"""
