"""Intervals around what was measured, and tests that may be looked at after every decision. Pure.

The ground of the house: every domain may call it, and it calls none.
"""
