"""The rules of chat: pure values and functions. Nothing here knows a task, a socket, a file or a clock."""
