"""Authentication: tokens, the keys that prove them, and the web pages that may connect."""
