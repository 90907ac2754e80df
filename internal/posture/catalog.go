package posture

// policySQL is the one policy of a walled table as PostgreSQL prints it, for reading and for writing. It is bare: an OR in it would
// be a side door, and would take the index from the plan.
const policySQL = `'(tenant = (current_setting(''app.tenant''::text))::integer)'`

// catalogSQL takes the tables (names, walled), the rights (table, column or ”, right), the extensions, and whether durability may be
// off; it gives the breaches and what is missing. Objects below 16384 came with PostgreSQL.
const catalogSQL = `WITH me AS MATERIALIZED (SELECT * FROM pg_roles WHERE rolname = current_user),
db AS MATERIALIZED (SELECT * FROM pg_database WHERE datname = current_database()),
ext AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = ANY ($6::text[])),
want AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::bool[]) AS w(name, walled)),
rights AS MATERIALIZED (SELECT * FROM unnest($3::text[], $4::text[], $5::text[]) AS r(name, col, priv)),
rel AS MATERIALIZED (SELECT c.oid, c.relkind, c.relacl, c.relowner, c.relrowsecurity, c.relforcerowsecurity, w.name, coalesce(w.walled, true) AS walled,
    CASE WHEN n.nspname = current_schema() THEN c.relname::text ELSE n.nspname || '.' || c.relname END AS label
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN want w ON w.name = c.relname AND n.nspname = current_schema() AND c.relkind IN ('r', 'p')
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    AND NOT EXISTS (SELECT 1 FROM ext WHERE classid = 'pg_class'::regclass AND objid = c.oid)),
acl AS MATERIALIZED (
  SELECT r.oid, r.name, r.label, a.grantee, a.privilege_type AS priv, '' AS col, a.is_grantable FROM rel r, aclexplode(r.relacl) a WHERE a.grantee <> r.relowner
  UNION ALL SELECT r.oid, r.name, r.label, a.grantee, a.privilege_type, t.attname, a.is_grantable
  FROM rel r JOIN pg_attribute t ON t.attrelid = r.oid AND t.attacl IS NOT NULL, aclexplode(t.attacl) a WHERE a.grantee <> r.relowner),
walled AS MATERIALIZED (SELECT r.*, (SELECT attnum FROM pg_attribute WHERE attrelid = r.oid AND attname = 'tenant' AND attnotnull AND atttypid = 'int4'::regtype) AS tenant
  FROM rel r WHERE r.relkind IN ('r', 'p', 'f') AND r.walled
    AND (r.name IS NOT NULL OR EXISTS (SELECT 1 FROM acl WHERE acl.oid = r.oid AND acl.grantee IN (0, (SELECT oid FROM me))))),
breach(what) AS (
` + roleSQL + tablesSQL + objectsSQL + sessionSQL + `)
SELECT coalesce((SELECT array_agg(DISTINCT what ORDER BY what) FROM breach), '{}'),
  coalesce((SELECT array_agg('no table ' || name ORDER BY name) FROM want WHERE name NOT IN (SELECT name FROM rel WHERE name IS NOT NULL)), '{}')`

