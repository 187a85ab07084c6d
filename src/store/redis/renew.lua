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
if active > found.active or expires > found.expires then
    found.active = math.max(active, found.active)
    found.expires = math.max(expires, found.expires)
    redis.call('HSET', KEYS[1], 'a', digits(found.active), 'e', digits(found.expires))
    keep(KEYS[1], found.expires, now)
    list(KEYS[2], id, found.signed_in, found.expires, now)
end
return {
    'lives', digits(found.signed_in), digits(found.active), digits(found.expires), found.label, found.ip, found.kind,
}
