"""The scripts of the log and the bulletin, in Redis' Lua. Nothing else writes to a cluster's keys.

A script reads the server's replication id itself, in the step that it writes in: a server that was demoted, took over
another's data and was promoted again keeps its process and its connections, and only this id tells. A script touches
the keys of one slot alone.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

_SERVER = "local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')\n"
# Numbers above 10^14 would be written as 1e+14.
_NUMBER = "local function text(number) return string.format('%.0f', number) end\n"
_LAST = """
local function last_of(key)
  local found = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  if not found then return nil, 0, 0 end
  local term, n = string.match(found[1], '^(%d+)-(%d+)$')
  return found[1], tonumber(term), tonumber(n)
end
"""
_NOW = """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# An offer: position, ballot, milliseconds. A ballot that nodes come to has nine digits at most; from a greater one they
# could not count on.
_OFFERED = "local offered_as = '^(%d+)-(%d+) (%d" + "%d?" * 8 + ") (%d+)$'\n"
# A fence whose stream is gone is taken away, or it would be good again with the first entry that is put back. One that
# no node can have written is none, as it is in `redis_log.py`, and the seal replaces it.
_SEALED = """
local fence = redis.call('GET', KEYS[2])
local sealed = fence and string.sub(fence, 1, #server + 1) == server .. ' '
  and string.match(fence, '^%x+ [1-9]%d*$') and #fence <= #server + 19
if sealed and redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[2])
  sealed = false
end
"""


class Script(NamedTuple):
    text: str
    sha: str


