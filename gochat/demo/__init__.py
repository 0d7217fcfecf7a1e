"""The people, the history and the bot of `gochat demo`, so that a new server has something to look at."""
