"""Traces one private message through a node, and counts what it takes on its way.

The way begins where trio's `epoll` returns with the writer's bytes, and ends with the `send` to the reader's socket.
Both users are contacts and signed in once each; the node is idle otherwise. Several messages go, one after the other,
and the one with the fewest calls is the way: timers and the like that fall into another's time only add to it. The
first messages are left out, since they load what later ones find in memory.

- *calls*: how often the interpreter enters code of gochat's files, in any thread: functions, methods and lambdas that
  begin, comprehensions (which Python 3.12 and later do not enter any more), and each step of a coroutine or generator,
  the first one and every further one. Calls of other packages and of functions written in C do not count, nor does
  what they call, unless it is gochat's again.
- *files*: those of gochat that hold the code of these calls.
- *tasks*: those of trio that take a step, without trio's own, such as the task that runs what other threads hand in.
- *stored callbacks*: places at which a function of gochat is called through a callable that was kept. Each counts
  once, however often it is called. bench/trace/callsite.py has the rule.
"""
