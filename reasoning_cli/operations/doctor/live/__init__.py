"""The first contact with the live service: what it does is held against what the program assumes of it.

`reads` asks everything that can be read; `probe` deploys for some minutes, under a cap of its own; `bill` reads what
that cost; `facts` has each assumption and says what of it holds. Called by `doctor --live`; nothing stands on it.
"""
