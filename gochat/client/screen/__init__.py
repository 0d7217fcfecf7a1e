"""The client that fills a terminal. All but `display` is free of terminals: a state, and the rows that show it."""
