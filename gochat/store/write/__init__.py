"""Facts on their way into the database: the journal, group commit, the tail, and how old facts go out again."""
