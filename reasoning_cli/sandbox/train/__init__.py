"""Files to train on and fine-tuning jobs: sent, checked, run on the virtual clock, and what they leave.

Called by the routes and by the passing of time.
"""
