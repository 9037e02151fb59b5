-- When an order was accepted: from then on an answer is owed. Nothing for orders that were not, or before this was kept.
ALTER TABLE orders ADD COLUMN accepted_at INTEGER;
