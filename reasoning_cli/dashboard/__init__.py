"""The page an operator leaves open: what runs, what it costs, what waits for a yes, in a browser on this machine.

It holds no rule: what it shows is what commands say with `--json`, and it acts by running commands. Needs the extra
`dashboard`. May use decisions, terminal (how numbers look) and values; only commands start it.
"""
