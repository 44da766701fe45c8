-- Elements without a row of their own can be held, released and cancelled as one, and stay as one when they have ended: until
-- they are retried or removed, as one too, or somebody names a part of them.
CREATE TABLE folds_that_end (
    -- The array's first id.
    array        INTEGER PRIMARY KEY,
    -- The first and the last element without a row.
    next         INTEGER NOT NULL CONSTRAINT folds_follow_their_first CHECK (next > array),
    last         INTEGER NOT NULL CONSTRAINT folds_hold_something CHECK (last >= next),
    -- The index of the first, and how far apart the indexes are.
    next_index   INTEGER NOT NULL,
    step         INTEGER NOT NULL CONSTRAINT folds_go_on CHECK (step >= 1),
    -- Held, queued or cancelled: whatever waits for a time or for others, or has run, has a row.
    state        INTEGER NOT NULL CONSTRAINT folds_wait_for_nothing CHECK (state IN (2, 3, 7)),
    submitted_at INTEGER NOT NULL,
    queue        INTEGER NOT NULL,
    spec         INTEGER NOT NULL,
    context      INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    submission   INTEGER NOT NULL,
    -- When they came to this state, and why if somebody said so.
    moved_at     INTEGER NOT NULL,
    reason       TEXT
) STRICT;

INSERT INTO folds_that_end
    SELECT array, next, last, next_index, step, state, submitted_at, queue, spec, context, owner, submission, submitted_at, NULL
    FROM folds;
DROP TABLE folds;
ALTER TABLE folds_that_end RENAME TO folds;