// roleSQL: the role is nobody special, is of nobody, owns nothing and enters one database.
const roleSQL = `  SELECT 'the role is superuser' FROM me WHERE rolsuper
  UNION ALL SELECT 'the role bypasses row security' FROM me WHERE rolbypassrls
  UNION ALL SELECT 'the role may create roles' FROM me WHERE rolcreaterole
  UNION ALL SELECT 'the role may create databases' FROM me WHERE rolcreatedb
  UNION ALL SELECT 'the role may replicate' FROM me WHERE rolreplication
  UNION ALL SELECT 'the session is of another role' WHERE session_user <> current_user
  UNION ALL SELECT 'the role is a member of ' || r.rolname FROM pg_roles r, me WHERE r.oid <> me.oid AND NOT me.rolsuper AND pg_has_role(me.oid, r.oid, 'MEMBER')
  UNION ALL SELECT r.rolname || ' can become the role' FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member, me WHERE m.roleid = me.oid AND NOT r.rolsuper
    AND pg_has_role(r.oid, me.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
  UNION ALL SELECT 'the role owns a ' || CASE d.classid WHEN 'pg_database'::regclass THEN 'database' WHEN 'pg_namespace'::regclass THEN 'schema' WHEN 'pg_class'::regclass THEN 'table'
    WHEN 'pg_proc'::regclass THEN 'function' ELSE 'thing' END FROM pg_shdepend d, me WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = me.oid AND d.deptype = 'o'
  UNION ALL SELECT 'the role may enter the database ' || d.datname FROM pg_database d, me WHERE d.datallowconn AND d.datname <> current_database() AND NOT me.rolsuper
    AND d.datdba = (SELECT datdba FROM db) AND has_database_privilege(me.oid, d.oid, 'CONNECT')
  UNION ALL SELECT 'the role ' || r.rolname || ' bypasses row security and may enter' FROM pg_roles r, db, me WHERE r.rolbypassrls AND r.rolcanlogin AND NOT r.rolsuper AND r.oid <> me.oid
    AND has_database_privilege(r.oid, db.oid, 'CONNECT')
  UNION ALL SELECT coalesce(r.rolname, 'everybody') || ' may enter the database' FROM db, me, aclexplode(coalesce(db.datacl, acldefault('d', db.datdba))) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE a.privilege_type = 'CONNECT' AND a.grantee NOT IN (db.datdba, me.oid)
  UNION ALL SELECT 'the role may make ' || p.what FROM db, me, (VALUES ('CREATE', 'schemas'), ('TEMPORARY', 'temporary tables')) AS p(priv, what)
    WHERE NOT me.rolsuper AND has_database_privilege(me.oid, db.oid, p.priv)
  UNION ALL SELECT 'the role may make things in the schema ' || n.nspname FROM pg_namespace n, me WHERE NOT me.rolsuper AND n.nspname !~ '^pg_(temp|toast)' AND has_schema_privilege(me.oid, n.oid, 'CREATE')
  UNION ALL SELECT 'the role may call ' || f.name FROM me, (VALUES ('pg_read_file(text)'), ('pg_read_binary_file(text)'), ('pg_ls_dir(text)'), ('lo_import(text)'), ('lo_export(oid, text)'),
    ('pg_reload_conf()')) AS f(name)
    WHERE NOT me.rolsuper AND has_function_privilege(me.oid, f.name, 'EXECUTE')
  UNION ALL SELECT 'the role may read ' || t.name FROM me, (VALUES ('pg_authid'), ('pg_statistic'), ('pg_largeobject')) AS t(name)
    WHERE NOT me.rolsuper AND has_table_privilege(me.oid, 'pg_catalog.' || t.name, 'SELECT')
`

// tablesSQL: nobody has a right that is not on the list, every table with rows of tenants is walled on all sides, and an event is stored
// whole, under its own transaction.
const tablesSQL = `  UNION ALL SELECT coalesce(r.rolname, 'everybody') || ' has ' || a.priv || ' on ' || a.label || CASE WHEN a.col <> '' THEN '.' || a.col ELSE '' END
    FROM acl a CROSS JOIN me LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.grantee <> me.oid OR a.priv IN ('TRUNCATE', 'REFERENCES', 'TRIGGER')
      OR (a.name IS NOT NULL AND NOT EXISTS (SELECT 1 FROM rights x WHERE x.name = a.name AND x.priv = a.priv AND x.col IN ('', a.col)))
  UNION ALL SELECT 'the role may grant ' || a.priv || ' on ' || a.label FROM acl a, me WHERE a.grantee = me.oid AND a.is_grantable
  UNION ALL SELECT 'row security of ' || label || ' is off' FROM walled WHERE NOT relrowsecurity
  UNION ALL SELECT 'row security of ' || label || ' is not forced' FROM walled WHERE NOT relforcerowsecurity
  UNION ALL SELECT label || ' has no policy' FROM walled w WHERE NOT EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = w.oid)
  UNION ALL SELECT label || ' has further policies' FROM walled w WHERE (SELECT count(*) FROM pg_policy WHERE polrelid = w.oid) > 1
  UNION ALL SELECT 'the policy ' || p.polname || ' of ' || w.label || ' is not the one that reads and writes by tenant' FROM walled w JOIN pg_policy p ON p.polrelid = w.oid
    WHERE NOT (p.polcmd = '*' AND p.polpermissive AND p.polroles = '{0}' AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL
      AND pg_get_expr(p.polqual, p.polrelid) = ` + policySQL + ` AND pg_get_expr(p.polwithcheck, p.polrelid) = ` + policySQL + `)
  UNION ALL SELECT label || ' has no tenant column that is always set' FROM walled WHERE tenant IS NULL
  UNION ALL SELECT 'the index ' || c.relname || ' does not lead with the tenant' FROM walled w JOIN pg_index i ON i.indrelid = w.oid JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indkey[0] IS DISTINCT FROM w.tenant
  UNION ALL SELECT 'the foreign key ' || k.conname || ' reaches past row security' FROM walled w JOIN pg_constraint k ON w.oid IN (k.conrelid, k.confrelid) WHERE k.contype = 'f'
  UNION ALL SELECT label || ' has the trigger ' || t.tgname FROM walled w JOIN pg_trigger t ON t.tgrelid = w.oid AND NOT t.tgisinternal
  UNION ALL SELECT label || ' has the rule ' || u.rulename FROM walled w JOIN pg_rewrite u ON u.ev_class = w.oid
  UNION ALL SELECT label || ' has the trigger ' || t.tgname FROM rel r JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal WHERE r.name IS NOT NULL AND NOT r.walled
  UNION ALL SELECT label || ' has the rule ' || u.rulename FROM rel r JOIN pg_rewrite u ON u.ev_class = r.oid WHERE r.name IS NOT NULL AND NOT r.walled
  UNION ALL SELECT label || '.xid is by default another transaction''s' FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = 'xid'
    LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum WHERE r.name = 'audit' AND pg_get_expr(d.adbin, d.adrelid) IS DISTINCT FROM 'pg_current_xact_id()'
  UNION ALL SELECT label || '.' || a.attname || ' may be empty' FROM rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE r.name = 'audit' AND NOT a.attnotnull AND a.attname <> 'digest'
  UNION ALL SELECT label || ' is inherited from or by another table' FROM walled w WHERE EXISTS (SELECT 1 FROM pg_inherits WHERE w.oid IN (inhrelid, inhparent))
  UNION ALL SELECT label || ' is no ordinary table' FROM walled WHERE relkind <> 'r'
  UNION ALL SELECT r.label || ' does not survive a crash' FROM rel r JOIN pg_class c ON c.oid = r.oid WHERE r.name IS NOT NULL AND c.relpersistence <> 'p'
`

