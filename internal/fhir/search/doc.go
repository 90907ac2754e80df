// Package search is FHIR R4 search as data: which parameters a type has, what a query asks, what a resource answers. It
// extracts index entries on write, parses queries, and judges a resource against a query (Match), which is how every hit
// of a blind index is verified. It does no I/O, and knows neither SQL nor keys.
//
// Index entries belong to paths, not to parameters: Observation.code is indexed once and serves code and combo-code. What a
// path's filter, a code's system or a long string adds is left to Match: the index may answer too much, never too
// little.
package search
