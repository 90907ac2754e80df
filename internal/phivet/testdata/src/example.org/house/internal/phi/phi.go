// Package phi stands for the real one.
package phi

type Text string

func (t Text) Reveal() string { return string(t) }

type Body []byte

func (b Body) Reveal() []byte { return b }
