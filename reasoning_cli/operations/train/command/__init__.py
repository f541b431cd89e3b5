"""Training by the operator's own trainer.

Its process, which outlives us, and the run that follows it. Called by `commands` and by `operations.train`; asks nobody
elsewhere for anything.
"""
