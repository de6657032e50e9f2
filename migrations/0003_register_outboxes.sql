-- Which objects exist, so that the hourly sweep can wake one whose alarm was lost. A row for each account
-- and shard that ever accepted mail, never a row for a message.
-- No index on swept_at: it would be written with every wake, and the sweep reads the table once an hour.

CREATE TABLE outboxes (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  shard INTEGER NOT NULL CHECK (shard BETWEEN 0 AND 63),
  created_at INTEGER NOT NULL,
  swept_at INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account_id, shard)
) STRICT, WITHOUT ROWID;
