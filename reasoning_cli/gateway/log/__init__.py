"""Calls on their way into the training log and the access log, off the path of the answer.

Called by the pipeline with what it captured, and by the import of recorded calls.
"""