def _script(*parts: str) -> Script:
    text = "".join(parts).strip() + "\n"
    return Script(text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324 -- the name that Redis gives a script


#: KEYS stream, fence. ARGV first term.
CREATE: Final = _script(
    _SERVER,
    """
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return false end
redis.call('XADD', KEYS[1], ARGV[1] .. '-1', 'e', '')
redis.call('SET', KEYS[2], server .. ' ' .. ARGV[1])
return server .. ' ' .. ARGV[1]
""",
)

#: KEYS stream, fence. ARGV term, entry, ... A stream that is gone takes its fence along, so that all see the loss.
APPEND: Final = _script(
    _SERVER,
    """
if redis.call('GET', KEYS[2]) ~= server .. ' ' .. ARGV[1] then return 'fenced' end
local last
for i = 2, #ARGV do
  last = redis.call('XADD', KEYS[1], 'NOMKSTREAM', ARGV[1] .. '-*', 'e', ARGV[i])
  if not last then
    redis.call('DEL', KEYS[2])
    return 'lost'
  end
end
return last
""",
)

#: KEYS stream, fence. ARGV server, the last id there or '', id, entry, ...
PUT_BACK: Final = _script(
    _SERVER,
    _LAST,
    """
if server ~= ARGV[1] then return 'other' end
""",
    _SEALED,
    """
if sealed then return 'sealed' end
if (last_of(KEYS[1]) or '') ~= ARGV[2] then return 'not_next' end
for i = 3, #ARGV, 2 do redis.call('XADD', KEYS[1], ARGV[i], 'e', ARGV[i + 1]) end
return 'done'
""",
)

#: KEYS offers. ARGV server, instance, position, seconds that the key is kept, ballot.
OFFER: Final = _script(
    _SERVER,
    _NOW,
    _NUMBER,
    _OFFERED,
    """
if server ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. ARGV[5] .. ' ' .. text(now_ms))
redis.call('EXPIRE', KEYS[1], ARGV[4])
local offers, highest = redis.call('HGETALL', KEYS[1]), 0
for i = 2, #offers, 2 do
  local _, _, ballot = string.match(offers[i], offered_as)
  highest = math.max(highest, tonumber(ballot or 0))
end
return highest
""",
)

#: KEYS stream, fence, offers. ARGV server, need, milliseconds that an offer counts, TERM_STEP, salt, the last id or '',
#: whether the offers of some nodes alone count, their instances. An offer of the future does not count: the clock was
#: put back. Neither does one in a ballot below the highest, nor one that no node can have written.
SEAL: Final = _script(
    _SERVER,
    _NOW,
    _NUMBER,
    _LAST,
    _OFFERED,
    """
if server ~= ARGV[1] then return 'other' end
""",
    _SEALED,
    """
if sealed then return fence end
local id, term, n = last_of(KEYS[1])
if ARGV[6] ~= '' and id ~= ARGV[6] then return 'moved' end
local offers = redis.call('HGETALL', KEYS[3])
local counting = {}
for i = 8, #ARGV do counting[ARGV[i]] = true end
local step = tonumber(ARGV[4])
local reached = math.floor(term / step)
local ballot, count, short = 0, 0, not id
for i = 1, #offers, 2 do
  local offered_term, offered_n, offered, at_ms = string.match(offers[i + 1], offered_as)
  if at_ms then
    offered_term, offered_n, offered = tonumber(offered_term), tonumber(offered_n), tonumber(offered)
    if offered > ballot then ballot, count = offered, 0 end
    local counts = offered == ballot and (ARGV[7] == '0' or counting[offers[i]])
    if counts and math.abs(now_ms - tonumber(at_ms)) < tonumber(ARGV[3]) then count = count + 1 end
    if offered_term > term or (offered_term == term and offered_n > n) then short = true end
  end
end
if count < tonumber(ARGV[2]) then return 'wait' end
if ballot == 0 then ballot = reached + 1 end
if short or ballot <= reached then return 'short' end
local new = text(ballot * step + tonumber(ARGV[5]))
redis.call('XADD', KEYS[1], new .. '-' .. text(n + 1), 'e', '')
redis.call('SET', KEYS[2], server .. ' ' .. new)
redis.call('DEL', KEYS[3])
return server .. ' ' .. new
""",
)

#: KEYS stream, fence. ARGV server, term.
END_TERM: Final = _script(
    _SERVER,
    """
if server ~= ARGV[1] or redis.call('GET', KEYS[2]) ~= server .. ' ' .. ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
return 1
""",
)

#: KEYS stream, fence. ARGV server, the last id. Needs no memory.
DROP: Final = _script(
    _SERVER,
    _LAST,
    """
if server ~= ARGV[1] then return 0 end
""",
    _SEALED,
    """
if sealed or last_of(KEYS[1]) ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])
""",
)

#: KEYS stream. ARGV the n that is kept from, keep, cap. Needs no memory: it works on a server that is full.
TRIM: Final = _script(
    _LAST,
    """
local id, term, n = last_of(KEYS[1])
if not id then return 0 end
local kept = math.max(1, tonumber(ARGV[2]), math.min(tonumber(ARGV[3]), n - tonumber(ARGV[1]) + 1))
return redis.call('XTRIM', KEYS[1], 'MAXLEN', kept)
""",
)

#: KEYS nodes. ARGV instance, boot, whether to take a stale place, milliseconds until one is stale, info. A beat of the
#: future is stale as well: the server's clock was put back. A place that no node can have written is nobody's.
BEAT: Final = _script(
    _NOW,
    _NUMBER,
    """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local boot, at_ms = string.match(known, '^(%S+) (%d+) ')
  local age_ms = at_ms and math.abs(now_ms - tonumber(at_ms))
  if at_ms and boot ~= ARGV[2] and not (ARGV[3] == '1' and age_ms > tonumber(ARGV[4])) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. text(now_ms) .. ' ' .. ARGV[5])
return 1
""",
)

#: KEYS nodes. ARGV instance, boot.
LEAVE: Final = _script(
    """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known and string.match(known, '^(%S+) ') == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1
""",
)

#: KEYS lease. ARGV holder, milliseconds.
HOLD: Final = _script(
    """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""",
)

#: KEYS lease. ARGV holder.
RELEASE: Final = _script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
""",
)

ALL: Final = (CREATE, APPEND, PUT_BACK, OFFER, SEAL, END_TERM, DROP, TRIM, BEAT, LEAVE, HOLD, RELEASE)
