-- SPDX-License-Identifier: Apache-2.0
-- Coroutines, tables and strings: on standard input a number per line, on standard output the number
-- and a digest of all that was kept. The answers depend on nothing but the numbers.
local kept, digest = {}, 0

local worker = coroutine.wrap(function(number)
  local state = 0
  while true do
    state = state ~ number
    for _ = 1, 2000 do
      state = state * 6364136223846793005 + 1442695040888963407
      kept[(state >> 35) % 300 + 1] = string.rep(string.format("%x", state), (state >> 40) % 5 + 1)
    end
    for key = 1, 300 do
      local value = kept[key] or ""
      digest = (digest * 31 + key * #value + (value:byte(-1) or 0)) & 0xffffffffffff
    end
    number = coroutine.yield(digest)
  end
end)

print("ready")
io.stdout:flush()
for line in io.lines() do
  print(line .. " " .. string.format("%x", worker(math.tointeger(line))))
  io.stdout:flush()
end
