-- A record is its version (8 bytes), how many tags it has (1 byte), its tags (64 bytes each, hexadecimal), and its data.
-- A tag is a sorted set of the records that have it, by when they end. It lasts as long as the last of them.

local HEADER = 8 + 1 + 4 * 64

local function header(key)
  local bytes = redis.call('GETRANGE', key, 0, HEADER - 1)
  return #bytes > 0 and bytes or nil
end

local function version(record)
  return string.sub(record, 1, 8)
end

local function tags(record)
  local found = {}
  for n = 1, string.byte(record, 9) do
    found[n] = string.sub(record, 64 * n - 54, 64 * n + 9)
  end
  return found
end

local function index(key, record, prefix, ttl)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  for _, tag in ipairs(tags(record)) do
    local set = prefix .. tag
    redis.call('ZREMRANGEBYSCORE', set, '-inf', now - 1000)
    redis.call('ZADD', set, now + ttl, key)
    local last = redis.call('ZREVRANGE', set, 0, 0, 'WITHSCORES')
    redis.call('PEXPIREAT', set, tonumber(last[2]) + 1000)
  end
end

local function unindex(key, record, prefix)
  for _, tag in ipairs(tags(record)) do
    redis.call('ZREM', prefix .. tag, key)
  end
end
