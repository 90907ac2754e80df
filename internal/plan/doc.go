// Package plan turns a search into SQL over blinded tables. One list drives, in the order of its index; every other term that
// the index can answer probes it, row by row; what no index answers is left to the judge of the opened resource
// (search.Query.Match). Opaque tokens tell PostgreSQL's planner nothing, so the order of joins is spelled out: each further
// list is a CROSS JOIN LATERAL (… LIMIT 1), and each statement carries the tenant as $1 beside row security (docs/adr/0002).
//
// It does no I/O: callers send the text through placement.
package plan
