"""One module a scenario: what it sets up, what it measures, against which yardstick, and what is wanted of it."""
