-- KEYS: session list of the subject, watermark of the subject
local ask, base, subject, except = unpack(ARGV, 1, 4)
local now, kept = tonumber(ARGV[5]), tonumber(ARGV[6])
local before = tonumber(ARGV[7])
local signed_in_before = before or now
local known = mark(KEYS[2])
if not known then
    return { 'corrupt', 'damaged' }
end
local members = redis.call('ZRANGE', KEYS[1], 0, -1)

-- Writes the watermark first: Redis then allows the rest even if its memory fills up meanwhile.
local ttl = math.max(signed_in_before - now, 0) + kept
ttl = math.max(ttl, redis.call('TTL', KEYS[2]))
redis.call('SET', KEYS[2], digits(math.max(known, signed_in_before)), 'EX', digits(ttl))

local count, why, told = 0, '', {}
for _, id in ipairs(members) do
    if id ~= except then
        local state, found = look(base .. id, subject)
        if state == 'corrupt' then
            why = found
        elseif state == 'lives' then
            if not before or found.signed_in < before then
                bury(base .. id, subject, found.expires, now)
                redis.call('ZREM', KEYS[1], id)
                count = count + 1
                if found.signed_in >= signed_in_before then
                    told[#told + 1] = id
                end
            end
        else
            redis.call('ZREM', KEYS[1], id)
        end
    end
end
local reply = { 'ended', replicas(ask), count, why }
for _, id in ipairs(told) do
    reply[#reply + 1] = id
end
return reply
