"""From the log to a model: what to train with, the plan with its price, the run, and the job at Together.

Called by `train` on the command line and by the loop in `train/auto`.
"""