// objectsSQL: nothing that could carry rows past the walls is there at all.
const objectsSQL = `  UNION ALL SELECT 'there is a view ' || label FROM rel WHERE relkind IN ('v', 'm')
  UNION ALL SELECT 'there is a function ' || p.proname || CASE WHEN p.prosecdef THEN ' that runs as its owner' WHEN p.proleakproof THEN ' that claims to leak nothing' ELSE '' END FROM pg_proc p
    WHERE p.oid >= 16384 AND p.pronamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_(temp|toast)')
      AND NOT EXISTS (SELECT 1 FROM ext WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
  UNION ALL SELECT 'there is an operator ' || oprname FROM pg_operator WHERE oid >= 16384
  UNION ALL SELECT 'there is a cast of ours' FROM pg_cast WHERE oid >= 16384
  UNION ALL SELECT 'there is the extension ' || extname FROM pg_extension WHERE extname <> ALL ($6::text[])
  UNION ALL SELECT 'there is a foreign server ' || srvname FROM pg_foreign_server
  UNION ALL SELECT 'there is a publication ' || pubname FROM pg_publication
  UNION ALL SELECT 'there is a subscription' FROM (SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM db)) s
  UNION ALL SELECT 'there is a logical replication slot ' || slot_name FROM pg_replication_slots WHERE slot_type = 'logical' AND database = current_database()
  UNION ALL SELECT 'there is an event trigger ' || evtname FROM pg_event_trigger
  UNION ALL SELECT 'there are default privileges' FROM pg_default_acl
`

// sessionSQL: names mean what we mean, no tenant is set before we set one, the wire is private, and a commit is a commit.
const sessionSQL = `  UNION ALL SELECT 'the search path is ' || array_to_string(current_schemas(true), ', ') WHERE current_schemas(true) <> ARRAY['pg_catalog', current_schema()]::name[]
  UNION ALL SELECT 'row_security is off' WHERE current_setting('row_security') <> 'on'
  UNION ALL SELECT 'triggers and rules are switched by session_replication_role' WHERE current_setting('session_replication_role') <> 'origin'
  UNION ALL SELECT 'a tenant is set where none was chosen' WHERE coalesce(current_setting('app.tenant', true), '') <> ''
  UNION ALL SELECT 'the setting ' || split_part(c, '=', 1) || ' is fixed for sessions' FROM pg_db_role_setting s, me, db, unnest(s.setconfig) AS c
    WHERE s.setrole IN (0, me.oid) AND s.setdatabase IN (0, db.oid) AND (split_part(c, '=', 1) IN ('search_path', 'row_security', 'session_replication_role', 'role', 'app.tenant')
      OR (split_part(c, '=', 1) = 'synchronous_commit' AND NOT $7::bool))
  UNION ALL SELECT 'the connection is not encrypted' FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND NOT ssl AND inet_client_addr() IS NOT NULL
  UNION ALL SELECT 'commits are not durable: ' || s || ' is off' FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit']) AS s WHERE NOT $7::bool AND current_setting(s) = 'off'
`
