"""The loop: when enough is new, train anew, evaluate, run as a shadow, and ask to be promoted.

Called by the guard's rounds and by `train auto`; the last of the domains that change anything.
"""
