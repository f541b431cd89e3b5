"""The dialects agents speak: how a request is read and an answer written in each. Pure functions on parsed JSON.

Called by whatever in the gateway reads or writes a body; calls none of it.
"""
