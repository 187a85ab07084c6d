-- Before every script: how records are read and ended. Times are whole seconds, given by the caller.

-- Kept beyond its end: for callers whose clocks differ, and so that "expired" is said for a while.
local MARGIN = 600
-- Lists of sessions are prolonged this much at a time, not at every renewal.
local DAY = 86400

local function whole(text)
    if text and #text <= 12 and string.match(text, '^%d+$') then
        return tonumber(text)
    end
end

-- Lua writes large numbers as 1e+11 otherwise.
local function digits(number)
    return string.format('%.0f', number)
end

-- What is at `key`: 'none', 'lives', 'ended', or 'corrupt' and why.
local function look(key, subject)
    local f = redis.pcall('HMGET', key, 'v', 's', 'i', 'a', 'e', 'u', 'l', 'p', 'n', 'k')
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
    }
    if found.signed_in and found.active and found.expires then
        return 'lives', found
    end
    return 'corrupt', 'damaged'
end

-- The moment at `key` before which sessions are over; nil when it cannot be read.
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

-- Leaves of a session only that it has ended. DEL comes first: it is allowed on a server that is full,
-- and what follows in the same script then is too.
local function bury(key, subject, until_then, now)
    redis.call('DEL', key)
    redis.call('HSET', key, 'v', '1', 's', subject, 'u', digits(until_then))
    keep(key, until_then, now)
end

-- Whether replicas follow this server, if anybody asks: how many, and the name of its history, which
-- is a new one after every promotion.
local function replicas(ask)
    if ask ~= '1' then
        return ''
    end
    local info = redis.call('INFO', 'replication')
    local _, online = string.gsub(info, 'state=online', '')
    return online .. ' ' .. (string.match(info, 'master_replid:(%w+)') or '')
end
