"""`reasoning costs`: the bill, prices, limits, and the guard that keeps them.

Called by `app` when it is typed; the gateway runs the guard of `guard`, training reads the prices of `prices`.
"""
