"""The loop: when enough is new, train anew, evaluate, stand beside what answers, and ask to be promoted.

Called by the guard's rounds and by `train auto`; the last of the domains that change anything.
"""
