"""Weights on their way to Together: a folder read, what of it has arrived, and the upload itself.

Called by `models upload`.
"""
