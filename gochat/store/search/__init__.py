"""Search for messages and users: words, indexes, and the turns that searches take."""
