-- Included before every script: reads and revokes records. Times are whole seconds, passed by the
-- caller.

-- Seconds that a record is kept after its expiry, because the clocks of callers differ, and so that
-- it is reported as expired for a while.
local MARGIN = 600
-- The expiry of a session list is extended by this much at a time, not at every renewal.
local DAY = 86400

local function whole(text)
    if text and #text <= 12 and string.match(text, '^%d+$') then
        return tonumber(text)
    end
end

-- Lua would otherwise format large numbers as 1e+11.
local function digits(number)
    return string.format('%.0f', number)
end

-- The state of the record at `key`: 'none', 'lives', 'ended', or 'corrupt' and the reason.
local function look(key, subject)
    local f = redis.pcall('HMGET', key, 'v', 's', 'i', 'a', 'e', 'u', 'l', 'p', 'n', 'k', 'lc', 'lp', 'lr', 'bk', 'bt')
    if f.err then
        return 'corrupt', 'damaged'
    end
    if not f[1] and not f[2] and redis.call('EXISTS', key) == 0 then
        return 'none'
    end
    if f[1] ~= '1' then
        return 'corrupt', 'version'
    end
    if f[2] ~= subject then
        return 'corrupt', 'subject'
    end
    if f[6] then
        local ended_until = whole(f[6])
        if ended_until then
            return 'ended', { ended_until = ended_until }
        end
        return 'corrupt', 'damaged'
    end
    local found = {
        signed_in = whole(f[3]),
        active = whole(f[4]),
        expires = whole(f[5]),
        label = f[7],
        ip = f[8],
        call = f[9],
        -- '2' is pending; complete otherwise.
        kind = f[10] or '1',
        lineage = { f[11] or '', f[12] or '', f[13] or '' },
        -- The key of the device that the session is bound to, and since when.
        binding = { f[14] or '', f[15] or '' },
    }
    local has_valid_lineage = not f[13] or whole(f[13])
    local has_valid_binding = not f[14] and not f[15] or f[14] and whole(f[15])
    local has_valid_dates = found.signed_in and found.active and found.expires
    if has_valid_dates and has_valid_lineage and has_valid_binding then
        return 'lives', found
    end
    return 'corrupt', 'damaged'
end

-- An active record as scripts return it, after its id.
local function describe(found)
    return {
        digits(found.signed_in), digits(found.active), digits(found.expires), found.label, found.ip, found.kind,
        found.lineage[1], found.lineage[2], found.lineage[3], found.binding[1], found.binding[2],
    }
end

-- The watermark at `key`: sessions that signed in before it are revoked. nil if it is unreadable.
local function mark(key)
    return whole(redis.call('GET', key) or '0')
end

local function keep(key, until_then, now)
    redis.call('EXPIRE', key, digits(math.max(until_then - now, 0) + MARGIN))
end

local function list(key, id, signed_in, until_then, now)
    local needed = math.max(until_then - now, 0) + MARGIN
    local ttl = redis.call('TTL', key)
    if ttl == -2 then
        redis.call('ZADD', key, digits(signed_in), id)
    end
    if ttl < needed then
        redis.call('EXPIRE', key, digits(needed + DAY))
    end
end

-- Replaces a record by the fact that the session is revoked. DEL comes first: Redis allows it even
-- if its memory is full, and then also the writes that follow in the same script.
local function bury(key, subject, until_then, now)
    redis.call('DEL', key)
    redis.call('HSET', key, 'v', '1', 's', subject, 'u', digits(until_then))
    keep(key, until_then, now)
end

-- If requested, the number of online replicas of this server and its replication id, which changes
-- with every promotion.
local function replicas(ask)
    if ask ~= '1' then
        return ''
    end
    local info = redis.call('INFO', 'replication')
    local _, online = string.gsub(info, 'state=online', '')
    return online .. ' ' .. (string.match(info, 'master_replid:(%w+)') or '')
end
