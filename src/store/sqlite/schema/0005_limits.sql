-- Keys and the array's own limit, as JSON: read at a start for every unfinished job, so it has a column of its own. NULL for
-- the many jobs that stand under no limit of their own.
ALTER TABLE specs ADD COLUMN limits TEXT
    CONSTRAINT specs_limits_are_json CHECK (limits IS NULL OR json_valid(limits));
