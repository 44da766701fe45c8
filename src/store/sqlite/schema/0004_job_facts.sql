-- A job may have a key that no other unfinished job of its owner has; the index holds it whatever the daemon believes.
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
CREATE UNIQUE INDEX jobs_are_unique ON jobs (owner, unique_key) WHERE unique_key IS NOT NULL AND state < 5;

-- How many of its attempts do not count against its retries: those that the daemon's end interrupted, and all that came before
-- a user had it run again.
ALTER TABLE jobs ADD COLUMN pardoned INTEGER NOT NULL DEFAULT 0
    CONSTRAINT jobs_pardon_only_what_was CHECK (pardoned BETWEEN 0 AND attempts);
