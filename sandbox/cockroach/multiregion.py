"""Regions of databases, localities of tables, and cluster settings, as functions in PostgreSQL.

They keep and refuse what CockroachDB does, and place no data: there is one copy of it, at the first node.
What was set is kept where every database sees it, in the settings of databases and of all roles.
Words and codes of the errors: pkg/sql/{alter_database,region_util,alter_table_locality}.go and
pkg/sql/catalog/multiregion of cockroachdb/cockroach.
"""

FUNCTIONS = """
CREATE FUNCTION crdb_internal.kept(db oid, setting text) RETURNS jsonb LANGUAGE sql STABLE AS $$
  SELECT substr(entry, length(setting) + 2)::jsonb
  FROM pg_db_role_setting, unnest(setconfig) AS entry
  WHERE setdatabase = db AND setrole = 0 AND starts_with(entry, setting || '=') $$;

CREATE FUNCTION crdb_internal.regions_of_cluster() RETURNS TABLE (region text, zones text[])
LANGUAGE sql STABLE AS $$
  SELECT key, ARRAY(SELECT jsonb_array_elements_text(value) ORDER BY 1)
  FROM jsonb_each(current_setting('standin.localities', true)::jsonb) ORDER BY 1 $$;

CREATE FUNCTION crdb_internal.regions_of(db text) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE id oid := (SELECT oid FROM pg_database WHERE datname = db);
BEGIN
  IF id IS NULL THEN
    RAISE EXCEPTION 'database "%" does not exist', db USING errcode = '3D000';
  END IF;
  RETURN crdb_internal.kept(id, 'standin.regions');
END $$;

CREATE FUNCTION crdb_internal.require_region(wanted text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM crdb_internal.regions_of_cluster() WHERE region = wanted) THEN
    RAISE EXCEPTION 'region "%" does not exist', wanted USING errcode = '42602', hint = 'valid regions: '
      || (SELECT string_agg(region, ', ') FROM crdb_internal.regions_of_cluster());
  END IF;
END $$;

CREATE PROCEDURE crdb_internal.keep_regions(db text, regions jsonb) LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER DATABASE %I SET standin.regions = %L', db, regions);
END $$;

CREATE PROCEDURE crdb_internal.set_primary_region(db text, region text) LANGUAGE plpgsql AS $$
DECLARE kept jsonb := crdb_internal.regions_of(db);
BEGIN
  PERFORM crdb_internal.require_region(region);
  IF kept IS NULL THEN
    kept := jsonb_build_object('regions', jsonb_build_array(region), 'survives', 'zone');
  ELSIF NOT kept->'regions' ? region THEN
    RAISE EXCEPTION 'region % has not been added to the database', quote_ident(region)
      USING errcode = '42602', hint = format('you must add the region to the database before setting it '
        'as primary region, using ALTER DATABASE %I ADD REGION %I', db, region);
  END IF;
  CALL crdb_internal.keep_regions(db, kept || jsonb_build_object('primary', region));
END $$;

CREATE PROCEDURE crdb_internal.add_region(db text, region text, or_not boolean) LANGUAGE plpgsql AS $$
DECLARE kept jsonb := crdb_internal.regions_of(db);
BEGIN
  IF kept IS NULL THEN
    RAISE EXCEPTION 'cannot add region % to database %', quote_ident(region), quote_ident(db)
      USING errcode = '42P12', hint = format(
        'you must add a PRIMARY REGION first using ALTER DATABASE %I PRIMARY REGION %I', db, region);
  END IF;
  PERFORM crdb_internal.require_region(region);
  IF NOT kept->'regions' ? region THEN
    kept := jsonb_set(kept, '{regions}', kept->'regions' || to_jsonb(region));
    CALL crdb_internal.keep_regions(db, kept);
  ELSIF or_not THEN
    RAISE NOTICE 'region "%" already exists; skipping', region;
  ELSE
    RAISE EXCEPTION 'region "%" already added to database', region USING errcode = '42710';
  END IF;
END $$;

CREATE PROCEDURE crdb_internal.drop_region(db text, region text, or_not boolean) LANGUAGE plpgsql AS $$
DECLARE kept jsonb := crdb_internal.regions_of(db);
BEGIN
  IF kept IS NULL OR NOT kept->'regions' ? region THEN
    IF or_not THEN
      RAISE NOTICE 'region "%" is not defined on the database; skipping', region;
      RETURN;
    END IF;
    RAISE EXCEPTION 'region "%" has not been added to the database', region USING errcode = '42704';
  ELSIF kept->>'primary' = region AND jsonb_array_length(kept->'regions') > 1 THEN
    RAISE EXCEPTION 'cannot drop region "%"', region USING errcode = '42P12', hint = format(
      'You must designate another region as the primary region using ALTER DATABASE %I PRIMARY REGION '
      '<region name> or remove all other regions before attempting to drop region "%s"', db, region);
  ELSIF kept->>'survives' = 'region' AND jsonb_array_length(kept->'regions') <= 3 THEN
    RAISE EXCEPTION 'at least 3 regions are required for surviving a region failure'
      USING errcode = '22023',
      hint = 'you must add additional regions to the database or change the survivability goal';
  ELSIF kept->>'primary' = region THEN
    EXECUTE format('ALTER DATABASE %I RESET standin.regions', db);
  ELSE
    CALL crdb_internal.keep_regions(db, jsonb_set(kept, '{regions}', (kept->'regions') - region));
  END IF;
END $$;

CREATE PROCEDURE crdb_internal.survive(db text, goal text) LANGUAGE plpgsql AS $$
DECLARE kept jsonb := crdb_internal.regions_of(db);
BEGIN
  IF kept IS NULL THEN
    RAISE EXCEPTION 'database must have associated regions before a survival goal can be set'
      USING errcode = '42602', hint = format(
        'you must first add a primary region to the database using ALTER DATABASE %I PRIMARY REGION '
        '<region_name>', db);
  ELSIF goal = 'region' AND jsonb_array_length(kept->'regions') < 3 THEN
    RAISE EXCEPTION 'at least 3 regions are required for surviving a region failure'
      USING errcode = '42602', hint = format(
        'you must add additional regions to the database using ALTER DATABASE %I ADD REGION '
        '<region_name>', db);
  END IF;
  CALL crdb_internal.keep_regions(db, kept || jsonb_build_object('survives', goal));
END $$;

CREATE FUNCTION crdb_internal.show_regions(db text)
RETURNS TABLE (database text, region text, "primary" boolean, secondary boolean, zones text[])
LANGUAGE sql STABLE AS $$
  SELECT db, name, name = kept->>'primary', false, coalesce(of.zones, '{}')
  FROM crdb_internal.regions_of(db) AS kept, jsonb_array_elements_text(kept->'regions') AS name
  LEFT JOIN crdb_internal.regions_of_cluster() AS of ON of.region = name
  ORDER BY 3 DESC, 2 $$;

CREATE FUNCTION crdb_internal.show_survival_goal(db text)
RETURNS TABLE (database text, survival_goal text) LANGUAGE sql STABLE AS $$
  SELECT db, crdb_internal.regions_of(db)->>'survives' $$;

CREATE FUNCTION pg_catalog.default_to_database_primary_region(wanted text) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN kept->'regions' ? wanted THEN wanted ELSE kept->>'primary' END
  FROM crdb_internal.regions_of(current_database()) AS kept $$;

CREATE TABLE crdb_internal.localities (relation regclass PRIMARY KEY, locality text NOT NULL);

CREATE PROCEDURE crdb_internal.set_locality(relation regclass, locality text, region text)
LANGUAGE plpgsql AS $$
DECLARE kept jsonb := crdb_internal.regions_of(current_database());
BEGIN
  IF kept IS NULL THEN
    RAISE EXCEPTION 'cannot alter a table''s LOCALITY if its database is not multi-region enabled'
      USING errcode = '42P16', hint = 'database must first be multi-region enabled using '
        'ALTER DATABASE ... SET PRIMARY REGION <region>';
  ELSIF region IS NOT NULL AND NOT kept->'regions' ? region THEN
    RAISE EXCEPTION 'region "%" has not been added to database "%"', region, current_database()
      USING errcode = '42P16';
  END IF;
  IF locality = 'REGIONAL BY ROW' AND NOT EXISTS (SELECT FROM pg_attribute
      WHERE attrelid = relation AND attname = 'crdb_region' AND NOT attisdropped) THEN
    EXECUTE format('ALTER TABLE %s ADD COLUMN crdb_region text NOT NULL '
      'DEFAULT default_to_database_primary_region(gateway_region())', relation);
  END IF;
  INSERT INTO crdb_internal.localities
  VALUES (relation, locality || coalesce(' IN ' || quote_ident(region), ''))
  ON CONFLICT ON CONSTRAINT localities_pkey DO UPDATE SET locality = excluded.locality;
END $$;

CREATE FUNCTION crdb_internal.show_tables()
RETURNS TABLE (schema_name name, table_name name, type text, owner name,
  estimated_row_count bigint, locality text)
LANGUAGE sql STABLE AS $$
  SELECT n.nspname, c.relname, CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END,
    pg_get_userbyid(c.relowner), greatest(c.reltuples, 0)::bigint, coalesce(l.locality,
      CASE WHEN crdb_internal.regions_of(current_database()) IS NOT NULL AND c.relkind <> 'v'
        THEN 'REGIONAL BY TABLE IN PRIMARY REGION' END)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN crdb_internal.localities l ON l.relation = c.oid
  WHERE c.relkind IN ('r', 'p', 'v')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'crdb_internal')
  ORDER BY 1, 2 $$;

CREATE FUNCTION crdb_internal.cluster_setting(name text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT crdb_internal.kept(0, 'standin.cluster_settings')->>name $$;

CREATE PROCEDURE crdb_internal.set_cluster_setting(name text, value text) LANGUAGE plpgsql AS $$
DECLARE kept jsonb := coalesce(crdb_internal.kept(0, 'standin.cluster_settings'), '{}') - name;
BEGIN
  IF value IS NOT NULL THEN
    kept := kept || jsonb_build_object(name, value);
  END IF;
  EXECUTE format('ALTER ROLE ALL SET standin.cluster_settings = %L', kept);
END $$;
"""
