"""`reasoning models`: deploy, replace, route and stop models, and bring weights to Together.

Called by `app` when it is typed; `status` shows what `models status` shows.
"""
