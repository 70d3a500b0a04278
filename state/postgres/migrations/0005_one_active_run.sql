-- One active run in a conversation. Active is what has begun and not ended, and a chat in the line. A task that
-- has not begun yet holds nothing, and a chat that waits for a person lets the next turn in.
CREATE UNIQUE INDEX runs_one_active ON runs (owner, conversation_id) WHERE
    state IN ('running', 'cancelling')
    OR (state = 'queued' AND (kind = 'chat' OR attempt > 0))
    OR (state = 'waiting_for_permission' AND kind = 'task');
