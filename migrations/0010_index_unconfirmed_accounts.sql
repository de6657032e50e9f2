-- Accounts that nobody confirmed are looked for by the hourly sweep; an entry lasts until the account is confirmed.
CREATE INDEX accounts_unconfirmed ON accounts (created_at) WHERE unconfirmed = 1;
