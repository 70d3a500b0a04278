-- Which trace asked for a run: its spans belong there, also after it has waited in line or its process has died.
ALTER TABLE runs ADD COLUMN traceparent text NOT NULL DEFAULT '';
