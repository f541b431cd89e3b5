"""The API key and the profiles of this host.

Called by `config` and `setup`.
"""
