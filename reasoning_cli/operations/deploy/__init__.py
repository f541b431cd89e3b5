"""A model from a name to an answer: what can be deployed, planned, applied, waited for, replaced, stopped.

Called by `models` on the command line, by the guard, the gateway and promotions.
"""
