// Package record is the clinical record: create, read, vread, update, delete, history, search, transactions and
// Patient/$everything over the sealed tables of one cell. A file per interaction.
//
// Every function takes a Caller, whose Scope opens the tables and whose Ring opens the bodies. Each asks authz first, and
// makes the audit event durable before it returns anything: of a read through the flusher, of a write inside its
// transaction. A denial is an event, too.
//
// An id of another tenant is not found, by the same path as an id of nobody: it hashes to a row that does not exist.
package record
