"""Which way to have decisions answered is the cheapest of those that have proven they may.

Called by `commands`; reads the store and the settings, asks nobody.
"""
