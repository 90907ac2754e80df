// Package fhir stands for the real one.
package fhir

type Value struct{ b []byte }

func (v Value) Str() string { return string(v.b) }

func (v Value) Get(string) Value { return v }
