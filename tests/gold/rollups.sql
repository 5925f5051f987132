-- Queries whose answers are compared, exactly, with those of DataFusion over the same events in one batch, where `tumble(width)` is
-- `date_bin(width, _time)`. Columns are quoted; a query begins after its name and ends with a semicolon.
-- types: EventID bigint, RecordNumber bigint, port bigint, ThreadID bigint, SeverityValue bigint, ProcessId bigint, SourceProcessId bigint, TargetProcessId bigint, Signed boolean, DestinationPort bigint

-- everything by the day
SELECT count(*) AS n FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 day');

-- by minute and host
SELECT "Hostname", count(*) AS n FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 minute'), "Hostname";

-- channels by the hour
SELECT "Channel" AS channel, count(*) AS n, count(DISTINCT "Hostname") AS hosts, count(DISTINCT "EventID") AS kinds FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "Channel";

-- numbers
SELECT "Channel", sum("RecordNumber") AS total, min("RecordNumber") AS least, max("RecordNumber") AS most, avg("RecordNumber") AS mean, count("RecordNumber") AS n
FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '10 minutes'), "Channel";

-- two keys and a range
SELECT "EventID", "Hostname", count(*) AS n FROM events WHERE "EventID" BETWEEN 1 AND 25 AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '5 minutes'), "EventID", "Hostname";

-- having
SELECT "EventID", count(*) AS n FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "EventID" HAVING count(*) > 100;

-- having something that is not selected
SELECT "EventID" FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 day'), "EventID" HAVING count(DISTINCT "Hostname") >= 3 AND min("RecordNumber") > 0;

-- case
SELECT CASE WHEN "EventID" IN (1, 4688) THEN 'process' WHEN "EventID" = 3 THEN 'network' WHEN "EventID" >= 5000 THEN 'late' ELSE 'other' END AS kind, count(*) AS n
FROM events WHERE "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 hour'), CASE WHEN "EventID" IN (1, 4688) THEN 'process' WHEN "EventID" = 3 THEN 'network' WHEN "EventID" >= 5000 THEN 'late' ELSE 'other' END;

-- lower and split
SELECT lower(split_part("Hostname", '.', 1)) AS host, count(*) AS n FROM events WHERE "Hostname" LIKE '%.%' AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '6 hours'), lower(split_part("Hostname", '.', 1));

-- regular expressions
SELECT regexp_replace("Image", '^.*\\', '') AS program, count(*) AS n FROM events WHERE "Image" ~ '\.exe$' AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 day'), regexp_replace("Image", '^.*\\', '');

-- likeness without case
SELECT count(*) AS n, count(DISTINCT "Image") AS images FROM events WHERE "Image" ILIKE '%\\powershell%' AND "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour');

-- substrings
SELECT substr("Channel", 1, 9) AS beginning, length("Channel") AS letters, count(*) AS n FROM events WHERE "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 day'), substr("Channel", 1, 9), length("Channel");

-- filters on aggregates
SELECT "Hostname", count(*) FILTER (WHERE "EventID" = 10) AS opened, count(*) FILTER (WHERE "EventID" = 12 OR "EventID" = 13) AS registry,
       sum("port") FILTER (WHERE "port" > 1024) AS ports FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '30 minutes'), "Hostname";

-- coalesce and nullif
SELECT coalesce("User", "AccountName", 'nobody') AS who, count(nullif("RuleName", '-')) AS named, count(*) AS n FROM events WHERE "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 day'), coalesce("User", "AccountName", 'nobody');

-- times
SELECT date_trunc('hour', _time) AS hour, date_part('minute', min(_time)) AS first_minute, min(_time) AS began, max(_time) AS ended, count(*) AS n FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 day'), date_trunc('hour', _time);

-- calculations with aggregates
SELECT "Hostname", max("RecordNumber") - min("RecordNumber") AS spread, count(*) * 2 + 1 AS odd, sum("EventID") % 97 AS rest FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "Hostname";

