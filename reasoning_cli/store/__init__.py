"""Keeps data: the training log, what was deployed, and what that cost. The only SQL of the program."""
