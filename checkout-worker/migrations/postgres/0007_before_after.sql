-- What each action of an operator changed: how it was before and how it is after, as JSON. A line without the second was
-- written before something was tried outside of the ledger; how that ended stands in a later line.
ALTER TABLE audit ADD COLUMN before text, ADD COLUMN after text;
