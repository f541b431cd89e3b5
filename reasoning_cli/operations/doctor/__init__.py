"""Whether everything is in place to run models and to know what they cost. Nothing is changed here.

Called by `doctor`; nothing stands on it.
"""
