"""Fine-tuning jobs, the training runs that made them, and the loops that start runs by themselves.

Called by the operations that train, and by the bill for what training cost.
"""
