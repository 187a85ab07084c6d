-- KEYS: watermark of all subjects
local known = mark(KEYS[1])
if not known then
    return { 'corrupt', 'damaged' }
end
redis.call('SET', KEYS[1], digits(math.max(known, tonumber(ARGV[2]))))
return { 'ended', replicas(ARGV[1]) }
