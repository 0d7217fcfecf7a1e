"""Who may come in: tokens, the keys that prove them, and which web pages may connect."""
