
-- KEYS: the record. ARGV: the prefix of tags, the record, its time in milliseconds, the version to be replaced.
local there = header(KEYS[1])
if not there then
  return 0
end
if version(there) == version(ARGV[2]) then
  -- Ours, when an answer was lost and we ask again.
  return 1
end
if version(there) ~= ARGV[4] then
  return 0
end
local ttl = tonumber(ARGV[3])
-- First what a full server refuses, so that nothing is half done.
if ttl > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
unindex(KEYS[1], there, ARGV[1])
if ttl > 0 then
  index(KEYS[1], ARGV[2], ARGV[1], ttl)
end
return 1
