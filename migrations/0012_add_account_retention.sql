-- How long an account keeps what it sent, in days. NULL: as the settings say. Only adds; the version of the Worker
-- before this one runs on it, and keeps everything as long as the settings say.

-- 0: content goes with the end of the last delivery.
ALTER TABLE accounts ADD COLUMN body_days INTEGER CHECK (body_days >= 0);
ALTER TABLE accounts ADD COLUMN metadata_days INTEGER CHECK (metadata_days >= 1);
