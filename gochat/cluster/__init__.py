"""Several nodes as one: a log in Redis orders what they decide, and every node records all of it."""
