-- A queue's rate: so many starts in any span of this length. NULL for the many queues without one.
ALTER TABLE queues ADD COLUMN rate_starts INTEGER
    CONSTRAINT queues_rate_lets_something_start CHECK (rate_starts IS NULL OR rate_starts >= 1);
ALTER TABLE queues ADD COLUMN rate_per_ns INTEGER
    CONSTRAINT queues_rate_is_whole CHECK ((rate_per_ns IS NULL) = (rate_starts IS NULL));
