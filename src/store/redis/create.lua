-- KEYS: record, session list of the subject, watermark of the subject, watermark of all subjects
local ask, base, id, subject, call, policy = unpack(ARGV, 1, 6)
local now, expires, max = tonumber(ARGV[7]), tonumber(ARGV[9]), tonumber(ARGV[10])

local state, found = look(KEYS[1], subject)
if state == 'lives' and found.call == call then
    -- The same call, retried by the client because the response was lost.
    return { 'kept', replicas(ask) }
end
if state ~= 'none' then
    return { 'taken' }
end
local subject_mark, everybody_mark = mark(KEYS[3]), mark(KEYS[4])
if not subject_mark or not everybody_mark then
    return { 'corrupt', 'damaged' }
end
if now < subject_mark or now < everybody_mark then
    return { 'old' }
end

local label, ip, place, kind = ARGV[11], ARGV[12], ARGV[13] or '', ARGV[14] or '1'
if place ~= '' then
    local pending_state, pending = look(base .. place, subject)
    if pending_state == 'corrupt' then
        return { 'corrupt', pending }
    end
    if pending_state ~= 'lives' or now >= pending.expires or pending.signed_in < everybody_mark then
        return { 'over' }
    end
    if label == '' then
        label = pending.label or ''
    end
    if ip == '' then
        ip = pending.ip or ''
    end
end

local ended = {}
if max > 0 and redis.call('ZCARD', KEYS[2]) >= max then
    local live, gone, unreadable = {}, {}, 0
    for _, other in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
        local other_state, other_found = look(base .. other, subject)
        if other_state == 'lives' then
            -- Sessions of the other kind are not counted.
            if other ~= place and other_found.kind == kind and now < other_found.expires
                and other_found.signed_in >= everybody_mark then
                live[#live + 1] = { other, other_found.expires }
            end
        elseif other_state == 'corrupt' then
            -- Unreadable records count towards the limit and are not overwritten.
            unreadable = unreadable + 1
        else
            gone[#gone + 1] = other
        end
    end
    local too_many = #live + unreadable + 1 - max
    -- A pending session never prevents a sign-in.
    if too_many > 0 and policy == 'refuse' and kind == '1' then
        return { 'full' }
    end
    for _, other in ipairs(gone) do
        redis.call('ZREM', KEYS[2], other)
    end
    for n = 1, math.min(too_many, #live) do
        local other, until_then = live[n][1], live[n][2]
        bury(base .. other, subject, until_then, now)
        redis.call('ZREM', KEYS[2], other)
        ended[n] = other
    end
else
    -- Each sign-in checks more ids than it adds, so that few ids without a record remain.
    for _, other in ipairs(redis.call('ZRANDMEMBER', KEYS[2], 3)) do
        if redis.call('EXISTS', base .. other) == 0 then
            redis.call('ZREM', KEYS[2], other)
        end
    end
end

redis.call('HSET', KEYS[1], 'v', '1', 's', subject, 'i', ARGV[7], 'a', ARGV[8], 'e', ARGV[9], 'n', call)
if kind ~= '1' then
    redis.call('HSET', KEYS[1], 'k', kind)
end
if label ~= '' then
    redis.call('HSET', KEYS[1], 'l', label)
end
if ip ~= '' then
    redis.call('HSET', KEYS[1], 'p', ip)
end
keep(KEYS[1], expires, now)
redis.call('ZADD', KEYS[2], ARGV[7], id)
list(KEYS[2], id, now, expires, now)
-- Not with `unpack`, which is limited to a few thousand values.
local reply = { 'kept', replicas(ask) }
for _, other in ipairs(ended) do
    reply[#reply + 1] = other
end
return reply
