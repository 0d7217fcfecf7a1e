"""The terminal client: lines in, lines out, no screen. The same in a terminal and in a pipe."""
