// check, kernel, core, blocks, what the message must hold. "": y is finite.
CASE(correct, ok_sync_all, AIV, 40, "")
CASE(correct, ok_mode_0, AIV, 20, "")
CASE(correct, ok_sync_mixed, MIX, 4, "")
CASE(deadlock, fewer_meet, AIV, 8, "waits for SyncAll")
CASE(deadlock, fewer_set, AIV, 3, "AIV 0 waits for flag 3, AIV 1 waits for flag 3, AIV 2 waits for flag 3")
CASE(race, no_meeting, AIV, 4, "no flag orders the two")
CASE(race, met_too_soon, AIV, 4, "no flag orders the two")
CASE(race, overwrites_after_reading, AIV, 4, "no flag orders the two")
