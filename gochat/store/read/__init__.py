"""The readings of the database: pages, lists, the welcome, and the readings that rules need."""
