"""The rollout viewer, `rlvr view`: a local web page over the journal, from step to group to rollout to token.

command.py     the command: which runs, which port
server.py      the page and its API, read-only
journal.py     the journal of one stage, its light columns gathered in memory
filters.py     what is looked for, as SQL
rollout.py     one rollout, token by token
tokens.py      the text of a token
static/        the page
"""
