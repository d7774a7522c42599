-- How many answers there are, and what they take in bytes.

return { redis.call('ZCARD', USED), redis.call('GET', BYTES) }
