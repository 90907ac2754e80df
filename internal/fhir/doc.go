// Package fhir is FHIR R4 (4.0.1) as data: it parses a resource, checks its structure and rewrites its bytes.
//
// The bytes are the truth. [Parse] lays a flat tape of spans over them; nothing is decoded until it is asked for, so a
// decimal keeps its digits and a part this package has no name for keeps its place. [Check] walks the tape once against
// tables compiled from HL7's definitions (cmd/specgen). [Stamp] copies the bytes out again under a new id and version.
//
// It promises: no I/O; no panic and linear time on any input; errors and issues that name places, never values of the
// body. It refuses: everything JSON leaves to taste (duplicate names, lone surrogates, NUL, a byte order mark), and
// what R4 calls an error of structure.
//
// BUG(fhir): codes are not checked against required bindings, invariants and profiles are not evaluated.
package fhir
