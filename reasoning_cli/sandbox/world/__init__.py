"""Everything the stand-in knows at one moment: its records, its clock, the bytes it was sent, what it offers at first.

Called by every folder that answers requests; knows of requests only how to say no.
"""
