-- KEYS: session list of the subject, watermark of all subjects
local base, subject = ARGV[1], ARGV[2]
local now, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local after_time, after_id = ARGV[5], ARGV[6]
local everybody_mark = mark(KEYS[2])
if not everybody_mark then
    return { 'corrupt', 'damaged' }
end

-- Compares bytes, as the sorted list does: `<` depends on the server's locale.
local function is_less(one, other)
    for n = 1, #one do
        local a, b = string.byte(one, n), string.byte(other, n)
        if a ~= b then
            return b and a < b
        end
    end
    return #one < #other
end

local reply, gone, offset, count = { 'page' }, {}, 0, 0
local highest = after_time ~= '' and after_time or '+inf'
repeat
    local some = redis.call('ZREVRANGEBYSCORE', KEYS[1], highest, '-inf', 'WITHSCORES', 'LIMIT', offset, 64)
    offset = offset + 64
    for n = 1, #some, 2 do
        local id, score = some[n], some[n + 1]
        local is_after = after_time == '' or tonumber(score) < tonumber(after_time) or is_less(id, after_id)
        if is_after and count < limit then
            local state, found = look(base .. id, subject)
            if state == 'corrupt' then
                return { 'corrupt', found }
            end
            if state == 'none' then
                gone[#gone + 1] = id
            elseif state == 'lives' and now < found.expires and found.signed_in >= everybody_mark then
                count = count + 1
                reply[#reply + 1] = id
                for _, word in ipairs(describe(found)) do
                    reply[#reply + 1] = word
                end
            end
        end
    end
until #some == 0 or count >= limit
for _, id in ipairs(gone) do
    redis.call('ZREM', KEYS[1], id)
end
return reply
