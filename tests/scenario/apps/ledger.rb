# SPDX-License-Identifier: Apache-2.0
# Threads, queues, a fiber: on standard input a number per line, on standard output the number and a
# digest of all that was kept. The answers depend on nothing but the numbers.
WORKERS = 4

def work(worker, orders, results)
  kept = {}
  state = worker
  while (number = orders.pop)
    state ^= number
    500.times do
      state = (state * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
      kept[(state >> 35) % 200] = state.to_s(16) * ((state >> 40) % 9)
    end
    results << kept.sum { |key, value| key * value.sum }
  end
end

results = Queue.new
orders = Array.new(WORKERS) { Queue.new }
orders.each_with_index { |queue, worker| Thread.new { work(worker, queue, results) } }
count = Fiber.new { |sum| loop { sum = (sum * 31 + Fiber.yield(sum)) % 2**48 } }
count.resume(0)
$stdout.sync = true
puts 'ready'
$stdin.each_line do |line|
  orders.each { |queue| queue << line.to_i }
  puts "#{line.strip} #{count.resume(orders.sum { results.pop }).to_s(16)}"
  GC.start
end
