-- Who of a conversation is in line: asked at the end of each of its runs, and whenever one of its tasks may begin.
CREATE INDEX runs_in_line_of_conversation ON runs (owner, conversation_id, create_time, run_id)
    WHERE state = 'queued';
