
-- KEYS: the record. ARGV: the prefix of tags.
local there = redis.call('GET', KEYS[1])
if there then
  redis.call('DEL', KEYS[1])
  unindex(KEYS[1], there, ARGV[1])
end
return there
