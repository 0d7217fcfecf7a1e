"""The wire contract, sans I/O: frames, codecs, framing, and the table of the conversation."""
