-- KEYS: record, session list of the subject, watermark of all subjects
local id, subject = ARGV[1], ARGV[2]
local now, active, expires = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local state, found = look(KEYS[1], subject)
if state == 'none' or state == 'ended' then
    return { state }
end
if state == 'corrupt' then
    return { 'corrupt', found }
end
local everybody_mark = mark(KEYS[3])
if not everybody_mark then
    return { 'corrupt', 'damaged' }
end
if found.signed_in < everybody_mark then
    return { 'ended' }
end
if now >= found.expires then
    return { 'expired' }
end
-- The first key wins. Argument 12: the key of the device, or nothing.
local key = ARGV[12] or ''
if found.binding[1] ~= '' and found.binding[1] ~= key then
    return { 'mismatch', unpack(describe(found)) }
end
if found.binding[1] == '' and key ~= '' then
    found.binding = { key, digits(now) }
    redis.call('HSET', KEYS[1], 'bk', key, 'bt', digits(now))
end
if active > found.active or expires > found.expires then
    found.active = math.max(active, found.active)
    found.expires = math.max(expires, found.expires)
    redis.call('HSET', KEYS[1], 'a', digits(found.active), 'e', digits(found.expires))
    keep(KEYS[1], found.expires, now)
    list(KEYS[2], id, found.signed_in, found.expires, now)
end

-- The rule of `LineageRequest`. Arguments: the id that was presented, the next one if the token was due,
-- between which instants a rotation is too recent, what happens to a copy, and the next id of a copy.
local presented, following, after, before, on_copy, of_copy = unpack(ARGV, 6, 11)
if on_copy and on_copy ~= '' then
    local current, previous = found.lineage[1], found.lineage[2]
    local rotated = whole(found.lineage[3])
    local changed
    if not rotated then
        changed = following ~= '' and { following, presented, digits(now) }
    elseif current ~= '' then
        local is_known = presented == '' or presented == current or presented == previous
        local is_settled = rotated <= tonumber(after) or rotated >= tonumber(before)
        if is_known then
            local before_next = presented ~= '' and presented or current
            changed = following ~= '' and is_settled and { following, before_next, digits(now) }
        elseif previous == '' and not is_settled then
            -- A node may have dropped the id before the lineage started.
            changed = false
        elseif on_copy == 'adopt' then
            changed = { of_copy, presented, digits(now) }
        elseif on_copy == 'alarm' then
            changed = { '', of_copy, digits(now) }
        end
    end
    if changed then
        found.lineage = changed
        redis.call('HSET', KEYS[1], 'lc', changed[1], 'lp', changed[2], 'lr', changed[3])
    end
end
return { 'lives', unpack(describe(found)) }
