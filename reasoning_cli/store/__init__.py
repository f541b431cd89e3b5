"""Keeps data: the training log, what was deployed, and what that cost. The only SQL of the program.

A folder a domain, by the same names as in `operations/`; called by operations, commands and the gateway.
"""
