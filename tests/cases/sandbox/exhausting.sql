-- numbers without end
SELECT count(*) FROM range(1_000_000_000_000)

-- a cross join
SELECT count(*) FROM range(1_000_000_000) a, range(1_000_000) b

-- a cross join of the rows, again and again
SELECT count(*) FROM calls a, calls b, calls c, calls d, calls e, calls f, calls g, calls h, range(100_000_000)

-- a recursion without end
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t

-- a recursion that doubles
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + i FROM t, range(2) r(i)) SELECT count(*) FROM t

-- a recursion that grows a text
WITH RECURSIVE t(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM t) SELECT max(length(x)) FROM t

-- a text of ten gigabytes
SELECT length(repeat('x', 10_000_000_000))

-- texts of some megabytes
SELECT sum(length(repeat('x', 10_000_000) || range)) FROM range(1_000_000)

-- a comparison of two long texts
SELECT levenshtein(repeat('a', 1_000_000), repeat('b', 1_000_000))

-- another comparison
SELECT jaro_winkler_similarity(repeat('ab', 500_000), repeat('ba', 500_000))

-- a pattern in a long text
SELECT regexp_replace(repeat('a', 10_000_000), '(a*)*b', 'x', 'g')

-- every match of a pattern
SELECT len(regexp_extract_all(repeat('ab', 50_000_000), '(a|b|ab)*?'))

-- a pattern that grows
SELECT regexp_matches(repeat('a', 1_000_000), '((a{0,30}){0,30}){0,30}b') FROM range(1_000_000)

-- a like with many wildcards
SELECT count(*) FROM range(10_000_000) WHERE repeat('a', 10_000) LIKE '%a%a%a%a%a%a%a%b'

-- a list of all
SELECT len(list(range)) FROM range(1_000_000_000)

-- a text of all
SELECT length(string_agg(repeat('x', 1000), ',')) FROM range(1_000_000_000)

-- a list of lists
SELECT len(list_transform(range(1_000_000), lambda x: range(1_000_000)))

-- a list that doubles
WITH a AS (SELECT range(10_000) AS x), b AS (SELECT x || x || x || x AS x FROM a), c AS (SELECT x || x || x || x AS x FROM b), d AS (SELECT x || x || x || x AS x FROM c), e AS (SELECT x || x || x || x AS x FROM d), f AS (SELECT x || x || x || x AS x FROM e) SELECT len(x || x || x || x || x || x || x || x) FROM f

-- a reduction
SELECT list_reduce(range(100_000_000), lambda a, b: a + b)

-- distinct values without end
SELECT count(DISTINCT range) FROM range(1_000_000_000)

-- groups without end
SELECT range % 1_000_000_000, count(*) FROM range(1_000_000_000) GROUP BY 1

-- a sort without end
SELECT range FROM range(1_000_000_000) ORDER BY hash(range) LIMIT 1 OFFSET 900_000_000

-- windows without end
SELECT max(s) FROM (SELECT sum(range) OVER (ORDER BY hash(range)) AS s FROM range(1_000_000_000))

-- a quantile of all
SELECT quantile_cont(range, 0.5), mode(range) FROM range(1_000_000_000)

-- a hash join without end
SELECT count(*) FROM range(500_000_000) a JOIN range(500_000_000) b ON hash(a.range) = hash(b.range)

-- a join by inequality
SELECT count(*) FROM range(10_000_000) a JOIN range(10_000_000) b ON a.range * 7 % 13 < b.range * 5 % 11

-- a wide number
SELECT length(printf('%1000000000d', 1))

-- a wide text
SELECT length(lpad('', 2_000_000_000, 'x'))

-- dates without end
SELECT count(*) FROM generate_series(TIMESTAMP '0001-01-01', TIMESTAMP '9999-01-01', INTERVAL 1 MICROSECOND)

-- a bar of a chart
SELECT length(bar(1, 0, 1, 1_000_000_000))

-- bits
SELECT length(bitstring('1', 2_000_000_000))

-- a bomb of rows
SELECT unnest(range(1_000_000_000)), repeat('x', 1000)

-- a bomb of JSON
SELECT json_group_array(repeat('x', 1000)) FROM range(100_000_000)

-- a factorial
SELECT list_sum(list_transform(range(30_000_000), lambda x: (x % 33)!))
