-- Elements of arrays that have no row of their own yet: they get one when their turn comes near or somebody names them. They
-- count as uses of their spec and context, and in the sums, from the start.
CREATE TABLE folds (
    -- The array's first id.
    array        INTEGER PRIMARY KEY,
    -- The first and the last element without a row.
    next         INTEGER NOT NULL CONSTRAINT folds_follow_their_first CHECK (next > array),
    last         INTEGER NOT NULL CONSTRAINT folds_hold_something CHECK (last >= next),
    -- The index of the first, and how far apart the indexes are.
    next_index   INTEGER NOT NULL,
    step         INTEGER NOT NULL CONSTRAINT folds_go_on CHECK (step >= 1),
    -- Queued or held: whatever waits for a time or for others has a row.
    state        INTEGER NOT NULL CONSTRAINT folds_wait_for_nothing CHECK (state IN (2, 3)),
    submitted_at INTEGER NOT NULL,
    queue        INTEGER NOT NULL,
    spec         INTEGER NOT NULL,
    context      INTEGER NOT NULL,
    owner        INTEGER NOT NULL,
    submission   INTEGER NOT NULL
) STRICT;

-- How many elements of an array stand where, so that a list tells of a million of them by reading a handful of rows.
CREATE TABLE array_tallies (
    array INTEGER NOT NULL,
    state INTEGER NOT NULL,
    jobs  INTEGER NOT NULL CONSTRAINT array_tallies_are_never_below_zero CHECK (jobs >= 0),
    PRIMARY KEY (array, state)
) STRICT, WITHOUT ROWID;

INSERT INTO array_tallies (array, state, jobs)
    SELECT array, state, count(*) FROM jobs WHERE array IS NOT NULL GROUP BY array, state;
