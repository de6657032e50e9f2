-- Addresses that an account does not mail. Only a keyed hash of the address is there to compare with; the
-- address itself is sealed. Both are made with the account's own data key, so no two accounts' rows compare.

CREATE TABLE suppressions (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  address_hash TEXT NOT NULL,
  sealed_address BLOB NOT NULL,
  origin TEXT NOT NULL CHECK (origin IN ('manual', 'bounce', 'complaint', 'unsubscribe')),
  source_id TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id),
  UNIQUE (account_id, address_hash)
) STRICT, WITHOUT ROWID;
