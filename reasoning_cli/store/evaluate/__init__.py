"""Evaluations: what was asked of which models, what they answered, and the decisions that they are asked.

Called by the operations that evaluate and promote.
"""
