"""Samples as files to fine-tune on: chosen, split, rendered by one process or several, and put in place whole.

Called by `data export`, and by training for the files that it sends.
"""
