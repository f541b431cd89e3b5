"""The API key and the profiles of this host.

Called by `config`; calls no other domain.
"""
