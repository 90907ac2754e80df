package ledger

import (
	"context"
	"iter"
)

// All gives every row that read gives, from the first on, n at a time. An error is the last thing that it gives.
func All(n int, read func(after Position, including bool, n int) ([]Row, error)) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		at, including := Position{}, true
		for {
			rows, err := read(at, including, n)
			if err != nil {
				yield(Row{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < n {
				return
			}
			at, including = rows[len(rows)-1].Position, false
		}
	}
}

// all gives every row of a log.
func (k *Keeper) all(ctx context.Context, n Name) iter.Seq2[Row, error] {
	return All(page, func(after Position, including bool, most int) ([]Row, error) {
		return k.cfg.Source.Rows(ctx, n.Tenant, after, including, most)
	})
}
