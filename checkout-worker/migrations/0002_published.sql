-- What a durable broker holds: the order's version that its message was written for, and since when. An order that has
-- moved on since has been seen by a worker; one that has not waits for its turn, and is not published anew every second.
ALTER TABLE orders ADD COLUMN published_version INTEGER NOT NULL DEFAULT -1;
ALTER TABLE orders ADD COLUMN published_at INTEGER NOT NULL DEFAULT 0;
