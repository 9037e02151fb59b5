-- The space that idempotency keys are drawn from: one row. A restored ledger moves to the next one.
CREATE TABLE key_space (
    the_one INTEGER NOT NULL PRIMARY KEY CHECK (the_one = 1),
    space   INTEGER NOT NULL CHECK (space > 0)
) STRICT;

INSERT INTO key_space (the_one, space) VALUES (1, 1);
