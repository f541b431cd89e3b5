"""The gateway beside nginx: the same odd answers of a provider and odd requests of callers, over raw sockets.

Nothing here knows how the gateway speaks HTTP: bytes go in at one side, and what comes out at the other is judged.
`python -m tests.gateway.differential` prints the table of it.
"""
