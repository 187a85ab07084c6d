-- KEYS: record, session list of the subject
local ask, id, subject = unpack(ARGV, 1, 3)
local now, until_then = tonumber(ARGV[4]), tonumber(ARGV[5])
local state, found = look(KEYS[1], subject)
if state == 'corrupt' then
    return { 'corrupt', found }
end
if state ~= 'none' then
    until_then = math.max(until_then, found.ended_until or found.expires)
end
bury(KEYS[1], subject, until_then, now)
redis.call('ZREM', KEYS[2], id)
return { 'ended', replicas(ask) }
