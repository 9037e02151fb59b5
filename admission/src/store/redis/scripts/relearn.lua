-- Takes places up again that whoever wrote the keys could not know of.
--
-- ARGV 6.. for each: shopper, number, drawn, joined_at, rank of the place on the ticket
-- Returns {'OK', .., 'done'}
-- Repeating it changes nothing; nobody gets a place who had none, or gave it up since.

if settle() then
  return start_first()
end
for i = 6, #ARGV, 5 do
  place_of(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]))
end
return answer('done')
