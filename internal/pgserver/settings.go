package pgserver

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hba lets in who knows a password, over the unix socket.
const hba = `# Written by cordon at each start: changes are lost.
local  all          all  scram-sha-256
local  replication  all  scram-sha-256
`

// defaults are what Config.Settings may override.
func defaults() map[string]string {
	return map[string]string{
		"shared_buffers":     "256MB",
		"max_connections":    "100",
		"wal_level":          "replica",
		"fsync":              "on",
		"synchronous_commit": "on",
		"full_page_writes":   "on",
		"jit":                "off",
		"timezone":           "UTC",
		"log_timezone":       "UTC",
	}
}

// law is what nobody may override: given on the command line, where neither pg.conf nor ALTER SYSTEM reaches it.
//
// The log holds server events only. log_min_messages=log leaves out ERROR and WARNING, whose very text can quote a
// value ('invalid input syntax for type date: "…"'): the client gets those, with the SQLSTATE. terse drops DETAIL, where
// constraint violations quote keys and a crashed backend its statement. A PANIC still quotes its statement, never its
// parameters: there is no setting beyond log_min_error_statement=panic.
func (p place) law(sockets string) map[string]string {
	return map[string]string{
		"config_file":                       p.in("pg.conf"),
		"hba_file":                          p.in("pg.hba"),
		"listen_addresses":                  "",
		"port":                              port,
		"unix_socket_directories":           `"` + sockets + `"`, // a list: quoted for spaces
		"unix_socket_permissions":           "0700",
		"password_encryption":               "scram-sha-256",
		"cluster_name":                      "cordon",
		"log_destination":                   "stderr",
		"logging_collector":                 "off",
		"log_line_prefix":                   "%m [%p] %e ",
		"log_min_messages":                  "log",
		"log_statement":                     "none",
		"log_min_duration_statement":        "-1",
		"log_min_duration_sample":           "-1",
		"log_transaction_sample_rate":       "0",
		"log_parameter_max_length":          "0",
		"log_parameter_max_length_on_error": "0",
		"log_error_verbosity":               "terse",
		"log_min_error_statement":           "panic",
		"debug_print_parse":                 "off",
		"debug_print_rewritten":             "off",
		"debug_print_plan":                  "off",
		"log_parser_stats":                  "off",
		"log_planner_stats":                 "off",
		"log_executor_stats":                "off",
		"log_statement_stats":               "off",
	}
}

// checkSettings refuses what would break a promise of the package, or the syntax of the file.
func checkSettings(settings map[string]string) error {
	law := place{}.law("")
	for name, value := range settings {
		if _, fixed := law[strings.ToLower(name)]; fixed || strings.EqualFold(name, "data_directory") {
			return fmt.Errorf("the setting %s is fixed: it keeps the server private or its log free of patient data", name)
		}
		if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" {
			return fmt.Errorf("%q is not the name of a PostgreSQL setting", name)
		}
		if strings.ContainsAny(value, "\n\r\x00") {
			return fmt.Errorf("the value of the setting %s has a line break", name)
		}
	}
	return nil
}

// writeSettings writes pg.conf and pg.hba anew, so that an upgrade of ours takes effect on old data. They lie outside
// the data folder, where postgres itself cannot change them.
func (p place) writeSettings(settings map[string]string) error {
	all := defaults()
	for name, value := range settings {
		all[strings.ToLower(name)] = value
	}
	quote := strings.NewReplacer(`\`, `\\`, `'`, `''`)
	var conf strings.Builder
	conf.WriteString("# Written by cordon at each start: changes are lost.\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", name, quote.Replace(all[name]))
	}
	if err := replace(p.in("pg.conf"), conf.String()); err != nil {
		return err
	}
	return replace(p.in("pg.hba"), hba)
}
