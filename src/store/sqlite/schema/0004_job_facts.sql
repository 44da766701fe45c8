-- A job may have a key that no other unfinished job of its owner has; the index holds it whatever the daemon believes.
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
CREATE UNIQUE INDEX jobs_are_unique ON jobs (owner, unique_key) WHERE unique_key IS NOT NULL AND state < 5;

-- How many of its attempts do not count against its retries: those that the daemon's end interrupted, and all that came before
-- a user had it run again.
ALTER TABLE jobs ADD COLUMN pardoned INTEGER NOT NULL DEFAULT 0
    CONSTRAINT jobs_pardon_only_what_was CHECK (pardoned BETWEEN 0 AND attempts);

-- A user wants the running job held instead of run again.
ALTER TABLE jobs ADD COLUMN hold_asked INTEGER NOT NULL DEFAULT 0
    CONSTRAINT jobs_only_running_are_to_be_held CHECK (hold_asked IN (0, 1) AND (hold_asked = 0 OR state = 4));