-- medians
SELECT "Channel", median(cast("RecordNumber" AS double)) AS median, percentile_cont(0.9) WITHIN GROUP (ORDER BY cast("ThreadID" AS double)) AS p90 FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '10 minutes'), "Channel";

-- deviations
SELECT "Hostname", round(stddev("ThreadID"), 4) AS stddev, round(var_pop("ThreadID"), 4) AS var_pop, round(stddev_pop("EventID"), 4) AS of_ids FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "Hostname";

-- covariance
SELECT round(covar_pop("EventID", "ThreadID"), 2) AS covar, round(corr("EventID", "ThreadID"), 6) AS corr, regr_count("EventID", "ThreadID") AS pairs FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 day');

-- booleans
SELECT "Hostname", bool_and("Signed") AS all_signed, bool_or("Signed") AS some_signed, count("Signed") AS n FROM events WHERE "EventID" = 7 AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 hour'), "Hostname";

-- bits
SELECT "Channel", bit_and("EventID") AS all_bits, bit_or("EventID") AS any_bits, bit_xor("EventID") AS odd_bits FROM events WHERE "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 hour'), "Channel";

-- lists of different values
SELECT "Channel", array_agg(DISTINCT "EventID" ORDER BY "EventID") AS ids, string_agg(DISTINCT "Hostname", ',' ORDER BY "Hostname") AS hosts FROM events
WHERE "@timestamp" IS NOT NULL AND "EventID" IS NOT NULL GROUP BY tumble(interval '1 day'), "Channel";

-- ordered lists
SELECT "Hostname", array_agg("EventID" ORDER BY "RecordNumber", "ThreadID", "EventID") AS ids FROM events WHERE "EventID" IN (4624, 4688) AND "RecordNumber" IS NOT NULL AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 minute'), "Hostname" HAVING count(*) < 900;

-- sums of different values
SELECT "Hostname", sum(DISTINCT "EventID") AS ids FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "Hostname";

-- nulls as a key
SELECT "User", "Image", count(*) AS n FROM events WHERE "@timestamp" IS NOT NULL AND "EventID" = 1 GROUP BY tumble(interval '1 day'), "User", "Image";

-- conditions
SELECT count(*) AS n FROM events WHERE ("EventID" = 10 AND NOT "SourceImage" = 'C:\windows\system32\svchost.exe' OR "Image" IS NULL AND "port" > 60000) AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 hour');

-- lists of texts
SELECT "GrantedAccess", count(*) AS n FROM events WHERE "GrantedAccess" IN ('0x1000', '0x1410', '0x1fffff') AND "GrantedAccess" NOT IN ('0x1410') AND "@timestamp" IS NOT NULL
GROUP BY tumble(interval '1 hour'), "GrantedAccess";

-- least and greatest texts
SELECT "Channel", min("Hostname") AS first, max("Hostname") AS last, min("Image") AS image FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "Channel";

-- a second
SELECT "EventID", count(*) AS n, count("Image") AS images FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 second'), "EventID" HAVING count(*) >= 20;

-- functions of keys and of aggregates
SELECT upper("Severity") AS severity, concat('<', upper("Severity"), '>') AS quoted, greatest(count("port"), count("ThreadID")) AS most, abs(min("SeverityValue") - 10) AS far,
       round(avg("port") / 1000, 3) AS thousands FROM events WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '2 hours'), upper("Severity");

-- without keys and without rows
SELECT count(*) AS n, sum("port") AS total, avg("port") AS mean FROM events WHERE "EventID" = -1 AND "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 minute');

-- powers and roots
SELECT "Channel", round(sqrt(sum("EventID")), 6) AS root, power(2, min("SeverityValue")) AS power, sum(power("SeverityValue", 2)) AS squares, sum("EventID" / 2) AS halves FROM events
WHERE "@timestamp" IS NOT NULL GROUP BY tumble(interval '1 hour'), "Channel";
