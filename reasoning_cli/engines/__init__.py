"""Whatever answers decisions or trains models, a folder an engine: `together`, `openai` (an operator's own
server), `head` (a classifier in this process).

Called by `operations`, `gateway` and `commands`, which get an engine by its name (`registry`), ask it for what it is
said to be able to do (`features`, `clients`), read what it shows (`serving`, `jobs`, `weights`, `bills`, `contract`) or
refuses (`errors`). They name no folder here: another engine is used in the same way. Nothing here knows of
operations, gateway, commands or the store.
"""
