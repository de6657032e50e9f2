-- Contacts, lists, topics and custom properties. What somebody wrote (addresses, names, values, names of lists) is
-- sealed under the account's data key; beside it stand only ids, times, states and keyed hashes to compare with.
-- Every key begins with the account and every reference carries it, so no row can point into another account.
-- Each index is a row that is written and paid for: there are none but those by which a page or a delete finds its rows.
-- What hangs on a contact has him second in its primary key. Without statistics SQLite takes the rows of an account for
-- ten, and would rather read them all than go through an index that does not hold every column that is asked for; and to
-- delete, it asks for all of them.

CREATE TABLE contacts (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  -- 16 bytes of a keyed hash of the address in lower case.
  email_hash BLOB NOT NULL,
  -- 8 bytes of a keyed hash of the domain.
  domain_hash BLOB NOT NULL,
  -- Address, names and values of properties.
  sealed BLOB NOT NULL,
  unsubscribed INTEGER NOT NULL DEFAULT 0 CHECK (unsubscribed IN (0, 1)),
  created_at INTEGER NOT NULL,
  -- Grows with every change of this row: what was read is written only over what was read.
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id),
  UNIQUE (account_id, email_hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX contacts_domain ON contacts (account_id, domain_hash, id);

CREATE TABLE contact_properties (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  key_hash BLOB NOT NULL,
  -- Key and fallback value.
  sealed BLOB NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('string', 'number')),
  is_filterable INTEGER NOT NULL DEFAULT 0 CHECK (is_filterable IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id),
  UNIQUE (account_id, key_hash)
) STRICT, WITHOUT ROWID;

-- Values of filterable properties, as keyed hashes: for equality, and for nothing else.
CREATE TABLE contact_values (
  account_id TEXT NOT NULL,
  property_id TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  value_hash BLOB NOT NULL,
  PRIMARY KEY (account_id, contact_id, property_id),
  FOREIGN KEY (account_id, property_id) REFERENCES contact_properties (account_id, id) ON DELETE CASCADE,
  FOREIGN KEY (account_id, contact_id) REFERENCES contacts (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX contact_values_value ON contact_values (account_id, property_id, value_hash, contact_id);

CREATE TABLE lists (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  -- Name, and the filter of a dynamic list.
  sealed BLOB NOT NULL,
  is_dynamic INTEGER NOT NULL DEFAULT 0 CHECK (is_dynamic IN (0, 1)),
  double_opt_in INTEGER NOT NULL DEFAULT 0 CHECK (double_opt_in IN (0, 1)),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE list_members (
  account_id TEXT NOT NULL,
  list_id TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  -- Pending: on a list with double opt-in, until the person has confirmed.
  status TEXT NOT NULL CHECK (status IN ('confirmed', 'pending')),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, contact_id, list_id),
  FOREIGN KEY (account_id, list_id) REFERENCES lists (account_id, id) ON DELETE CASCADE,
  FOREIGN KEY (account_id, contact_id) REFERENCES contacts (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX list_members_list ON list_members (account_id, list_id, contact_id, status, created_at);

CREATE TABLE topics (
  account_id TEXT NOT NULL REFERENCES accounts (account_id),
  id TEXT NOT NULL,
  -- Name and description.
  sealed BLOB NOT NULL,
  default_subscription TEXT NOT NULL CHECK (default_subscription IN ('opt_in', 'opt_out')),
  visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private')),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, id)
) STRICT, WITHOUT ROWID;

-- Only what somebody chose; everybody else has the default of the topic.
CREATE TABLE contact_topics (
  account_id TEXT NOT NULL,
  topic_id TEXT NOT NULL,
  contact_id TEXT NOT NULL,
  subscription TEXT NOT NULL CHECK (subscription IN ('opt_in', 'opt_out')),
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (account_id, contact_id, topic_id),
  FOREIGN KEY (account_id, topic_id) REFERENCES topics (account_id, id) ON DELETE CASCADE,
  FOREIGN KEY (account_id, contact_id) REFERENCES contacts (account_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX contact_topics_topic ON contact_topics (account_id, topic_id, contact_id, subscription, updated_at);
