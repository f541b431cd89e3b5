"""Where past decisions lie outside our own log: files, an agent's database, its server. Reads only."""
