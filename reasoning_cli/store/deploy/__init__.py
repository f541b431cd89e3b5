"""What was deployed, which deployment takes the place of which, and when each was running at which price.

Called by the operations that deploy, count costs and guard.
"""
