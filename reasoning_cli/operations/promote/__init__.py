"""A model into its slot by shares of the traffic, behind a gate, watched, and back by itself when it breaks.

Called by `train promote` and `train rollback`, and by the loop in `train/auto`.
"""
