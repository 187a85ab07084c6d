-- KEYS: the key that was written. Writes its value again, so that the WAIT that follows on this
-- connection covers it. Returns 0 if this server has another replication id: it was promoted in
-- between, and may not have the write.
if string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') ~= ARGV[1] then
    return 0
end
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'hash' then
    redis.call('HSET', KEYS[1], 'v', '1')
elseif kind == 'string' then
    redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]), 'KEEPTTL')
end
return 1
