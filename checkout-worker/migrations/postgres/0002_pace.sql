-- Rates that all processes share: one row for every drop's drain and every endpoint of the provider. Instants are microseconds.

-- The one clock that turns are counted by.
CREATE FUNCTION pace_now() RETURNS bigint LANGUAGE sql VOLATILE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- Nothing here is worth a wait for the disk: a server that comes back from a crash was away for longer than any turn that it
-- had given away.
CREATE UNLOGGED TABLE pace (
    name       text   NOT NULL PRIMARY KEY,
    last       bigint NOT NULL,
    in_force   bigint NOT NULL CHECK (in_force > 0),
    changed    bigint NOT NULL,
    not_before bigint NOT NULL
) WITH (fillfactor = 50);
