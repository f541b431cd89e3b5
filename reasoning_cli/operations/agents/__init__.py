"""The environment of an agent: what it needs to call us, and what becomes of the variables it had.

Called by `setup`, `gateway env` and `doctor`.
"""
