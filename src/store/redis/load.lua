-- KEYS: record, watermark of all subjects
local subject, now = ARGV[1], tonumber(ARGV[2])
local state, found = look(KEYS[1], subject)
local everybody_mark = mark(KEYS[2])
if state == 'corrupt' then
    return { 'corrupt', found }
end
if not everybody_mark then
    return { 'corrupt', 'damaged' }
end
if state ~= 'lives' or found.signed_in < everybody_mark or now >= found.expires then
    return { 'none' }
end
return { 'lives', unpack(describe(found)) }
