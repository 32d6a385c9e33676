
-- KEYS: the tag's set. ARGV: the prefix of tags, the tag, how many records to look at.
local keys = redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[3]) - 1)
local removed = 0
for _, key in ipairs(keys) do
  local there = header(key)
  -- One that is over may have left its key to another, which has other tags.
  for _, tag in ipairs(there and tags(there) or {}) do
    if tag == ARGV[2] then
      removed = removed + redis.call('DEL', key)
      unindex(key, there, ARGV[1])
      break
    end
  end
  redis.call('ZREM', KEYS[1], key)
end
return {removed, #keys}
