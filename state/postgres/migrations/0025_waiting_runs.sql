-- Whether any run waits for a person is asked all the time, and mostly none does.
CREATE INDEX runs_waiting ON runs (run_id) WHERE state = 'waiting_for_permission';
