"""Other servers that people choose for chat, measured beside gochat: `python -m bench.peers --help`.

A file per peer says how it is started and what bytes its protocol wants; one driver of each load serves them all.
"""
