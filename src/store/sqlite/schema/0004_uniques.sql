-- A job may have a key that no other unfinished job of its owner has; the index holds it whatever the daemon believes.
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
CREATE UNIQUE INDEX jobs_are_unique ON jobs (owner, unique_key) WHERE unique_key IS NOT NULL AND state < 5;
