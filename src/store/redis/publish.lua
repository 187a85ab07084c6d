-- KEYS: stream, metadata of the stream
local epoch, at = ARGV[1], ARGV[2]
local kept, most = tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('HSETNX', KEYS[2], 'epoch', epoch)
redis.call('HSETNX', KEYS[2], 'since', at)
for n = 5, #ARGV, 4 do
    redis.call(
        'XADD', KEYS[1], '*', 't', at, 'i', ARGV[n], 'u', ARGV[n + 1], 'b', ARGV[n + 2], 'x', ARGV[n + 3]
    )
end

-- Uses the server's own clock for the age: it decides when entries are trimmed, never about a
-- session.
local oldest = (tonumber(redis.call('TIME')[1]) - kept) * 1000
local length = redis.call('XLEN', KEYS[1])
local since = whole(redis.call('HGET', KEYS[2], 'since')) or 0
local gone
-- Trims more entries than were added, so that trimming catches up.
for _ = 1, #ARGV do
    local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
    if not first or (tonumber(string.match(first[1], '^%d+')) >= oldest and length <= most) then
        break
    end
    gone = first[1]
    -- An entry of this store starts with its time. Any other entry makes everything before now a
    -- gap.
    since = math.max(since, (first[2][1] == 't' and whole(first[2][2]) or tonumber(at)) + 1)
    redis.call('XDEL', KEYS[1], gone)
    length = length - 1
end
if gone then
    redis.call('HSET', KEYS[2], 'gone', gone, 'since', digits(since))
end
return { 'told' }
