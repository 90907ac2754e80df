package audit

import (
	"bytes"
	"container/heap"
	"iter"
)

// Window is how many rows InOrder holds back. A row comes later in the log's order than its id says by as many rows as commit
// while its transaction runs: thousands at the most.
const Window = 8192

// InOrder gives rows of the log's order (by transaction) in the order of their ids, which is that of time.
func InOrder[R any](id func(R) [16]byte, rows iter.Seq2[R, error], each func(R) error) error {
	h := &byID[R]{id: id}
	for r, err := range rows {
		if err != nil {
			return err
		}
		if heap.Push(h, r); h.Len() > Window {
			if err := each(heap.Pop(h).(R)); err != nil {
				return err
			}
		}
	}
	for h.Len() > 0 {
		if err := each(heap.Pop(h).(R)); err != nil {
			return err
		}
	}
	return nil
}

type byID[R any] struct {
	rows []R
	id   func(R) [16]byte
}

func (h *byID[R]) Len() int { return len(h.rows) }
func (h *byID[R]) Less(i, j int) bool {
	a, b := h.id(h.rows[i]), h.id(h.rows[j])
	return bytes.Compare(a[:], b[:]) < 0
}
func (h *byID[R]) Swap(i, j int) { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *byID[R]) Push(x any)    { h.rows = append(h.rows, x.(R)) }
func (h *byID[R]) Pop() any {
	last := h.rows[len(h.rows)-1]
	h.rows = h.rows[:len(h.rows)-1]
	return last
}
