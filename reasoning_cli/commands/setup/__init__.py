"""`reasoning setup`: the wizard, the agent's environment, and completion for the shell.

Called by `app` when it is typed.
"""
