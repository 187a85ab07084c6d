-- KEYS: stream, metadata of the stream
local count, kind = ARGV[2], ARGV[3]
local about = redis.call('HMGET', KEYS[2], 'epoch', 'since', 'gone')
local epoch, since, gone = about[1], whole(about[2]), about[3] or '0-0'
if not epoch then
    epoch = ARGV[1]
    redis.call('HSET', KEYS[2], 'epoch', epoch)
end

local from, is_gap, position = '-', true, gone
if kind == 'after' then
    -- The last entry that was read must exist, or be the last one that was trimmed: then no later
    -- entry is missing. After a failover that lost it, or a flush, it does not exist.
    local at = ARGV[5]
    if epoch == ARGV[4] and (at == gone or #redis.call('XRANGE', KEYS[1], at, at) > 0) then
        from, is_gap, position = '(' .. at, false, at
    end
else
    is_gap = not since or tonumber(ARGV[4]) < since
end
local entries = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', count)
if #entries > 0 then
    position = entries[#entries][1]
end
local reply = { is_gap and 1 or 0, epoch, position }
for _, entry in ipairs(entries) do
    local names = {}
    for n = 1, #entry[2], 2 do
        names[entry[2][n]] = entry[2][n + 1]
    end
    for _, name in ipairs({ 't', 'i', 'u', 'b', 'x' }) do
        reply[#reply + 1] = names[name] or ''
    end
end
return reply
