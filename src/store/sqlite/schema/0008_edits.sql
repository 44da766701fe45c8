-- What users changed about jobs after they were submitted. Most jobs have no row here.
CREATE TABLE edits (
    job         INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    -- How often: an edit is refused if another came between its look and its commit.
    edits       INTEGER NOT NULL CONSTRAINT edits_are_counted CHECK (edits >= 1),
    -- The place in its queue that a user gave it: it counts as having come at this moment, beside the job of this id, so far
    -- ahead of it or behind it.
    turn_at     INTEGER,
    turn_beside INTEGER,
    turn_offset INTEGER,
    CONSTRAINT edits_turn_is_whole CHECK (
        (turn_at IS NULL) = (turn_beside IS NULL)
        AND (turn_at IS NULL) = (turn_offset IS NULL)
    )
) STRICT;
