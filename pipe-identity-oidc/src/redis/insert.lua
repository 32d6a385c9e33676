
-- KEYS: the record. ARGV: the prefix of tags, the record, its time in milliseconds.
local there = header(KEYS[1])
if there then
  -- Ours, when an answer was lost and we ask again.
  return version(there) == version(ARGV[2]) and 1 or 0
end
local ttl = tonumber(ARGV[3])
if ttl > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  index(KEYS[1], ARGV[2], ARGV[1], ttl)
end
return 1
