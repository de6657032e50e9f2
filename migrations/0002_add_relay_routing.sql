-- Which relay carries which mail, how fast, and what an account wants done about doubt. Only adds columns, each
-- with a default, so that the version of the Worker before this one goes on working on the same rows.

-- Relays of a lower priority come first; those of one priority share the mail by weight.
ALTER TABLE relays ADD COLUMN priority INTEGER NOT NULL DEFAULT 10 CHECK (priority BETWEEN 0 AND 1000);
ALTER TABLE relays ADD COLUMN weight INTEGER NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000);

-- Canonical From domains as a JSON list; empty: all of them.
ALTER TABLE relays ADD COLUMN from_domains TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(from_domains));

-- NULL: no limit.
ALTER TABLE relays ADD COLUMN max_sessions INTEGER CHECK (max_sessions > 0);
ALTER TABLE relays ADD COLUMN messages_per_second INTEGER CHECK (messages_per_second > 0);
ALTER TABLE relays ADD COLUMN messages_per_minute INTEGER CHECK (messages_per_minute > 0);
ALTER TABLE relays ADD COLUMN messages_per_day INTEGER CHECK (messages_per_day > 0);
ALTER TABLE relays ADD COLUMN messages_per_session INTEGER CHECK (messages_per_session > 0);

-- What becomes of a delivery whose final reply was lost: sent again, or held until the customer decides.
ALTER TABLE accounts ADD COLUMN in_doubt_policy TEXT NOT NULL DEFAULT 'retry'
  CHECK (in_doubt_policy IN ('retry', 'hold'));
