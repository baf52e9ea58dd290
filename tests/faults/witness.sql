-- Sees every write that a worker commits, and judges it by the rows alone. Workers have roles of their own.
CREATE SCHEMA witness;

-- Who wrote under which claim: one claim has one writer.
CREATE TABLE witness.writers (
    pair_id text, generation int, who name, what text, at timestamptz, PRIMARY KEY (pair_id, generation, who)
);
-- What became of claims: claimed, released by a run's end, or ended from outside.
CREATE TABLE witness.claims (pair_id text, generation int, what text, at timestamptz, who name);
CREATE INDEX ON witness.claims (pair_id, generation);
CREATE TABLE witness.logged (sync_id text PRIMARY KEY, pair_id text, generation int, trigger text);
CREATE TABLE witness.violations (at timestamptz, who name, what text, pair_id text);

CREATE FUNCTION witness.wrote(pair text, under int, what text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO witness.writers VALUES (pair, under, session_user, what, clock_timestamp())
        ON CONFLICT DO NOTHING;
$$;

CREATE FUNCTION witness.complain(what text, pair text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO witness.violations VALUES (clock_timestamp(), session_user, what, pair);
$$;

CREATE FUNCTION witness.pair_written() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    event text := CASE WHEN NEW.leased_until IS NULL THEN 'ended' ELSE 'claimed' END;
BEGIN
    IF NEW.generation = OLD.generation THEN
        PERFORM witness.wrote(NEW.id, NEW.generation,
            format('pair leased until %s, then %s', OLD.leased_until, coalesce(NEW.leased_until::text, 'released')));
        IF OLD.leased_until IS NULL THEN
            PERFORM witness.complain('a pair written without a claim', NEW.id);
        ELSIF NEW.leased_until IS NOT NULL THEN
            RETURN NULL;
        END IF;
        event := 'released';
    ELSIF NEW.generation <> OLD.generation + 1 THEN
        PERFORM witness.complain('a generation left out', NEW.id);
    ELSIF NEW.leased_until IS NOT NULL AND OLD.leased_until IS NOT NULL THEN
        PERFORM witness.complain('claimed while claimed', NEW.id);
    END IF;
    INSERT INTO witness.claims VALUES (NEW.id, NEW.generation, event, clock_timestamp(), session_user);
    RETURN NULL;
END $$;

CREATE FUNCTION witness.row_written() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    row jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
    pair text := row ->> 'pair_id';
    connection text := row ->> CASE TG_TABLE_NAME WHEN 'connections' THEN 'id' ELSE 'connection_id' END;
    me xid := pg_current_xact_id()::xid;
    held record;
BEGIN
    IF TG_TABLE_NAME = 'operations' THEN
        SELECT runs.pair_id INTO pair FROM runs WHERE id = row ->> 'run_id';
    END IF;
    -- Locked by this transaction while it was claimed, or written by it: then pair_written has judged that.
    SELECT id, generation INTO held FROM pairs
        WHERE (id = pair OR (pair IS NULL AND connection IN (connection_a_id, connection_b_id)))
          AND (xmin = me OR (xmax = me AND leased_until IS NOT NULL))
        LIMIT 1;
    IF NOT FOUND THEN
        PERFORM witness.complain(TG_OP || ' of ' || TG_TABLE_NAME || ' without a claim', pair);
        RETURN NULL;
    END IF;
    PERFORM witness.wrote(held.id, held.generation, TG_OP || ' of ' || TG_TABLE_NAME);
    IF TG_TABLE_NAME = 'runs' AND TG_OP = 'INSERT' THEN
        INSERT INTO witness.logged VALUES (row ->> 'sync_id', pair, held.generation, row ->> 'trigger');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER witness AFTER UPDATE ON pairs FOR EACH ROW
    WHEN (session_user LIKE 'worker%' AND (OLD.generation, OLD.leased_until, OLD.last_synced_at, OLD.status,
        OLD.quiet_state, OLD.attention_code) IS DISTINCT FROM (NEW.generation, NEW.leased_until,
        NEW.last_synced_at, NEW.status, NEW.quiet_state, NEW.attention_code))
    EXECUTE FUNCTION witness.pair_written();
CREATE TRIGGER witness AFTER UPDATE OF finished_at ON orders FOR EACH ROW
    WHEN (session_user LIKE 'worker%') EXECUTE FUNCTION witness.row_written();
-- They fire in the order of their names: before those of foreign keys, whose locks look like the fence's.
DO $$
DECLARE
    of_runs text;
BEGIN
    FOREACH of_runs IN ARRAY ARRAY['links', 'failures', 'event_index', 'connections', 'runs', 'operations'] LOOP
        EXECUTE format('CREATE TRIGGER "A_witness" AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW '
            'WHEN (session_user LIKE ''worker%%'') EXECUTE FUNCTION witness.row_written()', of_runs);
    END LOOP;
END $$;
